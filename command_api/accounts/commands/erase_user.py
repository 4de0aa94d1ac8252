"""A person is erased, finally; it is decided under a lock that everything by or towards them waits for."""

from uuid import UUID

import msgspec

from command_api.accounts.state import ERASED
from command_api.decision import UNMINTED, Reads, State, Unchanged
from schemas.types import UserErased
from shared.errors import NotFound


class EraseUser(msgspec.Struct, frozen=True):
    actor_id: UUID


def reads(command: EraseUser) -> Reads:
    return Reads(actor_id=command.actor_id, exclusive=True)


def decide(command: EraseUser, state: State) -> UserErased | Unchanged:
    account = state.account(command.actor_id)
    if account is None:
        raise NotFound("there is no such person")
    if account.state == ERASED:
        return Unchanged(account.last_event)
    return UserErased(event_id=UNMINTED, occurred_at=0, subject_id=command.actor_id)
