"""People over HTTP: oneself, others, and what they posted."""

from typing import ClassVar, LiteralString
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from query_api.described import read_of
from query_api.pipeline import read_page
from query_api.posts.cards import post_card
from query_api.posts.queries import authored_ids, hydrate
from query_api.posts.rules import may_see
from query_api.profiles.present import present_profile
from query_api.profiles.queries import FOLLOWERS_SQL, FOLLOWING_SQL, FollowList, ProfileRow, profile
from query_api.shapes import PostPage, Profile, ProfilePage
from query_api.views import ReadView, page_of
from shared.errors import NotFound

PROFILE_PROJECTIONS = ("profiles", "graph", "counters")


class MeView(ReadView):
    """The bearer of the token."""

    projections = PROFILE_PROJECTIONS
    bearer_required = True

    @read_of("users", "getMe", Profile, bearer=True)
    def get(self, request: Request) -> Response:
        return Response(present_profile(_found(str(self.reader), self.reader)))


class UserView(ReadView):
    """Somebody, by username or id."""

    projections = PROFILE_PROJECTIONS

    @read_of("users", "getUser", Profile, problems=(400, 401, 404))
    def get(self, request: Request, name_or_id: str) -> Response:
        return Response(present_profile(_found(name_or_id, self.viewer)))


class UserPostsView(ReadView):
    """Somebody's posts that the viewer may see, newest first, replies included."""

    projections = ("profiles", "posts", "counters", "graph")

    @read_of("users", "listUserPosts", PostPage, paged=True, problems=(400, 401, 404))
    def get(self, request: Request, name_or_id: str) -> Response:
        author_id = _found(name_or_id, self.viewer).user_id
        return page_of(
            request,
            f"posts-by:{author_id.hex}",
            lambda after, limit: read_page(
                lambda before, count: authored_ids(author_id, before, count),
                lambda ids: hydrate(ids, self.viewer),
                lambda row: may_see(row, self.viewer),
                after=after,
                limit=limit,
            ),
            post_card,
        )


class MyPostsView(UserPostsView):
    """One's own posts, newest first."""

    bearer_required = True

    @read_of("users", "listMyPosts", PostPage, paged=True, bearer=True)
    def get(self, request: Request, name_or_id: str = "") -> Response:
        return super().get(request, str(self.reader))


class FollowersView(ReadView):
    """Who follows somebody, the newest follow first."""

    projections = PROFILE_PROJECTIONS
    list_sql: ClassVar[LiteralString] = FOLLOWERS_SQL
    list_name: ClassVar[str] = "followers"

    @read_of("users", "listFollowers", ProfilePage, paged=True, problems=(400, 401, 404))
    def get(self, request: Request, name_or_id: str) -> Response:
        user_id = _found(name_or_id, self.viewer).user_id
        follows = FollowList(self.list_sql, user_id, self.viewer)
        return page_of(
            request,
            f"{self.list_name}:{user_id.hex}",
            lambda after, limit: read_page(
                follows.skeleton, follows.hydrate, lambda row: True, after=after, limit=limit
            ),
            present_profile,
        )


class FollowingView(FollowersView):
    """Whom somebody follows, the newest follow first."""

    list_sql = FOLLOWING_SQL
    list_name = "following"

    @read_of("users", "listFollowing", ProfilePage, paged=True, problems=(400, 401, 404))
    def get(self, request: Request, name_or_id: str) -> Response:
        return super().get(request, name_or_id)


def _found(name_or_id: str, viewer_id: UUID | None) -> ProfileRow:
    row = profile(name_or_id, viewer_id)
    if row is None:
        raise NotFound("There is no such person here")
    return row
