"""Search over HTTP."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from query_api.consistency import token_secret
from query_api.cursors import invalid_parameter, limit_of, read_cursor, write_cursor
from query_api.described import read_of
from query_api.pipeline import read_page
from query_api.posts.cards import post_card
from query_api.posts.queries import hydrate
from query_api.posts.rules import may_see
from query_api.profiles.present import present_profile
from query_api.search.queries import BEGINNING, QUERY_CHARACTERS_MAX, PeoplePlace, found_people, found_post_ids
from query_api.shapes import PostPage, ProfilePage
from query_api.views import ReadView, page_of, page_response

POSTS_Q = OpenApiParameter(
    "q",
    OpenApiTypes.STR,
    required=True,
    description='Words that must all occur, "a phrase", either or another, -without; 1 to 200 characters',
)
PEOPLE_Q = OpenApiParameter(
    "q",
    OpenApiTypes.STR,
    required=True,
    description="A part of a username or display name; shorter than three characters, its beginning",
)


class SearchPostsView(ReadView):
    """Posts with these words, of those that the viewer may see, newest first."""

    projections = ("posts", "counters", "profiles", "graph")

    @read_of("search", "searchPosts", PostPage, paged=True, more=[POSTS_Q])
    def get(self, request: Request) -> Response:
        query = query_of(request)
        return page_of(
            request,
            f"search-posts:{query}",
            lambda after, limit: read_page(
                lambda before, count: found_post_ids(query, before, count),
                lambda ids: hydrate(ids, self.viewer),
                lambda row: may_see(row, self.viewer),
                after=after,
                limit=limit,
            ),
            post_card,
        )


class SearchPeopleView(ReadView):
    """People by a part of a name: whose username it is, then whose username begins with it, then the others."""

    projections = ("profiles", "graph", "counters")

    @read_of("search", "searchUsers", ProfilePage, paged=True, more=[PEOPLE_Q])
    def get(self, request: Request) -> Response:
        query = query_of(request, sign="@")
        purpose = f"search-users:{query}"
        limit = limit_of(request.query_params.get("limit"))
        value = read_cursor(token_secret(), purpose, request.query_params.get("cursor"))
        people, following = found_people(
            query, self.viewer, BEGINNING if value is None else PeoplePlace.load(value), limit
        )
        cursor = None if following is None else write_cursor(token_secret(), purpose, following.dump())
        return page_response(request, [present_profile(row) for row in people], cursor)


class PeopleView(SearchPeopleView):
    """The search for people, under another address."""

    @read_of("users", "listUsers", ProfilePage, paged=True, more=[PEOPLE_Q])
    def get(self, request: Request) -> Response:
        return super().get(request)


def query_of(request: Request, sign: str = "") -> str:
    """The text of `q` without spaces around it, or a sign before it. Raises ValidationFailed."""
    query = (request.query_params.get("q") or "").strip().removeprefix(sign)
    if not query:
        raise invalid_parameter("q", "must say what to look for")
    if len(query) > QUERY_CHARACTERS_MAX:
        raise invalid_parameter("q", f"must have at most {QUERY_CHARACTERS_MAX} characters")
    # PostgreSQL takes no text with it.
    if "\0" in query:
        raise invalid_parameter("q", "must not hold the character U+0000")
    return query
