"""MuteUser: a set, never oneself, only people whom one may see."""

from command_api.relationships.commands.mute_user import MuteUser
from shared.errors import Conflict, NotFound, Unauthenticated
from tests.specs.command_cases import (
    ANA,
    BEN,
    NOBODY,
    blocked,
    erased,
    muted,
    refused,
    then,
    unblocked,
    unchanged,
    unmuted,
)


def test_a_person_mutes_another() -> None:
    then([], MuteUser(ANA, BEN), subject_id=ANA, muted_id=BEN)


def test_again_changes_nothing() -> None:
    unchanged([muted(ANA, BEN)], MuteUser(ANA, BEN), since=muted(ANA, BEN))


def test_after_unmuting_it_is_a_new_mute_and_the_other_way_round_is_another() -> None:
    then([muted(ANA, BEN), unmuted(ANA, BEN)], MuteUser(ANA, BEN))
    then([muted(BEN, ANA)], MuteUser(ANA, BEN))


def test_whom_one_may_not_see_one_does_not_mute() -> None:
    refused([blocked(ANA, BEN)], MuteUser(ANA, BEN), NotFound)
    refused([blocked(BEN, ANA)], MuteUser(ANA, BEN), NotFound)
    refused([erased(BEN)], MuteUser(ANA, BEN), NotFound)
    refused([], MuteUser(ANA, NOBODY), NotFound)
    then([blocked(BEN, ANA), unblocked(BEN, ANA)], MuteUser(ANA, BEN))


def test_nobody_mutes_themselves() -> None:
    refused([], MuteUser(ANA, ANA), Conflict)
    refused([erased(ANA)], MuteUser(ANA, BEN), Unauthenticated)
