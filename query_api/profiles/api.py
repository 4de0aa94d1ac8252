"""People over HTTP: oneself, others, and what they posted."""

from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from query_api.described import read_of
from query_api.pipeline import read_page
from query_api.posts.present import present_post
from query_api.posts.queries import authored_ids, hydrate
from query_api.posts.rules import may_see
from query_api.profiles.present import present_profile
from query_api.profiles.queries import ProfileRow, profile
from query_api.shapes import PostPage, Profile
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
            present_post,
        )


class MyPostsView(UserPostsView):
    """One's own posts, newest first."""

    bearer_required = True

    @read_of("users", "listMyPosts", PostPage, paged=True, bearer=True)
    def get(self, request: Request, name_or_id: str = "") -> Response:
        return super().get(request, str(self.reader))


def _found(name_or_id: str, viewer_id: UUID | None) -> ProfileRow:
    row = profile(name_or_id, viewer_id)
    if row is None:
        raise NotFound("There is no such person here")
    return row
