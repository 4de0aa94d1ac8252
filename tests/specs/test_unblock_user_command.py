"""UnblockUser: lifts one's own block alone, and brings nothing back."""

from command_api.decision import state_of
from command_api.relationships.commands.follow_user import FollowUser
from command_api.relationships.commands.unblock_user import UnblockUser
from schemas.types import Event
from shared.errors import Conflict, NotFound, Unauthenticated
from tests.specs.command_cases import (
    ANA,
    BEN,
    EVERYBODY,
    NOBODY,
    blocked,
    erased,
    followed,
    refused,
    then,
    unblocked,
    unchanged,
)


def test_a_block_is_lifted() -> None:
    then([blocked(ANA, BEN)], UnblockUser(ANA, BEN), subject_id=ANA, blocked_id=BEN)


def test_without_one_nothing_changes() -> None:
    unchanged([], UnblockUser(ANA, BEN), since=EVERYBODY[0])
    lifted = unblocked(ANA, BEN)
    unchanged([blocked(ANA, BEN), lifted], UnblockUser(ANA, BEN), since=lifted)


def test_the_other_s_block_is_not_one_s_own() -> None:
    unchanged([blocked(BEN, ANA)], UnblockUser(ANA, BEN), since=EVERYBODY[0])
    then([blocked(BEN, ANA), blocked(ANA, BEN, number=231)], UnblockUser(ANA, BEN))


def test_what_the_block_ended_stays_ended() -> None:
    given: list[Event] = [followed(BEN, ANA), blocked(ANA, BEN, (BEN,)), unblocked(ANA, BEN)]
    follow = state_of(given).follow(BEN, ANA)
    assert follow is not None and not follow.active
    then(given, FollowUser(BEN, ANA))


def test_nobody_and_oneself() -> None:
    refused([], UnblockUser(ANA, ANA), Conflict)
    refused([], UnblockUser(ANA, NOBODY), NotFound)
    refused([blocked(ANA, BEN), erased(BEN)], UnblockUser(ANA, BEN), NotFound)
    refused([erased(ANA)], UnblockUser(ANA, BEN), Unauthenticated)
