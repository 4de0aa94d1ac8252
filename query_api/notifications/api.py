"""Notifications over HTTP: the list, and how many are unread."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from query_api.cursors import flag_of
from query_api.described import read_of
from query_api.notifications.present import present_notification
from query_api.notifications.queries import hydrate, newest_causes, unread_count
from query_api.pipeline import read_page
from query_api.shapes import NotificationPage, UnreadCount
from query_api.views import ReadView, page_of

NOTIFICATION_PROJECTIONS = ("notifications", "profiles", "posts", "graph")


class NotificationsView(ReadView):
    """Newest cause first; `unread=1` leaves out what has been read."""

    projections = NOTIFICATION_PROJECTIONS
    bearer_required = True

    @read_of(
        "notifications",
        "listNotifications",
        NotificationPage,
        paged=True,
        bearer=True,
        more=[OpenApiParameter("unread", OpenApiTypes.BOOL)],
    )
    def get(self, request: Request) -> Response:
        unread = flag_of("unread", request.query_params.get("unread"))
        return page_of(
            request,
            f"notifications:{self.reader.hex}:{int(unread)}",
            lambda after, limit: read_page(
                lambda before, count: newest_causes(self.reader, unread, before, count),
                lambda causes: hydrate(self.reader, causes),
                lambda row: not (unread and row.read),
                after=after,
                limit=limit,
            ),
            present_notification,
        )


class UnreadCountView(ReadView):
    """The length of the unread list."""

    projections = NOTIFICATION_PROJECTIONS
    bearer_required = True

    @read_of("notifications", "getUnreadCount", UnreadCount, bearer=True)
    def get(self, request: Request) -> Response:
        return Response({"unread": unread_count(self.reader)})
