"""Shares over HTTP: who brings a post into a home feed, where it stands, and that each page shows it once.

Oracle: the items that the test made, in the order of docs/semantics.md. Cannot catch: what the projections make of
events (tests/model/test_verify.py compares whole histories).
"""

import time
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
import pytest

from shared.feed_item import FeedItem
from shared.ids import datetime_of, time_of
from tests.query_api.serving import Serving
from tests.query_api.test_home import RANKED_ITEMS_MAX, circle
from tests.query_api.warm import ITEMS_MAX, Shards
from tests.query_api.world import World


def items_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def home(serving: Serving, viewer: UUID, **query: Any) -> list[tuple[str, str | None, datetime]]:
    """All pages of a home feed: post, who shared it, when it stands."""
    answer = serving.get("feed/home/", viewer, **({"sort": "recent"} | query))
    found = items_of(answer)
    while answer.json()["next"]:
        answer = serving.follow_next(answer, viewer)
        found += items_of(answer)
    return [
        (item["post"]["id"], item["via"] and item["via"]["id"], datetime.fromisoformat(item["at"])) for item in found
    ]


def standing(item: FeedItem | UUID, sharer: UUID | None = None) -> tuple[str, str | None, datetime]:
    """What `home` must answer for an item: a share, or the post itself."""
    item_id, post_id = item if isinstance(item, FeedItem) else (item, item)
    return str(post_id), str(sharer) if sharer else None, datetime_of(time_of(item_id))


@pytest.fixture(params=["database", "warm"])
def source(request: pytest.FixtureRequest) -> str:
    """Where the items come from: PostgreSQL alone, or a feed in Redis that is filled at the first read."""
    if request.param == "warm":
        request.getfixturevalue("shards")
    return str(request.param)


def test_a_share_brings_a_post_of_a_stranger_with_its_sharer_and_time(
    serving: Serving, world: World, source: str
) -> None:
    viewer, ana, ben, _ = circle(world)
    cem = world.person("cem_" + viewer.hex[-6:])
    post = world.post(cem)
    of_ben = world.post(ben)
    share = world.share(ana, post)
    for sort in ("recent", "ranked"):
        found = home(serving, viewer, sort=sort)
        assert sorted(found, key=lambda each: each[2], reverse=True) == [standing(share, ana), standing(of_ben)]
    answer = serving.get("feed/home/", viewer, sort="recent", explain=1)
    item = items_of(answer)[0]
    assert set(item["via"]) == {"id", "username", "display_name", "avatar"}
    assert item["post"]["counts"]["shares"] == 1
    assert item["post"]["author"]["username"].startswith("cem_")
    # Scores are the post's: its age, not the share's, and its author.
    age = item["explain"]["age_hours"] * 3_600_000_000
    assert item["explain"]["engagement"] == 3
    assert age == pytest.approx(items_of(answer)[1]["explain"]["age_hours"] * 3_600_000_000 + 1_000_000, rel=1e-6)
    assert item["explain"]["source"] == ("pushed" if source == "warm" else "database")


def test_a_post_stands_once_at_its_newest_item_and_falls_back(serving: Serving, world: World, source: str) -> None:
    viewer, ana, ben, _ = circle(world)
    of_ana, of_cem = world.post(ana), world.post(world.person())
    between = world.post(viewer)
    by_ben = world.share(ben, of_ana)
    first, second = world.share(ana, of_cem), world.share(ben, of_cem)
    assert home(serving, viewer) == [standing(second, ben), standing(by_ben, ben), standing(between)]
    world.unshare(ben, of_cem)
    world.unshare(ben, of_ana)
    assert home(serving, viewer) == [standing(first, ana), standing(between), standing(of_ana)]
    world.unshare(ana, of_cem)
    assert home(serving, viewer) == [standing(between), standing(of_ana)]
    again = world.share(ana, of_cem)
    if source == "database":
        assert home(serving, viewer) == [standing(again, ana), standing(between), standing(of_ana)]


def test_who_brings_nothing(serving: Serving, world: World, source: str) -> None:
    viewer, ana, ben, _ = circle(world)
    erased, muted, stranger = (world.person() for _ in range(3))
    for followee in (erased, muted):
        world.follow(viewer, followee)
    posts = [world.post(stranger) for _ in range(6)]
    fallback = world.share(ana, posts[0])
    world.share(erased, posts[0])
    world.share(muted, posts[1])
    world.share(stranger, posts[2])
    world.share(viewer, posts[3])
    world.share(viewer, posts[0])
    gone = world.share(ben, posts[4])
    left = world.share(ben, posts[5])
    world.erase(erased)
    world.relate(viewer, muted, "mute")
    world.delete_post(gone.post_id)
    assert home(serving, viewer) == [standing(left, ben), standing(fallback, ana)]
    world.follow(viewer, ben, active=False)
    assert home(serving, viewer) == [standing(fallback, ana)]
    world.relate(viewer, muted, "mute", active=False)
    if source == "warm":  # a warm feed takes whoever is unmuted in again when the projector has cooled it
        return
    assert [post for post, _, _ in home(serving, viewer)] == [str(posts[1]), str(posts[0])]


@pytest.mark.parametrize("what", ["mute", "block"])
def test_what_a_muted_or_blocked_author_wrote_nobody_brings(
    serving: Serving, world: World, source: str, what: str
) -> None:
    viewer, ana, ben, _ = circle(world)
    author = world.person()
    share = world.share(ana, world.post(author))
    of_ben = world.share(ben, world.post(world.person()))
    assert home(serving, viewer) == [standing(of_ben, ben), standing(share, ana)]
    world.relate(viewer, author, what)
    assert home(serving, viewer) == [standing(of_ben, ben)]
    world.relate(viewer, author, what, active=False)
    world.relate(viewer, ben, what)
    assert home(serving, viewer) == [standing(share, ana)]


def test_what_may_not_be_seen_nobody_brings_and_whoever_shares_a_reply_brings_it(
    serving: Serving, world: World, source: str
) -> None:
    viewer, ana, ben, _ = circle(world)
    stranger, private = world.person(), world.person(private=True)
    hidden = world.post(stranger, visibility="followers")
    of_private = world.post(private)
    mine = world.post(viewer, visibility="private")
    asked = world.post(stranger)
    reply = world.post(ben, reply_to=(asked, stranger))
    for post in (hidden, of_private):
        world.share(ana, post)
    assert home(serving, viewer) == [standing(mine)]
    share = world.share(ana, reply)
    if source == "database":
        assert home(serving, viewer) == [standing(share, ana), standing(mine)]


def test_a_popular_post_is_looked_up_by_followees(serving: Serving, world: World) -> None:
    viewer, ana, _, _ = circle(world)
    post = world.post(world.person())
    share = world.share(ana, post)
    for _ in range(6):  # more than the viewer follows
        world.share(world.person(), post)
    assert home(serving, viewer) == [standing(share, ana)]
    assert items_of(serving.get("feed/home/", viewer, sort="recent"))[0]["post"]["counts"]["shares"] == 7


@pytest.mark.parametrize("limit", [1, 4, 50])
@pytest.mark.parametrize("sort", ["recent", "ranked"])
def test_pages_show_each_post_once(serving: Serving, world: World, source: str, limit: int, sort: str) -> None:
    # More than a warm feed holds and more than are ranked, so that pages come from above and below both borders.
    viewer, ana, ben, posts = circle(world)
    stranger = world.person()
    stands: dict[UUID, tuple[str, str | None, datetime]] = {}
    for number in range(ITEMS_MAX + 20):
        post = world.post((viewer, ana, ben, stranger)[number % 4])
        posts.append(post)
        if number % 4 != 3:
            stands[post] = standing(post)
        if number % 3 == 0:
            stands[post] = standing(world.share(ana, post), ana)
        if number % 5 == 0:
            old = posts[number // 2]
            stands[old] = standing(world.share(ben, old), ben)
    expected = sorted(stands.values(), key=lambda each: each[2], reverse=True)
    found = home(serving, viewer, sort=sort, limit=limit)
    if sort == "ranked":
        newest = sorted(found[:RANKED_ITEMS_MAX], key=lambda each: each[2], reverse=True)
        found = newest + found[RANKED_ITEMS_MAX:]
    assert found == expected


def test_pages_neither_repeat_nor_skip_what_is_shared_meanwhile(serving: Serving, world: World, shards: Shards) -> None:
    viewer, ana, _, posts = circle(world, 12)
    for query in ({"sort": "recent", "limit": "2"}, {"sort": "ranked", "limit": "2"}):
        answer = serving.get("feed/home/", viewer, None, **query)
        found = [item["post"]["id"] for item in items_of(answer)]
        while answer.json()["next"]:
            last = UUID(next(str(post) for post in posts if str(post) not in found))
            if world.value("select count(*) from counters.share where post_id = %s", last) == 0:
                shards.apply("engagement", push={ana: [world.share(ana, last)]})
            answer = serving.follow_next(answer, viewer)
            found += [item["post"]["id"] for item in items_of(answer)]
        assert sorted(found) == sorted(map(str, posts)), query


def test_a_ranked_session_goes_on_without_what_was_withdrawn(serving: Serving, world: World) -> None:
    viewer, ana, _, posts = circle(world, 10)
    of_stranger = world.post(world.person())
    share = world.share(ana, of_stranger)
    again = world.share(ana, posts[0])
    first = serving.get("feed/home/", viewer, sort="ranked", limit=1)
    shown = items_of(first)[0]["post"]["id"]
    for item in (share, again):
        world.unshare(ana, item.post_id)
    found = []
    answer = first
    while answer.json()["next"]:
        answer = serving.follow_next(answer, viewer)
        found += [(item["post"]["id"], item["via"]) for item in items_of(answer)]
    expected = {str(post) for post in posts} - {shown}
    assert sorted(found) == sorted((post, None) for post in expected)


def test_a_warm_feed_shows_what_is_shared_and_not_what_was_withdrawn(
    serving: Serving, world: World, shards: Shards
) -> None:
    viewer, ana, ben, posts = circle(world, 3)
    of_stranger = world.post(world.person())
    assert len(home(serving, viewer)) == 3
    share = world.share(ana, of_stranger)
    # PostgreSQL knows it already and the warm feed does not: it is not there yet, and nothing else is missing.
    assert len(home(serving, viewer)) == 3
    other = world.share(ben, posts[0])
    assert len(home(serving, viewer)) == 3
    shards.apply("engagement", push={ana: [share], ben: [other]})
    answer = serving.get("feed/home/", viewer, sort="recent")
    assert answer.headers["X-Cache-Status"] == "hit"
    assert home(serving, viewer)[:2] == [standing(other, ben), standing(share, ana)]
    world.unshare(ana, of_stranger)
    assert home(serving, viewer)[:2] == [standing(other, ben), standing(posts[2])]
    shards.apply("engagement", remove={ana: [share]})
    assert serving.get("feed/home/", viewer, sort="recent").headers["X-Cache-Status"] == "hit"
    assert home(serving, viewer)[:2] == [standing(other, ben), standing(posts[2])]


def test_a_filling_waits_for_the_shares_too(serving: Serving, world: World, shards: Shards) -> None:
    viewer, _, _, posts = circle(world, 3)
    shards.apply("engagement", postgres_too=False)
    answer = serving.get("feed/home/", viewer, sort="recent")
    assert answer.headers["X-Cache-Status"] == "bypass"
    assert len(items_of(answer)) == len(posts)
    # Once PostgreSQL is there, the feed is filled; for a second after a failure nobody tries.
    world.advance("counters", "engagement", 0, 1)
    deadline = time.monotonic() + 20
    while (status := serving.get("feed/home/", viewer, sort="recent").headers["X-Cache-Status"]) == "bypass":
        assert time.monotonic() < deadline, "the feed stays cold"
        time.sleep(0.05)
    assert status == "miss"


def test_a_position_of_the_reactions_is_demanded_of_the_warm_feed(
    serving: Serving, world: World, shards: Shards
) -> None:
    viewer, ana, _, _ = circle(world, 3)
    home(serving, viewer)
    reached = shards.apply("engagement")
    world.advance("counters", "engagement", 0, reached + 1)
    share = world.share(ana, world.post(world.person()))
    demand = serving.demand("engagement", 0, reached + 1)
    answer = serving.get("feed/home/", viewer, headers=demand, sort="recent")
    assert (answer.headers["X-Consistency"], answer.headers["X-Cache-Status"]) == ("fresh", "bypass")
    assert items_of(answer)[0]["post"]["id"] == str(share.post_id)


def test_a_post_that_a_session_ranked_does_not_come_again_below_when_its_share_is_withdrawn(
    serving: Serving, world: World
) -> None:
    viewer, ana, _, posts = circle(world, RANKED_ITEMS_MAX + 5)
    world.share(ana, posts[0])
    answer = serving.get("feed/home/", viewer, sort="ranked", limit=RANKED_ITEMS_MAX)
    found = [item["post"]["id"] for item in items_of(answer)]
    assert str(posts[0]) in found
    world.unshare(ana, posts[0])
    while answer.json()["next"]:
        answer = serving.follow_next(answer, viewer)
        found += [item["post"]["id"] for item in items_of(answer)]
    assert sorted(found) == sorted(map(str, posts))


def test_one_sees_whether_one_shares_a_post_and_who_does(serving: Serving, world: World) -> None:
    ana, ben, cem, erased = (world.person() for _ in range(4))
    post = world.post(ana)
    shares = {sharer: world.share(sharer, post) for sharer in (erased, cem, ben, ana)}
    world.unshare(cem, post)
    world.erase(erased)
    assert serving.get(f"posts/{post}/", ben).json()["viewer"]["shared"] is True
    assert serving.get(f"posts/{post}/", cem).json()["viewer"]["shared"] is False
    assert serving.get(f"posts/{post}/").json()["viewer"]["shared"] is False
    answer = serving.get(f"posts/{post}/shares/", limit=1)
    listed = items_of(answer)
    while answer.json()["next"]:
        answer = serving.follow_next(answer)
        listed += items_of(answer)
    assert [each["user"]["id"] for each in listed] == [str(ana), str(ben)]
    assert [datetime.fromisoformat(each["at"]) for each in listed] == [
        datetime_of(time_of(shares[sharer].item_id)) for sharer in (ana, ben)
    ]
    hidden = world.post(ana, visibility="private")
    assert serving.get(f"posts/{hidden}/shares/", ben).status_code == 404
