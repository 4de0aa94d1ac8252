"""Claim: diversity permutes an order, scores each post as it says, and turns nothing round that it has no reason to.

Oracle: the properties themselves, of random orders of few authors' posts. Pure.
Cannot catch: a formula that has these properties and is another; its values, and what the score alone has for
properties, are in tests/specs/test_ranking.py.
"""

import string
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from query_api.feed.ranking import MICROS_PER_HOUR, Candidate, diversified, rank, ranked_order, score

NOW = 1_790_000_000_000_000
YEAR = 365 * 24 * MICROS_PER_HOUR
POSTS_MAX = 40

candidates = st.builds(
    Candidate,
    standing_id=st.uuids().map(lambda each: each.hex),
    post_id=st.uuids().map(lambda each: each.hex),
    published_at=st.integers(NOW - 5 * YEAR, NOW + YEAR),
    engagement=st.integers(0, 10**6).map(float),
    affinity=st.floats(1, 2),
    moderation=st.integers(0, 10**6).map(lambda millionths: millionths / 10**6),
    author_id=st.sampled_from(string.ascii_lowercase[:5]),
)
orders = st.lists(candidates, max_size=POSTS_MAX, unique_by=lambda each: each.post_id).map(
    lambda listed: ranked_order(listed, NOW)
)
diversities = st.integers(0, 100).map(lambda hundredths: hundredths / 100)


@given(order=orders, diversity=diversities)
def test_it_is_a_permutation_by_the_new_scores(order: list[Candidate], diversity: float) -> None:
    found = diversified(order, NOW, diversity)
    assert sorted(each.post_id for each in found) == sorted(each.post_id for each in order)
    scores = [each.score for each in found]
    assert scores == sorted(scores, reverse=True)
    before = _before(order)
    by_post = {each.post_id: each for each in order}
    for each in found:
        assert each.diversity == (1 - diversity) ** before[each.post_id]
        assert each.score == score(by_post[each.post_id], NOW) * each.diversity


@given(order=orders)
def test_none_changes_nothing(order: list[Candidate]) -> None:
    assert diversified(order, NOW, 0) == [rank(each, NOW) for each in order]


@given(order=orders, diversity=diversities)
def test_nothing_is_overtaken_but_for_more_of_its_author(order: list[Candidate], diversity: float) -> None:
    before = _before(order)
    place = {each.post_id: nth for nth, each in enumerate(diversified(order, NOW, diversity))}
    for nth, first in enumerate(order):
        for second in order[nth + 1 :]:
            if before[first.post_id] <= before[second.post_id]:
                assert place[first.post_id] < place[second.post_id]


@given(order=orders)
def test_the_greatest_shows_one_of_each_author_first(order: list[Candidate]) -> None:
    authors = {each.post_id: each.author_id for each in order}
    found = [authors[each.post_id] for each in diversified(order, NOW, 1) if each.score > 0]
    assert len(set(found)) == len(found)
    firsts = [each for each in order if _before(order)[each.post_id] == 0]
    assert sum(score(each, NOW) > 0 for each in firsts) == len(found)


def _before(order: list[Candidate]) -> dict[str, int]:
    """Of each post, how many of the same author come before it."""
    seen: Counter[str] = Counter()
    found = {}
    for each in order:
        found[each.post_id] = seen[each.author_id]
        seen[each.author_id] += 1
    return found
