"""Reactions, shares and bookmarks in the shapes of the API: pure."""

from typing import Any

from query_api.posts.present import author, moment, present_post
from query_api.reactions.queries import BookmarkRow, ReactionRow, ShareRow


def present_reaction(row: ReactionRow) -> dict[str, Any]:
    return {"user": author(row), "reaction": row.reaction, "at": moment(row.at)}


def present_share(row: ShareRow) -> dict[str, Any]:
    return {"user": author(row), "at": moment(row.at)}


def present_bookmark(row: BookmarkRow) -> dict[str, Any]:
    """The post, or that it is not available: deleted and hidden look the same."""
    return {"id": str(row.post_id), "available": False} if row.post is None else present_post(row.post)
