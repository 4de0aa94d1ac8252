"""Posts as rendered JSON: what every reader sees alike of a post is rendered once for each of its versions.

A card is what `present_post` answers. Counts, the reader's own flags and the quoted post are added each time.
"""

from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from query_api.kept import Kept
from query_api.posts.present import present_counts, present_post_alike, present_quoted, present_viewer
from query_api.posts.queries import PostRow

KEPT_SECONDS = 120.0  # a version's card does not age; but what nobody reads any more, or was erased, is not to stay
KEPT_MAX = 40_000  # some 700 bytes each


class _Rendered(NamedTuple):
    """The first members of a post's object, without the closing brace, and what they were made of."""

    version: tuple[Any, ...]
    members: bytes


@lru_cache(maxsize=1)
def _kept() -> Kept[UUID, _Rendered]:
    return Kept(KEPT_SECONDS, KEPT_MAX)


def post_card(row: PostRow) -> orjson.Fragment:
    """`present_post(row)`, rendered."""
    last = {"counts": present_counts(row), "viewer": present_viewer(row)}
    if row.quote_of_id is not None:
        last["quoted_post"] = present_quoted(row.quote_of_id, row.quoted)
    return orjson.Fragment(_members(row) + b"," + orjson.dumps(last)[1:])


def _members(row: PostRow) -> bytes:
    # All that can change of what is rendered here; the text and what was found in it by the event that wrote them.
    version = (
        row.content_event, row.username, row.display_name, row.avatar_media_id, row.mentioned,
        row.visibility, row.author_private,
    )  # fmt: skip
    young, old = _kept().halves()
    found = young.get(row.post_id) or old.get(row.post_id)
    if found is None or found.version != version:
        found = _Rendered(version, orjson.dumps(present_post_alike(row))[:-1])
        _kept().keep({row.post_id: found})
    return found.members
