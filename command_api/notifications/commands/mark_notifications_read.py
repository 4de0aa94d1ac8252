"""A person has read some of their notifications, or all that were caused up to an event.

Which notifications there are is the read side's knowledge: ids that are not the reader's own are for its fold to
ignore.
"""

from uuid import UUID

import msgspec

from command_api.decision import UNMINTED, Reads, State, Unchanged, acting
from schemas.types import NotificationsRead
from shared.errors import FieldError, ValidationFailed

IDS_MAX = 1_000


class MarkNotificationsRead(msgspec.Struct, frozen=True):
    """Either `notification_ids` or `up_to`, the id of the newest event whose notifications are read."""

    actor_id: UUID
    notification_ids: tuple[UUID, ...] = ()
    up_to: UUID | None = None


def reads(command: MarkNotificationsRead) -> Reads:
    return Reads(actor_id=command.actor_id, read_mark=True)


def decide(command: MarkNotificationsRead, state: State) -> NotificationsRead | Unchanged:
    acting(state, command.actor_id)
    if bool(command.notification_ids) == (command.up_to is not None):
        raise ValidationFailed("either some notifications or all up to an event")
    if len(command.notification_ids) > IDS_MAX:
        raise ValidationFailed("too many", [FieldError("/ids", f"at most {IDS_MAX}")])
    mark = state.read_mark(command.actor_id)
    if command.up_to is not None and mark is not None and command.up_to <= mark.up_to:
        return Unchanged(mark.last_event)
    return NotificationsRead(
        event_id=UNMINTED,
        occurred_at=0,
        subject_id=command.actor_id,
        notification_ids=tuple(dict.fromkeys(command.notification_ids)),
        up_to=command.up_to,
    )
