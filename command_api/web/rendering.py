"""Answers are JSON, always: ids as they are, times in RFC 3339 with microseconds."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from shared.ids import datetime_of


class ORJSONRenderer(BaseRenderer):
    """`bytes` are taken to be JSON already: an answer that was remembered."""

    media_type = "application/json"
    format = "json"
    charset = None
    render_style = "binary"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        if data is None:
            return b""
        return data if isinstance(data, bytes) else orjson.dumps(data)


class JSONAlways(BaseContentNegotiation):
    """There is one format, so the Accept header changes nothing."""

    def select_parser(self, request: Request, parsers: Iterable[Any]) -> Any:
        content_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == content_type), None)

    def select_renderer(self, request: Request, renderers: Iterable[Any], format_suffix: str | None = None) -> Any:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


def moment(micros: int) -> str:
    """Microseconds since 1970 as 2026-11-21T09:30:00.000000Z."""
    return datetime_of(micros).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
