"""Claim: however events come, Redis holds of the last 48 hours exactly what they say, and again so after a flush.

The functions are the real ones (Redis, database 8), driven by the store that the live worker uses.
Oracle: tests/model/trends.py, which knows neither buckets nor order; and scores worked out by hand.
Cannot catch: what the query API makes of the order (tests/query_api/test_discovery.py), and a misreading of
docs/semantics.md that both sides share.
"""

import math
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projectors.runtime.stores.port import Outcome, Partition
from schemas.types import Event, ProfileEdited
from shared import clock
from shared.environment import Environment
from shared.trend_store import TrendsUnavailable
from tests.integration.trending import Trending, own_trends
from tests.model.reference import Model
from tests.properties.histories import PEOPLE, deliveries, scripts, society
from tests.specs.fold_cases import (
    ANA,
    BEN,
    CLEO,
    at,
    comment_deleted,
    commented,
    deleted,
    edited,
    erased,
    identifier,
    liked,
    moment,
    published,
    shared,
    unliked,
    unshared,
)

HOUR = 3_600  # steps are a second apart
SHARED_SETTINGS = settings(suppress_health_check=[*HealthCheck], max_examples=60)
societies = st.builds(lambda script: society([True] * PEOPLE, script), scripts)


@pytest.fixture(scope="module")
def trends(servers: Environment, scratch_database: str) -> Iterator[Trending]:
    with own_trends(servers, scratch_database) as trends:
        yield trends


@pytest.fixture(autouse=True)
def anew(trends: Trending) -> None:
    trends.begin()


def compare(trends: Trending, events: list[Event]) -> None:
    """At the newest event, half a day later, and when all but the last hours are over."""
    model = Model(events)
    newest = max(event.occurred_at for event in events)
    for moment_ in (newest, newest + 12 * HOUR * 1_000_000, newest + 46 * HOUR * 1_000_000):
        assert trends.hashtags(moment_) == model.discovery.trending_hashtags(moment_)
        there = [(post_id, score) for post_id, score in trends.posts(moment_) if post_id in model.posts]
        everything = {post_id for post_id, _ in there}
        scores = model.discovery.scored_posts(moment_)
        assert dict(there) == {post_id: score for post_id, score in scores.items() if post_id in model.posts}
        assert len(everything) == len(there)


@SHARED_SETTINGS
@given(data=st.data(), events=societies)
def test_any_delivery_gives_what_the_model_says(trends: Trending, data: st.DataObject, events: list[Event]) -> None:
    trends.begin()
    for batch in data.draw(deliveries(events)):
        assert trends.apply(batch) is Outcome.APPLIED
    compare(trends, events)


@settings(SHARED_SETTINGS, max_examples=20)
@given(events=societies, cut=st.integers(0, 60))
def test_it_is_right_again_after_a_flush(trends: Trending, events: list[Event], cut: int) -> None:
    trends.begin()
    trends.apply(events[:cut])
    trends.redis.flushdb()
    if cut:
        assert trends.apply(events[cut:]) is Outcome.REFUSED
    trends.fence()
    for first in range(0, len(events), 7):
        assert trends.apply(events[first : first + 7]) is Outcome.APPLIED
    compare(trends, events)


def test_a_step_that_was_made_is_not_made_again(trends: Trending) -> None:
    here = Partition("engagement", 1)
    post = published(1, ANA, hashtags="one")
    assert trends.step(here, 0, 2, [post, liked(2, BEN, post)]) is Outcome.APPLIED
    before = trends.posts(moment(2)), trends.redis.dbsize()
    assert trends.step(here, 0, 2, [post, liked(2, BEN, post)]) is Outcome.ALREADY
    assert trends.step(here, 7, 8, []) is Outcome.REFUSED
    assert (trends.posts(moment(2)), trends.redis.dbsize()) == before


def test_scores_by_hand(trends: Trending) -> None:
    post = published(0, ANA, hashtags="early")
    later = published(6 * HOUR, BEN, hashtags="early late")
    again = published(6 * HOUR + 1, BEN, hashtags="late")
    comment = commented(6 * HOUR + 2, BEN, post)
    trends.apply([post, later, again, liked(1, BEN, post), comment, shared(6 * HOUR + 3, CLEO, post)])
    now = moment(6 * HOUR + 10)
    # Ben uses it twice within the hour and counts once; six hours halve.
    assert trends.hashtags(now) == [("early", 1.5), ("late", 1.0)]
    assert trends.posts(now) == [(post.post_id, 7 + 0.5)]
    assert trends.posts(moment(12 * HOUR)) == [(post.post_id, 3.5 + 0.25)]
    assert trends.posts(moment(53 * HOUR)) == [(post.post_id, 7 * 2 ** (-47 / 6))]
    assert trends.posts(moment(54 * HOUR)) == []


def test_what_is_taken_back_leaves(trends: Trending) -> None:
    post = published(0, ANA, hashtags="one two")
    comment = commented(1, BEN, post)
    trends.apply([post, comment, liked(2, BEN, post), shared(3, BEN, post)])
    now = moment(10)
    trends.apply([edited(4, post, hashtags="two")])
    assert trends.hashtags(now) == [("two", 1.0)]
    for step, event, left in (
        (5, unliked(5, BEN, post), 7.0),
        (6, comment_deleted(6, comment), 4.0),
    ):
        assert trends.apply([event]) is Outcome.APPLIED, step
        assert trends.posts(now) == [(post.post_id, left)]
    trends.apply([unshared(7, BEN, post, 3)])
    assert trends.posts(now) == []
    trends.apply([liked(8, CLEO, post), deleted(9, post)])
    assert (trends.posts(now), trends.hashtags(now)) == ([], [])


def test_a_private_account_s_hashtags_come_and_go(trends: Trending) -> None:
    trends.apply([published(0, ANA, hashtags="one"), published(1, BEN, hashtags="one")])
    now = moment(10)
    trends.apply([at(2, ProfileEdited, ANA, private=True)])
    assert trends.hashtags(now) == [("one", 1.0)]
    trends.apply([published(3, ANA, hashtags="mine")])
    assert trends.hashtags(now) == [("one", 1.0)]
    trends.apply([at(4, ProfileEdited, ANA, private=False)])
    assert trends.hashtags(now) == [("one", 2.0), ("mine", 1.0)]


def test_an_erased_person_leaves_nothing_but_their_id(trends: Trending) -> None:
    post, other = published(0, ANA, hashtags="secret"), published(1, BEN)
    trends.apply(
        [post, other, liked(2, ANA, other), commented(3, ANA, other), shared(4, ANA, other), liked(5, BEN, post)]
    )
    trends.apply([erased(6, ANA)], Partition("accounts", 0))
    now = moment(10)
    assert (trends.posts(now), trends.hashtags(now)) == ([], [])
    # What a relay delivers late is of no use to anybody either.
    trends.apply([edited(5, post, hashtags="secret"), liked(5, ANA, other)])
    assert (trends.posts(now), trends.hashtags(now)) == ([], [])
    texts = [key + str(trends.redis.dump(key)) for key in trends.redis.scan_iter()]
    assert not [text for text in texts if "secret" in text]


def test_what_is_too_old_is_dropped_and_every_key_ends(trends: Trending) -> None:
    post = published(0, ANA, hashtags="old")
    trends.apply([post, liked(1, BEN, post)])
    late = published(60 * HOUR, BEN, hashtags="new")
    trends.apply([late, liked(60 * HOUR + 1, CLEO, late)])
    keys = set(trends.redis.scan_iter())
    assert not [key for key in keys if "tags:" in key and key.endswith(f":{moment(0) // (HOUR * 1_000_000)}")]
    trends.apply([unliked(2, BEN, post), liked(3, CLEO, post)])
    assert trends.hashtags(moment(60 * HOUR + 9)) == [("new", 1.0)]
    lasting = {key for key in trends.redis.scan_iter() if trends.redis.ttl(key) < 0}
    assert lasting == {"{trends}:incarnation", "{trends}:position"}


def test_an_event_of_the_future_ends_nothing(trends: Trending) -> None:
    now = (clock.now() - moment(0)) // 1_000_000
    trends.apply([published(now, ANA, hashtags="one")])
    trends.apply([published(now + 100_000 * HOUR, BEN, hashtags="two")])
    assert trends.hashtags(moment(now)) == [("one", 1.0)]


def test_it_says_when_it_is_not_whole(trends: Trending, servers: Environment, scratch_database: str) -> None:
    with psycopg.connect(scratch_database, autocommit=True) as connection:
        connection.execute("create schema posts")
        connection.execute("create table posts.position (topic text, partition int, next_offset bigint)")
        connection.execute("insert into posts.position values ('posts', 1, 3)")
    try:
        trends.redis.flushdb()
        with pytest.raises(TrendsUnavailable):
            trends.readers.top("tags", moment(1), 0, 1)
        trends.fence()
        here = Partition("posts", 1)
        assert not trends.readers.top("tags", moment(1), 0, 1).whole
        trends.apply([published(0, ANA), published(1, ANA)], here)
        assert not trends.readers.top("tags", moment(1), 0, 1).whole
        trends.apply([published(2, ANA)], here)
        assert trends.readers.top("tags", moment(1), 0, 1).whole
    finally:
        with psycopg.connect(scratch_database, autocommit=True) as connection:
            connection.execute("drop schema posts cascade")


def test_the_order_holds_for_two_seconds_unless_it_is_asked_anew(trends: Trending) -> None:
    trends.apply([published(0, ANA, hashtags="one")])
    now = moment(1)
    assert [each.name for each in trends.readers.top("tags", now, 0, 9).found] == ["one"]
    trends.apply([published(1, BEN, hashtags="two")])
    assert {each.name for each in trends.readers.top("tags", now, 0, 9, anew=True).found} == {"one", "two"}
    hour = now // (HOUR * 1_000_000)
    (ranked,) = [key for key in trends.redis.scan_iter() if key.endswith(f"ranked:tags:{hour}")]
    assert 0 < trends.redis.pttl(ranked) <= 2_000


def test_equal_scores_have_an_order(trends: Trending) -> None:
    posts = [published(step, ANA, hashtags=tag) for step, tag in enumerate(("b", "c", "a"))]
    trends.apply([*posts, *(liked(9, BEN, post) for post in posts)])
    assert [each.name for each in trends.readers.top("tags", moment(9), 0, 2).found] == ["a", "b"]
    newest = [each.name for each in trends.readers.top("posts", moment(9), 0, 2).found]
    assert newest == [identifier(2).hex, identifier(1).hex]
    assert math.isclose(sum(score for _, score in trends.hashtags(moment(9))), 3)
