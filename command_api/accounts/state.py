"""A person as the command side knows them: whether they may act, their roles, whether they approve who follows them."""

from uuid import UUID

import msgspec

from schemas.types import ProfileEdited, RoleGranted, RoleRevoked, UserErased, UserRegistered
from shared.ids import NIL

# The row exists but nothing has happened yet: it is inserted so that there is something to lock.
REGISTERING = "registering"
ACTIVE = "active"
ERASED = "erased"

ADMIN = "admin"
MODERATOR = "moderator"
ROLES = (ADMIN, MODERATOR)


class Account(msgspec.Struct, frozen=True, gc=False):
    """One row of the guard table `account`. `roles` are words in order, with a space between them, or nothing."""

    user_id: UUID
    state: str
    last_event: UUID = NIL
    private: bool = False
    roles: str = ""

    @property
    def is_active(self) -> bool:
        return self.state == ACTIVE

    def has(self, role: str) -> bool:
        return role in self.roles.split()


def registered(event: UserRegistered) -> Account:
    return Account(event.subject_id, ACTIVE, event.event_id)


def profile_edited(account: Account, event: ProfileEdited) -> Account:
    private = account.private if event.private is None else event.private
    return msgspec.structs.replace(account, last_event=event.event_id, private=private)


def erased(event: UserErased) -> Account:
    return Account(event.subject_id, ERASED, event.event_id)


def role_set(account: Account, event: RoleGranted | RoleRevoked) -> Account:
    roles = set(account.roles.split()) - {event.role}
    if isinstance(event, RoleGranted):
        roles.add(event.role)
    return msgspec.structs.replace(account, roles=" ".join(sorted(roles)), last_event=event.event_id)
