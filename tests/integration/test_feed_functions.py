"""Claim: each function of the feed's library keeps its part: pushes, floors, cooling, fences, flushes, times to live.

Oracle: what each step should leave, written out by hand. Runs against the real Redis (database 9) and, for positions, a
scratch PostgreSQL. Cannot catch: what happens when steps of several readers and workers interleave
(test_feed_interleavings.py), and what a page filters.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg
import pytest

from projectors.feed.fold import PROJECTION, fold
from projectors.runtime.stores.port import Advance, Fence, Outcome, Partition
from projectors.runtime.stores.redis import EvictionIsOn, load_functions
from schemas.types import Event
from shared.environment import Environment
from shared.feed_item import FeedItem
from shared.feed_store import FeedPage, FeedStore, FeedUnavailable, shard_key, shard_of
from shared.ids import mint, time_of
from shared.position import Position
from tests.integration.feeds import ITEMS_MAX, SHARDS, Feeds, from_zero, ids_of, own_feeds
from tests.specs.fold_cases import (
    ANA,
    BEN,
    CLEO,
    DAN,
    deleted,
    erased,
    followed,
    identifier,
    published,
    shared,
    unfollowed,
    unshared,
)


@pytest.fixture
def feeds(servers: Environment, scratch_database: str) -> Iterator[Feeds]:
    with own_feeds(servers, scratch_database) as feeds:
        yield feeds


def post(step: int) -> FeedItem:
    return FeedItem.of_post(identifier(step))


def share(step: int, of: int) -> FeedItem:
    return FeedItem(identifier(step), identifier(of))


def test_a_post_reaches_its_authors_warm_audience_and_the_author(feeds: Feeds) -> None:
    feeds.warm(ANA, [BEN], [])
    feeds.warm(BEN, [], [])
    feeds.warm(CLEO, [ANA], [])
    one, two = published(1, BEN), published(2, BEN)
    assert feeds.apply("posts", two, one) is Outcome.APPLIED
    assert feeds.items(ANA) == feeds.items(BEN) == [two.post_id, one.post_id]
    assert feeds.items(CLEO) == []


def test_scores_are_the_times_of_the_ids(feeds: Feeds) -> None:
    ids = [mint(1_790_000_000_000_000 + nth * 333_337, random=bytes([nth]) * 8) for nth in range(ITEMS_MAX)]
    feeds.warm(ANA, [], ids)
    scored = feeds.redis.zrange(shard_key(shard_of(ANA, SHARDS), f"feed:{ANA.hex}"), 0, -1, withscores=True)
    assert [(UUID(member), int(score)) for member, score in scored] == [(each, time_of(each)) for each in ids]


def test_pages_follow_ids_even_within_a_microsecond(feeds: Feeds) -> None:
    same = sorted(mint(1_790_000_000_000_000, random=bytes([nth]) * 8) for nth in range(5))
    newer = mint(1_790_000_000_000_001, random=bytes(8))
    older = mint(1_789_999_999_999_999, random=bytes(8))
    every = [newer, *same[::-1], older]
    feeds.warm(ANA, [], every)
    paged, before = [], None
    while page := feeds.readers.page(ANA, before, 2):
        paged += ids_of(page)
        if len(page.items) < 2:
            break
        before = page.items[-1].item_id
    assert paged == every


def test_a_fill_keeps_what_is_newer_than_the_floor_and_nothing_else(feeds: Feeds) -> None:
    nonce = feeds.warm(ANA, [BEN], [identifier(step) for step in (5, 4, 3)], floor=identifier(3))
    page = feeds.readers.page(ANA, None, 10)
    assert page == FeedPage([post(5), post(4)], identifier(3), nonce)
    feeds.apply("posts", published(2, BEN), published(6, BEN))
    assert feeds.items(ANA) == [identifier(6), identifier(5), identifier(4)]


def test_trimming_raises_the_floor_to_the_newest_item_removed(feeds: Feeds) -> None:
    feeds.warm(ANA, [BEN], [])
    feeds.apply("posts", *(published(step, BEN) for step in range(1, ITEMS_MAX + 2)))
    page = feeds.readers.page(ANA, None, 100)
    assert page is not None
    assert (len(page.items), page.floor) == (ITEMS_MAX + 1, None)
    feeds.apply("posts", published(40, BEN))
    page = feeds.readers.page(ANA, None, 100)
    assert page is not None
    assert ids_of(page) == [identifier(40), *(identifier(step) for step in range(ITEMS_MAX + 1, 2, -1))]
    assert page.floor == identifier(2)
    feeds.apply("posts", published(1, BEN), published(2, BEN))
    assert feeds.items(ANA) == ids_of(page)


def test_a_fill_of_too_many_is_trimmed_too(feeds: Feeds) -> None:
    feeds.warm(ANA, [], [identifier(step) for step in range(1, ITEMS_MAX + 4)])
    page = feeds.readers.page(ANA, None, 100)
    assert page is not None
    assert (len(page.items), page.floor) == (ITEMS_MAX, identifier(3))


def test_a_push_between_begin_and_fill_is_not_lost(feeds: Feeds) -> None:
    begun = feeds.readers.begin(ANA)
    assert begun is not None
    feeds.apply("posts", published(1, BEN))
    joined = feeds.readers.join(ANA, begun.nonce, [BEN])
    assert joined is not None
    # The first post lies below the position that join answers, so PostgreSQL is read with it; the second does not.
    assert Position("posts", 0, 1) in joined
    feeds.apply("posts", published(2, BEN))
    assert feeds.readers.fill(ANA, begun.nonce, None, [post(1)])
    assert feeds.items(ANA) == [identifier(2), identifier(1)]


def test_a_feed_being_filled_is_cold_to_readers(feeds: Feeds) -> None:
    begun = feeds.readers.begin(ANA)
    assert begun is not None
    assert feeds.items(ANA) is None
    assert not feeds.readers.fill(ANA, begun.nonce, None, [])  # without join its pushes would be missing
    assert feeds.items(ANA) is None


def test_two_fillings_at_once_share_a_nonce_and_the_first_counts(feeds: Feeds) -> None:
    one, other = feeds.readers.begin(ANA), feeds.readers.begin(ANA)
    assert one is not None
    assert other is not None
    assert one.nonce == other.nonce
    assert feeds.readers.join(ANA, one.nonce, [BEN]) is not None
    assert feeds.readers.fill(ANA, one.nonce, None, [post(1)])
    feeds.apply("posts", published(2, BEN))
    assert feeds.readers.join(ANA, other.nonce, [BEN]) == []
    assert feeds.readers.fill(ANA, other.nonce, None, [])
    assert feeds.items(ANA) == [identifier(2), identifier(1)]
    assert feeds.readers.begin(ANA) is None


@pytest.mark.parametrize("event", [followed(1, ANA, BEN), unfollowed(1, ANA, BEN)])
def test_a_relationship_cools_the_actor_at_every_stage(feeds: Feeds, event: Event) -> None:
    feeds.warm(BEN, [ANA], [])
    early = feeds.readers.begin(ANA)
    assert early is not None
    feeds.apply("graph", event)
    assert feeds.readers.join(ANA, early.nonce, []) is None
    begun = feeds.readers.begin(ANA)
    assert begun is not None
    assert feeds.readers.join(ANA, early.nonce, []) is None  # somebody's filling is under way, but not this one
    assert feeds.readers.join(ANA, begun.nonce, []) is not None
    feeds.apply("graph", event)
    assert not feeds.readers.fill(ANA, begun.nonce, None, [])
    feeds.warm(ANA, [], [])
    feeds.apply("graph", event)
    assert feeds.items(ANA) is None
    assert feeds.items(BEN) == []


def test_an_unfollow_leaves_the_audience_and_cold_readers_are_dropped_from_it(feeds: Feeds) -> None:
    feeds.warm(ANA, [BEN, CLEO], [])
    feeds.apply("graph", unfollowed(1, ANA, BEN))
    feeds.warm(ANA, [CLEO], [])
    feeds.apply("posts", published(2, BEN), published(3, CLEO))
    assert feeds.items(ANA) == [identifier(3)]
    feeds.apply("graph", followed(4, ANA, DAN))
    feeds.apply("posts", published(5, CLEO))
    assert not feeds.redis.exists(shard_key(shard_of(ANA, SHARDS), f"audience:{CLEO.hex}"))


def test_a_deleted_post_leaves_warm_feeds(feeds: Feeds) -> None:
    feeds.warm(ANA, [BEN], [])
    post = published(1, BEN)
    feeds.apply("posts", post, published(2, BEN))
    feeds.apply("posts", deleted(3, post))
    assert feeds.items(ANA) == [identifier(2)]


def test_a_share_reaches_the_sharers_audience_and_not_the_sharer_until_it_is_withdrawn(feeds: Feeds) -> None:
    for reader, followees in ((ANA, [BEN]), (BEN, []), (CLEO, [])):
        feeds.warm(reader, followees, [])
    of = published(1, CLEO)
    assert feeds.apply("engagement", shared(2, BEN, of)) is Outcome.APPLIED
    page = feeds.readers.page(ANA, None, 10)
    assert page is not None
    assert page.items == [share(2, 1)]
    assert feeds.items(BEN) == feeds.items(CLEO) == []
    # The sharer's own post does reach them, also from the same step.
    feeds.apply("posts", published(3, BEN))
    assert (feeds.items(ANA), feeds.items(BEN)) == ([identifier(3), identifier(2)], [identifier(3)])
    feeds.apply("engagement", unshared(4, BEN, of, 2))
    assert feeds.items(ANA) == [identifier(3)]


def test_floors_and_pages_go_by_the_shares_id(feeds: Feeds) -> None:
    begun = feeds.readers.begin(ANA)
    assert begun is not None
    assert feeds.readers.join(ANA, begun.nonce, [BEN]) is not None
    items = [share(6, 1), post(5), share(4, 5), post(3)]
    assert feeds.readers.fill(ANA, begun.nonce, identifier(4), items)
    page = feeds.readers.page(ANA, None, 10)
    assert page == FeedPage([share(6, 1), post(5)], identifier(4), begun.nonce)
    # What stands at the floor or below it is not taken in again; the time of the post shared is none of its concern.
    of = published(1, CLEO)
    feeds.apply("engagement", shared(4, BEN, published(9, CLEO)), shared(3, BEN, of), shared(7, BEN, of))
    pages = [feeds.readers.page(ANA, before, 2) for before in (None, identifier(6))]
    assert [ids_of(each) for each in pages if each] == [[identifier(7), identifier(6)], [identifier(5)]]
    # Trimming raises the floor to a share's id alone.
    feeds.apply("posts", *(published(step, BEN) for step in range(10, 10 + ITEMS_MAX)))
    page = feeds.readers.page(ANA, None, 100)
    assert page is not None
    assert (len(page.items), page.floor) == (ITEMS_MAX, identifier(7))


def test_erasure_ends_feed_and_audience_and_cools_nobody_else(feeds: Feeds) -> None:
    for reader, followees in ((ANA, [BEN]), (BEN, [ANA]), (CLEO, [BEN]), (DAN, [BEN])):
        feeds.warm(reader, followees, [])
    feeds.apply("accounts", erased(1, BEN))
    assert feeds.items(BEN) is None
    assert [feeds.items(reader) for reader in (ANA, CLEO, DAN)] == [[], [], []]
    keys = set(feeds.redis.scan_iter(match="*"))
    assert not any(BEN.hex in key for key in keys)


def test_reading_keeps_a_feed_and_its_set_never_ends_before_it(feeds: Feeds) -> None:
    feeds.warm(ANA, [BEN], [])
    names = ("warm", "feed", "arrived")
    warm, feed, arrived = (shard_key(shard_of(ANA, SHARDS), f"{name}:{ANA.hex}") for name in names)
    feeds.apply("posts", published(1, BEN))
    assert 7 * 86_400 - 10 < feeds.redis.ttl(warm) < feeds.redis.ttl(arrived)
    feeds.items(ANA)
    assert not feeds.redis.exists(arrived)
    feeds.redis.expire(warm, 50)
    feeds.redis.expire(feed, 60)
    feeds.items(ANA)
    assert 7 * 86_400 - 10 < feeds.redis.ttl(warm) < feeds.redis.ttl(feed)


def test_what_arrives_is_taken_in_when_it_is_much_and_when_it_is_read_or_removed(feeds: Feeds) -> None:
    feed, arrived = (shard_key(shard_of(ANA, SHARDS), f"{name}:{ANA.hex}") for name in ("feed", "arrived"))
    feeds.warm(ANA, [BEN], [])
    assert feeds.apply("posts", published(1, BEN)) is Outcome.APPLIED
    assert (feeds.redis.zcard(feed), feeds.redis.exists(arrived)) == (0, 1)
    feeds.apply("posts", published(2, BEN), published(3, BEN))
    assert (feeds.redis.zcard(feed), feeds.redis.exists(arrived)) == (3, 0)
    feeds.apply("posts", published(4, BEN))
    assert feeds.items(ANA) == [identifier(step) for step in (4, 3, 2, 1)]
    assert (feeds.redis.zcard(feed), feeds.redis.exists(arrived)) == (4, 0)
    # The same again, as a redelivery brings it, and one that is gone before anybody has read it.
    feeds.apply("posts", published(4, BEN))
    feeds.apply("posts", published(5, BEN))
    feeds.apply("posts", deleted(6, published(5, BEN)))
    assert (feeds.redis.zcard(feed), feeds.redis.exists(arrived)) == (4, 0)
    assert feeds.items(ANA) == [identifier(step) for step in (4, 3, 2, 1)]


def test_many_items_arrive_at_once(feeds: Feeds) -> None:
    """More than one call of a command may have as arguments, and all pushed in one call of the function."""
    feeds.warm(ANA, [BEN], [])
    feeds.store.push_cost = 1_000_000
    posts = [published(step, BEN) for step in range(1, 6_000)]
    assert feeds.apply("posts", *posts) is Outcome.APPLIED
    page = feeds.readers.page(ANA, None, 100)
    assert page is not None
    assert ids_of(page) == [post.post_id for post in reversed(posts)][:ITEMS_MAX]
    assert page.floor == posts[-ITEMS_MAX - 1].post_id


def test_a_zombie_is_refused_and_its_successor_goes_on(feeds: Feeds) -> None:
    zombie, old = feeds.store, dict(feeds.fences)
    feeds.warm(ANA, [BEN], [])
    feeds.store = feeds.new_store()
    new = feeds.fence()
    place = Partition("posts", 0)
    assert new[place].epoch > old[place].epoch
    stale = Advance(place, 0, 1, old[place].epoch)
    assert feeds.run(zombie.apply(stale, fold([published(1, BEN)]))) is Outcome.REFUSED
    assert feeds.items(ANA) == []
    assert feeds.apply("posts", published(2, BEN)) is Outcome.APPLIED
    assert feeds.items(ANA) == [identifier(2)]
    feeds.run(zombie.close())


def test_a_step_made_before_is_inert_and_one_too_far_is_refused(feeds: Feeds) -> None:
    feeds.warm(ANA, [BEN], [])
    place, events = Partition("posts", 1), [published(1, BEN), published(2, BEN)]
    assert feeds.step(place, 0, 2, events) is Outcome.APPLIED
    assert feeds.step(place, 0, 2, events) is Outcome.ALREADY
    assert feeds.step(place, 1, 3, [events[1], published(3, BEN)]) is Outcome.APPLIED
    assert feeds.items(ANA) == [identifier(3), identifier(2), identifier(1)]
    assert feeds.step(place, 4, 5, [published(5, BEN)]) is Outcome.REFUSED
    assert feeds.run(feeds.store.positions())[place].offset == 3


def test_a_shard_that_is_behind_is_caught_up(feeds: Feeds) -> None:
    for reader in (ANA, BEN, CLEO, DAN):
        feeds.warm(reader, [BEN], [])
    place, epoch = Partition("posts", 0), feeds.fences[Partition("posts", 0)].epoch
    feeds.apply("posts", published(1, BEN))
    feeds.redis.hset(shard_key(0), "posts:0", f"0:{epoch}")
    assert feeds.run(feeds.store.positions())[place] == Fence(0, epoch)
    assert feeds.fence()[place].offset == 0
    assert feeds.apply("posts", published(1, BEN), published(2, BEN)) is Outcome.APPLIED
    assert {tuple(feeds.items(reader) or ()) for reader in (ANA, BEN, CLEO, DAN)} == {(identifier(2), identifier(1))}


def test_a_flush_makes_everything_cold_and_begins_anew_where_postgres_is(feeds: Feeds) -> None:
    with psycopg.connect(feeds.environment.read_database_url, autocommit=True) as connection:
        connection.execute("create schema if not exists posts")
        connection.execute("create table posts.position (topic text, partition int, next_offset bigint)")
        connection.execute("insert into posts.position values ('posts', 0, 7), ('accounts', 0, 5)")
        feeds.warm(ANA, [BEN], [])
        feeds.apply("posts", published(1, BEN))
        nonce = feeds.warm(CLEO, [BEN], [])
        feeds.redis.flushdb()
        assert feeds.items(ANA) is None
        with pytest.raises(FeedUnavailable):
            feeds.readers.begin(ANA)
        assert feeds.readers.positions(ANA) == []
        assert feeds.run(feeds.store.positions()) == {}
        assert feeds.apply("posts", published(2, BEN)) is Outcome.REFUSED
        zombie, old = feeds.store, dict(feeds.fences)
        feeds.store = feeds.new_store()
        new = feeds.fence()
        assert {place: fence.offset for place, fence in new.items() if fence.offset} == {Partition("posts", 0): 7}
        # Epochs begin anew as well, so an owner from before the flush may have the very same one.
        stale = Advance(Partition("posts", 0), 7, 8, old[Partition("posts", 0)].epoch)
        assert new[Partition("posts", 0)].epoch == stale.epoch
        assert feeds.run(zombie.apply(stale, fold([published(3, BEN)]))) is Outcome.REFUSED
        assert not feeds.readers.fill(CLEO, nonce, None, [])
        begun = feeds.readers.begin(ANA)
        assert begun is not None
        assert Position("posts", 0, 7) in begun.positions
        assert len(begun.positions) == len(feeds.partitions)
        feeds.run(zombie.close())
        connection.execute("drop schema posts cascade")


def test_an_incarnation_taken_away_makes_every_feed_cold(feeds: Feeds) -> None:
    feeds.warm(ANA, [BEN], [])
    feeds.redis.delete(shard_key(shard_of(ANA, SHARDS), "incarnation"))
    assert feeds.items(ANA) is None
    feeds.fence()
    assert feeds.items(ANA) is None
    feeds.warm(ANA, [BEN], [identifier(1)])
    assert feeds.items(ANA) == [identifier(1)]


def test_a_renewed_shard_is_cold_and_its_owner_goes_on(feeds: Feeds) -> None:
    nonce = feeds.warm(ANA, [BEN], [identifier(1)])
    begun = feeds.readers.begin(BEN)
    assert begun is not None
    assert feeds.readers.renew() == [feeds.redis.get(shard_key(shard, "incarnation")) for shard in range(SHARDS)]
    assert feeds.items(ANA) is None
    assert feeds.readers.join(ANA, nonce, [BEN]) is None and feeds.readers.join(BEN, begun.nonce, []) is None
    # What is pushed to a set from before is never shown; once the set is cleared, its reader leaves the audience.
    assert feeds.apply("posts", published(2, BEN)) is Outcome.APPLIED
    assert feeds.items(ANA) is None and feeds.readers.begin(ANA) is not None
    assert feeds.redis.keys(f"*:feed:{ANA.hex}") == []
    feeds.readers.renew()
    assert feeds.readers.clear([ANA]) == 1
    assert feeds.apply("posts", published(4, BEN)) is Outcome.APPLIED
    assert feeds.redis.keys(f"*:audience:{BEN.hex}") == []
    feeds.warm(ANA, [BEN], [identifier(1), identifier(2)])
    assert feeds.apply("posts", published(3, BEN)) is Outcome.APPLIED
    assert feeds.items(ANA) == [identifier(3), identifier(2), identifier(1)]
    assert [name.partition(".")[2] for name in feeds.readers.renew()] == ["3"] * SHARDS
    # What is left over is freed, and a feed that was filled since stays.
    feeds.warm(BEN, [], [])
    assert set(feeds.readers.readers()) == {ANA, BEN}
    assert feeds.readers.clear([ANA, BEN, CLEO]) == 1
    assert feeds.readers.readers() == [BEN] and feeds.items(BEN) == []


def test_one_feed_is_cooled_by_itself(feeds: Feeds) -> None:
    feeds.warm(ANA, [BEN], [identifier(1)])
    feeds.warm(BEN, [], [])
    assert [feeds.readers.cool(ANA), feeds.readers.cool(ANA)] == ["warm", "cold"]
    assert feeds.items(ANA) is None and feeds.items(BEN) == []
    feeds.readers.begin(ANA)
    assert feeds.readers.cool(ANA) == "filling"


def test_missing_functions_are_unavailable_to_readers_and_loaded_by_the_worker(feeds: Feeds) -> None:
    feeds.warm(ANA, [BEN], [])
    feeds.redis.function_delete("rookery_feed")
    with pytest.raises(FeedUnavailable):
        feeds.readers.page(ANA, None, 1)
    assert feeds.apply("posts", published(1, BEN)) is Outcome.APPLIED
    assert feeds.items(ANA) == [identifier(1)]


def test_a_redis_that_is_away_is_unavailable_to_readers(feeds: Feeds) -> None:
    away = FeedStore.open(replace(feeds.environment, redis_url="redis://127.0.0.1:1/0", feeds_url=""))
    with pytest.raises(FeedUnavailable):
        away.page(ANA, None, 1)


def test_a_server_that_evicts_is_refused(feeds: Feeds) -> None:
    class Evicting:
        async def info(self, section: str) -> dict[str, Any]:
            return {"maxmemory": 1, "maxmemory_policy": "allkeys-lru"}

    store = feeds.new_store()
    feeds.run(store.close())
    store._client = Evicting()
    with pytest.raises(EvictionIsOn):
        feeds.run(store.fence(feeds.partitions, from_zero))


def test_every_warm_feed_can_be_listed(feeds: Feeds) -> None:
    feeds.warm(ANA, [], [identifier(1)])
    feeds.warm(BEN, [], [])
    feeds.readers.begin(CLEO)
    assert {reader: page.items for reader, page in feeds.readers.warm_feeds()} == {ANA: [post(1)], BEN: []}


def test_functions_can_be_loaded_again_under_a_running_worker(feeds: Feeds) -> None:
    feeds.run(load_functions(feeds.store._client, PROJECTION.functions_lua))
    assert feeds.apply("posts", published(1, BEN)) is Outcome.APPLIED
