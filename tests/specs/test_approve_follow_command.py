"""ApproveFollow: a pending request is answered, once; anything else is not found."""

import pytest

from command_api.decision import state_of
from command_api.relationships.commands.approve_follow import ApproveFollow
from schemas.types import Event
from shared.errors import NotFound, Unauthenticated
from tests.specs.command_cases import (
    ANA,
    BEN,
    CLEO,
    approved,
    blocked,
    erased,
    followed,
    made_private,
    refused,
    rejected,
    requested,
    then,
    unblocked,
    unfollowed,
)

PRIVATE = made_private(ANA)
REQUEST = requested(BEN, ANA)


def test_a_person_lets_follow_who_asked_to() -> None:
    draft = then([PRIVATE, REQUEST], ApproveFollow(ANA, BEN), subject_id=ANA, follower_id=BEN)
    follow = state_of([PRIVATE, REQUEST, draft]).follow(BEN, ANA)
    assert follow is not None and (follow.active, follow.requested) == (True, False)


def test_a_request_outlasts_the_account_s_being_private() -> None:
    then([PRIVATE, REQUEST, made_private(ANA, False, 215)], ApproveFollow(ANA, BEN), follower_id=BEN)


@pytest.mark.parametrize(
    "given",
    [
        [PRIVATE],
        [PRIVATE, requested(BEN, CLEO)],
        [PRIVATE, requested(ANA, BEN)],
        [followed(BEN, ANA), PRIVATE],
        [PRIVATE, REQUEST, approved(ANA, BEN)],
        [PRIVATE, REQUEST, rejected(ANA, BEN)],
        [PRIVATE, REQUEST, unfollowed(BEN, ANA, 225)],
        [PRIVATE, REQUEST, blocked(ANA, BEN, (BEN,))],
        [PRIVATE, REQUEST, blocked(BEN, ANA, (BEN,)), unblocked(BEN, ANA)],
        [PRIVATE, REQUEST, erased(BEN)],
    ],
    ids=[
        *("none", "to somebody else", "of one's own", "followed before", "approved", "rejected", "withdrawn"),
        *("blocked", "blocked for a while", "erased"),
    ],
)
def test_what_is_not_pending_is_not_found(given: list[Event]) -> None:
    refused(given, ApproveFollow(ANA, BEN), NotFound)


def test_oneself_and_nobody() -> None:
    refused([PRIVATE], ApproveFollow(ANA, ANA), NotFound)
    refused([PRIVATE, REQUEST, erased(ANA)], ApproveFollow(ANA, BEN), Unauthenticated)
