"""A person as the command side knows them: whether they may act, and the event that last said so."""

from uuid import UUID

import msgspec

from schemas.types import UserErased, UserRegistered
from shared.ids import NIL

# The row exists but nothing has happened yet: it is inserted so that there is something to lock.
REGISTERING = "registering"
ACTIVE = "active"
ERASED = "erased"


class Account(msgspec.Struct, frozen=True, gc=False):
    """One row of the guard table `account`."""

    user_id: UUID
    state: str
    last_event: UUID = NIL

    @property
    def is_active(self) -> bool:
        return self.state == ACTIVE


def registered(event: UserRegistered) -> Account:
    return Account(event.subject_id, ACTIVE, event.event_id)


def erased(event: UserErased) -> Account:
    return Account(event.subject_id, ERASED, event.event_id)
