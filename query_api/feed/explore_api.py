"""Explore and the posts with a hashtag, over HTTP."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from query_api.consistency import token_secret
from query_api.cursors import invalid_parameter, limit_of, read_cursor, write_cursor
from query_api.described import read_of
from query_api.feed.explore import (
    ExplorePlace,
    first_explore_page,
    next_explore_page,
    tagged_ids,
)
from query_api.pipeline import read_page
from query_api.posts.cards import post_card
from query_api.posts.present import moment
from query_api.posts.queries import hydrate
from query_api.posts.rules import is_public_item
from query_api.shapes import ExplorePage, PostPage
from query_api.views import ReadView, page_of, page_response
from shared import clock
from shared.errors import NotFound
from shared.hashtags import folded_hashtag
from shared.ids import datetime_of

FEED_PROJECTIONS = ("posts", "counters", "profiles", "graph")


class ExploreView(ReadView):
    """Public posts of the last seven days by people whom the viewer does not follow, best first.

    The order stays while it is paged; a session that is over answers 410.
    """

    projections = FEED_PROJECTIONS

    @read_of(
        "feeds",
        "getExploreFeed",
        ExplorePage,
        paged=True,
        problems=(400, 401, 410),
        more=[OpenApiParameter("hashtag", OpenApiTypes.STR, description="Only posts with it, with or without its #")],
    )
    def get(self, request: Request) -> Response:
        hashtag = _hashtag_of(request)
        limit = limit_of(request.query_params.get("limit"))
        purpose = f"explore:{self.viewer.hex if self.viewer else ''}:{hashtag or ''}"
        value = read_cursor(token_secret(), purpose, request.query_params.get("cursor"))
        if value is None:
            ranked_at = clock.now()
            page = first_explore_page(self.viewer, hashtag, ranked_at, limit)
        else:
            place = ExplorePlace.load(value)
            ranked_at = place.ranked_at
            page = next_explore_page(self.viewer, place, limit)
        following = None if page.following is None else write_cursor(token_secret(), purpose, page.following.dump())
        items = [post_card(row) for row in page.rows]
        return page_response(request, items, following, ranked_at=moment(datetime_of(ranked_at)))


class HashtagPostsView(ReadView):
    """Public posts with a hashtag, newest first, without those by people whom the viewer blocks or who block them."""

    projections = FEED_PROJECTIONS

    @read_of("feeds", "listHashtagPosts", PostPage, paged=True, problems=(400, 401, 404))
    def get(self, request: Request, hashtag: str) -> Response:
        folded = folded_hashtag(hashtag.removeprefix("#"))
        if not folded:
            raise NotFound("There is no such hashtag")
        return page_of(
            request,
            f"hashtag:{folded}",
            lambda after, limit: read_page(
                lambda before, count: tagged_ids(folded, before, count),
                lambda ids: hydrate(ids, self.viewer),
                lambda row: is_public_item(row, self.viewer),
                after=after,
                limit=limit,
            ),
            post_card,
        )


def _hashtag_of(request: Request) -> str | None:
    given = request.query_params.get("hashtag")
    if not given:
        return None
    folded = folded_hashtag(given.removeprefix("#"))
    if not folded:
        raise invalid_parameter("hashtag", "must be a hashtag, with or without its #")
    return folded
