"""What every answer carries beside its body: how fresh it is, where it came from, and its ETag."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponseBase
from django.middleware.http import ConditionalGetMiddleware
from rest_framework.renderers import BaseRenderer

from query_api.feed.home import BYPASS
from query_api.ops.metrics import REQUESTS

GetResponse = Callable[[HttpRequest], HttpResponseBase]


@dataclass
class Answer:
    """What a view found out while it answered. `consistency` None: not a read, so nothing is said about it."""

    consistency: str | None = None
    cache: str = BYPASS


def answer_of(request: HttpRequest) -> Answer:
    """The answer in the making of a request; the same object for the view and for the middleware around it."""
    found = getattr(request, "rookery_answer", None)
    if found is None:
        found = Answer()
        request.rookery_answer = found  # type: ignore[attr-defined]
    return found


class AnswerHeaders:
    """Outermost, so that a 304 and a refusal carry the same headers as a full answer."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        answer = answer_of(request)
        response = self._get_response(request)
        if answer.consistency is not None:
            response["X-Consistency"] = answer.consistency
            response["X-Cache-Status"] = answer.cache
        if not response.streaming and "Content-Length" not in response:
            response["Content-Length"] = str(len(getattr(response, "content", b"")))
        match = getattr(request, "resolver_match", None)
        route = match.route if match is not None else "none"
        REQUESTS.observe(route, response.status_code, time.perf_counter() - started)
        return response


class NotModified(ConditionalGetMiddleware):
    """ETag and 304 for every read; a tag is the body's digest, so equal pages have equal tags."""


class JSONRenderer(BaseRenderer):
    """orjson: a page of twenty posts in some 50 µs."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        return b"" if data is None else orjson.dumps(data)
