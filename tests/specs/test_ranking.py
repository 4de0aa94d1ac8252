"""The ranked order against the formula of docs/semantics.md, worked out by hand; no server."""

import math
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from query_api.feed.ranking import Candidate, affinity, diversified, engagement, rank, ranked_order, score
from shared.ids import mint

NOW = 1_760_000_000_000_000
HOUR = 3_600_000_000


def candidate(
    hours_old: float = 0, likes: int = 0, comments: int = 0, shares: int = 0, warmth: float = 1.0
) -> Candidate:
    published_at = NOW - int(hours_old * HOUR)
    post_id = mint(published_at).hex
    return Candidate(post_id, post_id, published_at, engagement(likes, comments, shares), warmth)


def test_score_is_the_formula() -> None:
    ranked = rank(candidate(1.5, likes=3, comments=1, shares=2, warmth=1.2), NOW)
    assert ranked.age_hours == 1.5
    assert ranked.engagement == 3 + 2.5 + 6
    assert ranked.score == pytest.approx((11.5 + 1) / 3.5**1.8 * 1.2)


def test_moderation_lowers_the_score() -> None:
    one = Candidate(mint(NOW).hex, mint(NOW).hex, NOW, engagement(1, 0, 0), 1.0, moderation=0.25)
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
    same_time = [Candidate(ids[n], ids[n], NOW, 0.0, 1.0) for n in (5, 9, 7)]
    assert [int(each.post_id[-2:], 16) for each in ranked_order(same_time, NOW)] == [9, 7, 5]
    # A share has the score of its post, and its own time among equals.
    shared = Candidate(ids[8], ids[1], NOW, 0.0, 1.0)
    assert [int(each.standing_id[-2:], 16) for each in ranked_order([*same_time, shared], NOW)] == [9, 8, 7, 5]


def test_order_does_not_depend_on_the_order_of_candidates() -> None:
    random = Random(3)
    candidates = [candidate(random.random() * 200, random.randrange(50), random.randrange(5)) for _ in range(200)]
    expected = ranked_order(candidates, NOW)
    random.shuffle(candidates)
    assert ranked_order(candidates, NOW) == expected
    scores = [score(each, NOW) for each in expected]
    assert scores == sorted(scores, reverse=True)


def test_diversity_sets_an_author_s_posts_apart() -> None:
    authors = ["ana", "ana", "ana", "ben"]
    posts = [
        replace(candidate(likes=likes), author_id=author)
        for likes, author in zip((99, 79, 69, 29), authors, strict=True)
    ]
    order = ranked_order(posts, NOW)
    best, second, third, last = (each.post_id for each in posts)
    halved = diversified(order, NOW, 0.5)
    assert [each.post_id for each in halved] == [best, second, last, third]
    assert [each.diversity for each in halved] == [1, 0.5, 1, 0.25]
    assert [each.score * 2**1.8 for each in halved] == pytest.approx([100, 40, 30, 17.5])
    assert [each.post_id for each in diversified(order, NOW, 1)] == [best, last, second, third]
    assert diversified(order, NOW, 0) == [rank(each, NOW) for each in order]


COUNTS = st.integers(0, 10_000_000)
ANY = st.builds(
    lambda hours, likes, comments, shares, warmth, moderation: replace(
        candidate(hours, likes, comments, shares, warmth), moderation=moderation
    ),
    st.floats(-48, 24 * 3650), COUNTS, COUNTS, COUNTS, st.floats(1, 2), st.floats(0, 1),
)  # fmt: skip


@given(COUNTS, COUNTS, COUNTS, st.integers(1, 1_000))
def test_each_reaction_weighs_more_than_none(likes: int, comments: int, shares: int, more: int) -> None:
    before = engagement(likes, comments, shares)
    by_like, by_comment, by_share = (
        engagement(likes + more, comments, shares), engagement(likes, comments + more, shares),
        engagement(likes, comments, shares + more),
    )  # fmt: skip
    assert before < by_like < by_comment < by_share


@given(ANY, st.floats(0, 1_000))
def test_engagement_never_lowers_a_score(each: Candidate, more: float) -> None:
    assert score(replace(each, engagement=each.engagement + more), NOW) >= score(each, NOW)


@given(ANY, st.floats(0, 1))
def test_a_warmer_author_never_lowers_a_score_and_moderation_never_raises_one(each: Candidate, share: float) -> None:
    warmer = replace(each, affinity=each.affinity + (2 - each.affinity) * share)
    lowered = replace(each, moderation=each.moderation + (1 - each.moderation) * share)
    assert score(lowered, NOW) <= score(each, NOW) <= score(warmer, NOW)


@given(ANY, st.integers(0, 10**13))
def test_a_score_only_sinks_with_time(each: Candidate, micros: int) -> None:
    assert 0 <= score(each, NOW + micros) <= score(each, NOW)


@given(ANY, st.floats(0, 10_000), st.floats(0, 10_000))
def test_two_ages_are_to_each_other_as_the_formula_says_whatever_else_a_post_has(
    each: Candidate, hours: float, others: float
) -> None:
    at = [NOW - int(age * HOUR) for age in (hours, others)]
    one, other = (replace(each, published_at=published_at) for published_at in at)
    ages = [(NOW - published_at) / HOUR for published_at in at]
    assert score(one, NOW) == pytest.approx(score(other, NOW) * ((ages[1] + 2) / (ages[0] + 2)) ** 1.8)
