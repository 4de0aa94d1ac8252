"""No statement of explore, hashtags and search reads all posts or people, whether what it looks for is common or rare;
nor does what looks for it within a home feed.

Claim: with 100,000 posts and 20,000 people the planner reads none of these tables from end to end, and a first page
looks at few rows.
Oracle: PostgreSQL's own plans and counts of rows (EXPLAIN ANALYZE) on tables that it has analyzed.
Cannot catch: what a table ten thousand times as large would have it do.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest

from projectors.catalogue import PROJECTIONS
from projectors.runtime.prepare import prepare
from query_api.feed.explore import EXPLORE_SQL, TAGGED_SQL
from query_api.feed.matching import FOUND_SQL, JUDGED_SQL, MATCHES_SQL, Query
from query_api.search.queries import PEOPLE_SQL, POSTS_SQL, pattern
from shared import clock
from shared.environment import Environment
from shared.ids import LAST_ID, mint

POSTS, PEOPLE = 100_000, 20_000
MATCHES_MAX = 5_000  # as many are looked up
READ_MAX = 6_000  # rows of one node: some hundreds times a page, a twentieth of the table
DAY = 86_400_000_000

# Half of all posts have the tag `common` and a common word, one in a thousand `rare`; they come over four weeks.
POSTS_INSERT: LiteralString = """
insert into posts.post (post_id, author_id, visibility, created_at, created_event, content, hashtags, content_event)
select id, (select user_id from profiles.person offset 0 limit 1), 'public', now(), id,
       case n %% 2 when 0 then 'common ' else '' end || case n %% 1000 when 1 then 'rare ' else '' end
           || 'word' || n %% 5000,
       case when n %% 1000 = 1 then '{rare}' when n %% 2 = 0 then '{common}' else '{}' end::text[], id
  from (select n, (lpad(to_hex(%(first)s + n * %(step)s), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid as id
          from generate_series(0::bigint, %(posts)s - 1) n) each"""
PEOPLE_INSERT: LiteralString = """
insert into profiles.person (user_id, username, created_at, created_event, display_name)
select id, 'person' || n || md5(n::text), now(), id, md5((n + 7)::text)
  from (select n, gen_random_uuid() as id from generate_series(1, %s) n) each"""
# Who wrote all of it, and a thousand others.
FOLLOWEES_SQL: LiteralString = """
select author_id from (select author_id from posts.post offset 0 limit 1) one
union (select user_id from profiles.person limit 1000)"""


@pytest.fixture(scope="module")
def filled(servers: Environment, scratch_database: str) -> Iterator[psycopg.Connection[Any]]:
    own = replace(servers, read_database_url=scratch_database)
    asyncio.run(prepare(own, [each for each in PROJECTIONS if each.name in ("posts", "profiles", "graph", "counters")]))
    with psycopg.connect(scratch_database, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(PEOPLE_INSERT, (PEOPLE,))
        span = 28 * DAY // 1_000
        first = clock.now() // 1_000 - span
        connection.execute(POSTS_INSERT, {"first": first, "step": span // POSTS, "posts": POSTS})
        connection.execute("vacuum analyze")
        yield connection


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def check(connection: psycopg.Connection[Any], statement: LiteralString, parameters: dict[str, Any]) -> int:
    """Answers how many rows were found."""
    found = connection.execute("explain (analyze, format json) " + statement, parameters).fetchone()
    assert found is not None
    top = found[0][0]["Plan"]
    for node in nodes(top):
        assert not (node["Node Type"] == "Seq Scan" and node.get("Relation Name") in ("post", "person")), top
        read = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        assert read <= READ_MAX, (read, node["Node Type"], node.get("Index Name"))
    return int(top["Actual Rows"])


@pytest.mark.parametrize(("tag", "expected"), [("common", 21), ("rare", 21), ("none", 0)])
@pytest.mark.parametrize("before", [None, mint(clock.now() - 14 * DAY)])
def test_a_hashtag_s_posts(filled: psycopg.Connection[Any], tag: str, expected: int, before: UUID | None) -> None:
    assert check(filled, TAGGED_SQL, {"hashtag": tag, "before": before, "last": LAST_ID, "limit": 21}) == expected


@pytest.mark.parametrize("tag", [None, "common", "rare"])
def test_explore(filled: psycopg.Connection[Any], tag: str | None) -> None:
    parameters = {
        "viewer": uuid4(), "hashtag": tag, "before": None, "last": LAST_ID, "limit": 401,
        "since": mint(clock.now() - 7 * DAY, random=bytes(8)),
    }  # fmt: skip
    assert check(filled, EXPLORE_SQL, parameters) == (25 if tag == "rare" else 401)


@pytest.mark.parametrize(
    ("query", "expected"),
    [("common", 21), ("rare", 21), ("word7 rare", 0), ("nothing", 0), ("-rare", 0), ('"rare word1"', 20)],
)
def test_words(filled: psycopg.Connection[Any], query: str, expected: int) -> None:
    assert check(filled, POSTS_SQL, {"query": query, "before": None, "last": LAST_ID, "limit": 21}) == expected


@pytest.mark.parametrize(("query", "expected"), [("person12345", 1), ("person1234", 11), ("34567", None), ("zq", 0)])
def test_names(filled: psycopg.Connection[Any], query: str, expected: int | None) -> None:
    parameters = {"name": query, "pattern": pattern(query), "place": -1, "after": "", "limit": 21}
    found = check(filled, PEOPLE_SQL, parameters)
    assert expected is None or found == expected


@pytest.mark.parametrize(
    ("query", "matching", "expected"),
    [("rare", 100, 23), ("word7", 20, 20), ("nothing", 0, 0), ("-rare", 0, 0), ("person1234", 0, 0), ("zq", 0, 0)],
)
def test_what_is_looked_for_in_a_home_feed(
    filled: psycopg.Connection[Any], query: str, matching: int, expected: int
) -> None:
    asked = {"matches": MATCHES_MAX, **Query(query).parameters}
    assert check(filled, MATCHES_SQL, asked) == 1
    found = filled.execute(MATCHES_SQL, asked).fetchone()
    assert found is not None and found[0] and len((found[1] or "{}").split(",")) == max(1, matching)
    people = [user_id for (user_id,) in filled.execute(FOLLOWEES_SQL)]
    parameters = {
        "viewer": uuid4(), "people": people, "before": LAST_ID, "settled": "{}", "limit": 23,
        "posts": found[1] or "{}", "named": found[2] or "{}",
    }  # fmt: skip
    assert check(filled, FOUND_SQL, parameters) == expected


def test_what_matches_too_often_is_not_read_to_its_end(filled: psycopg.Connection[Any]) -> None:
    found = filled.execute(MATCHES_SQL, {"matches": 1_000, **Query("common").parameters}).fetchone()
    assert found == (False, None, None)


def test_items_are_judged_one_by_one(filled: psycopg.Connection[Any]) -> None:
    posts = [post_id for (post_id,) in filled.execute("select post_id from posts.post order by post_id desc limit 400")]
    assert check(filled, JUDGED_SQL, {"items": posts, "posts": posts, **Query("common").parameters}) == 200
