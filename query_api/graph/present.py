"""Blocks, mutes and requests in the shapes of the API: pure."""

from typing import Any

from query_api.graph.queries import RelationRow
from query_api.posts.present import author, moment


def present_block(row: RelationRow) -> dict[str, Any]:
    return {"user": author(row), "blocked_at": moment(row.since)}


def present_mute(row: RelationRow) -> dict[str, Any]:
    return {"user": author(row), "muted_at": moment(row.since)}


def present_request(row: RelationRow) -> dict[str, Any]:
    """`id`, by which it is approved or rejected, is that of the person who asks: there is one request per pair."""
    return {"id": str(row.author_id), "user": author(row), "requested_at": moment(row.since)}
