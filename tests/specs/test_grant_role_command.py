"""GrantRole: a role is had once, beside others; nobody who is not there gets one."""

from command_api.accounts.commands.grant_role import GrantRole
from command_api.decision import state_of
from schemas.types import RoleGranted
from shared.errors import NotFound, ValidationFailed
from tests.specs.command_cases import (
    ANA,
    BEN,
    NOBODY,
    erased,
    refused,
    registered,
    role_granted,
    role_revoked,
    then,
    unchanged,
)


def test_a_person_is_given_a_role() -> None:
    draft = then([], GrantRole(ANA, "admin"), subject_id=ANA, role="admin", granted_by_id=None)
    assert isinstance(draft, RoleGranted)


def test_again_changes_nothing() -> None:
    unchanged([role_granted(ANA)], GrantRole(ANA, "admin"), since=role_granted(ANA))


def test_after_it_was_taken_it_is_given_anew() -> None:
    then([role_granted(ANA), role_revoked(ANA)], GrantRole(ANA, "admin"), role="admin")


def test_another_role_and_another_person_are_another_matter() -> None:
    then([role_granted(ANA, "moderator")], GrantRole(ANA, "admin"), role="admin")
    then([role_granted(BEN)], GrantRole(ANA, "admin"), role="admin")


def test_roles_stand_beside_each_other_in_order() -> None:
    state = state_of([registered(ANA), role_granted(ANA, "moderator"), role_granted(ANA, "admin", number=151)])
    assert state.accounts[ANA].roles == "admin moderator"
    assert state.accounts[ANA].last_event == role_granted(ANA, number=151).event_id
    assert state.accounts.changed == {ANA}


def test_an_erased_person_has_none() -> None:
    assert state_of([registered(ANA), role_granted(ANA), erased(ANA)]).accounts[ANA].roles == ""
    refused([erased(ANA)], GrantRole(ANA, "admin"), NotFound)


def test_nobody_gets_none() -> None:
    refused([], GrantRole(NOBODY, "admin"), NotFound)


def test_there_are_only_the_roles_that_there_are() -> None:
    refused([], GrantRole(ANA, "emperor"), ValidationFailed, "/role")
