"""Where candidates stand in a reader's feed and what ranking needs of them: one statement, however many they are.

What everybody sees alike of a post (whose it is, to whom it may be shown, how much it is liked) is kept in the process
for a few seconds, since the same posts stand in many feeds. What is the reader's own comes from the statement each
time: whom they follow, mute and block among these authors, how much they have liked them, and which shares reach them.
A page's own posts are read anew when it is built (queries.home_rows), so what is kept moves no more than an order.
Ids are hex digits, as in feed/placing.py.
"""

import struct
from collections.abc import Collection, Mapping, Sequence, Set
from functools import lru_cache
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

import msgspec

from query_api import database
from query_api.consistency import AWAY_SQL, ERASED_SQL, KNOWN_SQL
from query_api.feed.ranking import MILLION, OWN_AFFINITY, Candidate, affinity, engagement
from query_api.feed.rules import Shown, shown_to
from query_api.feed.sharing import NEWEST_SHARE_SQL
from query_api.kept import Kept
from query_api.posts.queries import PRESENT_SQL
from query_api.profiles.standing import away
from shared.environment import environment
from shared.errors import Unauthenticated
from shared.ids import LAST_ID, time_of

KEPT_MAX = 100_000  # posts, some 300 bytes each

# One row says whether the reader is there and, packed into one value each, what the reader is to people, how much
# they have engaged with authors, and the newest shares that bring posts: a row each would take longer to read than all
# the rest. The others are the posts that were not kept.
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
      left join counters.post_count c on c.post_id = w.post_id),
relations as (
    select string_agg(uuid_send(r.to_id) || int2send((coalesce(r.counted, false)::int
               + 2 * coalesce(r.blocks or r.blocked_by, false)::int + 4 * coalesce(r.mutes, false)::int)::int2), '')
      from people
      join graph.relation r on r.from_id = %(viewer)s::uuid and r.to_id = people.user_id
     where not exists (select from graph.erased e where e.user_id = r.to_id)),
weights as (
    select string_agg(uuid_send(author_id) || int4send(day) || int8send(weight), '')
      from (
        select author_id, day, weight
          from counters.affinity
         where viewer_id = %(viewer)s::uuid and author_id = any(%(people)s::uuid[])
        union all
        select each.author_id, each.day, each.weight
          from missing_people
         cross join lateral (select author_id, day, weight from counters.affinity a
                              where a.viewer_id = %(viewer)s::uuid and a.author_id = missing_people.user_id) each
         where missing_people.user_id <> all(%(people)s::uuid[])) each),
shares as (
    select string_agg(uuid_send(h.post_id) || uuid_send(n.share_id), '')
      from h"""
    + NEWEST_SHARE_SQL
    + """
     where n.share_id is not null)
select true as is_reader, (table relations) as one, (table weights) as other, (table shares) as third,
       null::text as visibility,"""
    + KNOWN_SQL
    + " as yes,"
    + ERASED_SQL
    + " or"
    + AWAY_SQL
    + """ as also, 0::bigint as likes, 0::bigint as comments, 0::bigint as shares, null::text as moderation,
       0::bigint as score, null::boolean as away
union all
select false, uuid_send(post_id), uuid_send(author_id), uuid_send(reply_to_author_id), visibility, private,
       reply_to_id is not null, likes, comments, shares, moderation, score, away
  from missing"""
)
RELATIONS = struct.Struct(">16sh")  # person, flags
WEIGHTS = struct.Struct(">16siq")  # author, UTC day, weight
SHARES = struct.Struct(">16s16s")  # post, share


class Kind(NamedTuple):
    """What the rules ask of a post besides whose it is and whom it answers: the same for nearly all of an author's."""

    visibility: str
    author_private: bool
    moderation: str | None
    author_away: bool


class PostFacts(msgspec.Struct, frozen=True, gc=False):
    """What everybody sees alike of a post that is there; `published_at` in microseconds since 1970.

    `replied_to` is the author whom it answers; empty where that is not known.
    """

    author_id: str
    kind: Kind
    replied_to: str | None
    published_at: int
    engagement: float
    shares: int
    moderation: float


class Relation(NamedTuple):
    """What the reader is to somebody; `blocked` is whether either blocks the other."""

    follows: bool = False
    blocked: bool = False
    mutes: bool = False


NO_RELATION = Relation()
RELATION_OF_FLAGS = [Relation(bool(flags & 1), bool(flags & 2), bool(flags & 4)) for flags in range(8)]


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


class _Author(NamedTuple):
    """An author before one reader: how posts of this kind are shown that answer nobody, and the affinity."""

    kind: Kind
    shown: Shown
    affinity: float


@lru_cache(maxsize=1)
def _kept() -> Kept[str, PostFacts]:
    return Kept(environment().ranking_cache_seconds, KEPT_MAX)


# There are few kinds; one object each makes comparing them cost nothing.
_kinds: dict[Kind, Kind] = {}


def standings(
    viewer_id: UUID,
    posts: Collection[str],
    as_of: str | None,
    shared: Set[str] = frozenset(),
    *,
    ranked_day: int = 0,
    fresh: bool = False,
    admitting: bool = False,
) -> dict[str, Candidate]:
    """Those of these posts that stand in V's feed, with what ranks them on that UTC day (days since 1970).

    No share newer than `as_of` counts; `shared` are posts of which one is known.
    `fresh`: nothing that was kept is used. `admitting`: raises Unauthenticated when the reader is erased, away, or
    nobody.
    """
    young, old = ({}, {}) if fresh else _kept().halves()
    facts: dict[str, PostFacts] = {}
    people, missing, asked_shares = set(), [], []
    for post in posts:
        each = young.get(post) or old.get(post)
        if each is None:
            missing.append(post)
            continue
        facts[post] = each
        people.add(each.author_id)
        if each.replied_to:
            people.add(each.replied_to)
        if each.shares or post in shared:
            asked_shares.append(post)
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
    return _placed(viewer_id.hex, facts, relations, weights, shares, ranked_day)


def _sorted_out(
    rows: Sequence[Any], facts: dict[str, PostFacts], admitting: bool
) -> tuple[dict[str, Relation], dict[str, list[tuple[int, int]]], dict[str, str]]:
    """By person, by author, by post; adds the posts among the rows to `facts`, and keeps them."""
    [reader] = (row for row in rows if row.is_reader)
    if admitting and (reader.also or not reader.yes):
        raise Unauthenticated("The bearer of this token is not here any more" if reader.also else NOT_KNOWN)
    people = RELATIONS.iter_unpack(reader.one or b"")
    relations = {person.hex(): RELATION_OF_FLAGS[flags] for person, flags in people}
    weights: dict[str, list[tuple[int, int]]] = {}
    for author, day, weight in WEIGHTS.iter_unpack(reader.other or b""):
        weights.setdefault(author.hex(), []).append((day, weight))
    shares = {post.hex(): share.hex() for post, share in SHARES.iter_unpack(reader.third or b"")}
    read = {row.one.hex(): _facts(row) for row in rows if not row.is_reader}
    facts.update(read)
    _kept().keep(read)
    return relations, weights, shares


def _facts(row: Any) -> PostFacts:
    kind = Kind(row.visibility, row.yes, row.moderation, row.away)
    return PostFacts(
        row.other.hex(),
        _kinds.setdefault(kind, kind),
        ("" if row.third is None else row.third.hex()) if row.also else None,
        time_of(UUID(bytes=row.one)),
        engagement(row.likes, row.comments, row.shares),
        row.shares,
        row.score / MILLION,
    )


NOT_KNOWN = "The bearer of this token is not known here"


def _placed(
    viewer: str,
    facts: Mapping[str, PostFacts],
    relations: Mapping[str, Relation],
    weights: Mapping[str, list[tuple[int, int]]],
    shares: Mapping[str, str],
    ranked_day: int,
) -> dict[str, Candidate]:
    authors: dict[str, _Author] = {}
    placed = {}
    for post, each in facts.items():
        name, kind = each.author_id, each.kind
        author = authors.get(name)
        if author is None or author.kind is not kind:
            warmth = OWN_AFFINITY if name == viewer else affinity(weights.get(name, ()), ranked_day)
            author = authors[name] = _Author(kind, _shown(viewer, name, kind, None, relations), warmth)
        shown = author.shown if each.replied_to is None else _shown(viewer, name, kind, each.replied_to, relations)
        standing_id = shown.standing(post, shares.get(post))
        if standing_id is not None:
            placed[post] = Candidate(
                standing_id, post, each.published_at, each.engagement, author.affinity, each.moderation, name
            )
    return placed


def _shown(viewer: str, author: str, kind: Kind, replied_to: str | None, relations: Mapping[str, Relation]) -> Shown:
    follows_replied_to = bool(replied_to) and relations.get(replied_to or "", NO_RELATION).follows
    relation = relations.get(author, NO_RELATION)
    return _shown_alike(
        kind, author == viewer, relation, replied_to is not None, replied_to == viewer, follows_replied_to
    )


@lru_cache(maxsize=10_000)
def _shown_alike(
    kind: Kind, is_own: bool, relation: Relation, is_reply: bool, answers_viewer: bool, follows_replied_to: bool
) -> Shown:
    """What the rules say (feed/rules.py), once for all posts and readers between whom all this is the same."""
    viewer, author, other = "viewer", "author", "other"
    visibility, private, moderation, away = kind
    follows, blocked, mutes = relation
    seen = _Seen(
        viewer if is_own else author, visibility, private,
        other if is_reply else None, viewer if answers_viewer else other if is_reply else None,
        follows, blocked, mutes, follows_replied_to, moderation, away,
    )  # fmt: skip
    return shown_to(seen, viewer)
