"""What the OpenAPI schema says of a read: its answer, its problems, and the parameters and headers all reads have."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers

from query_api.shapes import Problem

View = TypeVar("View", bound=Callable[..., Any])

PAGING = (
    OpenApiParameter("limit", OpenApiTypes.INT, description="1 to 100; 20 when not given"),
    OpenApiParameter("cursor", OpenApiTypes.STR, description="`next` of the page before"),
)
CONSISTENCY = OpenApiParameter(
    "X-Consistency-Token",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="What a write answered: this read then waits until it can see it, or says `X-Consistency: stale`.",
)
ANSWER_HEADERS = tuple(
    OpenApiParameter(name, OpenApiTypes.STR, OpenApiParameter.HEADER, description=text, response=[200])
    for name, text in (
        ("X-Consistency", "`fresh` or `stale`"),
        ("X-Cache-Status", "`hit`, `miss` or `bypass`"),
        ("ETag", "send it as If-None-Match for a 304"),
    )
)


def read_of(
    tag: str,
    name: str,
    answer: type[serializers.Serializer[Any]],
    *,
    paged: bool = False,
    limited: bool = False,
    bearer: bool = False,
    problems: Sequence[int] = (400, 401),
    more: Sequence[OpenApiParameter] = (),
) -> Callable[[View], View]:
    """`limited`: a list of one page. `bearer`: whether a token is required; without, one may be sent."""
    # A security requirement is an object, whatever extend_schema's annotation says.
    auth: list[Any] = [{"bearer": []}] if bearer else [{"bearer": []}, {}]
    described = OpenApiResponse(Problem, description="A problem (application/problem+json)")
    schema: Callable[[View], View] = extend_schema(
        tags=[tag],
        operation_id=name,
        parameters=[*(PAGING if paged else PAGING[:1] if limited else ()), *more, CONSISTENCY, *ANSWER_HEADERS],
        auth=auth,
        responses={200: answer, **dict.fromkeys(problems, described)},
    )
    return schema
