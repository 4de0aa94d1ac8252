"""Given who followed, asked, blocked and muted whom, then these rows. Cannot catch: the counts, which SQL keeps."""

from typing import Any
from uuid import UUID

from projectors.graph.fold import PERSON_COUNT, RELATION, fold
from schemas.types import (
    Event,
    FollowApproved,
    FollowRejected,
    FollowRequested,
    UserBlocked,
    UserErased,
    UserFollowed,
    UserMuted,
    UserUnblocked,
    UserUnfollowed,
    UserUnmuted,
)
from tests.specs.fold_cases import (
    ANA,
    BEN,
    CLEO,
    approved,
    blocked,
    delivered,
    erased,
    followed,
    identifier,
    moment,
    muted,
    one_of_each_kind,
    rejected,
    requested,
    unblocked,
    unfollowed,
    unmuted,
)

Row = dict[str, tuple[UUID, tuple[Any, ...]]]


def relations(*events: Event) -> dict[tuple[UUID, UUID], Row]:
    found: dict[Any, Row] = delivered(fold, *events).rows["relation"]
    return found


def since(step: int, value: bool) -> tuple[UUID, tuple[Any, ...]]:
    return identifier(step), (value, moment(step))


def test_a_follow_is_an_active_edge() -> None:
    assert relations(followed(1, ANA, BEN), followed(2, BEN, ANA)) == {
        (ANA, BEN): {"follow": since(1, True), "request": since(1, False)},
        (BEN, ANA): {"follow": since(2, True), "request": since(2, False)},
    }


def test_an_unfollow_leaves_a_mark_that_an_older_follow_does_not_lift() -> None:
    rows = relations(followed(1, ANA, BEN), unfollowed(2, ANA, BEN))
    assert rows == {(ANA, BEN): {"follow": since(2, False), "request": since(2, False)}}


def test_following_again_counts_from_then() -> None:
    rows = relations(followed(1, ANA, BEN), unfollowed(2, ANA, BEN), followed(3, ANA, BEN))
    assert rows[ANA, BEN]["follow"] == since(3, True)


def test_a_request_waits_until_it_is_approved_declined_or_withdrawn() -> None:
    assert relations(requested(1, ANA, BEN)) == {(ANA, BEN): {"request": since(1, True)}}
    approval = relations(requested(1, ANA, BEN), approved(2, BEN, ANA))
    assert approval == {(ANA, BEN): {"follow": since(2, True), "request": since(2, False)}}
    assert relations(requested(1, ANA, BEN), rejected(2, BEN, ANA)) == {(ANA, BEN): {"request": since(2, False)}}
    assert relations(requested(1, ANA, BEN), unfollowed(2, ANA, BEN))[ANA, BEN]["request"] == since(2, False)


def test_a_block_ends_follows_and_requests_both_ways_and_shows_in_both_rows() -> None:
    assert relations(followed(1, ANA, BEN), requested(2, BEN, ANA), blocked(3, ANA, BEN, ANA, BEN)) == {
        (ANA, BEN): {"follow": since(3, False), "request": since(3, False), "block": since(3, True)},
        (BEN, ANA): {
            "follow": since(3, False),
            "request": since(3, False),
            "blocked_by": (identifier(3), (True,)),
        },
    }


def test_an_unblock_restores_nothing() -> None:
    rows = relations(followed(1, ANA, BEN), blocked(2, BEN, ANA, ANA), unblocked(3, BEN, ANA))
    assert rows[ANA, BEN] == {
        "follow": since(2, False),
        "request": since(2, False),
        "blocked_by": (identifier(3), (False,)),
    }
    assert rows[BEN, ANA]["block"] == since(3, False)


def test_a_mute_is_the_muter_s_alone() -> None:
    assert relations(muted(1, ANA, BEN)) == {(ANA, BEN): {"mute": since(1, True)}}
    assert relations(muted(1, ANA, BEN), unmuted(2, ANA, BEN)) == {(ANA, BEN): {"mute": since(2, False)}}


def test_erasure_takes_relations_both_ways_and_the_counts() -> None:
    changes = delivered(fold, followed(1, ANA, BEN), followed(2, CLEO, ANA), erased(3, ANA))
    assert changes.erased == {ANA: identifier(3)}
    assert RELATION.erased_with == ("from_id", "to_id")
    assert PERSON_COUNT.erased_with == ("user_id",)


def test_each_edge_counts_for_both_of_its_people() -> None:
    assert {(count.column, *count.by.values()) for count in RELATION.counts} == {
        ("followers", "to_id"),
        ("following", "from_id"),
    }


def test_nothing_else_touches_the_graph() -> None:
    answered = (
        FollowApproved, FollowRejected, FollowRequested, UserBlocked, UserErased, UserFollowed, UserMuted,
        UserUnblocked, UserUnfollowed, UserUnmuted,
    )  # fmt: skip
    changes = delivered(fold, *(event for event in one_of_each_kind() if not isinstance(event, answered)))
    assert (changes.rows, changes.erased, changes.gone) == ({}, {}, {})
