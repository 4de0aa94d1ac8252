"""Posts and their comments over HTTP."""

from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from query_api.cursors import flag_of, invalid_parameter
from query_api.described import read_of
from query_api.pipeline import Page
from query_api.posts.comments import CommentNode, CommentRow, comment_trees, flat_comments, replies_to, shown_comment
from query_api.posts.history import VersionRow, versions
from query_api.posts.present import present_comment, present_post, present_tree, present_version
from query_api.posts.queries import PostRow, visible_post
from query_api.shapes import Comment, CommentPage, Post, VersionPage
from query_api.views import ReadView, page_of
from shared.errors import NotFound

POST_PROJECTIONS = ("posts", "counters", "profiles", "graph")


class PostView(ReadView):
    """One post."""

    projections = POST_PROJECTIONS

    @read_of("posts", "getPost", Post, problems=(400, 401, 404))
    def get(self, request: Request, post_id: UUID) -> Response:
        return Response(present_post(_visible(post_id, self.viewer)))


class HistoryView(ReadView):
    """The versions of a post's text, newest first, for whoever may read the post."""

    projections = POST_PROJECTIONS

    @read_of("posts", "listPostVersions", VersionPage, paged=True, problems=(400, 401, 404))
    def get(self, request: Request, post_id: UUID) -> Response:
        _visible(post_id, self.viewer)
        return page_of(
            request,
            f"versions:{post_id.hex}",
            lambda before, limit: _versions(post_id, self.viewer, before, limit),
            present_version,
        )


class CommentsView(ReadView):
    """All comments of a post, oldest first; with `parent_id` the replies to one, with `tree=1` nested below parents."""

    projections = POST_PROJECTIONS

    @read_of(
        "comments",
        "listComments",
        CommentPage,
        paged=True,
        problems=(400, 401, 404),
        more=[OpenApiParameter("parent_id", OpenApiTypes.UUID), OpenApiParameter("tree", OpenApiTypes.BOOL)],
    )
    def get(self, request: Request, post_id: UUID) -> Response:
        post = _visible(post_id, self.viewer)
        parent_id = _parent_of(request)
        if parent_id is not None:
            return _replies_page(request, post_id, parent_id, self.viewer)
        if flag_of("tree", request.query_params.get("tree")):
            return page_of(
                request,
                f"comment-trees:{post_id.hex}",
                lambda after, limit: _trees(post.post_id, self.viewer, after, limit),
                lambda node: present_tree(node, post_id),
            )
        return page_of(
            request,
            f"comments:{post_id.hex}",
            lambda after, limit: _cut(flat_comments(post_id, self.viewer, after, limit + 1), limit),
            present_comment,
        )


class CommentView(ReadView):
    """One comment; a deleted one, and one the viewer may not see, shows as removed if something answers it."""

    projections = POST_PROJECTIONS

    @read_of("comments", "getComment", Comment, problems=(400, 401, 404))
    def get(self, request: Request, comment_id: UUID) -> Response:
        return Response(present_comment(_shown(comment_id, self.viewer)))


class RepliesView(ReadView):
    """The direct replies to a comment, oldest first."""

    projections = POST_PROJECTIONS

    @read_of("comments", "listReplies", CommentPage, paged=True, problems=(400, 401, 404))
    def get(self, request: Request, comment_id: UUID) -> Response:
        comment = _shown(comment_id, self.viewer)
        return _replies_page(request, comment.post_id, comment_id, self.viewer)


def _visible(post_id: UUID, viewer_id: UUID | None) -> PostRow:
    post = visible_post(post_id, viewer_id)
    if post is None:
        raise NotFound("There is no such post here")
    return post


def _shown(comment_id: UUID, viewer_id: UUID | None) -> CommentRow:
    """A comment can be reached while its post can."""
    comment = shown_comment(comment_id, viewer_id)
    if comment is None or visible_post(comment.post_id, viewer_id) is None:
        raise NotFound("There is no such comment here")
    return comment


def _replies_page(request: Request, post_id: UUID, parent_id: UUID, viewer_id: UUID | None) -> Response:
    return page_of(
        request,
        f"replies:{parent_id.hex}",
        lambda after, limit: _cut(replies_to(post_id, parent_id, viewer_id, after, limit + 1), limit),
        present_comment,
    )


def _versions(post_id: UUID, viewer_id: UUID | None, before: UUID | None, limit: int) -> Page[VersionRow]:
    rows = versions(post_id, viewer_id, before, limit + 1)
    return Page(rows[:limit], rows[limit - 1].version_id if len(rows) > limit else None)


def _cut(rows: list[CommentRow], limit: int) -> Page[CommentRow]:
    return Page(rows[:limit], rows[limit - 1].comment_id if len(rows) > limit else None)


def _trees(post_id: UUID, viewer_id: UUID | None, after: UUID | None, limit: int) -> Page[CommentNode]:
    nodes = comment_trees(post_id, viewer_id, after, limit + 1)
    return Page(nodes[:limit], nodes[limit - 1].comment_id if len(nodes) > limit else None)


def _parent_of(request: Request) -> UUID | None:
    given = request.query_params.get("parent_id")
    if not given:
        return None
    try:
        return UUID(given)
    except ValueError:
        raise invalid_parameter("parent_id", "must be a comment's id") from None
