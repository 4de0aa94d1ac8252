"""What trends, over HTTP: one page, which has no next one."""

from rest_framework.request import Request
from rest_framework.response import Response

from query_api.answers import answer_of
from query_api.consistency import FRESH, NOTHING, STALE
from query_api.cursors import invalid_parameter, limit_of
from query_api.described import read_of
from query_api.posts.cards import post_card
from query_api.shapes import TrendingHashtags, TrendingPosts
from query_api.trends.queries import await_trends, trending_hashtags, trending_posts
from query_api.views import ReadView, page_response
from shared import clock
from shared.errors import Unavailable
from shared.trend_store import TrendsUnavailable


class TrendsView(ReadView):
    """Waits for Redis besides, which alone knows what trends; without it there is no answer now."""

    def trends(self, request: Request, limit: int, anew: bool) -> tuple[list[object], bool]:
        """The items, and whether they are of all that there is."""
        raise NotImplementedError

    def answer(self, request: Request) -> Response:
        limit = limit_of(request.query_params.get("limit"))
        if request.query_params.get("cursor"):
            raise invalid_parameter("cursor", "is not a cursor of this list, which has one page")
        answer = answer_of(request._request)
        try:
            if await_trends(self.demand) != FRESH:
                answer.consistency = STALE
            items, whole = self.trends(request, limit, anew=self.demand.position != NOTHING)
        except TrendsUnavailable:
            raise Unavailable("What trends is not known now") from None
        if not whole:
            answer.consistency = STALE
        return page_response(request, items, None)


class TrendingHashtagsView(TrendsView):
    """The hashtags that most people use in public posts, those of the last hours counting most."""

    @read_of("trends", "listTrendingHashtags", TrendingHashtags, problems=(400, 401, 503), limited=True)
    def get(self, request: Request) -> Response:
        return self.answer(request)

    def trends(self, request: Request, limit: int, anew: bool) -> tuple[list[object], bool]:
        found, whole = trending_hashtags(clock.now(), limit, anew)
        return [{"hashtag": each.name, "score": each.score} for each in found], whole


class TrendingPostsView(TrendsView):
    """The posts that most is made of, what was made of them in the last hours counting most."""

    projections = ("posts", "counters", "profiles", "graph")

    @read_of("trends", "listTrendingPosts", TrendingPosts, problems=(400, 401, 503), limited=True)
    def get(self, request: Request) -> Response:
        return self.answer(request)

    def trends(self, request: Request, limit: int, anew: bool) -> tuple[list[object], bool]:
        found, whole = trending_posts(self.viewer, clock.now(), limit, anew)
        return [{"post": post_card(row), "score": score} for row, score in found], whole
