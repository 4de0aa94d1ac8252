"""Reading notifications over HTTP."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from command_api.notifications.commands.mark_notifications_read import MarkNotificationsRead
from command_api.web.answers import CommandView
from command_api.web.bodies import NoBody
from shared import clock
from shared.ids import mint


class ReadAnswer(serializers.Serializer[Any]):
    """What is read now: some notifications, or all that were caused up to an event."""

    ids = serializers.ListField(child=serializers.UUIDField())
    up_to = serializers.UUIDField(allow_null=True)


class NotificationRead(CommandView):
    @extend_schema(request=None, responses={200: ReadAnswer, 202: ReadAnswer})
    def post(self, request: Request, notification_id: UUID) -> Response:
        """Marks one notification as read."""
        NoBody.of(request)
        command = MarkNotificationsRead(self.actor_id(request), notification_ids=(notification_id,))
        return self.carry_out(request, command, lambda event: (200, {"ids": [str(notification_id)], "up_to": None}))


class AllNotificationsRead(CommandView):
    @extend_schema(request=None, responses={200: ReadAnswer, 202: ReadAnswer})
    def post(self, request: Request) -> Response:
        """Marks everything as read that was caused until now."""
        NoBody.of(request)
        up_to = mint(clock.now())
        command = MarkNotificationsRead(self.actor_id(request), up_to=up_to)
        return self.carry_out(request, command, lambda event: (200, {"ids": [], "up_to": str(up_to)}))
