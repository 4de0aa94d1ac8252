"""Explore, hashtags, search and trends over HTTP: what is found, by whom it is not, and pages that hold.

The oracle is what each test made, in the order that docs/semantics.md says.
Cannot catch: trends that come otherwise than the store brings them (tests/integration/test_trends.py), nor a plan that
reads too much (test_discovery_plans.py).
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from projectors.runtime.stores.port import Advance, Outcome, Partition
from projectors.runtime.stores.redis_window import WindowStore
from projectors.trends.fold import PROJECTION as TRENDS
from projectors.trends.fold import fold
from schemas.types import Event, PostLiked, PostPublished
from shared.environment import Environment
from shared.ids import mint, time_of
from tests.query_api.serving import TOPIC_PARTITIONS, Serving
from tests.query_api.world import HOUR, World

RANKED_ITEMS_MAX = 40


def ids_of(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


def all_ids(serving: Serving, answer: httpx.Response, viewer: UUID | None = None) -> list[str]:
    found = ids_of(answer)
    while answer.json()["next"]:
        answer = serving.follow_next(answer, viewer)
        found += ids_of(answer)
    return found


def texts(*ids: UUID) -> list[str]:
    return [str(each) for each in ids]


def a_word() -> str:
    """One that nobody else has used."""
    return "w" + uuid4().hex[:12]


# Hashtags


def test_posts_with_a_hashtag_are_public_newest_first_and_in_pages(serving: Serving, world: World) -> None:
    tag, ana, private = a_word(), world.person(), world.person(private=True)
    posts = [world.post(ana, hashtags=[tag, "other"]) for _ in range(7)]
    for hidden in ("followers", "private"):
        world.post(ana, visibility=hidden, hashtags=[tag])
    world.post(private, hashtags=[tag])
    world.post(ana, hashtags=[tag + "x"])
    world.delete_post(world.post(ana, hashtags=[tag]))
    expected = texts(*posts[::-1])
    assert all_ids(serving, serving.get(f"hashtags/{tag}/posts/", limit=3)) == expected
    assert ids_of(serving.get(f"hashtags/%23{tag.upper()}/posts/", ana)) == expected
    assert ids_of(serving.get(f"hashtags/{a_word()}/posts/")) == []
    assert serving.get("hashtags/%21/posts/").status_code == 404


def test_a_blocked_pair_finds_neither_s_posts(serving: Serving, world: World) -> None:
    tag, ana, ben = a_word(), world.person(), world.person()
    of_ana, of_ben = world.post(ana, f"hello {tag}", hashtags=[tag]), world.post(ben, f"hello {tag}", hashtags=[tag])
    world.relate(ana, ben, "block")
    asked: list[tuple[str, dict[str, Any]]] = [(f"hashtags/{tag}/posts/", {}), ("search/posts/", {"q": tag})]
    for path, query in asked:
        assert ids_of(serving.get(path, ana, **query)) == texts(of_ana)
        assert ids_of(serving.get(path, ben, **query)) == texts(of_ben)
        assert ids_of(serving.get(path, **query)) == texts(of_ben, of_ana)


# Explore


def test_explore_is_of_those_one_does_not_know(serving: Serving, world: World) -> None:
    tag, viewer = a_word(), world.person()
    stranger, followed, muted, muting, blocked, erased, private = (
        world.person(private=nth == 6) for nth in range(7)
    )  # fmt: skip
    world.follow(viewer, followed)
    world.relate(viewer, muted, "mute")
    world.relate(muting, viewer, "mute")
    world.relate(blocked, viewer, "block")
    posts = {
        author: world.post(author, hashtags=[tag])
        for author in (viewer, stranger, followed, muted, muting, blocked, erased, private)
    }
    world.erase(erased)
    world.post(stranger, visibility="followers", hashtags=[tag])
    world.post(stranger, hashtags=[tag], at=mint(time_of(posts[stranger]) - 8 * 24 * HOUR))
    liked = world.post(stranger, hashtags=[tag])
    world.likes(liked, 50)
    assert ids_of(serving.get("feed/explore/", viewer, hashtag=tag)) == texts(liked, posts[stranger])
    anybody = {posts[each] for each in (viewer, stranger, followed, muted, muting, blocked)} | {liked}
    assert set(ids_of(serving.get("feed/explore/", hashtag=f"#{tag}"))) == set(texts(*anybody))


def test_explore_keeps_its_order_while_it_is_paged(serving: Serving, world: World) -> None:
    tag, viewer, stranger = a_word(), world.person(), world.person()
    posts = [world.post(stranger, hashtags=[tag]) for _ in range(RANKED_ITEMS_MAX + 5)]
    for nth, post in enumerate(posts):
        world.likes(post, 1 + nth * 7 % 5)
    whole = serving.get("feed/explore/", viewer, hashtag=tag, limit=100)
    order = ids_of(whole)
    assert len(order) == RANKED_ITEMS_MAX and whole.json()["next"] is None
    assert set(order) == set(texts(*posts[5:])), "the newest ones"
    first = serving.get("feed/explore/", viewer, hashtag=tag, limit=9)
    world.likes(UUID(order[-1]), 1_000)
    world.delete_post(UUID(order[12]))
    world.post(stranger, hashtags=[tag])
    assert all_ids(serving, first, viewer) == [each for each in order if each != order[12]]
    assert ids_of(serving.get("feed/explore/", viewer, hashtag=tag, limit=1)) == order[-1:]
    assert first.json()["ranked_at"]


def test_an_explore_session_that_is_over_says_so(serving: Serving, world: World) -> None:
    tag, stranger = a_word(), world.person()
    for _ in range(3):
        world.post(stranger, hashtags=[tag])
    first = serving.get("feed/explore/", hashtag=tag, limit=1)
    for key in serving.redis.scan_iter(match="ranked-*"):
        serving.redis.delete(key)
    assert serving.get(first.links["next"]["url"]).status_code == 410


# Search for posts


def test_words_are_found_in_what_one_may_see(serving: Serving, world: World) -> None:
    word, ana, follower, stranger = a_word(), world.person(), world.person(), world.person()
    world.follow(follower, ana)
    public, followers, private = (
        world.post(ana, f"Hello {word.upper()}, again", visibility=each) for each in ("public", "followers", "private")
    )
    world.delete_post(world.post(ana, word))
    for viewer, expected in (
        (None, [public]), (stranger, [public]), (follower, [followers, public]), (ana, [private, followers, public]),
    ):  # fmt: skip
        assert ids_of(serving.get("search/posts/", viewer, q=word)) == texts(*expected)
        assert all_ids(serving, serving.get("search/posts/", viewer, q=word, limit=1), viewer) == texts(*expected)


def test_what_a_query_may_say(serving: Serving, world: World) -> None:
    one, two, ana = a_word(), a_word(), world.person()
    both, first, apart = world.post(ana, f"{one} {two}"), world.post(ana, one), world.post(ana, f"{two} and {one}")
    for query, expected in (
        (f"{one} {two}", [apart, both]),
        (f'"{one} {two}"', [both]),
        (f"{one} -{two}", [first]),
        (f"{two} or {one}", [apart, first, both]),
        (one[:-2], []),
        (f"-{one}", []),
        ("!!! &|<->", []),
    ):
        assert ids_of(serving.get("search/posts/", q=query)) == texts(*expected), query


def test_an_edit_replaces_what_is_found_and_a_mention_is_no_word(serving: Serving, world: World) -> None:
    old, new, ana, ben = a_word(), a_word(), world.person(), world.person()
    post = world.post(ana, f"{old} <@{ben}>", mentioned_ids=[ben])
    assert ids_of(serving.get("search/posts/", q=str(ben))) == []
    assert ids_of(serving.get("search/posts/", q=str(ben).rpartition("-")[2])) == []
    world.version(post, new)
    assert ids_of(serving.get("search/posts/", q=old)) == []
    assert ids_of(serving.get("search/posts/", q=new)) == texts(post)


# Search for people


def test_people_are_found_by_a_part_of_either_name(serving: Serving, world: World) -> None:
    part = a_word()[:8]
    exact = world.person(part)
    ends, begins = world.person(f"x{part}", display_name="Zoë"), world.person(f"{part}y", display_name="Ypsilon")
    shown = world.person(f"zz{a_word()}", display_name=f"Émile {part.upper()} Ómán")
    world.person(f"other{a_word()}")
    everyone = texts(exact, begins, ends, shown)
    for path in ("search/users/", "users/"):
        assert ids_of(serving.get(path, q=part)) == everyone
        assert all_ids(serving, serving.get(path, exact, q=f" @{part.upper()} ", limit=1), exact) == everyone
    assert ids_of(serving.get("search/users/", q=f"{part} ómán")) == texts(shown)
    world.relate(ends, begins, "block")
    world.erase(exact)
    assert ids_of(serving.get("search/users/", ends, q=part)) == texts(ends, shown)


def test_a_short_query_finds_beginnings_and_no_character_is_a_pattern(serving: Serving, world: World) -> None:
    ana = world.person(f"qz{a_word()}", display_name="鳥の歌")
    assert ids_of(serving.get("search/users/", q="鳥の")) == texts(ana)
    assert ids_of(serving.get("search/users/", q="の歌")) == []
    assert ids_of(serving.get("search/users/", q="QZ")) == texts(ana)
    for nobody in ("%%%", "___", "q_w", "\\\\\\"):
        assert ids_of(serving.get("search/users/", q=nobody)) == []


@pytest.mark.parametrize("path", ["search/posts/", "search/users/", "users/"])
@pytest.mark.parametrize("query", [{}, {"q": ""}, {"q": "  "}, {"q": "x" * 201}, {"q": "a\0b"}])
def test_a_query_that_is_none_is_refused(serving: Serving, path: str, query: dict[str, Any]) -> None:
    answer = serving.get(path, **query)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["errors"][0]["pointer"] == "/q"


def test_other_bad_input_is_refused(serving: Serving, world: World) -> None:
    word, ana = a_word(), world.person()
    for _ in range(2):
        world.post(ana, word)
    cursor = serving.get("search/posts/", q=word, limit=1).json()["next"]
    asked: list[tuple[str, dict[str, Any]]] = [
        ("search/posts/", {"q": "another", "cursor": cursor}),
        ("search/users/", {"q": word, "cursor": cursor}),
        ("hashtags/one/posts/", {"cursor": cursor}),
        ("feed/explore/", {"cursor": cursor}),
        ("feed/explore/", {"hashtag": "!"}),
        ("trends/hashtags/", {"limit": "0"}),
        ("trends/posts/", {"cursor": cursor}),
    ]
    for path, query in asked:
        assert serving.get(path, **query).status_code == 400, (path, query)


def test_what_was_found_is_not_sent_again(serving: Serving, world: World) -> None:
    word, ana = a_word(), world.person()
    world.post(ana, word, hashtags=[word])
    asked: list[tuple[str, dict[str, Any]]] = [
        ("search/posts/", {"q": word}), (f"hashtags/{word}/posts/", {}), ("users/", {"q": word})
    ]  # fmt: skip
    for path, query in asked:
        tag = serving.get(path, ana, **query).headers["ETag"]
        assert serving.get(path, ana, {"If-None-Match": tag}, **query).status_code == 304


# Trends


class Trends:
    """What a worker would bring to Redis."""

    def __init__(self, environment: Environment, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._store = WindowStore(TRENDS, environment, "test", retry_seconds=1)
        self.reached = 0
        self._epoch = 0

    def begin(self) -> None:
        every = [Partition(topic, number) for topic in TRENDS.topics for number in range(TOPIC_PARTITIONS)]

        async def from_zero(partitions: Sequence[Partition], _: Any = None) -> Mapping[Partition, int]:
            return dict.fromkeys(partitions, 0)

        self._store._lately = from_zero  # type: ignore[method-assign,assignment]
        fences = self._runner.run(self._store.fence(every, from_zero))
        self._epoch = fences[every[0]].epoch

    def apply(self, *events: Event) -> int:
        """Answers the offset reached in partition 0 of `posts`."""
        after = self.reached + len(events)
        advance = Advance(Partition("posts", 0), self.reached, after, self._epoch)
        assert self._runner.run(self._store.apply(advance, fold(events))) is Outcome.APPLIED
        self.reached = after
        return after

    def close(self) -> None:
        self._runner.run(self._store.close())


@pytest.fixture
def trends(serving: Serving, read_tables: Environment) -> Iterator[Trends]:
    from dataclasses import replace

    _forget(serving)
    with asyncio.Runner() as runner:
        made = Trends(replace(read_tables, topic_partitions=TOPIC_PARTITIONS), runner)
        made.begin()
        yield made
        made.close()
    _forget(serving)


def _forget(serving: Serving) -> None:
    for key in serving.redis.scan_iter(match=r"\{trends}*"):
        serving.redis.delete(key)


def lately(world: World, author: UUID, tag: str, visibility: str = "public") -> PostPublished:
    """A post of now, in the read tables and as an event."""
    from shared import clock

    post_id = world.post(author, visibility=visibility, hashtags=[tag], at=mint(clock.now()))
    return PostPublished(
        event_id=post_id, occurred_at=time_of(post_id), subject_id=author, post_id=post_id, content="hello",
        hashtags=tag, visibility=visibility, language=None,
    )  # fmt: skip


def like_of(actor: UUID, post: PostPublished) -> PostLiked:
    event_id = mint(post.occurred_at + 1)
    return PostLiked(
        event_id=event_id, occurred_at=time_of(event_id), subject_id=actor, post_id=post.post_id,
        post_author_id=post.subject_id, reaction="like",
    )  # fmt: skip


def test_what_trends(serving: Serving, world: World, trends: Trends) -> None:
    ana, ben, tag, other = world.person(), world.person(), a_word(), a_word()
    one, two, hidden = lately(world, ana, tag), lately(world, ben, tag), lately(world, ben, other, "followers")
    likes = [
        like_of(actor, post) for post, actors in ((two, [ana, ben]), (one, [ana]), (hidden, [ana])) for actor in actors
    ]
    offset = trends.apply(one, two, hidden, *likes)
    demand = serving.demand("posts", 0, offset)
    hashtags = serving.get("trends/hashtags/", None, demand)
    assert hashtags.headers["X-Consistency"] == "fresh"
    assert hashtags.json() == {"items": [{"hashtag": tag, "score": 2.0}], "next": None}

    def scored(viewer: UUID | None, **query: int) -> list[tuple[str, float]]:
        answer = serving.get("trends/posts/", viewer, demand, **query)
        assert answer.json()["next"] is None
        return [(item["post"]["id"], item["score"]) for item in answer.json()["items"]]

    first, second, third = (str(post.post_id) for post in (two, one, hidden))
    assert scored(None) == [(first, 2.0), (second, 1.0)]
    assert scored(None, limit=1) == [(first, 2.0)]
    assert scored(ben) == [(first, 2.0), (third, 1.0), (second, 1.0)]
    world.relate(ana, ben, "block")
    assert scored(ana) == [(second, 1.0)]
    world.delete_post(two.post_id)
    assert scored(None) == [(second, 1.0)]


def test_a_read_waits_for_the_trends_or_says_that_it_could_not(serving: Serving, world: World, trends: Trends) -> None:
    offset = trends.apply(lately(world, world.person(), a_word()))
    for demanded, expected in ((offset, "fresh"), (offset + 1, "stale")):
        answer = serving.get("trends/hashtags/", None, serving.demand("posts", 0, demanded))
        assert (answer.status_code, answer.headers["X-Consistency"]) == (200, expected)
    world.execute(
        """insert into trends.parked (topic, partition, record_offset, keys, state, value, cause, reason)
           values ('posts', 0, %s, '{}', 'poison', '', '', '')""",
        offset - 1,
    )
    answer = serving.get("trends/hashtags/", None, serving.demand("posts", 0, offset))
    world.execute("delete from trends.parked")
    assert answer.headers["X-Consistency"] == "stale"


def test_without_redis_nobody_knows_what_trends(serving: Serving, trends: Trends) -> None:
    _forget(serving)
    for path in ("trends/hashtags/", "trends/posts/"):
        answer = serving.get(path)
        assert answer.status_code == 503 and answer.headers["Retry-After"] == "1"
