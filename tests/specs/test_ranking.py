"""The ranked order against the formula of docs/semantics.md, worked out by hand; no server."""

import math
from random import Random
from uuid import UUID

import pytest

from query_api.feed.ranking import Candidate, affinity, rank, ranked_order
from shared.ids import mint

NOW = 1_760_000_000_000_000
HOUR = 3_600_000_000


def candidate(
    hours_old: float = 0, likes: int = 0, comments: int = 0, shares: int = 0, warmth: float = 1.0
) -> Candidate:
    published_at = NOW - int(hours_old * HOUR)
    post_id = mint(published_at).hex
    return Candidate(post_id, post_id, published_at, likes, comments, shares, warmth)


def test_score_is_the_formula() -> None:
    ranked = rank(candidate(1.5, likes=3, comments=1, shares=2, warmth=1.2), NOW)
    assert ranked.age_hours == 1.5
    assert ranked.engagement == 3 + 2.5 + 6
    assert ranked.score == pytest.approx((11.5 + 1) / 3.5**1.8 * 1.2)


def test_moderation_lowers_the_score() -> None:
    one = Candidate(mint(NOW).hex, mint(NOW).hex, NOW, 1, 0, 0, 1.0, moderation_score=0.25)
    assert rank(one, NOW).score == pytest.approx(2 / 2**1.8 * 0.75)


def test_a_post_from_the_future_counts_as_new() -> None:
    assert rank(candidate(-5), NOW).score == rank(candidate(0), NOW).score == pytest.approx(1 / 2**1.8)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([], 1.0),
        ([(100, 1)], 1 + math.log(2) / 4),
        ([(86, 1)], 1 + math.log(1.5) / 4),
        ([(72, 4), (100, 3)], 1 + math.log(1 + 1 + 3) / 4),
        ([(100, 10_000)], 2.0),
        ([(101, 1)], 1 + math.log(2) / 4),  # a like made just after midnight, by a session begun just before
    ],
)
def test_affinity_halves_every_fortnight_and_ends_at_two(weights: list[tuple[int, int]], expected: float) -> None:
    assert affinity(weights, ranked_day=100) == pytest.approx(expected)


def test_affinity_does_not_depend_on_the_order_of_days() -> None:
    weights = [(day, 1 + day % 5) for day in range(60)]
    shuffled = list(weights)
    Random(7).shuffle(shuffled)
    assert affinity(weights, 60) == affinity(shuffled, 60)


def test_equal_scores_stand_newest_first_then_by_id() -> None:
    ids = {n: UUID(int=(0x0190 << 112) + n).hex for n in range(10)}
    same_time = [Candidate(ids[n], ids[n], NOW, 0, 0, 0, 1.0) for n in (5, 9, 7)]
    assert [int(each.post_id[-2:], 16) for each in ranked_order(same_time, NOW)] == [9, 7, 5]
    # A share has the score of its post, and its own time among equals.
    shared = Candidate(ids[8], ids[1], NOW, 0, 0, 0, 1.0)
    assert [int(each.item_id[-2:], 16) for each in ranked_order([*same_time, shared], NOW)] == [9, 8, 7, 5]


def test_order_does_not_depend_on_the_order_of_candidates() -> None:
    random = Random(3)
    candidates = [candidate(random.random() * 200, random.randrange(50), random.randrange(5)) for _ in range(200)]
    expected = ranked_order(candidates, NOW)
    random.shuffle(candidates)
    assert ranked_order(candidates, NOW) == expected
    assert [each.score for each in expected] == sorted((each.score for each in expected), reverse=True)
