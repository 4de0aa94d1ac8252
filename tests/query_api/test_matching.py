"""`q` within the home feed over HTTP: the items of the feed that match, all of them, once, in either order.

Claim: for every reader and query, and whatever brings the feed (Redis or PostgreSQL, items walked or matches looked
up), the pages put together are what the reference model says; a cursor is good for its own query; what cannot be a
query is refused.
Oracle: tests/model/matching.py, over the events that were appended; and lists made by hand.
Cannot catch: words that PostgreSQL and the model would cut differently (addresses, numbers), which are not looked for.
"""

import itertools
import random
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from query_api.feed.matching import MATCHES_PER_SLICE
from schemas.types import (
    AccountDeactivated,
    CommentAdded,
    ContentHeld,
    ContentHidden,
    Event,
    PostDeleted,
    PostEdited,
    PostLiked,
    PostPublished,
    PostShared,
    PostUnshared,
    ProfileEdited,
    UserBlocked,
    UserErased,
    UserFollowed,
    UserMuted,
    UserRegistered,
)
from shared.environment import Environment
from shared.ids import micros_of, mint, time_of
from tests.model.home import Item
from tests.model.matching import Matching
from tests.model.reference import Model
from tests.query_api.appending import Log
from tests.query_api.serving import Serving
from tests.query_api.test_home import all_ids, circle, ids_of
from tests.query_api.world import World

RANKED_ITEMS_MAX = 40
MATCHES_MAX = MATCHES_PER_SLICE * RANKED_ITEMS_MAX  # more are walked for
PEOPLE, HAPPENINGS = 9, 700
NAMES = ("Robin Red", "Wren", "Heron Grey", "Rook", "Jackdaw Red", "Kestrel", "Swift", "Redstart", "Ö redpoll")
COMMON, SELDOM, RARE = ("river", "stone", "moss"), ("amber", "reddish"), ("zephyr",)


class Town:
    """Events of a few people who post, quote, share, edit and part with one another, most of the time by chance."""

    def __init__(self, world: World, dice: random.Random) -> None:
        self._world = world
        self._dice = dice
        self.events: list[Event] = []
        self.people: list[UUID] = []
        self.posts: dict[UUID, UUID] = {}
        self.shares: dict[tuple[UUID, UUID], UUID] = {}
        self.tag = uuid4().hex[:8]
        for nth in range(PEOPLE):
            self.people.append(self.say(UserRegistered, None, username=f"{self.tag}bird{nth}", display_name=NAMES[nth]))
        for one, other in itertools.permutations(self.people, 2):
            if dice.random() < 0.7:
                self.say(UserFollowed, one, followee_id=other)
        for _ in range(HAPPENINGS):
            self.happen()
        self.end()

    def say(self, kind: type[Any], subject_id: UUID | None, **fields: Any) -> UUID:
        event_id = self._world.tick()
        head = {"event_id": event_id, "occurred_at": time_of(event_id), "subject_id": subject_id or event_id}
        self.events.append(kind(**head, **fields))
        return event_id

    def text(self) -> str:
        words = self._dice.choices(COMMON, k=3)
        words += [self._dice.choice(SELDOM)] if self._dice.random() < 0.15 else []
        words += [*RARE] if self._dice.random() < 0.02 else []
        words += [f"<@{self._dice.choice(self.people)}>"] if self._dice.random() < 0.1 else []
        self._dice.shuffle(words)
        return " ".join(words).capitalize()

    def tell(self, kind: type[Any], subject_id: UUID, name: str, **fields: Any) -> UUID:
        """Of what has the id of the event that made it."""
        event_id = self._world.tick()
        head = {"event_id": event_id, "occurred_at": time_of(event_id), "subject_id": subject_id}
        self.events.append(kind(**head, **fields, **{name: event_id}))
        return event_id

    def publish(self, who: UUID) -> None:
        quoted = self._dice.choice([None, None, None, *[self._dice.choice([*self.posts] or [None])] * 2])
        answered = self._dice.choice([*self.posts] or [None]) if self._dice.random() < 0.1 else None
        post_id = self.tell(
            PostPublished, who, "post_id", content=self.text(), hashtags="",
            visibility=self._dice.choice(["public", "public", "public", "followers", "private"]),
            quote_of_id=quoted, quote_of_author_id=self.posts.get(quoted) if quoted else None,
            reply_to_id=answered, reply_to_author_id=self.posts.get(answered) if answered else None,
        )  # fmt: skip
        self.posts[post_id] = who

    def happen(self) -> None:
        dice, who = self._dice, self._dice.choice(self.people)
        kind = dice.choices(["publish", "share", "unshare", "like", "comment", "edit"], [10, 8, 1, 4, 2, 2])[0]
        if kind == "publish" or not self.posts:
            return self.publish(who)
        post_id = dice.choice([*self.posts])
        about = {"post_id": post_id, "post_author_id": self.posts[post_id]}
        match kind:
            case "share" if (who, post_id) not in self.shares:
                self.shares[who, post_id] = self.tell(PostShared, who, "share_id", **about)
            case "unshare" if self.shares:
                (who, post_id), share_id = self.shares.popitem()
                about = {"post_id": post_id, "post_author_id": self.posts[post_id]}
                self.say(PostUnshared, who, share_id=share_id, **about)
            case "like":
                self.say(PostLiked, who, **about, reaction="like")
            case "comment":
                self.tell(CommentAdded, who, "comment_id", **about, content="yes")
            case "edit":
                self.say(PostEdited, self.posts[post_id], post_id=post_id, content=self.text(), hashtags="")
        return None

    def end(self) -> None:
        """What takes out of sight: each kind, so that none is left to chance."""
        one, two, three, four, five, *_ = self.people
        self.say(UserMuted, two, muted_id=one)
        self.say(UserBlocked, three, blocked_id=one)
        self.say(ProfileEdited, four, private=True)
        self.say(ProfileEdited, five, display_name="Zephyr Red")
        self.say(AccountDeactivated, self.people[-1])
        self.say(UserErased, self.people[-2])
        for kind in (ContentHeld, ContentHidden):
            post_id = self._dice.choice([*self.posts])
            about = {"content_id": post_id, "post_id": post_id, "post_author_id": self.posts[post_id]}
            self.say(kind, self.posts[post_id], **about)
        gone = self._dice.choice([*self.posts])
        self.say(PostDeleted, self.posts[gone], post_id=gone)

    @property
    def queries(self) -> list[str]:
        return [
            "river", "Moss STONE", "amber", "zephyr", "reddish -moss", '"river stone"', "amber or zephyr", "-river",
            "red", "@red", "ro", "Robin Red", self.tag, f"@{self.tag}bird2", "nothing", "?!",
        ]  # fmt: skip


@pytest.fixture(scope="module")
def town(read_tables: Environment, world: World) -> Town:
    made = Town(world, random.Random(20261122))
    Log(read_tables, world).append_all(made.events)
    return made


@pytest.fixture(scope="module")
def model(town: Town) -> Model:
    return Model(town.events)


@pytest.fixture(params=["warm", "database"])
def source(request: pytest.FixtureRequest) -> str:
    if request.param == "warm":
        request.getfixturevalue("shards")
    return str(request.param)


def pages(serving: Serving, viewer: UUID, answer: httpx.Response) -> Iterator[list[dict[str, Any]]]:
    while True:
        assert answer.status_code == 200, answer.text
        yield answer.json()["items"]
        if not answer.json()["next"]:
            return
        answer = serving.follow_next(answer, viewer)


def standing(item: dict[str, Any]) -> tuple[str, str | None]:
    return item["post"]["id"], item["via"] and item["via"]["id"]


def expected(model: Model, items: list[Item]) -> list[tuple[str, str | None]]:
    sharers = {event.share_id: str(event.subject_id) for event in model.shares.values()}
    return [(str(item.post_id), sharers.get(item.item_id)) for item in items]


def test_all_pages_are_what_the_reference_says(serving: Serving, town: Town, model: Model, source: str) -> None:
    matching, found = Matching(model), 0
    for viewer, query in itertools.product(town.people[:-2], town.queries):
        recent = serving.get("feed/home/", viewer, sort="recent", q=query, limit=7)
        got = [*pages(serving, viewer, recent)]
        items = matching.home(viewer, query)
        assert [standing(item) for page in got for item in page] == expected(model, items), (viewer, query)
        assert [len(page) for page in got[:-1]] == [7] * (len(got) - 1) and (got[-1] or len(got) == 1), (
            "a page falls short"
        )
        found += len(items)
        ranked = serving.get("feed/home/", viewer, sort="ranked", q=query, limit=9)
        at = micros_of(datetime.fromisoformat(ranked.json()["ranked_at"]))
        order = matching.ranked_home(viewer, query, at, RANKED_ITEMS_MAX)
        got = [*pages(serving, viewer, ranked)]
        assert [standing(item) for page in got for item in page] == expected(model, order), (viewer, query)
    # Each way was taken: there is more than is walked at first, and more than is ranked.
    assert found > 2_000 and max(len(model.feeds.home(each)) for each in town.people) > 3 * RANKED_ITEMS_MAX
    assert serving.get("feed/home/", viewer, q="river").headers["X-Cache-Status"] == (
        "hit" if source == "warm" else "bypass"
    )


def test_what_matches_too_often_to_be_looked_up_is_walked_for(serving: Serving, world: World) -> None:
    word, other = "w" + uuid4().hex[:12], "w" + uuid4().hex[:12]
    viewer, ana, ben, posts = circle(world, 5 * RANKED_ITEMS_MAX)
    oldest = world.post(ana, f"{word} {other}", at=mint_before(posts[0]))
    stranger = world.person()
    world.execute(
        """insert into posts.post (post_id, author_id, visibility, language, media_ids, created_at, created_event,
                                   content, hashtags, mentioned_ids, content_event)
           select id, %s, 'public', 'en', '{}', now(), id, %s, '{}', '{}', id
             from (select gen_random_uuid() as id from generate_series(0, %s)) each""",
        stranger, word, MATCHES_MAX,
    )  # fmt: skip
    try:
        newest = world.post(ben, word)
        for sort in ("recent", "ranked"):
            first = serving.get("feed/home/", viewer, sort=sort, q=word, limit=1)
            assert all_ids(serving, first, viewer) == [str(newest), str(oldest)]
            assert ids_of(serving.get("feed/home/", viewer, sort=sort, q=other)) == [str(oldest)]
    finally:
        # They are newer than everything, and other tests look at the newest posts of everybody.
        world.execute("delete from posts.post where author_id = %s", stranger)


def test_what_is_rare_and_far_down_is_found_in_every_way(serving: Serving, world: World) -> None:
    word = "w" + uuid4().hex[:12]
    viewer, ana, ben, _ = circle(world)
    stranger, named = world.person(), world.person(f"x{word}")
    theirs, of_named = world.post(stranger, word), world.post(named)
    own, quoting = world.post(ana, word), world.post(ana, "look", quote_of=theirs)
    strange = world.post(stranger, "look", quote_of=theirs)
    for post in (theirs, strange, of_named):
        world.share(ben, post)
    for nth in range(2 * RANKED_ITEMS_MAX):
        world.post((ana, ben)[nth % 2])
    expected = [str(each) for each in (of_named, strange, theirs, quoting, own)]
    assert ids_of(serving.get("feed/home/", viewer, sort="recent", q=word)) == expected
    first = serving.get("feed/home/", viewer, sort="ranked", q=word, limit=2)
    assert sorted(all_ids(serving, first, viewer)) == sorted(expected)


def mint_before(identifier: UUID) -> UUID:
    return mint(time_of(identifier) - 1_000_000)


@pytest.mark.parametrize("sort", ["recent", "ranked"])
def test_pages_neither_repeat_nor_skip_while_posts_are_added_and_shared(
    serving: Serving, world: World, sort: str, source: str
) -> None:
    word = "w" + uuid4().hex[:12]
    viewer, ana, ben, _ = circle(world)
    posts = [world.post((ana, ben)[n % 2], word if n % 3 else "other") for n in range(3 * RANKED_ITEMS_MAX)]
    wanted = [str(post) for nth, post in enumerate(posts) if nth % 3]
    answer = serving.get("feed/home/", viewer, sort=sort, q=word, limit=11)
    found = ids_of(answer)
    for post in itertools.cycle(posts[1:5]):
        if not answer.json()["next"]:
            break
        world.post(ana, word)
        world.share(ben, post) if post not in found else None
        answer = serving.follow_next(answer, viewer)
        found += ids_of(answer)
    assert len(found) == len(set(found)), "a post was repeated"
    assert set(found) == set(wanted)
    assert sort == "ranked" or found == wanted[::-1]


def test_what_is_quoted_counts_where_it_may_be_seen(serving: Serving, world: World) -> None:
    word = "w" + uuid4().hex[:12]
    viewer, ana, _, _ = circle(world)
    stranger, hidden = world.person(), world.person(private=True)
    seen = world.post(ana, "look", quote_of=world.post(stranger, word))
    world.post(ana, "look", quote_of=world.post(hidden, word))
    world.post(ana, "look", quote_of=world.post(stranger, word, visibility="private"))
    world.post(stranger, word)
    assert ids_of(serving.get("feed/home/", viewer, q=word)) == [str(seen)]
    world.relate(stranger, viewer, "block")
    assert ids_of(serving.get("feed/home/", viewer, q=word)) == []


def test_a_sharer_s_name_counts_where_the_post_stands_at_their_share(serving: Serving, world: World) -> None:
    part = "n" + uuid4().hex[:8]
    viewer, _, ben, _ = circle(world)
    cem = world.person(f"x{part}")
    world.follow(viewer, cem)
    post = world.post(world.person())
    world.share(cem, post)
    assert ids_of(serving.get("feed/home/", viewer, q=part[:-1])) == [str(post)]
    world.share(ben, post)
    assert ids_of(serving.get("feed/home/", viewer, q=part[:-1])) == [], "it stands at another's share now"
    world.unshare(ben, post)
    assert ids_of(serving.get("feed/home/", viewer, q=part[:-1])) == [str(post)]


def test_a_cursor_is_good_for_its_query_alone(serving: Serving, world: World) -> None:
    viewer, _, _, posts = circle(world, 5)
    for sort in ("recent", "ranked"):
        first = serving.get("feed/home/", viewer, sort=sort, q="hello", limit=2)
        cursor = first.json()["next"]
        for query in (None, "hell", "hello 2"):
            asked = {"sort": sort, "cursor": cursor} | ({} if query is None else {"q": query})
            assert serving.get("feed/home/", viewer, **asked).status_code == 400
        plain = serving.get("feed/home/", viewer, sort=sort, limit=2).json()["next"]
        assert serving.get("feed/home/", viewer, sort=sort, cursor=plain, q="hello").status_code == 400
        assert len(all_ids(serving, first, viewer)) == len(posts)
        assert "q=hello" in first.links["next"]["url"]
    assert ids_of(serving.get("posts/following/", viewer, q="hello")) == [str(post) for post in posts[::-1]]


@pytest.mark.parametrize("path", ["feed/home/", "posts/following/"])
@pytest.mark.parametrize("query", ["", "  ", "x" * 201, "a\0b"])
def test_a_query_that_is_none_is_refused(serving: Serving, world: World, path: str, query: str) -> None:
    answer = serving.get(path, world.person(), q=query)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["errors"][0]["pointer"] == "/q"
    assert serving.get(path, q="hello").status_code == 401


def test_what_names_nothing_to_look_for_finds_nothing(serving: Serving, world: World) -> None:
    viewer, *_ = circle(world, 3)
    for query in ("@", "&|!", "%%%", "___", "-hello", "<->", "'", '"', "\\"):
        for sort in ("recent", "ranked"):
            answer = serving.get("feed/home/", viewer, sort=sort, q=query)
            assert (ids_of(answer), answer.json()["next"]) == ([], None), query


def test_explain_tells_what_the_order_was_made_of(serving: Serving, world: World) -> None:
    viewer, *_ = circle(world, 3)
    for sort in ("recent", "ranked"):
        items = serving.get("feed/home/", viewer, sort=sort, q="hello", explain=1).json()["items"]
        assert len(items) == 3 and all(item["explain"]["score"] > 0 for item in items)
