"""A read: who asks, may they, is what they demand there yet; then a view's own few lines; then pages in one shape."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from query_api.access_tokens import bearer_of
from query_api.answers import answer_of
from query_api.consistency import FRESH, HEADER, Demand, admit, demand_of, token_secret
from query_api.cursors import limit_of, read_id_cursor, write_id_cursor
from query_api.pipeline import Page
from shared.errors import Forbidden, Unauthenticated

Row = TypeVar("Row")


class ReadView(APIView):
    """`projections` are those whose tables the view reads; `bearer_required` refuses whoever sends no token.

    `role_required` refuses whoever's token does not carry that role: it may be as old as a token lives, 15 minutes.
    """

    projections: ClassVar[tuple[str, ...]] = ()
    bearer_required: ClassVar[bool] = False
    role_required: ClassVar[str | None] = None
    viewer: UUID | None = None
    demand: Demand

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        bearer = bearer_of(request.headers.get("Authorization"))
        if bearer is None and (self.bearer_required or self.role_required):
            raise Unauthenticated("This needs an access token")
        if bearer is not None and self.role_required and self.role_required not in bearer.roles:
            raise Forbidden(f"This is for those with the role {self.role_required}")
        self.viewer = bearer.user_id if bearer is not None else None
        self.demand = demand_of(request.headers.get(HEADER))
        admitted = FRESH if self.is_admitted_by_reading(request) else admit(self.viewer, self.demand, self.projections)
        answer_of(request._request).consistency = admitted

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Where there is one renderer, what nearly every client accepts need not be parsed to find it."""
        renderer, *others = self.get_renderers()
        accepted = request.headers.get("Accept", "*/*") in ("*/*", renderer.media_type)
        if accepted and not others and "format" not in request.query_params:
            return renderer, renderer.media_type
        return super().perform_content_negotiation(request, force)

    def is_admitted_by_reading(self, request: Request) -> bool:
        """Whether the view's own statement says if the reader is there; only where no position is demanded."""
        return False

    @property
    def reader(self) -> UUID:
        """The viewer of a view that requires one."""
        if self.viewer is None:
            raise Unauthenticated("This needs an access token")
        return self.viewer

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        # What a reader sees is theirs, and may change at once: it may be kept, and must be asked about each time.
        response.setdefault("Cache-Control", "private, no-cache")
        response["Vary"] = "Accept, Authorization"
        return response


def page_of(request: Request, purpose: str, read: Callable[[UUID | None, int], Page[Row]],
            present: Callable[[Row], Any]) -> Response:  # fmt: skip
    """A keyset page: `read` takes the key to continue after and the limit."""
    limit = limit_of(request.query_params.get("limit"))
    after = read_id_cursor(token_secret(), purpose, request.query_params.get("cursor"))
    page = read(after, limit)
    cursor = write_id_cursor(token_secret(), purpose, page.next_key)
    return page_response(request, [present(row) for row in page.rows], cursor)


def page_response(request: Request, items: list[Any], cursor: str | None, **more: Any) -> Response:
    """`{"items", "next"}`, with the next page's address as a Link (RFC 8288) too."""
    response = Response({"items": items, "next": cursor, **more})
    if cursor is not None:
        given = [(name, value) for name, values in request.query_params.lists() for value in values]
        query = urlencode([*(each for each in given if each[0] != "cursor"), ("cursor", cursor)])
        response["Link"] = f'<{request.path}?{query}>; rel="next"'
    return response
