"""The home feed over HTTP: the same from Redis, below its floor, and from PostgreSQL; ranked sessions that hold.

The oracle is the list of posts that the test made, in the order of docs/semantics.md.
"""

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from query_api.feed.ranking import Candidate, engagement, ranked_order, score
from shared.environment import REPOSITORY, Environment
from shared.ids import micros_of, time_of
from tests.query_api.serving import Serving, free_port, start
from tests.query_api.warm import ITEMS_MAX, Shards
from tests.query_api.world import HOUR, World

RANKED_ITEMS_MAX = 40


def ids_of(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["post"]["id"] for item in answer.json()["items"]]


def all_ids(serving: Serving, answer: httpx.Response, viewer: UUID) -> list[str]:
    found = ids_of(answer)
    while answer.json()["next"]:
        answer = serving.follow_next(answer, viewer)
        found += ids_of(answer)
    return found


def newest_first(posts: list[UUID]) -> list[str]:
    return [str(post) for post in sorted(posts, reverse=True)]


def circle(world: World, posts: int = 0) -> tuple[UUID, UUID, UUID, list[UUID]]:
    """A viewer, two they follow, and that many posts by the three in turn."""
    viewer, ana, ben = world.person(), world.person(), world.person()
    world.follow(viewer, ana)
    world.follow(viewer, ben)
    return viewer, ana, ben, [world.post((viewer, ana, ben)[n % 3]) for n in range(posts)]


def test_items_of_a_home_feed(serving: Serving, world: World) -> None:
    viewer, ana, ben, _ = circle(world)
    stranger, erased = world.person(), world.person()
    world.follow(viewer, erased)
    mine, theirs = world.post(viewer, visibility="private"), world.post(ana, visibility="followers")
    hidden = world.post(ana, visibility="private")
    of_stranger, of_erased, deleted = world.post(stranger), world.post(erased), world.post(ben)
    to_followed = world.post(ana, reply_to=(theirs, ben))
    to_me = world.post(ana, reply_to=(mine, viewer))
    to_stranger = world.post(ana, reply_to=(of_stranger, stranger))
    mine_to_stranger = world.post(viewer, reply_to=(of_stranger, stranger))
    world.erase(erased)
    world.delete_post(deleted)
    expected = newest_first([mine, theirs, to_followed, to_me])
    for sort in ("recent", "ranked"):
        assert sorted(ids_of(serving.get("feed/home/", viewer, sort=sort)), reverse=True) == expected
    assert ids_of(serving.get("posts/following/", viewer)) == expected
    assert not {str(each) for each in (hidden, of_erased, to_stranger, mine_to_stranger)} & set(expected)


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_the_same_pages_warm_cold_and_without_redis(serving: Serving, world: World, shards: Shards, limit: int) -> None:
    # More than a warm feed holds, so that the last pages come from below its floor; some that the viewer may not see.
    viewer, ana, _, posts = circle(world, ITEMS_MAX + 15)
    for _ in range(5):
        world.post(ana, visibility="private")
    expected = newest_first(posts)
    cold = serving.get("feed/home/", viewer, sort="recent", limit=limit)
    assert cold.headers["X-Cache-Status"] == "miss"
    assert all_ids(serving, cold, viewer) == expected
    warm = serving.get("feed/home/", viewer, sort="recent", limit=limit)
    assert warm.headers["X-Cache-Status"] == "hit"
    assert all_ids(serving, warm, viewer) == expected
    shards.flush()
    flushed = serving.get("feed/home/", viewer, sort="recent", limit=limit)
    assert flushed.headers["X-Cache-Status"] == "bypass"
    assert all_ids(serving, flushed, viewer) == expected


def test_a_warm_feed_shows_what_is_pushed_and_a_follow_cools_it(serving: Serving, world: World, shards: Shards) -> None:
    viewer, ana, _, posts = circle(world, 6)
    ids_of(serving.get("feed/home/", viewer, sort="recent"))
    pushed = world.post(ana)
    shards.apply(push={ana: [pushed]})
    answer = serving.get("feed/home/", viewer, sort="recent", explain=1)
    assert answer.headers["X-Cache-Status"] == "hit"
    assert ids_of(answer) == newest_first([*posts, pushed])
    assert answer.json()["items"][0]["explain"]["source"] == "pushed"
    late = world.person()
    theirs = world.post(late)
    world.follow(viewer, late)
    shards.apply("graph", cool=[viewer])
    answer = serving.get("feed/home/", viewer, sort="recent")
    assert answer.headers["X-Cache-Status"] == "miss"
    assert ids_of(answer) == newest_first([*posts, pushed, theirs])
    # Unfollowed in PostgreSQL, and the feed is still warm: the page is filtered when it is built.
    world.follow(viewer, late, active=False)
    answer = serving.get("feed/home/", viewer, sort="recent")
    assert answer.headers["X-Cache-Status"] == "hit"
    assert ids_of(answer) == newest_first([*posts, pushed])


def test_a_warm_feed_behind_the_demanded_position_is_passed_over(
    serving: Serving, world: World, shards: Shards
) -> None:
    viewer, ana, _, posts = circle(world, 3)
    ids_of(serving.get("feed/home/", viewer, sort="recent"))
    reached = shards.apply()
    world.advance("counters", "posts", 0, reached + 1)
    world.advance("posts", "posts", 0, reached + 1)
    newest = world.post(ana)
    answer = serving.get("feed/home/", viewer, headers=serving.demand("posts", 0, reached + 1), sort="recent")
    assert (answer.headers["X-Consistency"], answer.headers["X-Cache-Status"]) == ("fresh", "bypass")
    assert ids_of(answer) == newest_first([*posts, newest])
    shards.apply(push={ana: [newest]})
    answer = serving.get("feed/home/", viewer, headers=serving.demand("posts", 0, reached + 1), sort="recent")
    assert (answer.headers["X-Consistency"], answer.headers["X-Cache-Status"]) == ("fresh", "hit")


def test_a_filling_that_would_have_to_wait_too_long_leaves_the_page_to_postgresql(
    serving: Serving, world: World, shards: Shards
) -> None:
    viewer, _, _, posts = circle(world, 3)
    shards.apply("graph", postgres_too=False)
    answer = serving.get("feed/home/", viewer, sort="recent")
    assert answer.headers["X-Cache-Status"] == "bypass"
    assert ids_of(answer) == newest_first(posts)


def test_recent_pages_neither_repeat_nor_skip_while_posts_are_added(
    serving: Serving, world: World, shards: Shards
) -> None:
    viewer, ana, _, posts = circle(world, 25)
    answer = serving.get("feed/home/", viewer, sort="recent", limit=4)
    found = ids_of(answer)
    while answer.json()["next"]:
        shards.apply(push={ana: [world.post(ana)]})
        answer = serving.follow_next(answer, viewer)
        found += ids_of(answer)
    assert found == newest_first(posts)


def test_ranked_order_is_the_formula(serving: Serving, world: World) -> None:
    viewer, ana, _, posts = circle(world, 12)
    for number, post in enumerate(posts):
        world.likes(post, number * 7 % 5)
    liked = world.post(ana)
    world.like(viewer, liked)
    answer = serving.get("feed/home/", viewer, sort="ranked", explain=1)
    items, explained = answer.json()["items"], {}
    for item in items:
        explained[item["post"]["id"]] = item["explain"]
    ranked_at = micros_of(datetime.fromisoformat(answer.json()["ranked_at"]))
    candidates = [
        Candidate(
            UUID(item["post"]["id"]).hex,
            UUID(item["post"]["id"]).hex,
            time_of(UUID(item["post"]["id"])),
            engagement(item["post"]["counts"]["likes"], 0, 0),
            item["explain"]["affinity"],
        )
        for item in items
    ]
    order = ranked_order(candidates, ranked_at)
    assert [str(UUID(each.post_id)) for each in order] == ids_of(answer)
    assert {str(UUID(each.post_id)): score(each, ranked_at) for each in order} == {
        key: each["score"] for key, each in explained.items()
    }
    assert explained[str(liked)]["affinity"] > 1
    assert all(explained[str(post)]["affinity"] == 1 for post in posts if post in posts[::3])


def test_a_ranked_session_holds_while_scores_move_and_goes_on_by_recency(
    serving: Serving, world: World, shards: Shards
) -> None:
    viewer, ana, _, posts = circle(world, RANKED_ITEMS_MAX + 30)
    hidden = [world.post(ana, visibility="private") for _ in range(8)]
    answer = serving.get("feed/home/", viewer, sort="ranked", limit=9)
    ranked_at = answer.json()["ranked_at"]
    newest, older = posts[-RANKED_ITEMS_MAX:], posts[:-RANKED_ITEMS_MAX]
    vanished = newest[0]
    found = ids_of(answer)
    world.delete_post(vanished)
    while answer.json()["next"]:
        for post in newest[:5]:
            world.likes(post, 50)
        shards.apply(push={ana: [world.post(ana)]})
        answer = serving.follow_next(answer, viewer)
        assert answer.json()["ranked_at"] == ranked_at
        found += ids_of(answer)
    assert len(found) == len(set(found)), "a post was repeated"
    expected = {str(post) for post in newest} - {str(vanished)}
    assert set(found[: RANKED_ITEMS_MAX - 1]) == expected or str(vanished) in found[:9]
    assert set(found) | {str(vanished)} == {str(post) for post in posts}
    assert found[-len(older) :] == newest_first(older)
    assert not {str(post) for post in hidden} & set(found)


def test_two_walks_of_one_session_see_the_same(serving: Serving, world: World) -> None:
    viewer, _, _, posts = circle(world, RANKED_ITEMS_MAX)
    first = serving.get("feed/home/", viewer, sort="ranked", limit=5)
    one = all_ids(serving, first, viewer)
    for post in posts:
        world.likes(post, 1 + post.int % 9)
    assert all_ids(serving, first, viewer) == one
    assert sorted(one, reverse=True) == newest_first(posts)
    assert all_ids(serving, serving.get("feed/home/", viewer, sort="ranked", limit=5), viewer) != one


def test_a_lost_session_is_over(serving: Serving, world: World) -> None:
    viewer, *_ = circle(world, 30)
    before = set(serving.redis.scan_iter("ranked-3:*"))
    first = serving.get("feed/home/", viewer, sort="ranked", limit=5)
    assert set(serving.redis.scan_iter("ranked-3:*")) == before, "most readers ask for no second page"
    second = serving.follow_next(first, viewer)
    (key,) = set(serving.redis.scan_iter("ranked-3:*")) - before
    assert 0 < serving.redis.ttl(key) <= 600
    serving.redis.delete(key)
    over = serving.follow_next(second, viewer)
    assert (over.status_code, over.json()["type"]) == (410, "urn:rookery:problem:gone")
    again = serving.follow_next(first, viewer)
    assert ids_of(again) == ids_of(second), "nothing was kept that the first page needs"


def test_a_session_lost_beyond_the_ranked_items_is_over(serving: Serving, world: World) -> None:
    viewer, ana, _, posts = circle(world, RANKED_ITEMS_MAX + 30)
    world.follow(viewer, stranger := world.person())
    old = world.post(stranger)
    more = [world.post(ana) for _ in range(RANKED_ITEMS_MAX)]
    world.share(ana, old)
    before = set(serving.redis.scan_iter("ranked-3:*"))
    first = serving.get("feed/home/", viewer, sort="ranked", limit=RANKED_ITEMS_MAX // 2)
    answer = serving.follow_next(first, viewer)
    found = ids_of(first) + ids_of(answer)
    assert len(found) == RANKED_ITEMS_MAX and str(old) in found and str(more[0]) not in found
    # It stands further down now, where only the frozen order knows that it was shown.
    world.unshare(ana, old)
    rest = all_ids(serving, serving.follow_next(answer, viewer), viewer)
    assert set(rest).isdisjoint(found) and set(found + rest) == {str(each) for each in [*posts, old, *more]}
    (key,) = set(serving.redis.scan_iter("ranked-3:*")) - before
    serving.redis.delete(key)
    over = serving.follow_next(answer, viewer)
    assert (over.status_code, over.json()["type"]) == (410, "urn:rookery:problem:gone")
    # Nothing was frozen where the first page showed all that was ranked.
    answer = serving.get("feed/home/", viewer, sort="ranked", limit=RANKED_ITEMS_MAX)
    found = all_ids(serving, answer, viewer)
    assert len(found) == len(set(found)) == len(posts) + len(more) + 1
    assert set(serving.redis.scan_iter("ranked-3:*")) == before


def test_whom_one_follows_between_two_pages_is_on_neither_twice(serving: Serving, world: World) -> None:
    viewer, ana, _, posts = circle(world, RANKED_ITEMS_MAX)
    newcomer = world.person()
    theirs = [world.post(newcomer) for _ in range(RANKED_ITEMS_MAX)]
    posts += [world.post(ana) for _ in range(3)]
    first = serving.get("feed/home/", viewer, sort="ranked", limit=5)
    world.follow(viewer, newcomer)
    found = all_ids(serving, first, viewer)
    assert len(found) == len(set(found)), "a post was repeated"
    assert set(found) == {str(post) for post in posts + theirs}


def test_explain_beyond_the_ranked_items(serving: Serving, world: World) -> None:
    viewer, *_ = circle(world, RANKED_ITEMS_MAX + 5)
    answer = serving.get("feed/home/", viewer, sort="ranked", limit=100, explain=1)
    items = answer.json()["items"]
    assert len(items) == RANKED_ITEMS_MAX + 5
    ages = [item["explain"]["age_hours"] for item in items[RANKED_ITEMS_MAX:]]
    assert ages == sorted(ages)
    assert all(age > max(item["explain"]["age_hours"] for item in items[:RANKED_ITEMS_MAX]) for age in ages)
    assert all(item["explain"]["age_hours"] < 48 * HOUR for item in items)


def test_postgresql_answers_alone_while_redis_is_away(read_tables: Environment, world: World, tmp_path: Path) -> None:
    viewer, _, _, posts = circle(world, RANKED_ITEMS_MAX + 15)
    serving = start(read_tables.query_database_url, f"redis://127.0.0.1:{free_port()}/0", tmp_path / "var")
    with serving.stack:
        assert serving.get("/readyz").json()["checks"]["redis"] is False
        recent = serving.get("feed/home/", viewer, sort="recent", limit=9)
        assert recent.headers["X-Cache-Status"] == "bypass"
        assert all_ids(serving, recent, viewer) == newest_first(posts)
        ranked = serving.get("feed/home/", viewer, limit=9)
        assert set(ids_of(ranked)) <= {str(post) for post in posts[-RANKED_ITEMS_MAX:]}
        # Nothing could be frozen, and a page that would repeat or skip is not given.
        assert serving.follow_next(ranked, viewer).status_code == 410


@pytest.mark.parametrize("sort", ["ranked", "recent"])
def test_a_warm_page_asks_its_servers_three_times_at_most(
    serving: Serving, world: World, shards: Shards, sort: str
) -> None:
    viewer, ana, _, posts = circle(world, RANKED_ITEMS_MAX)
    for post in posts:
        world.likes(post, 2)
    world.share(ana, world.post(world.person()))
    address = f"/api/v1/feed/home/?sort={sort}&limit=20"
    done = subprocess.run(
        [sys.executable, "-m", "tests.query_api.round_trips", address, serving.token(viewer), "3"],
        cwd=REPOSITORY,
        env=os.environ | serving.variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    *_, answer = json.loads(done.stdout.splitlines()[-1])
    assert (answer["status"], answer["cache"]) == (200, "hit")
    assert answer["postgresql"] + answer["redis"] <= 3, answer
