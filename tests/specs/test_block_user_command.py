"""BlockUser: a set, never oneself, also in return; it names the follows and requests that it ends."""

import pytest

from command_api.decision import state_of
from command_api.relationships.commands import block_user
from command_api.relationships.commands.block_user import BlockUser
from schemas.types import Event
from shared.errors import Conflict, NotFound, Unauthenticated
from tests.specs.command_cases import (
    ANA,
    BEN,
    CLEO,
    EVERYBODY,
    NOBODY,
    blocked,
    erased,
    followed,
    made_private,
    muted,
    refused,
    requested,
    then,
    unblocked,
    unchanged,
    unfollowed,
)


def test_a_person_blocks_another() -> None:
    then([], BlockUser(ANA, BEN), subject_id=ANA, blocked_id=BEN, severed_follower_ids=())


@pytest.mark.parametrize(
    ("given", "severed"),
    [
        ([followed(ANA, BEN)], (ANA,)),
        ([followed(BEN, ANA)], (BEN,)),
        ([followed(ANA, BEN), followed(BEN, ANA, 205)], (ANA, BEN)),
        ([made_private(ANA), requested(BEN, ANA)], (BEN,)),
        ([followed(BEN, ANA), unfollowed(BEN, ANA)], ()),
        ([followed(BEN, CLEO), followed(CLEO, ANA, 205)], ()),
        ([muted(ANA, BEN)], ()),
    ],
    ids=["own follow", "their follow", "both", "their request", "withdrawn", "of others", "a mute stays"],
)
def test_it_names_whose_follow_or_request_it_ends(given: list[Event], severed: tuple[object, ...]) -> None:
    draft = then(given, BlockUser(ANA, BEN), severed_follower_ids=severed)
    state = state_of([*given, draft])
    rows = [state.follow(ANA, BEN), state.follow(BEN, ANA)]
    assert not [row for row in rows if row is not None and (row.active or row.requested)]
    assert (mute := state.mute(ANA, BEN)) is None or mute.active


def test_again_changes_nothing() -> None:
    unchanged([blocked(ANA, BEN)], BlockUser(ANA, BEN), since=blocked(ANA, BEN))


def test_after_unblocking_it_is_a_new_block() -> None:
    then([blocked(ANA, BEN), unblocked(ANA, BEN)], BlockUser(ANA, BEN))


def test_who_is_blocked_may_block_in_turn() -> None:
    then([blocked(BEN, ANA)], BlockUser(ANA, BEN), subject_id=ANA, blocked_id=BEN)


def test_nobody_blocks_themselves() -> None:
    refused([], BlockUser(ANA, ANA), Conflict)


def test_who_is_not_there_cannot_be_blocked() -> None:
    refused([], BlockUser(ANA, NOBODY), NotFound)
    refused([erased(BEN)], BlockUser(ANA, BEN), NotFound)


def test_a_token_may_outlive_its_bearer() -> None:
    refused([erased(ANA)], BlockUser(ANA, BEN), Unauthenticated)


def test_it_is_newer_than_what_the_two_were_to_each_other() -> None:
    given: list[Event] = [followed(ANA, BEN), followed(BEN, ANA, 205), blocked(BEN, ANA, (BEN,)), unblocked(BEN, ANA)]
    state = state_of([*EVERYBODY, *given])
    block_user.decide(BlockUser(ANA, BEN), state)
    assert {given[0].event_id, given[2].event_id, given[3].event_id} <= set(state.seen)
