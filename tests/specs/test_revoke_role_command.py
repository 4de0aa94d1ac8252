"""RevokeRole: takes one role and leaves the others; who does not have it loses nothing."""

from command_api.accounts.commands.revoke_role import RevokeRole
from command_api.decision import state_of
from schemas.types import Event, RoleRevoked
from shared.errors import NotFound, ValidationFailed
from tests.specs.command_cases import (
    ANA,
    NOBODY,
    erased,
    refused,
    registered,
    role_granted,
    role_revoked,
    then,
    unchanged,
)


def test_a_role_is_taken() -> None:
    draft = then([role_granted(ANA)], RevokeRole(ANA, "admin"), subject_id=ANA, role="admin", revoked_by_id=None)
    assert isinstance(draft, RoleRevoked)


def test_who_does_not_have_it_loses_nothing() -> None:
    unchanged([], RevokeRole(ANA, "admin"), since=registered(ANA))
    unchanged([role_granted(ANA, "moderator")], RevokeRole(ANA, "admin"), since=role_granted(ANA, "moderator"))
    unchanged([role_granted(ANA), role_revoked(ANA)], RevokeRole(ANA, "admin"), since=role_revoked(ANA))


def test_the_other_role_stays() -> None:
    events: list[Event] = [
        registered(ANA),
        role_granted(ANA),
        role_granted(ANA, "moderator", number=151),
        role_revoked(ANA),
    ]
    assert state_of(events).accounts[ANA].roles == "moderator"


def test_nobody_and_no_such_role() -> None:
    refused([], RevokeRole(NOBODY, "admin"), NotFound)
    refused([erased(ANA)], RevokeRole(ANA, "admin"), NotFound)
    refused([], RevokeRole(ANA, "emperor"), ValidationFailed, "/role")
