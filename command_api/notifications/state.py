"""How far a person has read their notifications, as the command side knows it."""

from uuid import UUID

import msgspec

from schemas.types import NotificationsRead
from shared.ids import NIL


class ReadMark(msgspec.Struct, frozen=True, gc=False):
    """One row of the guard table `read_mark`; everything caused up to `up_to` is read."""

    user_id: UUID
    up_to: UUID
    last_event: UUID


def marked(mark: ReadMark | None, event: NotificationsRead) -> ReadMark:
    """A mark never goes back."""
    before = mark.up_to if mark else NIL
    return ReadMark(event.subject_id, max(before, event.up_to or NIL), event.event_id)
