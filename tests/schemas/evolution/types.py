"""The events as Python types. GENERATED from the .avsc files by schemas/generate.py; do not edit.

Ids are UUIDs, times whole microseconds since 1970-01-01 UTC. A sealed field is plain text here and encrypted in the
log; None where it could not be read (its subject's key is destroyed) or was not asked for.
"""

from uuid import UUID

import msgspec


class PostDisliked(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject does not like a post. Topic engagement, partitioned by post_id.

    Retired: read for ever, written no more.
    """

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    post_id: UUID
    post_author_id: UUID
    note: str | None = None


class PostHearted(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject gives a post a heart. Topic engagement, partitioned by post_id.

    Retired: read for ever, written no more.
    """

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    post_id: UUID
    post_author_id: UUID


class PostRated(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The subject says how good a post is. Topic engagement, partitioned by post_id."""

    event_id: UUID
    occurred_at: int
    subject_id: UUID
    post_id: UUID
    post_author_id: UUID
    percent: int = 0
    note: str | None = None


Event = PostDisliked | PostHearted | PostRated

EVENT_TYPES: dict[str, type[Event]] = {
    "PostDisliked": PostDisliked,
    "PostHearted": PostHearted,
    "PostRated": PostRated,
}
