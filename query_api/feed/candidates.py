"""Home feed candidates from PostgreSQL: they go on below a warm feed's floor, fill a cold one, stand in for Redis."""

from typing import LiteralString
from uuid import UUID

from query_api import database
from query_api.posts.queries import LAST_ID

# Whoever is muted brings nothing, so that they do not take others' room in a warm feed.
FOLLOWEES_SQL: LiteralString = """
select f.to_id from graph.relation f
 where f.from_id = %(viewer)s and f.follows and f.counted and f.mutes is not true
   and not exists (select from graph.erased e where e.user_id = f.to_id)"""

# The newest posts of each source are merged. Each source first gives a few; only one whose few are all newer than the
# cut could have more to give above it, and is asked again. Otherwise a reader of a thousand people would sort eight
# hundred of each. Measured with 1,045 followees and 40,000 posts: 17 ms for 800 items; with 44 followees below 1 ms.
HOME_SQL: LiteralString = (
    """
with sources as (
    select %(viewer)s::uuid as author_id
    union"""
    + FOLLOWEES_SQL
    + """),
first as materialized (
    select s.author_id, few.post_id, few.nth
      from sources s
     cross join lateral (
        select p.post_id, row_number() over (order by p.post_id desc) as nth
          from posts.post p
         where p.author_id = s.author_id and p.post_id < coalesce(%(before)s::uuid, %(last)s::uuid)
         order by p.post_id desc limit %(few)s) few),
cut as materialized (
    select coalesce((select post_id from first order by post_id desc offset %(limit)s - 1 limit 1),
                    '00000000-0000-0000-0000-000000000000'::uuid) as post_id),
merged as (
    select post_id from first
    union all
    select more.post_id
      from first f
     cross join cut
     cross join lateral (
        select p.post_id from posts.post p
         where p.author_id = f.author_id and p.post_id < f.post_id and p.post_id > cut.post_id
         order by p.post_id desc limit %(limit)s) more
     where f.nth = %(few)s and f.post_id > cut.post_id)
select post_id from merged order by post_id desc limit %(limit)s"""
)

FEW = 12


def followees(viewer_id: UUID) -> list[UUID]:
    return [row.to_id for row in database.rows(FOLLOWEES_SQL, {"viewer": viewer_id})]


def home_candidates(viewer_id: UUID, before: UUID | None, limit: int) -> list[UUID]:
    """The newest posts by V and those V follows and does not mute, older than `before`.

    Fewer than `limit` only at the end.
    """
    found = database.rows(
        HOME_SQL,
        {"viewer": viewer_id, "before": before, "last": LAST_ID, "limit": limit, "few": min(limit, FEW)},
    )
    return [row.post_id for row in found]
