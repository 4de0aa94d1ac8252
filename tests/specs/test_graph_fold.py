"""Given who followed and unfollowed whom, then these edges. Cannot catch: the counts, which SQL keeps."""

from projectors.graph.fold import FOLLOW, PERSON_COUNT, fold
from schemas.types import UserErased, UserFollowed, UserUnfollowed
from tests.specs.fold_cases import (
    ANA,
    BEN,
    CLEO,
    delivered,
    erased,
    followed,
    identifier,
    moment,
    one_of_each_kind,
    unfollowed,
)


def test_a_follow_is_an_active_edge() -> None:
    changes = delivered(fold, followed(1, ANA, BEN), followed(2, BEN, ANA))
    assert changes.rows == {
        "follow": {
            (ANA, BEN): {"edge": (identifier(1), (True, moment(1)))},
            (BEN, ANA): {"edge": (identifier(2), (True, moment(2)))},
        }
    }


def test_an_unfollow_leaves_a_mark_that_an_older_follow_does_not_lift() -> None:
    changes = delivered(fold, followed(1, ANA, BEN), unfollowed(2, ANA, BEN))
    assert changes.rows == {"follow": {(ANA, BEN): {"edge": (identifier(2), (False, moment(2)))}}}


def test_following_again_counts_from_then() -> None:
    changes = delivered(fold, followed(1, ANA, BEN), unfollowed(2, ANA, BEN), followed(3, ANA, BEN))
    assert changes.rows == {"follow": {(ANA, BEN): {"edge": (identifier(3), (True, moment(3)))}}}


def test_erasure_takes_follows_both_ways_and_the_counts() -> None:
    changes = delivered(fold, followed(1, ANA, BEN), followed(2, CLEO, ANA), erased(3, ANA))
    assert changes.erased == {ANA: identifier(3)}
    assert FOLLOW.erased_with == ("follower_id", "followee_id")
    assert PERSON_COUNT.erased_with == ("user_id",)


def test_each_edge_counts_for_both_of_its_people() -> None:
    assert {(count.column, *count.by.values()) for count in FOLLOW.counts} == {
        ("followers", "followee_id"),
        ("following", "follower_id"),
    }


def test_nothing_else_touches_the_graph() -> None:
    answered = (UserFollowed, UserUnfollowed, UserErased)
    changes = delivered(fold, *(event for event in one_of_each_kind() if not isinstance(event, answered)))
    assert (changes.rows, changes.erased, changes.gone) == ({}, {}, {})
