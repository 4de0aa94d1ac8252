"""FollowUser: a set, never oneself, only people who are there."""

from command_api.relationships.commands.follow_user import FollowUser
from shared.errors import Conflict, NotFound, Unauthenticated
from tests.specs.command_cases import ANA, BEN, NOBODY, erased, followed, refused, then, unchanged, unfollowed


def test_a_person_follows_another() -> None:
    then([], FollowUser(ANA, BEN), subject_id=ANA, followee_id=BEN)


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
