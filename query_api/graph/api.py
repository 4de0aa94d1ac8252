"""Whom one blocks and mutes, and who asks to follow, over HTTP: for oneself alone."""

from rest_framework.request import Request
from rest_framework.response import Response

from query_api.described import read_of
from query_api.graph.present import present_block, present_mute, present_request
from query_api.graph.queries import asking, blocks_of, mutes_of
from query_api.shapes import BlockPage, FollowRequestPage, MutePage
from query_api.views import ReadView, page_of


class BlocksView(ReadView):
    """Whom the viewer blocks, the newest block first."""

    projections = ("graph", "profiles")
    bearer_required = True

    @read_of("users", "listBlocks", BlockPage, paged=True, bearer=True)
    def get(self, request: Request) -> Response:
        return page_of(
            request,
            f"blocks:{self.reader.hex}",
            lambda before, limit: blocks_of(self.reader, before, limit),
            present_block,
        )


class MutesView(ReadView):
    """Whom the viewer mutes, the newest mute first; somebody of a blocked pair is left out until the block ends."""

    projections = ("graph", "profiles")
    bearer_required = True

    @read_of("users", "listMutes", MutePage, paged=True, bearer=True)
    def get(self, request: Request) -> Response:
        return page_of(
            request,
            f"mutes:{self.reader.hex}",
            lambda before, limit: mutes_of(self.reader, before, limit),
            present_mute,
        )


class FollowRequestsView(ReadView):
    """Who asks to follow the viewer and waits for an answer, the newest request first."""

    projections = ("graph", "profiles")
    bearer_required = True

    @read_of("users", "listFollowRequests", FollowRequestPage, paged=True, bearer=True)
    def get(self, request: Request) -> Response:
        return page_of(
            request,
            f"follow-requests:{self.reader.hex}",
            lambda before, limit: asking(self.reader, before, limit),
            present_request,
        )
