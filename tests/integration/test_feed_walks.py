"""Claim: what is owed to a great audience is in every page at once and in every set in the end, no call does much of
it, nobody waits for another's audience; and an author changes from pushed to pulled and back with every page right.

Oracle: what each reader should see, written out by hand or paged at once. Runs against the real Redis (database 9) and,
for followers, a scratch PostgreSQL. Cannot catch: interleavings with fillings (test_feed_interleavings.py); how many
milliseconds a call takes (`rookery bench fanout`).
"""

import time
from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest

from projectors.feed.fold import PROJECTION
from projectors.runtime.stores import feed_pushing
from projectors.runtime.stores.port import Outcome
from projectors.runtime.stores.redis import RedisStore, load_functions
from shared.environment import Environment
from shared.feed_store import shard_key
from tests.integration.feeds import ITEMS_MAX, SHARDS, Feeds, own_feeds, walked
from tests.runtime.workers import wait_until
from tests.specs.fold_cases import ANA, BEN, CLEO, DAN, deleted, erased, identifier, published, shared, unfollowed

THRESHOLD = 10
FEW, MANY = 1, 100  # followers, far from the threshold
UNPACKED = "return {cmsgpack.unpack(redis.call('GET', KEYS[1]) or '')}"
READERS = [identifier(1_000 + number) for number in range(40)]


@pytest.fixture
def feeds(servers: Environment, scratch_database: str) -> Iterator[Feeds]:
    with own_feeds(servers, scratch_database) as feeds, walked(feeds):
        yield feeds


@pytest.fixture
def great(feeds: Feeds) -> Feeds:
    """Ben has forty warm readers."""
    for reader in READERS:
        feeds.warm(reader, [BEN], [])
    return feeds


def seen(feeds: Feeds) -> set[tuple[UUID, ...]]:
    """The different pages that Ben's readers have; one, if they have the same."""
    return {tuple(feeds.items(reader) or ()) for reader in READERS}


def in_sets(feeds: Feeds, reader: UUID) -> set[UUID]:
    """In the reader's sorted set, or arrived for it."""
    sets = [shard_key(shard, f"feed:{reader.hex}") for shard in range(SHARDS)]
    members = [member for key in sets for member in feeds.redis.zrange(key, 0, -1)]
    arrived = [shard_key(shard, f"arrived:{reader.hex}") for shard in range(SHARDS)]
    members += [member for key in arrived for member in feeds.redis.eval(UNPACKED, 1, key)[1::2]]
    return {UUID(member[:32]) for member in members}


def kept_of(feeds: Feeds, author: UUID) -> set[str]:
    """What the shards keep of an author besides the audience."""
    found = {key.split(":")[2] for key in feeds.redis.scan_iter(match=f"*:{author.hex}")}
    return found - {"audience", "warm", "feed", "arrived"}


def test_what_is_owed_is_seen_at_once_and_is_in_every_set_in_the_end(great: Feeds) -> None:
    one, two = published(1, BEN), published(2, BEN)
    assert great.apply("posts", one, two) is Outcome.APPLIED
    assert not any(in_sets(great, reader) for reader in READERS)
    sizes = []
    while True:
        assert seen(great) == {(two.post_id, one.post_id)}
        if not great.walk(allowed=4):
            break
        sizes.append(sum(len(in_sets(great, reader)) == 2 for reader in READERS))
    assert sizes == sorted(sizes) and len(set(sizes)) > 5, "it was done in many steps"
    assert all(in_sets(great, reader) == {one.post_id, two.post_id} for reader in READERS)
    assert kept_of(great, BEN) == set() and not great.redis.keys("*:queue")


def test_a_step_does_about_what_it_is_allowed(great: Feeds) -> None:
    great.apply("posts", *(published(step, BEN) for step in range(1, 30)))
    used = []
    while True:
        owed, made = great.redis.fcall("feed_step", 1, shard_key(0), 800, 8)
        used.append(made)
        if not owed:
            break
    # Redis hands out members by the bucket, of which none is great, and a reader is given all sixteen items of a round.
    one_reader = 5 + 2 * 16
    assert max(used) <= 8 * one_reader and len(used) >= 10


def test_authors_take_turns(great: Feeds) -> None:
    great.warm(ANA, [CLEO], [])
    great.apply("posts", published(1, BEN))
    great.apply("posts", published(2, CLEO))
    steps = 0
    while not in_sets(great, ANA):
        great.walk(allowed=2)
        steps += 1
    assert steps <= 4
    assert sum(bool(in_sets(great, reader)) for reader in READERS) < len(READERS) / 2


def test_more_posts_during_a_walk_are_walked_too(great: Feeds) -> None:
    posts = [published(step, BEN) for step in range(1, 6)]
    for post in posts:
        great.apply("posts", post)
        great.walk()
    assert seen(great) == {tuple(post.post_id for post in posts[::-1])}
    great.finish()
    assert all(len(in_sets(great, reader)) == 5 for reader in READERS)


def test_a_post_deleted_during_its_walk_is_gone_everywhere(great: Feeds) -> None:
    one, two = published(1, BEN), published(2, BEN)
    great.apply("posts", one, two)
    for _ in range(4):
        great.walk()
    assert 0 < sum(bool(in_sets(great, reader)) for reader in READERS) < len(READERS)
    great.apply("posts", deleted(3, one))
    great.finish()
    assert {frozenset(in_sets(great, reader)) for reader in READERS} == {frozenset({two.post_id})}


def test_a_post_pushed_again_during_the_walk_that_takes_it_out_stays(great: Feeds) -> None:
    one = published(1, BEN)
    great.apply("posts", one)
    great.finish()
    great.apply("posts", deleted(2, one))
    for _ in range(4):
        great.walk()
    great.apply("posts", one)
    assert seen(great) == {(one.post_id,)}
    great.finish()
    assert {frozenset(in_sets(great, reader)) for reader in READERS} == {frozenset({one.post_id})}


def test_a_walk_goes_on_in_another_process_from_its_rounds_beginning(great: Feeds) -> None:
    one = published(1, BEN)
    great.apply("posts", one)
    for _ in range(4):
        great.walk()
    # A cursor of a server that was restarted: here it says that there is next to nothing left.
    for shard in range(SHARDS):
        great.redis.hset(shard_key(shard, f"author:{BEN.hex}"), mapping={"cursor": 63, "process": "another"})
    great.run(load_functions(great.store._client, PROJECTION.functions_lua))
    great.finish()
    assert all(in_sets(great, reader) == {one.post_id} for reader in READERS)


def test_who_joins_or_leaves_during_a_walk_is_treated_as_they_are(great: Feeds) -> None:
    one = published(1, BEN)
    great.apply("posts", one)
    great.walk()
    leaver = READERS[0]
    great.apply("graph", unfollowed(2, leaver, BEN))
    great.warm(leaver, [], [])
    great.warm(ANA, [BEN], [one.post_id])
    assert great.items(leaver) == [] and great.items(ANA) == [one.post_id]
    great.finish()
    assert great.items(leaver) == [] and great.items(ANA) == [one.post_id]


def test_ones_own_shares_are_not_merged_and_ones_own_posts_are(feeds: Feeds) -> None:
    of = published(1, CLEO)
    feeds.warm(BEN, [], [])
    feeds.warm(ANA, [BEN], [])
    feeds.apply("engagement", *(shared(step, BEN, of) for step in range(20, 26)))
    feeds.apply("posts", published(2, BEN))
    # Although six shares are newer than the one post on this page.
    page = feeds.readers.page(BEN, None, 3)
    assert page is not None and [item.item_id for item in page.items] == [identifier(2)]
    assert feeds.items(ANA) == [*(identifier(step) for step in range(25, 19, -1)), identifier(2)]
    feeds.finish()
    assert feeds.items(BEN) == [identifier(2)]


def test_an_erased_persons_walk_ends(great: Feeds) -> None:
    great.weigh(THRESHOLD, {BEN: MANY})
    great.apply("posts", published(1, BEN))
    great.walk()
    great.apply("accounts", erased(2, BEN))
    assert not any(BEN.hex in key for key in great.redis.scan_iter(match="*"))
    assert not great.redis.keys("*:queue") and great.readers.pulled() == set()
    assert great.walk() == 0 and seen(great) == {()}


def test_an_author_changes_only_well_beyond_the_threshold(feeds: Feeds) -> None:
    def told(followers: int) -> set[tuple[UUID, str]]:
        return feeds.weigh(THRESHOLD, {BEN: followers})

    assert told(10) == told(9) == set() and feeds.readers.pulled() == set()
    assert told(11) == {(BEN, "pulled")} and feeds.readers.pulled() == {BEN}
    assert told(10) == told(9) == set() and feeds.readers.pulled() == {BEN}
    assert told(8) == {(BEN, "pushed")} and feeds.readers.pulled() == set()
    # The threshold may change as well as the number.
    assert feeds.weigh(5, {BEN: 8}) == {(BEN, "pulled")}
    since = int(feeds.redis.hget(shard_key(0, f"author:{BEN.hex}"), "since"))
    assert abs(since - time.time() * 1e6) < 60e6


def test_who_is_pulled_is_read_and_not_pushed(great: Feeds) -> None:
    before, after, last = published(1, BEN), published(2, BEN), published(3, BEN)
    great.apply("posts", before)
    great.finish()
    great.weigh(THRESHOLD, {BEN: MANY})
    great.apply("posts", after)
    assert seen(great) == {(after.post_id, before.post_id)}
    great.finish()
    assert seen(great) == {(after.post_id, before.post_id)}
    assert all(in_sets(great, reader) == {before.post_id} for reader in READERS)
    # Who becomes warm now is told by join, and by the filling of what there was before.
    great.warm(ANA, [BEN], [before.post_id, after.post_id])
    great.apply("posts", last, deleted(4, after))
    assert seen(great) == {(last.post_id, before.post_id)}
    great.finish()  # takes the deleted one out of what Ana's feed was filled with
    assert great.items(ANA) == [last.post_id, before.post_id]
    great.weigh(THRESHOLD, {BEN: FEW})
    assert seen(great) == {(last.post_id, before.post_id)}
    great.finish()
    assert all(in_sets(great, reader) == {last.post_id, before.post_id} for reader in [ANA, *READERS])
    assert kept_of(great, BEN) == set()


def test_a_change_of_mind_during_a_walk_loses_nothing(great: Feeds) -> None:
    posts = [published(step, BEN) for step in range(1, 7)]
    for number, post in enumerate(posts):
        great.apply("posts", post)
        for _ in range(3):
            great.walk(allowed=4)
        great.weigh(THRESHOLD, {BEN: MANY if number % 2 == 0 else FEW})
        great.walk(allowed=4)
        assert seen(great) == {tuple(each.post_id for each in posts[number::-1])}
    great.finish()
    assert all(in_sets(great, reader) == {post.post_id for post in posts} for reader in READERS)


def test_pages_of_several_sources_have_no_gap_and_no_repeat(feeds: Feeds) -> None:
    feeds.warm(ANA, [BEN, CLEO, DAN], [identifier(1), identifier(2)])
    feeds.weigh(THRESHOLD, {BEN: MANY, CLEO: MANY})
    feeds.apply("posts", published(2, CLEO))  # also in the set
    every = [published(step, (BEN, CLEO, DAN)[step % 3]) for step in range(3, 10)]
    feeds.apply("posts", *every)
    paged, before = [], None
    while page := feeds.readers.page(ANA, before, 2):
        paged += [item.item_id for item in page.items]
        if len(page.items) < 2:
            break
        before = page.items[-1].item_id
    assert paged == [identifier(step) for step in range(9, 0, -1)]


def test_a_timeline_is_trimmed_and_no_feed_claims_what_it_has_lost(great: Feeds) -> None:
    great.weigh(THRESHOLD, {BEN: MANY})
    great.finish()
    great.apply("posts", *(published(step, BEN) for step in range(1, ITEMS_MAX + 4)))
    newest = tuple(identifier(step) for step in range(ITEMS_MAX + 3, 3, -1))

    def floors() -> set[UUID | None]:
        pages = [great.readers.page(reader, None, 100) for reader in READERS]
        return {page.floor for page in pages if page}

    assert seen(great) == {newest} and floors() == {identifier(3)}
    # Nothing brings back what was lost, also not being pushed again: the feeds' own floors say so then.
    great.weigh(THRESHOLD, {BEN: FEW})
    assert seen(great) == {newest} and floors() == {identifier(3)}
    great.finish()
    assert kept_of(great, BEN) == set()
    assert seen(great) == {newest} and floors() == {identifier(3)}


def test_followers_are_postgres_s(feeds: Feeds) -> None:
    feeds.warm(ANA, [BEN, CLEO], [])
    assert feeds.run(feeds.store.pushing.weigh(THRESHOLD)) == {}
    with psycopg.connect(feeds.environment.read_database_url, autocommit=True) as connection:
        connection.execute("create schema graph")
        connection.execute("create table graph.person_count (user_id uuid primary key, followers bigint)")
        insert = "insert into graph.person_count values (%s, %s)"
        connection.cursor().executemany(insert, [(BEN, 50), (CLEO, 9), (DAN, 10)])
        try:
            assert feeds.run(feeds.store.pushing.weigh(THRESHOLD)) == {BEN: "pulled"}
            # After a flush they are told again; who has hardly anyone left is not among the many any more.
            feeds.redis.flushdb()
            feeds.fence()
            assert feeds.readers.pulled() == set()
            assert feeds.run(feeds.store.pushing.weigh(THRESHOLD)) == {BEN: "pulled"}
            connection.execute("update graph.person_count set followers = 2 where user_id = %s", [BEN])
            assert feeds.run(feeds.store.pushing.weigh(THRESHOLD)) == {BEN: "pushed"}
            assert feeds.run(feeds.store.pushing.weigh(1)) == {BEN: "pulled", CLEO: "pulled", DAN: "pulled"}
        finally:
            connection.execute("drop schema graph cascade")


def test_a_live_store_walks_by_itself_also_what_another_left(great: Feeds) -> None:
    great.apply("posts", published(1, BEN))
    great.run(great.store.close())
    great.store = RedisStore(PROJECTION, great.environment, "live", retry_seconds=1, in_background=True)
    great.store.push_cost = 0

    def owed() -> bool:
        great.run(great.store.positions())  # gives the background its time
        return bool(great.redis.keys("*:queue"))

    great.fence()
    wait_until(20, lambda: not owed())
    great.apply("posts", published(2, BEN))
    wait_until(20, lambda: not owed())
    assert all(in_sets(great, reader) == {identifier(1), identifier(2)} for reader in READERS)


def test_the_log_waits_while_too_much_is_owed(great: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_pushing, "OWED_MAX", 0)
    great.run(great.store.close())
    great.store = RedisStore(PROJECTION, great.environment, "live", retry_seconds=1, in_background=True)
    great.store.push_cost = 0
    great.fence()
    for step in (1, 2, 3):
        assert great.apply("posts", published(step, BEN)) is Outcome.APPLIED
        assert not great.redis.keys("*:queue")
    assert all(len(in_sets(great, reader)) == 3 for reader in READERS)
    # And not for ever: a worker that stands still is ended by its watchdog.
    monkeypatch.setattr(feed_pushing, "WAIT_SECONDS_MAX", 0.2)
    monkeypatch.setattr(feed_pushing, "OWED_MAX", -1)
    assert great.apply("posts", published(4, BEN)) is Outcome.APPLIED


def test_a_renewed_shard_owes_nothing_and_pulls_nobody(great: Feeds) -> None:
    great.weigh(THRESHOLD, {CLEO: MANY})
    great.apply("posts", published(1, BEN))
    great.readers.renew()
    assert kept_of(great, BEN) == kept_of(great, CLEO) == set() and not great.redis.keys("*:queue")
    assert great.readers.pulled() == set()
    reader = READERS[0]
    great.warm(reader, [BEN], [identifier(1)])
    great.apply("posts", published(2, BEN))
    great.finish()
    assert great.items(reader) == [identifier(2), identifier(1)]
