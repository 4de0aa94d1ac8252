"""FollowUser: a set, never oneself, only people who are there for one; private accounts are asked first."""

from command_api.relationships.commands.follow_user import FollowUser
from schemas.types import Event, FollowRequested, UserFollowed
from shared.errors import Conflict, NotFound, Unauthenticated
from tests.specs.command_cases import (
    ANA,
    BEN,
    NOBODY,
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
    unchanged,
    unfollowed,
)


def test_a_person_follows_another() -> None:
    assert isinstance(then([], FollowUser(ANA, BEN), subject_id=ANA, followee_id=BEN), UserFollowed)


def test_again_changes_nothing() -> None:
    unchanged([followed(ANA, BEN)], FollowUser(ANA, BEN), since=followed(ANA, BEN))


def test_after_unfollowing_it_is_a_new_follow() -> None:
    then([followed(ANA, BEN), unfollowed(ANA, BEN)], FollowUser(ANA, BEN))


def test_the_other_way_round_is_another_edge() -> None:
    then([followed(BEN, ANA)], FollowUser(ANA, BEN))


def test_nobody_follows_themselves() -> None:
    refused([], FollowUser(ANA, ANA), Conflict)


def test_who_is_not_there_cannot_be_followed() -> None:
    refused([], FollowUser(ANA, NOBODY), NotFound)
    refused([erased(BEN)], FollowUser(ANA, BEN), NotFound)


def test_a_token_may_outlive_its_bearer() -> None:
    refused([erased(ANA)], FollowUser(ANA, BEN), Unauthenticated)
    refused([], FollowUser(NOBODY, BEN), Unauthenticated)


def test_a_private_account_is_asked_once() -> None:
    draft = then([made_private(BEN)], FollowUser(ANA, BEN), subject_id=ANA, followee_id=BEN)
    assert isinstance(draft, FollowRequested)
    request = requested(ANA, BEN)
    unchanged([made_private(BEN), request], FollowUser(ANA, BEN), since=request)
    again = then([made_private(BEN), request, rejected(BEN, ANA)], FollowUser(ANA, BEN))
    assert isinstance(again, FollowRequested)


def test_who_followed_before_it_was_private_or_was_let_in_follows() -> None:
    unchanged([followed(ANA, BEN), made_private(BEN, number=205)], FollowUser(ANA, BEN), since=followed(ANA, BEN))
    given: list[Event] = [made_private(BEN), requested(ANA, BEN), approved(BEN, ANA)]
    unchanged(given, FollowUser(ANA, BEN), since=approved(BEN, ANA))


def test_who_asked_follows_an_account_that_is_public_again_by_following_again() -> None:
    given: list[Event] = [made_private(BEN), requested(ANA, BEN), made_private(BEN, False, 215)]
    assert isinstance(then(given, FollowUser(ANA, BEN), followee_id=BEN), UserFollowed)


def test_being_private_asks_nobody() -> None:
    assert isinstance(then([made_private(ANA)], FollowUser(ANA, BEN)), UserFollowed)


def test_nobody_follows_across_a_block() -> None:
    for block in (blocked(ANA, BEN), blocked(BEN, ANA)):
        refused([block], FollowUser(ANA, BEN), NotFound)
        refused([made_private(BEN), block], FollowUser(ANA, BEN), NotFound)
    then([blocked(BEN, ANA), unblocked(BEN, ANA)], FollowUser(ANA, BEN))
    refused([blocked(BEN, ANA), blocked(ANA, BEN, number=231), unblocked(BEN, ANA)], FollowUser(ANA, BEN), NotFound)
