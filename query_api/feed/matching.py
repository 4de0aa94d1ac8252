"""The items of a home feed that a query matches: by the post's text, by what it quotes, or by a name.

A query is looked for in two ways. The newest items of the feed are walked and each is judged, which finds a common word
at once. Where few matched, the posts and people that match are looked up in their indexes, and of these what stands in
the feed. What is rare in the feed and common elsewhere is walked for to the end, in longer slices. So no more is read
than the matches, up to MATCHES_PER_SLICE first slices of them, or the reader's own feed. Each item that is shown was
judged by one and the same statement.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import LiteralString, NamedTuple
from uuid import UUID

from query_api import database
from query_api.feed.candidates import followees
from query_api.feed.home import HomeSkeleton
from query_api.feed.placing import Candidates, Row
from query_api.posts.queries import hydrate
from query_api.posts.rules import may_see
from query_api.search.queries import named_like, pattern, words_of
from shared.environment import environment
from shared.feed_item import FeedMember
from shared.position import Position

RARE = 16  # less than one item in so many: looking the matches up takes less time than walking on
MATCHES_PER_SLICE = 250  # of so many first slices' posts or people, matches are looked up, of more they are walked for
WIDENED = 4  # by how much each further slice of these is longer than the one before
SLICES_MAX = 16  # the longest is so many first ones
ROUNDS_MAX = 1000  # a page of matches is short only where there are no more

# `quoted_id` is there where nothing but what the post quotes matches: then the reader must be able to see that too.
JUDGED_SQL: LiteralString = (
    """
with asked as materialized (
    select websearch_to_tsquery('simple', %(query)s) as words
     where querytree(websearch_to_tsquery('simple', %(query)s)) not in ('', 'T'))
select w.nth::int as nth, case when coalesce("""
    + words_of("p")
    + " @@ (select words from asked), false) or coalesce("
    + named_like("a")
    + ", false) or coalesce("
    + named_like("s")
    + """, false) then null else uuid_send(t.post_id) end as quoted_id
  from unnest(%(items)s::uuid[], %(posts)s::uuid[]) with ordinality as w (item_id, post_id, nth)
  join posts.post p on p.post_id = w.post_id
  left join profiles.person a on a.user_id = p.author_id
  left join counters.share h on w.item_id <> w.post_id and h.post_id = w.post_id and h.share_id = w.item_id
  left join profiles.person s on s.user_id = h.actor_id
  left join posts.post t on t.post_id = p.quote_of_id and """
    + words_of("t")
    + """ @@ (select words from asked)
 where t.post_id is not null or """
    + words_of("p")
    + " @@ (select words from asked) or "
    + named_like("a")
    + " or "
    + named_like("s")
)

# Ids as one text each, since they only go back to where they came from. `offset 0` keeps what looks for quotes
# look-ups: the planner would read all quotes there are.
MATCHES_SQL: LiteralString = (
    """
with texts as materialized (
    select p.post_id from posts.post p
     where """
    + words_of("p")
    + """ @@ websearch_to_tsquery('simple', %(query)s)
       and querytree(websearch_to_tsquery('simple', %(query)s)) not in ('', 'T')
     limit %(matches)s + 1),
quoting as materialized (
    select quote.post_id
      from texts
     cross join lateral (select p.post_id from posts.post p where p.quote_of_id = texts.post_id offset 0) quote
     where (select count(*) from texts) <= %(matches)s
     limit %(matches)s + 1),
named as materialized (
    select a.user_id from profiles.person a where """
    + named_like("a")
    + """ limit %(matches)s + 1),
few as materialized (
    select greatest((select count(*) from texts), (select count(*) from quoting), (select count(*) from named))
               <= %(matches)s as are_all)
select are_all,
       case when are_all then (
           select array_agg(post_id)::text from (select post_id from texts union select post_id from quoting) each)
       end as posts,
       case when are_all then (select array_agg(user_id)::text from named) end as people
  from few"""
)

# Planned with its parameters at hand: whether the matches or the reader's own posts and shares are fewer, differs.
FOUND_SQL: LiteralString = """
with named as materialized (
    select user_id from unnest(%(named)s::uuid[]) as n (user_id)),
found as (
    select p.post_id as item_id, p.post_id
      from unnest(%(posts)s::uuid[]) as m (post_id) join posts.post p on p.post_id = m.post_id
     where p.author_id = any(%(people)s::uuid[] || %(viewer)s::uuid)
    union
    select h.share_id, h.post_id
      from unnest(%(posts)s::uuid[]) as m (post_id) join counters.share h on h.post_id = m.post_id
     where h.actor_id = any(%(people)s::uuid[]) and h.active
    union
    select h.share_id, h.post_id
      from named join counters.share h on h.author_id = named.user_id
     where h.actor_id = any(%(people)s::uuid[]) and h.active
    union
    select each.post_id, each.post_id
      from named
     cross join lateral (
        select p.post_id from posts.post p
         where p.author_id = named.user_id and p.post_id < %(before)s::uuid
           and p.post_id <> all(%(settled)s::uuid[])
         order by p.post_id desc limit %(limit)s) each
     where named.user_id = any(%(people)s::uuid[] || %(viewer)s::uuid)
    union
    select each.share_id, each.post_id
      from named
     cross join lateral (
        select h.share_id, h.post_id from counters.share h
         where h.actor_id = named.user_id and h.active and h.share_id < %(before)s::uuid
           and h.post_id <> all(%(settled)s::uuid[])
         order by h.share_id desc limit %(limit)s) each
     where named.user_id = any(%(people)s::uuid[]))
select uuid_send(item_id) as item_id, uuid_send(post_id) as post_id
  from found
 where item_id < %(before)s::uuid and post_id <> all(%(settled)s::uuid[])
 order by found.item_id desc limit %(limit)s"""


@dataclass(frozen=True)
class Query:
    """What a reader looks for in their feed; `text` is neither empty nor longer than a search may be."""

    text: str

    @cached_property
    def pattern(self) -> str | None:
        """What a name must be like, as where people are searched; None when nothing is left of it."""
        name = self.text.removeprefix("@").strip()
        return pattern(name) if name else None

    @property
    def parameters(self) -> dict[str, str | None]:
        return {"query": self.text, "pattern": self.pattern}


class Matches(NamedTuple):
    """Posts whose text, or what they quote, matches, and people by their names: arrays as PostgreSQL writes them."""

    posts: str
    people: str


class MatchingSkeleton(HomeSkeleton):
    """The candidates of a home feed that match. Only what `kept` keeps of the rows made of them is to be shown."""

    rounds_max = ROUNDS_MAX

    def __init__(
        self,
        viewer_id: UUID,
        query: Query,
        demanded: Position | None = None,
        as_of: str | None = None,
        from_redis: bool = True,
    ) -> None:
        super().__init__(viewer_id, demanded, as_of, from_redis)
        self._query = query
        self._verdicts: dict[str, bool] = {}
        self._slice = self._slice_min = environment().ranked_items_max
        self._is_rare = False

    def __call__(self, before: str | None, limit: int, settled: Set[str]) -> Candidates:
        items: list[FeedMember] = []
        reached = before
        while True:
            if self._is_rare and reached is not None and self._matches is not None:
                found = self._looked_up(self._matches, reached, limit - len(items), settled)
                return Candidates(items + found.items, found.reached)
            walked = super().__call__(reached, self._slice, settled)
            matching = self._matching([each for each in walked.items if each.post_id not in settled])
            items += matching
            reached = walked.reached
            if reached is None or len(items) >= limit:
                return Candidates(items, reached)
            self._look_further(len(walked.items), len(matching), limit - len(items))

    def kept(self, rows: Mapping[str, Row]) -> dict[str, Row]:
        self._judge([FeedMember(row.standing_id, post) for post, row in rows.items() if row.standing_id is not None])
        return {
            post: row for post, row in rows.items() if row.standing_id is not None and self._verdicts[row.standing_id]
        }

    def _look_further(self, walked: int, matched: int, missing: int) -> None:
        self._is_rare = matched * RARE <= walked
        # A quarter more, so that the last few do not cost another slice.
        wanted = self._slice * WIDENED if self._is_rare else missing * walked * 5 // (matched * 4)
        self._slice = max(self._slice_min, min(wanted, SLICES_MAX * self._slice_min))

    def _looked_up(self, matches: Matches, before: str, limit: int, settled: Set[str]) -> Candidates:
        parameters = {
            "viewer": self.viewer_id,
            "people": self._followees,
            "before": before,
            "settled": database.array(settled),
            "limit": limit,
            "posts": matches.posts,
            "named": matches.people,
        }
        rows = database.rows(FOUND_SQL, parameters, prepare=False)
        items = [FeedMember(item_id.hex(), post_id.hex()) for item_id, post_id in rows]
        self.shared.update(item.post_id for item in items if item.item_id != item.post_id)
        return Candidates(self._matching(items), items[-1].item_id if len(items) == limit else None)

    @cached_property
    def _matches(self) -> Matches | None:
        """All posts and people that match; None when they are too many."""
        asked = {"matches": MATCHES_PER_SLICE * self._slice_min, **self._query.parameters}
        (row,) = database.rows(MATCHES_SQL, asked, prepare=False)
        return Matches(row.posts or "{}", row.people or "{}") if row.are_all else None

    @cached_property
    def _followees(self) -> list[UUID]:
        return followees(self.viewer_id)

    def _matching(self, items: Sequence[FeedMember]) -> list[FeedMember]:
        self._judge(items)
        return [item for item in items if self._verdicts[item.item_id]]

    def _judge(self, items: Sequence[FeedMember]) -> None:
        asked = [item for item in items if item.item_id not in self._verdicts]
        if not asked:
            return
        parameters = {
            "items": database.array(item.item_id for item in asked),
            "posts": database.array(item.post_id for item in asked),
            **self._query.parameters,
        }
        rows = database.rows(JUDGED_SQL, parameters)
        by_quoted = {row.nth: UUID(bytes=row.quoted_id) for row in rows if row.quoted_id is not None}
        quoted = hydrate(list({*by_quoted.values()}), self.viewer_id) if by_quoted else {}
        seen = {post_id for post_id, row in quoted.items() if may_see(row, self.viewer_id)}
        self._verdicts.update((item.item_id, False) for item in asked)
        for row in rows:
            if row.quoted_id is None or by_quoted[row.nth] in seen:
                self._verdicts[asked[row.nth - 1].item_id] = True
