"""Reactions to a post, its shares, and one's own bookmarks, over HTTP."""

from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from query_api.described import read_of
from query_api.pipeline import read_page
from query_api.posts.queries import visible_post
from query_api.reactions.present import present_bookmark, present_reaction, present_share
from query_api.reactions.queries import (
    bookmarks,
    newest_bookmarks,
    newest_reactions,
    newest_shares,
    reactions,
    shares,
)
from query_api.shapes import BookmarkPage, ReactionPage, SharePage
from query_api.views import ReadView, page_of
from shared.errors import NotFound


class LikesView(ReadView):
    """Who reacted to a post and how, newest first."""

    projections = ("counters", "profiles", "posts", "graph")

    @read_of("posts", "listPostLikes", ReactionPage, paged=True, problems=(400, 401, 404))
    def get(self, request: Request, post_id: UUID) -> Response:
        if visible_post(post_id, self.viewer) is None:
            raise NotFound("There is no such post here")
        return page_of(
            request,
            f"likes:{post_id.hex}",
            lambda after, limit: read_page(
                lambda before, count: newest_reactions(post_id, before, count),
                lambda events: reactions(post_id, events, self.viewer),
                lambda row: True,
                after=after,
                limit=limit,
            ),
            present_reaction,
        )


class SharesView(ReadView):
    """Who shared a post, newest first."""

    projections = ("counters", "profiles", "posts", "graph")

    @read_of("posts", "listPostShares", SharePage, paged=True, problems=(400, 401, 404))
    def get(self, request: Request, post_id: UUID) -> Response:
        if visible_post(post_id, self.viewer) is None:
            raise NotFound("There is no such post here")
        return page_of(
            request,
            f"shares:{post_id.hex}",
            lambda after, limit: read_page(
                lambda before, count: newest_shares(post_id, before, count),
                lambda ids: shares(post_id, ids, self.viewer),
                lambda row: True,
                after=after,
                limit=limit,
            ),
            present_share,
        )


class BookmarksView(ReadView):
    """What the viewer keeps, the last kept first; a post that is gone, or hidden from them, says so."""

    projections = ("counters", "posts", "profiles", "graph")
    bearer_required = True

    @read_of("posts", "listBookmarks", BookmarkPage, paged=True, bearer=True)
    def get(self, request: Request) -> Response:
        return page_of(
            request,
            f"bookmarks:{self.reader.hex}",
            lambda after, limit: read_page(
                lambda before, count: newest_bookmarks(self.reader, before, count),
                lambda events: bookmarks(self.reader, events),
                lambda row: True,
                after=after,
                limit=limit,
            ),
            present_bookmark,
        )
