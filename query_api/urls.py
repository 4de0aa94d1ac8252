"""Every address of the query API, in this order: people, posts, bookmarks, feeds and search, notifications, ops."""

from django.urls import path

from query_api.feed.api import FollowingView, GlobalView, HomeView, PublicPostsView
from query_api.feed.explore_api import ExploreView, HashtagPostsView
from query_api.graph.api import BlocksView, FollowRequestsView, MutesView
from query_api.notifications.api import NotificationsView, UnreadCountView
from query_api.ops.api import SchemaView, docs, healthz, metrics, readyz
from query_api.ops.projections import ProjectionsView
from query_api.posts.api import CommentsView, CommentView, HistoryView, PostView, RepliesView
from query_api.profiles.api import FollowersView, MeView, MyPostsView, UserPostsView, UserView
from query_api.profiles.api import FollowingView as PersonFollowingView
from query_api.reactions.api import BookmarksView, LikesView, SharesView
from query_api.search.api import PeopleView, SearchPeopleView, SearchPostsView
from query_api.trends.api import TrendingHashtagsView, TrendingPostsView

V1 = "api/v1/"

urlpatterns = [
    path(V1 + "users/", PeopleView.as_view()),
    path(V1 + "users/me/", MeView.as_view()),
    path(V1 + "users/me/posts/", MyPostsView.as_view()),
    path(V1 + "users/me/blocks/", BlocksView.as_view()),
    path(V1 + "users/me/mutes/", MutesView.as_view()),
    path(V1 + "users/me/follow-requests/", FollowRequestsView.as_view()),
    path(V1 + "users/<str:name_or_id>/", UserView.as_view()),
    path(V1 + "users/<str:name_or_id>/posts/", UserPostsView.as_view()),
    path(V1 + "users/<str:name_or_id>/followers/", FollowersView.as_view()),
    path(V1 + "users/<str:name_or_id>/following/", PersonFollowingView.as_view()),
    path(V1 + "posts/", PublicPostsView.as_view()),
    path(V1 + "posts/following/", FollowingView.as_view()),
    path(V1 + "posts/<uuid:post_id>/", PostView.as_view()),
    path(V1 + "posts/<uuid:post_id>/history/", HistoryView.as_view()),
    path(V1 + "posts/<uuid:post_id>/likes/", LikesView.as_view()),
    path(V1 + "posts/<uuid:post_id>/shares/", SharesView.as_view()),
    path(V1 + "posts/<uuid:post_id>/comments/", CommentsView.as_view()),
    path(V1 + "comments/<uuid:comment_id>/", CommentView.as_view()),
    path(V1 + "comments/<uuid:comment_id>/replies/", RepliesView.as_view()),
    path(V1 + "bookmarks/", BookmarksView.as_view()),
    path(V1 + "feed/home/", HomeView.as_view()),
    path(V1 + "feed/global/", GlobalView.as_view()),
    path(V1 + "feed/explore/", ExploreView.as_view()),
    path(V1 + "hashtags/<str:hashtag>/posts/", HashtagPostsView.as_view()),
    path(V1 + "trends/hashtags/", TrendingHashtagsView.as_view()),
    path(V1 + "trends/posts/", TrendingPostsView.as_view()),
    path(V1 + "search/posts/", SearchPostsView.as_view()),
    path(V1 + "search/users/", SearchPeopleView.as_view()),
    path(V1 + "notifications/", NotificationsView.as_view()),
    path(V1 + "notifications/unread-count/", UnreadCountView.as_view()),
    path(V1 + "ops/projections/", ProjectionsView.as_view()),
    path(V1 + "query/schema/", SchemaView.as_view()),
    path("api/docs/", docs),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
]

handler400 = "query_api.problems.bad_request"
handler404 = "query_api.problems.route_not_found"
handler500 = "query_api.problems.server_error"
