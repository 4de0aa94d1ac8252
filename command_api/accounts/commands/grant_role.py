"""A person is given a role at the command line; having it already changes nothing."""

from uuid import UUID

import msgspec

from command_api.accounts.state import ROLES
from command_api.decision import UNMINTED, Reads, State, Unchanged
from schemas.types import RoleGranted
from shared.errors import FieldError, NotFound, ValidationFailed


class GrantRole(msgspec.Struct, frozen=True):
    """`actor_id` is who gets the role: whoever may use the command line is nobody in the log."""

    actor_id: UUID
    role: str


def reads(command: GrantRole) -> Reads:
    return Reads(actor_id=command.actor_id)


def decide(command: GrantRole, state: State) -> RoleGranted | Unchanged:
    account = state.account(command.actor_id)
    if account is None or not account.is_active:
        raise NotFound("there is no such person")
    if command.role not in ROLES:
        raise ValidationFailed("there is no such role", [FieldError("/role", f"must be one of {', '.join(ROLES)}")])
    if account.has(command.role):
        return Unchanged(account.last_event)
    return RoleGranted(event_id=UNMINTED, occurred_at=0, subject_id=command.actor_id, role=command.role)
