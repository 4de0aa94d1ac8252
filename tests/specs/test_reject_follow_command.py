"""RejectFollow: a pending request is answered, once; anything else is not found."""

import pytest

from command_api.decision import state_of
from command_api.relationships.commands.reject_follow import RejectFollow
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


def test_a_person_declines_who_asked_to() -> None:
    draft = then([PRIVATE, REQUEST], RejectFollow(ANA, BEN), subject_id=ANA, follower_id=BEN)
    follow = state_of([PRIVATE, REQUEST, draft]).follow(BEN, ANA)
    assert follow is not None and (follow.active, follow.requested) == (False, False)


def test_a_request_outlasts_the_account_s_being_private() -> None:
    then([PRIVATE, REQUEST, made_private(ANA, False, 215)], RejectFollow(ANA, BEN), follower_id=BEN)


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
    refused(given, RejectFollow(ANA, BEN), NotFound)


def test_oneself_and_nobody() -> None:
    refused([PRIVATE], RejectFollow(ANA, ANA), NotFound)
    refused([PRIVATE, REQUEST, erased(ANA)], RejectFollow(ANA, BEN), Unauthenticated)
