"""A person gets an account, once: repeating it finishes a registration that was cut short and changes nothing else."""

from uuid import UUID

import msgspec

from command_api.accounts.state import ERASED, REGISTERING
from command_api.decision import UNMINTED, Reads, State, Unchanged
from schemas.types import UserRegistered
from shared.errors import Conflict


class RegisterUser(msgspec.Struct, frozen=True):
    """The name was reserved in the vault before."""

    actor_id: UUID
    username: str
    display_name: str


def reads(command: RegisterUser) -> Reads:
    return Reads(actor_id=command.actor_id, new_account=True)


def decide(command: RegisterUser, state: State) -> UserRegistered | Unchanged:
    account = state.account(command.actor_id)
    if account is not None and account.state == ERASED:
        raise Conflict("this account was erased")
    if account is not None and account.state != REGISTERING:
        return Unchanged(account.last_event)
    return UserRegistered(
        event_id=UNMINTED,
        occurred_at=0,
        subject_id=command.actor_id,
        username=command.username,
        display_name=command.display_name,
    )
