"""Claim: whatever was done to an id's rows behind the projectors' back (values, rows that are missing, rows that nobody
made, counts), `rookery repair` makes them what the log says and touches nothing else, while workers go on; nobody
erased comes back; what has no sense is refused in one line.

Oracle: the reference model of `rookery verify` and all tables as they were before; `recounted` where events keep
coming; the damage that the test itself did. Real Kafka, registry, PostgreSQL and Redis, and the command. Cannot catch:
damage to `position` or `gone`, by which a repair goes.
"""

import asyncio
import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from projectors.counters.fold import PROJECTION as COUNTERS
from projectors.runtime.apply import column_types
from projectors.runtime.digests import compared
from projectors.runtime.lag import wait_until_caught_up
from projectors.runtime.repairing import repair as repair_in_process
from schemas.types import Event, UserErased
from shared.environment import REPOSITORY, Environment
from shared.ids import time_of
from tests.model.installation import Installation
from tests.model.test_verify import random_script, verify
from tests.properties.histories import PEOPLE, society
from tests.properties.projections import POSTGRES_PROJECTIONS
from tests.runtime.engine import Engine, Ids, Log, own_engine
from tests.runtime.history import Town, counted, recounted
from tests.runtime.workers import Workers, wait_until

NOTHING, REFUSED, MENDED = 0, 2, 3
LOSE_LIKES = """delete from counters.reaction where ctid in
                  (select ctid from counters.reaction where actor_id = %s and active limit 5) returning post_id"""


@pytest.fixture(scope="module")
def installation(servers: Environment, scratch_database: str) -> Iterator[Installation]:
    made = Installation(servers, scratch_database)
    made.make()
    made.append(society([True] * PEOPLE, random_script(random.Random(7))))
    asyncio.run(made.project())
    yield made
    made.drop()


@pytest.fixture
def engine(servers: Environment) -> Iterator[Engine]:
    with own_engine(COUNTERS) as made:
        yield made


def repair(variables: Mapping[str, str], *arguments: str, expect: int) -> dict[str, Any]:
    """What the command answers; the words on standard error where it answers nothing."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli.main", "repair", *arguments, "--json"],
        cwd=REPOSITORY, env=dict(variables), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == expect, f"{arguments}: {done.returncode}\n{done.stderr[-3000:]}{done.stdout[-2000:]}"
    answer: dict[str, Any] = json.loads(done.stdout) if done.stdout else {"refused": done.stderr}
    return answer


def tables_of(url: str, name: str) -> dict[str, list[tuple[Any, ...]]]:
    """All that can be seen of a projection, a row of zeros being none."""
    with psycopg.connect(url, autocommit=True) as connection:
        return {
            what.table: sorted(
                connection.execute(
                    f"select {', '.join(f't.{c}::text' for c in (*what.key, *what.columns))}"
                    f" from ({what.rows(name)}) as t".encode()
                ).fetchall(),
                key=str,
            )
            for what in compared(POSTGRES_PROJECTIONS[name], ())
        }


# What is damaged of whose rows: an id, found by a query, and statements that hold it as {key}. Each changes a value,
# loses a row, or makes one, in every table that the id is found in; and wherever there are counts, one of them.
DAMAGE: dict[str, list[tuple[str, list[str]]]] = {
    "profiles": [
        (
            "select user_id from profiles.person where username is not null order by 1 limit 1",
            ["update profiles.person set username = 'mallory', bio = null, bio_event = null where user_id = '{key}'"],
        ),
        (
            "select user_id from profiles.person where username is not null order by 1 offset 1 limit 1",
            ["delete from profiles.person where user_id = '{key}'"],
        ),
    ],
    "graph": [
        (
            "select from_id from graph.relation where counted group by 1 order by count(*) desc, 1 limit 1",
            [
                "delete from graph.relation where ctid in"
                " (select ctid from graph.relation where from_id = '{key}' and counted limit 1)",
                "update graph.relation set blocks = true where to_id = '{key}' and from_id in"
                " (select from_id from graph.relation where to_id = '{key}' order by 1 limit 1)",
                "insert into graph.relation (from_id, to_id, follows, follow_event)"
                " values ('{key}', '{other}', true, '{other}')",
                "update graph.person_count set following = following + 7 where user_id = '{key}'",
            ],
        )
    ],
    "posts": [
        (
            "select post_id from posts.comment join posts.post using (post_id) where deleted_event is null"
            " group by 1 order by count(*) desc, 1 limit 1",
            [
                "update posts.post set content = 'not what they wrote' where post_id = '{key}'",
                "delete from posts.comment where ctid in"
                " (select ctid from posts.comment where post_id = '{key}' limit 1)",
                "insert into posts.post_version (post_id, version_id) values ('{key}', '{other}')",
                "insert into posts.comment (comment_id, post_id, place_event, author_id)"
                " select '{other}', '{key}', '{other}', author_id from posts.post where post_id = '{key}'",
            ],
        ),
        (
            "select author_id from posts.post where visibility is not null group by 1 order by count(*) desc limit 1",
            [
                "update posts.post set author_id = '{other}' where ctid in"
                " (select ctid from posts.post where author_id = '{key}' limit 1)",
                # Somebody else's by the log: the author is given what is not theirs.
                "update posts.post set author_id = '{key}' where ctid in (select ctid from posts.post"
                " where author_id not in ('{key}', '{other}') order by post_id limit 1)",
            ],
        ),
    ],
    "counters": [
        (
            "select post_id from counters.reaction where active group by 1 order by count(*) desc, 1 limit 1",
            [
                "delete from counters.reaction where ctid in"
                " (select ctid from counters.reaction where post_id = '{key}' and active limit 1)",
                "update counters.reaction set reaction = 'angry' where ctid in"
                " (select ctid from counters.reaction where post_id = '{key}' and active limit 1)",
                "insert into counters.reaction (post_id, actor_id, edge_event, active, reaction, author_id, day)"
                " select '{key}', '{other}', '{other}', true, 'like', author_id, day from counters.reaction"
                " where post_id = '{key}' limit 1",
                "update counters.post_count set likes = likes + 3, comments = 99 where post_id = '{key}'",
                "delete from counters.reaction_count where post_id = '{key}'",
                "insert into counters.reaction_count values ('{key}', 'bogus', 4)",
            ],
        ),
        (
            "select author_id from counters.post where counted group by 1 order by count(*) desc, 1 limit 1",
            [
                "update counters.person_count set posts = 0 where user_id = '{key}'",
                "delete from counters.share where actor_id = '{key}'",
                "update counters.bookmark set active = not active where actor_id = '{key}'",
                "update counters.comment set day = day + 1 where ctid in"
                " (select ctid from counters.comment where author_id = '{key}' and counted limit 1)",
                "delete from counters.post where ctid in"
                " (select ctid from counters.post where author_id = '{key}' and counted limit 1)",
            ],
        ),
    ],
    "notifications": [
        (
            "select recipient_id from notifications.notification where active"
            " group by 1 order by count(*) desc limit 1",
            [
                "update notifications.notification set active = not active where ctid in"
                " (select ctid from notifications.notification where recipient_id = '{key}' limit 1)",
                "delete from notifications.notification where ctid in"
                " (select ctid from notifications.notification where recipient_id = '{key}' limit 2)",
                "insert into notifications.notification (recipient_id, id, read_event)"
                " values ('{key}', '{other}', '{other}')",
                "update notifications.read_mark set mark_event = '{other}' where recipient_id = '{key}'",
                "delete from notifications.silence where recipient_id = '{key}'",
            ],
        )
    ],
}  # fmt: skip


def test_every_projections_damage_is_mended_and_nothing_else_is_touched(installation: Installation) -> None:
    url = installation.environment.read_database_url
    assert set(DAMAGE) == set(POSTGRES_PROJECTIONS)
    for name, damages in DAMAGE.items():
        before = tables_of(url, name)
        for query, statements in damages:
            with psycopg.connect(url, autocommit=True) as connection:
                found = connection.execute(query.encode()).fetchone()
                assert found is not None, query
                key, wrong = found[0], 0
                frames = connection.execute("select count(*) from delivery.frame").fetchone()
                assert repair(installation.variables, name, "--key", str(key), expect=NOTHING)["differences"] == []
                for statement in statements:
                    text = statement.replace("{key}", str(key)).replace("{other}", str(uuid4()))
                    wrong += (changed := connection.execute(text.encode()).rowcount)
                    assert changed, f"this did no damage: {text}"
            damaged = tables_of(url, name)
            told = repair(installation.variables, name, "--key", str(key), "--dry-run", expect=MENDED)
            assert tables_of(url, name) == damaged
            report = repair(installation.variables, name, "--key", str(key), expect=MENDED)
            assert report["differences"] == told["differences"] and len(report["differences"]) >= wrong / 2
            assert {each["table"] for each in report["differences"]} >= {
                table for table in before if before[table] != damaged[table]
            }
            assert tables_of(url, name) == before
            assert repair(installation.variables, name, "--key", str(key), expect=NOTHING)["changed"] is False
            with psycopg.connect(url, autocommit=True) as connection:
                assert connection.execute("select count(*) from delivery.frame").fetchone() == frames
    status, report, errors = verify(installation)
    assert status == 0, json.dumps(report.get("first_differences"), indent=1) + errors


def test_of_one_edge_only_that_is_mended(installation: Installation) -> None:
    url = installation.environment.read_database_url
    before = tables_of(url, "counters")
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(
            "select post_id, actor_id from counters.reaction where active order by 1, 2 limit 2"
        ).fetchall()
        (post, actor), (other_post, other_actor) = rows
        connection.execute("delete from counters.reaction where (post_id, actor_id) = (%s, %s)", (post, actor))
        connection.execute(
            "update counters.reaction set reaction = 'sad' where (post_id, actor_id) = (%s, %s)",
            (other_post, other_actor),
        )
    report = repair(installation.variables, "counters", "--key", f"like:{post}:{actor}", expect=MENDED)
    [difference] = [each for each in report["differences"] if each["table"] == "reaction"]
    assert difference["key"] == {"post_id": str(post), "actor_id": str(actor)} and difference["before"] is None
    assert difference["after"]["active"] == "true"
    assert tables_of(url, "counters")["reaction"] != before["reaction"]
    repair(installation.variables, "counters", "--key", f"like:{other_post}:{other_actor}", expect=MENDED)
    assert tables_of(url, "counters") == before


def test_what_has_no_sense_is_refused_in_one_line(installation: Installation) -> None:
    for arguments, word in (
        (("nothing", "--key", str(uuid4())), "no projection"),
        (("counters", "--key", "ada"), "is no key"),
        (("counters", "--key", f"like:{uuid4()}"), "is no key"),
        (("counters", "--key", str(uuid4())), "knows nothing of"),
        (("feed", "--key", "ada"), "is no"),
        (("feed", "--key", str(uuid4())), "knows nothing of"),
    ):
        refused = repair(installation.variables, *arguments, expect=REFUSED)["refused"]
        assert word in refused and len(refused.strip().splitlines()) == 1, refused


def test_columns_of_the_damage_are_all_there_are() -> None:
    """A table that no damage names would be mended by nobody's proof."""
    text = json.dumps(DAMAGE)
    for name, projection in POSTGRES_PROJECTIONS.items():
        for table in projection.tables:
            assert f"{name}.{table.name} " in text and column_types(table)
        for counts in projection.count_tables:
            # Nothing is counted into a comment's likes yet, and its replies are counted like a post's comments.
            assert f"{name}.{counts.name} " in text or counts.name == "comment_count"


def test_while_events_keep_coming_nothing_is_lost_and_nobody_erased_comes_back(
    engine: Engine, workers: Workers
) -> None:
    town = Town(Ids(31), 40)
    events = list(town.events(4_000))
    event_id = town.ids()
    erased = town.people[0]
    events.append(UserErased(event_id=event_id, occurred_at=time_of(event_id), subject_id=erased))
    log = Log(engine.environment)
    log.append(events)
    live = [workers.start(), workers.start()]
    caught_up(engine, workers)
    stop = threading.Event()

    def append() -> None:
        own = Log(engine.environment)
        while not stop.is_set():
            some: list[Event] = list(town.events(40))
            own.append(some)
            events.extend(some)
            stop.wait(0.02)

    thread = threading.Thread(target=append, daemon=True)
    thread.start()
    try:
        for person in town.people[1:5]:
            posts = engine.rows(LOSE_LIKES, person)
            engine.execute(f"update counters.person_count set posts = posts + 5 where user_id = '{person}'")
            engine.execute(f"update counters.comment set day = day + 1 where author_id = '{person}'")
            report = repair(engine.environ, "counters", "--key", str(person), expect=MENDED)
            assert "person_count" in {each["table"] for each in report["differences"]}
            assert report["locked_seconds"] < 5
            # Somebody whose like was lost may have liked again before it was mended: their row was right by itself
            # then, and what the post counts is another id's.
            for (post,) in posts:
                mended = repair_in_process(COUNTERS, str(post), engine.environment, lambda *_: None)
                assert all(each.before is not None for each in mended.differences), "the likes were mended already"
    finally:
        stop.set()
        thread.join()
    caught_up(engine, workers)
    swept(engine)
    assert [worker.process.poll() for worker in live] == [None, None]
    assert counted(engine) == recounted(events)
    assert of_person(engine, erased) == 0
    # What somebody puts back of an erased person is nobody's to mend, and is not shown.
    report = repair(engine.environ, "counters", "--key", str(erased), expect=NOTHING)
    assert report["records"] > 0 and of_person(engine, erased) == 0


def caught_up(engine: Engine, workers: Workers) -> None:
    done = asyncio.run(wait_until_caught_up(engine.environment, 60, projections=[COUNTERS]))
    assert done, "\n".join(worker.text() for worker in workers.all)


def swept(engine: Engine) -> None:
    undone = "select 1 from counters.erased where done_at is null union all select 1 from counters.gone"
    wait_until(30, lambda: engine.rows(f"{undone} where done_at is null") == [])


def of_person(engine: Engine, person: UUID) -> int:
    return sum(
        engine.rows(f"select count(*) from counters.{table} where %s in ({columns})", person)[0][0]
        for table, columns in (("reaction", "actor_id, author_id"), ("comment", "author_id"), ("post", "author_id"))
    )
