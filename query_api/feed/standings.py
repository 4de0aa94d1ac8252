"""Where candidates stand in a reader's feed and what ranking needs of them: one statement, however many they are.

What everybody sees alike of a post (whose it is, to whom it may be shown, how much it is liked) is kept in the process
for a few seconds, since the same posts stand in many feeds. What is the reader's own comes from the statement each
time: whom they follow, mute and block among these authors, how much they have liked them, and which shares reach them.
A page's own posts are read anew when it is built (queries.home_rows), so what is kept moves no more than an order.
Ids are hex digits, as in feed/placing.py.
"""

import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from functools import lru_cache
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

import msgspec

from query_api import database
from query_api.consistency import AWAY_SQL, ERASED_SQL, KNOWN_SQL
from query_api.feed.rules import Shown, shown_to
from query_api.feed.sharing import NEWEST_SHARE_SQL
from query_api.posts.queries import PRESENT_SQL
from query_api.profiles.standing import away
from shared.environment import environment
from shared.errors import Unauthenticated
from shared.ids import LAST_ID, time_of

KEPT_MAX = 50_000  # posts, in each of the two halves; some 300 bytes each

# Rows of five kinds, since an answer costs less than a round trip: the reader, then posts that were not kept, then what
# the reader is to people, how much they have engaged with authors, and the newest share that brings a post.
READER, POST, RELATION, AFFINITY, SHARE = range(5)
STANDINGS_SQL: LiteralString = (
    """
with missing as materialized (
    select p.post_id, p.author_id, coalesce(a.private, false) as private, p.visibility, p.reply_to_id,
           p.reply_to_author_id, coalesce(c.likes, 0) as likes, coalesce(c.comments, 0) as comments,
           coalesce(c.shares, 0) as shares, p.moderation, coalesce(p.moderation_score, 0) as score, """
    + away("a")
    + """ as away
      from unnest(%(missing)s::uuid[]) as w (id)"""
    + PRESENT_SQL
    + """),
missing_people as (
    select author_id as user_id from missing
    union
    select reply_to_author_id from missing where reply_to_author_id is not null),
people as (
    select unnest(%(people)s::uuid[]) as user_id
    union
    select user_id from missing_people),
h as (
    select w.post_id, coalesce(c.shares, 0) as shares
      from (select unnest(%(shared)s::uuid[]) as post_id union select post_id from missing where shares > 0) w
      left join counters.post_count c on c.post_id = w.post_id)
select 0 as kind, null::bytea as one, null::bytea as other, null::bytea as third, null::text as visibility,"""
    + KNOWN_SQL
    + " as yes,"
    + ERASED_SQL
    + " or"
    + AWAY_SQL
    + """ as also, 0::bigint as first, 0::bigint as second, 0::bigint as last, null::text as moderation,
       0::bigint as score, null::boolean as away
union all
select 1, uuid_send(post_id), uuid_send(author_id), uuid_send(reply_to_author_id), visibility, private,
       reply_to_id is not null, likes, comments, shares, moderation, score, away
  from missing
union all
select 2, uuid_send(r.to_id), null, null, null,
       coalesce(r.counted, false), coalesce(r.blocks or r.blocked_by, false), coalesce(r.mutes, false)::int, 0, 0,
       null, 0, null
  from people
  join graph.relation r on r.from_id = %(viewer)s::uuid and r.to_id = people.user_id
 where not exists (select from graph.erased e where e.user_id = r.to_id)
union all
select 3, uuid_send(author_id), null, null, null, null, null, day, weight, 0, null, 0, null
  from counters.affinity
 where viewer_id = %(viewer)s::uuid and author_id = any(%(people)s::uuid[])
union all
select 3, uuid_send(each.author_id), null, null, null, null, null, each.day, each.weight, 0, null, 0, null
  from missing_people
 cross join lateral (select author_id, day, weight from counters.affinity a
                      where a.viewer_id = %(viewer)s::uuid and a.author_id = missing_people.user_id) each
 where missing_people.user_id <> all(%(people)s::uuid[])
union all
select 4, uuid_send(h.post_id), uuid_send(n.share_id), null, null, null, null, 0, 0, 0, null, 0, null
  from h"""
    + NEWEST_SHARE_SQL
    + """
 where n.share_id is not null"""
)


class Kind(NamedTuple):
    """What the rules ask of a post besides whose it is: the same for many posts of an author."""

    visibility: str
    author_private: bool
    reply_to_author_id: str | None
    is_reply: bool
    moderation: str | None
    author_away: bool


class PostFacts(msgspec.Struct, frozen=True, gc=False):
    """What everybody sees alike of a post that is there; `published_at` in microseconds since 1970."""

    post_id: str
    author_id: str
    kind: Kind
    published_at: int
    likes: int
    comments: int
    shares: int
    moderation_score: int


class Relation(NamedTuple):
    """What the reader is to somebody; `blocked` is whether either blocks the other."""

    follows: bool = False
    blocked: bool = False
    mutes: bool = False


NO_RELATION = Relation()


class Standing(msgspec.Struct, frozen=True, gc=False):
    """Where a post stands for one reader, if anywhere, and what ranking needs of it."""

    standing_id: str | None
    facts: PostFacts
    weights: Sequence[tuple[int, int]]  # of affinity: (UTC day, weight)

    @property
    def post_id(self) -> str:
        return self.facts.post_id


class _Seen(NamedTuple):
    """One kind of an author's posts before one reader, as the rules ask (posts/rules.py)."""

    author_id: str
    visibility: str
    author_private: bool
    reply_to_id: str | None
    reply_to_author_id: str | None
    follows_author: bool
    hidden: bool
    muted: bool
    follows_replied_to: bool
    moderation: str | None
    author_away: bool


class _Kept:
    """Facts for at most twice `seconds`: what was read in this stretch of time, and in the one before it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._young: dict[str, PostFacts] = {}
        self._old: dict[str, PostFacts] = {}
        self._until = 0.0

    def get(self, posts: Iterable[str]) -> dict[str, PostFacts]:
        now = time.monotonic()
        if now >= self._until or len(self._young) > KEPT_MAX:
            with self._lock:
                if now >= self._until or len(self._young) > KEPT_MAX:
                    self._old = self._young if now < self._until + self._seconds else {}
                    self._young, self._until = {}, now + self._seconds
        young, old = self._young, self._old
        found = {}
        for post in posts:
            facts = young.get(post) or old.get(post)
            if facts is not None:
                found[post] = facts
        return found

    def keep(self, facts: Mapping[str, PostFacts]) -> None:
        self._young.update(facts)


@lru_cache(maxsize=1)
def _kept() -> _Kept:
    return _Kept(environment().ranking_cache_seconds / 2)


def standings(
    viewer_id: UUID,
    posts: Collection[str],
    as_of: str | None,
    shared: Set[str] = frozenset(),
    *,
    fresh: bool = False,
    admitting: bool = False,
) -> dict[str, Standing]:
    """These posts that are there. No share newer than `as_of` counts; `shared` are posts of which one is known.

    `fresh`: nothing that was kept is used. `admitting`: raises Unauthenticated when the reader is erased, away, or
    nobody.
    """
    facts = {} if fresh else _kept().get(posts)
    people, asked_shares = set(), []
    for post, each in facts.items():
        people.add(each.author_id)
        if each.kind.reply_to_author_id is not None:
            people.add(each.kind.reply_to_author_id)
        if each.shares or post in shared:
            asked_shares.append(post)
    missing = [post for post in posts if post not in facts] if len(facts) < len(posts) else []
    rows = database.rows(
        STANDINGS_SQL,
        {
            "viewer": viewer_id,
            "missing": database.array(missing),
            "people": database.array(people),
            "shared": database.array([*asked_shares, *(post for post in missing if post in shared)]),
            "as_of": as_of,
            "last": LAST_ID,
        },
    )
    relations, weights, shares = _sorted_out(rows, facts, admitting)
    return _placed(viewer_id.hex, facts, relations, weights, shares)


def _sorted_out(
    rows: Iterable[Any], facts: dict[str, PostFacts], admitting: bool
) -> tuple[dict[str, Relation], dict[str, list[tuple[int, int]]], dict[str, str]]:
    """By person, by author, by post; adds the posts among the rows to `facts`, and keeps them."""
    relations: dict[str, Relation] = {}
    weights: dict[str, list[tuple[int, int]]] = {}
    shares: dict[str, str] = {}
    read: dict[str, PostFacts] = {}
    for kind, one, other, third, visibility, yes, also, first, second, last, moderation, score, gone in rows:
        if kind == AFFINITY:
            weights.setdefault(one.hex(), []).append((first, second))
        elif kind == RELATION:
            relations[one.hex()] = Relation(yes, also, bool(first))
        elif kind == POST:
            post = one.hex()
            kind_of_post = Kind(visibility, yes, third.hex() if third is not None else None, also, moderation, gone)
            published_at = time_of(UUID(bytes=one))
            read[post] = PostFacts(post, other.hex(), kind_of_post, published_at, first, second, last, score)
        elif kind == SHARE:
            shares[one.hex()] = other.hex()
        elif admitting and (also or not yes):
            raise Unauthenticated("The bearer of this token is not here any more" if also else NOT_KNOWN)
    facts.update(read)
    _kept().keep(read)
    return relations, weights, shares


NOT_KNOWN = "The bearer of this token is not known here"


def _placed(
    viewer: str,
    facts: Mapping[str, PostFacts],
    relations: Mapping[str, Relation],
    weights: Mapping[str, list[tuple[int, int]]],
    shares: Mapping[str, str],
) -> dict[str, Standing]:
    shown: dict[tuple[str, Kind], Shown] = {}
    placed = {}
    for post, each in facts.items():
        author = each.author_id
        key = (author, each.kind)
        found = shown.get(key)
        if found is None:
            found = shown[key] = shown_to(_seen(author, each.kind, relations), viewer)
        placed[post] = Standing(found.standing(post, shares.get(post)), each, weights.get(author, ()))
    return placed


def _seen(author: str, kind: Kind, relations: Mapping[str, Relation]) -> _Seen:
    follows, blocked, mutes = relations.get(author, NO_RELATION)
    replied_to = kind.reply_to_author_id
    return _Seen(
        author, kind.visibility, kind.author_private, author if kind.is_reply else None, replied_to,
        follows, blocked, mutes, replied_to is not None and relations.get(replied_to, NO_RELATION).follows,
        kind.moderation, kind.author_away,
    )  # fmt: skip
