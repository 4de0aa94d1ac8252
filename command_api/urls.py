"""Every address of the command API, on one page."""

from uuid import UUID

from django.urls import URLPattern, path, register_converter
from drf_spectacular.views import SpectacularJSONAPIView

from command_api.accounts import api as accounts
from command_api.notifications import api as notifications
from command_api.posts import api as posts
from command_api.reactions import api as reactions
from command_api.relationships import api as relationships
from command_api.web import operations


class IdConverter:
    """A UUID in a path, in capitals or not."""

    regex = "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"

    def to_python(self, value: str) -> UUID:
        return UUID(value)

    def to_url(self, value: UUID) -> str:
        return str(value)


register_converter(IdConverter, "id")

V1 = "api/v1/"
urlpatterns: list[URLPattern] = [
    path(V1 + "auth/register/", accounts.Register.as_view()),
    path(V1 + "auth/login/", accounts.SignIn.as_view()),
    path(V1 + "auth/token/", accounts.SignIn.as_view()),
    path(V1 + "auth/refresh/", accounts.RefreshTokens.as_view()),
    path(V1 + "auth/token/refresh/", accounts.RefreshTokens.as_view()),
    path(V1 + "auth/logout/", accounts.SignOut.as_view()),
    path(V1 + "ws-tickets/", accounts.WebSocketTickets.as_view()),
    path(V1 + "posts/", posts.Posts.as_view()),
    path(V1 + "posts/<id:post_id>/", posts.Post.as_view()),
    path(V1 + "posts/<id:post_id>/comments/", posts.Comments.as_view()),
    path(V1 + "posts/<id:post_id>/like/", reactions.PostReaction.as_view()),
    path(V1 + "posts/<id:post_id>/bookmark/", reactions.PostBookmark.as_view()),
    path(V1 + "posts/<id:post_id>/share/", reactions.PostShare.as_view()),
    path(V1 + "comments/<id:comment_id>/", posts.Comment.as_view()),
    path(V1 + "users/me/", accounts.Me.as_view()),
    path(V1 + "users/<str:person>/follow/", relationships.UserFollow.as_view()),
    path(V1 + "users/<str:person>/block/", relationships.UserBlock.as_view()),
    path(V1 + "users/<str:person>/mute/", relationships.UserMute.as_view()),
    path(V1 + "follow-requests/<id:follower_id>/approve/", relationships.FollowRequestApproval.as_view()),
    path(V1 + "follow-requests/<id:follower_id>/reject/", relationships.FollowRequestRejection.as_view()),
    path(V1 + "notifications/read-all/", notifications.AllNotificationsRead.as_view()),
    path(V1 + "notifications/<id:notification_id>/read/", notifications.NotificationRead.as_view()),
    path(V1 + "command/schema/", SpectacularJSONAPIView.as_view()),
    path(".well-known/jwks.json", accounts.key_set),
    path("healthz", operations.healthz),
    path("readyz", operations.readyz),
    path("metrics", operations.metrics),
]

handler400 = "command_api.web.problems.bad_request"
handler404 = "command_api.web.problems.no_such_page"
handler500 = "command_api.web.problems.server_error"
