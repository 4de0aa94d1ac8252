"""Feeds over HTTP: home, by recency or ranked, and global."""

import re
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from query_api.answers import answer_of
from query_api.consistency import NOTHING, admit, token_secret
from query_api.cursors import (
    flag_of,
    invalid_parameter,
    limit_of,
    read_cursor,
    write_cursor,
)
from query_api.described import read_of
from query_api.feed.matching import Query
from query_api.feed.pages import (
    Asked,
    HomePage,
    RankedPlace,
    RecentPlace,
    first_ranked_page,
    next_ranked_page,
    recent_page,
)
from query_api.feed.present import present_explanation, present_item
from query_api.pipeline import read_page
from query_api.posts.cards import post_card
from query_api.posts.present import moment
from query_api.posts.queries import hydrate, public_ids
from query_api.posts.rules import is_public_item
from query_api.search.api import query_of
from query_api.shapes import HomePage as HomePageShape
from query_api.shapes import PostPage
from query_api.views import ReadView, page_of, page_response
from shared import clock
from shared.errors import Unauthenticated
from shared.ids import datetime_of
from shared.position import Position

RANKED, RECENT = "ranked", "recent"
DIVERSITY = re.compile(r"0(\.[0-9]{1,2})?|1(\.00?)?")

FEED_Q = OpenApiParameter(
    "q",
    OpenApiTypes.STR,
    description=(
        "Only items with it: its words in the text or in what that quotes, as where posts are searched, or all of it "
        "in a name of the author or, where the item is a share, of the sharer; 1 to 200 characters"
    ),
)


class HomeView(ReadView):
    """Posts by the viewer and by those they follow, and what these share (`via`), each post once, at its newest item.

    `sort=ranked` begins a session: its order stays while paged. With `q` the items of this feed that match, in either
    order; with `diversity` those of one author stand further apart.
    """

    projections = ("posts", "counters", "profiles", "graph")
    bearer_required = True
    sorts: tuple[str, ...] = (RANKED, RECENT)

    @read_of(
        "feeds",
        "getHomeFeed",
        HomePageShape,
        paged=True,
        bearer=True,
        problems=(400, 401, 410),
        more=[
            OpenApiParameter("sort", OpenApiTypes.STR, enum=[RANKED, RECENT], default=RANKED),
            OpenApiParameter("explain", OpenApiTypes.BOOL, description="1: each item's factors and source"),
            FEED_Q,
            OpenApiParameter(
                "diversity",
                OpenApiTypes.FLOAT,
                description=(
                    "0 (the default) to 1, with at most two decimals, for sort=ranked: a post's score is multiplied by "
                    "1 − diversity for each post of its author that comes before"
                ),
            ),
        ],
    )
    def get(self, request: Request) -> Response:
        sort = request.query_params.get("sort") or self.sorts[0]
        if sort not in self.sorts:
            raise invalid_parameter("sort", f"must be one of {', '.join(self.sorts)}")
        explain = flag_of("explain", request.query_params.get("explain"))
        limit = limit_of(request.query_params.get("limit"))
        asked = Asked(_query_of(request), _diversity_of(request))
        if asked.diversity and sort != RANKED:
            raise invalid_parameter("diversity", "is for what is ranked")
        return (self._ranked if sort == RANKED else self._recent)(request, limit, explain, asked)

    def _recent(self, request: Request, limit: int, explain: bool, asked: Asked) -> Response:
        purpose = _purpose(f"home-recent-3:{self.reader.hex}", asked)
        value = read_cursor(token_secret(), purpose, request.query_params.get("cursor"))
        place = None if value is None else RecentPlace.load(value)
        page = recent_page(self.reader, self._demanded, place, limit, clock.now() if explain else None, asked)
        answer_of(request._request).cache = page.cache
        following = page.next_recent
        cursor = None if following is None else write_cursor(token_secret(), purpose, following.dump())
        return page_response(request, _items(page, explain), cursor)

    def _ranked(self, request: Request, limit: int, explain: bool, asked: Asked) -> Response:
        purpose = _purpose(f"home-ranked-3:{self.reader.hex}", asked)
        value = read_cursor(token_secret(), purpose, request.query_params.get("cursor"))
        if value is None:
            ranked_at = clock.now()
            page = self._first_ranked(ranked_at, limit, explain, asked)
        else:
            place = RankedPlace.load(value)
            ranked_at = place.ranked_at
            page = next_ranked_page(self.reader, place, limit, explain, asked)
        answer_of(request._request).cache = page.cache
        following = page.next_place
        cursor = None if following is None else write_cursor(token_secret(), purpose, following.dump())
        return page_response(request, _items(page, explain), cursor, ranked_at=moment(datetime_of(ranked_at)))

    def is_admitted_by_reading(self, request: Request) -> bool:
        begins = not request.query_params.get("cursor") and (request.query_params.get("sort") or RANKED) == RANKED
        searches = "q" in request.query_params
        return RANKED in self.sorts and begins and self._demanded is None and not searches

    def _first_ranked(self, ranked_at: int, limit: int, explain: bool, asked: Asked) -> HomePage:
        """A page with items was admitted with them, and all others by asking; someone just registered is waited for."""
        if asked.query is not None:
            return first_ranked_page(self.reader, self._demanded, ranked_at, limit, explain, asked)
        try:
            page = first_ranked_page(self.reader, self._demanded, ranked_at, limit, explain, asked)
            if page.rows:
                return page
        except Unauthenticated:
            page = None
        admit(self.viewer, self.demand, self.projections)
        return page or first_ranked_page(self.reader, self._demanded, ranked_at, limit, explain, asked)

    @property
    def _demanded(self) -> Position | None:
        position = self.demand.position
        return None if position == NOTHING else position


class FollowingView(HomeView):
    """The home feed by recency, under another address."""

    sorts = (RECENT,)

    @read_of("feeds", "getFollowingFeed", HomePageShape, paged=True, bearer=True, more=[FEED_Q])
    def get(self, request: Request) -> Response:
        return super().get(request)


class GlobalView(ReadView):
    """Public posts of everybody, newest first, without those by people whom the viewer blocks or who block them."""

    projections = ("posts", "counters", "profiles", "graph")

    @read_of("feeds", "getGlobalFeed", PostPage, paged=True)
    def get(self, request: Request) -> Response:
        return page_of(
            request,
            "global",
            lambda after, limit: read_page(
                public_ids,
                lambda ids: hydrate(ids, self.viewer),
                lambda row: is_public_item(row, self.viewer),
                after=after,
                limit=limit,
            ),
            post_card,
        )


class PublicPostsView(GlobalView):
    """The global feed, under another address."""

    @read_of("feeds", "listPosts", PostPage, paged=True)
    def get(self, request: Request) -> Response:
        return super().get(request)


def _query_of(request: Request) -> Query | None:
    """Raises ValidationFailed."""
    return Query(query_of(request)) if "q" in request.query_params else None


def _diversity_of(request: Request) -> float:
    """0 to 1; 0 when not given. Raises ValidationFailed."""
    given = request.query_params.get("diversity")
    if given is None or given == "":
        return 0.0
    if not DIVERSITY.fullmatch(given):
        raise invalid_parameter("diversity", "must be a number from 0 to 1 with at most two decimals")
    return float(given)


def _purpose(list_: str, asked: Asked) -> str:
    """A cursor is good for what was asked alone."""
    named = f"{list_}:diversity={asked.diversity}" if asked.diversity else list_
    return named if asked.query is None else f"{named}:{asked.query.text}"


def _items(page: HomePage, explain: bool) -> list[object]:
    def explanation(post_id: UUID) -> dict[str, object] | None:
        found = page.explained.get(post_id)
        return present_explanation(*found) if explain and found is not None else None

    return [present_item(row, explanation(row.post.post_id)) for row in page.rows]
