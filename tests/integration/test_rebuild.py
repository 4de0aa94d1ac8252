"""Claim: a projection rebuilt beside the live one is the live one and what the log says, whatever kills the rebuild;
swapping it in, or the former one back, fails no read and loses no event, without a restart; nobody erased comes back.

Oracle: `recounted`, sets over the events produced; the rows of the live schema that a worker filled batch by batch.
Real Kafka, registry and PostgreSQL, real worker and rebuild processes, killed with -9. Cannot catch: what needs more
data than fits a test, or a server that crashes in the middle of a merge.
"""

import asyncio
import json
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from confluent_kafka import KafkaException

from projectors.counters.fold import PROJECTION
from projectors.runtime import set_aside
from projectors.runtime.lag import wait_until_caught_up
from projectors.runtime.log_ends import LogEnds
from projectors.runtime.parking_lot import POISON, Parked
from projectors.runtime.rebuilding import offsets_at
from projectors.runtime.siblings import Phase, connect, place, shape_of, siblings
from projectors.runtime.stores.port import Partition
from schemas.types import Event, UserErased
from shared.environment import REPOSITORY, Environment
from shared.ids import time_of
from tests.integration import event_logs
from tests.integration.swap_watching import Prober, Reader, Writer
from tests.runtime.engine import PARTITIONS, Engine, Ids, Log, own_engine
from tests.runtime.history import Town, counted, recounted
from tests.runtime.workers import Workers, wait_until

DONE, REFUSED, DIFFERENT, UNFINISHED = 0, 2, 3, 4

# A rebuild that stops for good once a phase is so far.
HELD = """
import sys, time
from infra.cli import main, rebuild
where, at = sys.argv[1], int(sys.argv[2])
class Held(rebuild.Told):
    def __call__(self, phase, done, total):
        if phase == where and done >= at:
            sys.stderr.write('{"event": "held"}\\n')
            sys.stderr.flush()
            time.sleep(3600)
rebuild.Told = Held
sys.argv = ["rookery", "rebuild", "counters", "--verify", "--chunk-records", "50"]
main.main()
"""

# The command, which then says how much memory it took at most.
MEASURED = """
import json, resource, sys
from infra.cli import main
try:
    main.main()
finally:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.stderr.write(json.dumps({"event": "peak", "megabytes": peak / 1024}) + chr(10))
"""


@pytest.fixture
def engine(servers: Environment) -> Iterator[Engine]:
    with own_engine(PROJECTION) as made:
        yield made


def rookery(engine: Engine, *arguments: str, expect: int = DONE) -> dict[str, Any]:
    """What the command answers as JSON; it must end with the status expected."""
    done = event_logs.rookery(engine, *arguments, "--json")
    return answered(done.returncode, done.stdout.decode(), done.stderr.decode(), expect)


def rookery_apart(engine: Engine, *arguments: str) -> dict[str, Any]:
    """The same by a process of its own, where threads of this one measure meanwhile."""
    done = subprocess.run(
        [*event_logs.command(*arguments), "--json"],
        cwd=REPOSITORY,
        env=dict(engine.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return answered(done.returncode, done.stdout, done.stderr, DONE)


def answered(status: int, stdout: str, stderr: str, expect: int) -> dict[str, Any]:
    assert status == expect, stderr[-3000:]
    answer: dict[str, Any] = json.loads(stdout) if stdout else {"refused": stderr}
    return answer


def with_erasures(town: Town, number: int, erased: int) -> list[Event]:
    """A history in which some people are erased half-way, who go on acting in records that were under way."""
    half = list(town.events(number // 2))
    ends = []
    for person in town.people[:erased]:
        event_id = town.ids()
        ends.append(UserErased(event_id=event_id, occurred_at=time_of(event_id), subject_id=person))
    return [*half, *ends, *town.events(number - number // 2)]


def assert_caught_up(engine: Engine, workers: Workers, seconds: float = 60) -> None:
    caught_up = asyncio.run(wait_until_caught_up(engine.environment, seconds, projections=[PROJECTION]))
    assert caught_up, "\n".join(worker.text() for worker in workers.all)


def assert_swept(engine: Engine, schema: str = "counters") -> None:
    wait_until(30, lambda: engine.rows(f"select count(*) from {schema}.erased where done_at is null") == [(0,)])
    wait_until(30, lambda: engine.rows(f"select count(*) from {schema}.gone where done_at is null") == [(0,)])


def counted_in(engine: Engine, schema: str) -> Any:
    """What a schema's counts are, through the same queries as the live ones'."""

    class Beside(Engine):
        def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
            return super().rows(query.replace("counters.", f"{schema}."), *values)

    return counted(Beside(engine.environment, engine.environ))


def phase(engine: Engine, schema: str = "counters_next") -> Phase | None:
    with connect(engine.environment.read_database_url) as connection:
        return next((each.phase for each in siblings(connection) if each.schema == schema), None)


def test_rebuilt_is_live_is_the_reference(engine: Engine, workers: Workers) -> None:
    events = with_erasures(Town(Ids(21), 60), 8_000, 5)
    Log(engine.environment).append(events)
    workers.start()
    assert_caught_up(engine, workers)
    report = rookery(engine, "rebuild", "counters", "--verify")
    assert report["verified"] is True and report["records"] == len(events)
    assert report["comparison"]["rows"]["reaction"] > 1_000
    assert counted_in(engine, "counters_next") == recounted(events)
    assert_swept(engine)
    assert counted(engine) == recounted(events)
    assert catalogue(engine, "counters_next") == catalogue(engine, "counters")


def catalogue(engine: Engine, schema: str) -> list[tuple[Any, ...]]:
    """Columns, indexes, keys, grants and storage options of a schema, without its name."""
    return engine.rows(
        """
        select 'column', c.relname || '.' || a.attname,
               format_type(a.atttypid, a.atttypmod) || a.attnotnull || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
          from pg_attribute a join pg_class c on c.oid = a.attrelid left join pg_attrdef d
            on d.adrelid = c.oid and d.adnum = a.attnum
         where c.relnamespace = %(s)s::regnamespace and c.relkind = 'r' and a.attnum > 0
        union all select 'index', indexname, replace(indexdef, %(s)s || '.', '') from pg_indexes
         where schemaname = %(s)s
        union all select 'constraint', conname, pg_get_constraintdef(oid) from pg_constraint
         where connamespace = %(s)s::regnamespace
        union all select 'table', relname, concat(relacl::text, reloptions::text, relpersistence) from pg_class
         where relnamespace = %(s)s::regnamespace and relkind = 'r'
        union all select 'schema', '', nspacl::text from pg_namespace where nspname = %(s)s
         order by 1, 2, 3""".replace("%(s)s", f"'{schema}'").replace("%", "%%")
    )


@pytest.mark.parametrize(("where", "at"), [("loading", 500), ("merging", 1), ("merging", 30), ("verifying", 3)])
def test_a_rebuild_that_is_killed_goes_on_where_it_was(engine: Engine, workers: Workers, where: str, at: int) -> None:
    events = with_erasures(Town(Ids(22), 40), 6_000, 3)
    Log(engine.environment).append(events)
    if where == "verifying":  # which waits for the live schema to be where the rebuilt one is
        workers.start()
        assert_caught_up(engine, workers)
    killed = workers.start("-c", HELD, where, str(at))
    wait_until(120, lambda: killed.logged("held"))
    killed.kill()
    verify = ["--verify"] if where == "verifying" else []
    report = rookery(engine, "rebuild", "counters", "--chunk-records", "50", *verify)
    assert report["resumed"] is True
    assert report["verified"] is (True if verify else None)
    assert counted_in(engine, "counters_next") == recounted(events)
    assert engine.rows("select sum(next_offset) from counters_next.position") == [(len(events),)]


def test_a_second_rebuild_is_refused(engine: Engine, workers: Workers) -> None:
    with connect(engine.environment.read_database_url) as other:
        from projectors.runtime.siblings import lock_number

        other.execute("select pg_advisory_lock(%s)", (lock_number("counters"),))
        answer = rookery(engine, "rebuild", "counters", expect=REFUSED)
    assert "another rebuild" in answer["refused"]
    assert phase(engine) is None


def test_swapped_in_and_back_while_all_goes_on(
    engine: Engine, workers: Workers, capsys: pytest.CaptureFixture[str]
) -> None:
    town = Town(Ids(23), 50)
    events = list(town.events(3_000))
    Log(engine.environment).append(events)
    live = [workers.start(), workers.start()]
    assert_caught_up(engine, workers)
    # Both have a share, and what the second one's arrival moved is fenced.
    wait_until(30, lambda: len(owners(engine)) == len(live) and len({epoch for _, epoch in owners(engine)}) == 1)
    before = owners(engine)
    watchers = _, reader, prober = Writer(engine, town, events), Reader(engine), Prober(engine, 230, events)
    for watcher in watchers:
        watcher.start()
    reports = []
    try:
        for command in (("rebuild", "counters", "--swap"), ("rollback", "counters"), ("rebuild", "counters", "--swap")):
            reports.append(rookery_apart(engine, *command))
            wait_until(30, lambda: prober.error or len(prober.swaps) == len(reports))
    finally:
        for watcher in watchers:
            watcher.stop()
    assert_caught_up(engine, workers)
    frozen = [report["swapped"]["frozen_seconds"] for report in reports]
    again = [swap.again_seconds for swap in prober.swaps]
    with capsys.disabled():
        print(f"\n  {reader.reads} reads, none failed, the slowest {reader.slowest_seconds * 1000:.0f} ms;"
              f" workers waited {milliseconds(frozen)}; a new like was seen {milliseconds(again)} after the swaps,"
              f" and each of {prober.likes} within {prober.slowest_seconds * 1000:.0f} ms", end="")  # fmt: skip
    assert reader.failed == [] and reader.reads > 50
    assert reader.went_back == []
    assert len(again) == len(reports) and max(again) <= 1.0 and max(frozen) <= 1.0
    assert [worker.process.poll() for worker in live] == [None, None], workers.all[0].text()
    assert not any(worker.logged("refused") or worker.logged("apply_failed") for worker in live)
    assert owners(engine) == before, "the same workers under the same epochs: nobody was fenced anew"
    assert_swept(engine)
    assert counted(engine) == recounted(events)


def owners(engine: Engine) -> set[tuple[str, int]]:
    """Who holds partitions, under which epochs."""
    return set(engine.rows("select distinct owner, epoch from counters.position"))


def milliseconds(seconds: Sequence[float]) -> str:
    return ", ".join(f"{each * 1000:.0f}" for each in seconds) + " ms"


def test_a_difference_is_found_and_its_key_named(engine: Engine, workers: Workers) -> None:
    events = list(Town(Ids(24), 30).events(2_000))
    Log(engine.environment).append(events)
    workers.start()
    assert_caught_up(engine, workers)
    assert_swept(engine)
    [(post, actor)] = engine.rows("select post_id, actor_id from counters.reaction where active order by 1, 2 limit 1")
    engine.execute(f"update counters.reaction set reaction = '[/b]' where (post_id, actor_id) = ('{post}', '{actor}')")
    [(other,)] = engine.rows("select post_id from counters.post_count where likes > 1 order by 1 limit 1")
    engine.execute(f"update counters.post_count set likes = likes - 1 where post_id = '{other}'")
    answer = rookery(engine, "rebuild", "counters", "--swap", expect=DIFFERENT)
    assert answer["verified"] is False and answer["swapped"] is None
    assert sorted(answer["comparison"]["differing"]) == ["post_count", "reaction"]
    by_table = {each["table"]: each for each in answer["comparison"]["first"]}
    assert by_table["reaction"]["key"] == {"post_id": str(post), "actor_id": str(actor)}
    assert by_table["reaction"]["live"] == {"reaction": "[/b]"}
    shown = event_logs.rookery(engine, "rebuild", "counters", "--verify")
    assert shown.returncode == DIFFERENT and b"live reaction=[/b]; rebuilt" in shown.stdout
    assert by_table["post_count"]["key"] == {"post_id": str(other)}
    # What a version declares changed is told and not compared.
    declared = ("--changed", "reaction.reaction", "--changed", "post_count.likes")
    answer = rookery(engine, "rebuild", "counters", "--verify", *declared)
    assert answer["verified"] is True and answer["comparison"]["changed"] == ["post_count.likes", "reaction.reaction"]
    assert "no_such" in rookery(engine, "rebuild", "counters", "--changed", "no_such", expect=REFUSED)["refused"]


def test_a_state_of_the_past_without_those_erased_since(engine: Engine, workers: Workers) -> None:
    town = Town(Ids(25), 30)
    before = list(town.events(2_000))
    log = Log(engine.environment)
    log.append(before)
    cut, held = datetime.now(UTC), offsets_held(engine)
    wait_until(5, lambda: datetime.now(UTC).timestamp() > cut.timestamp() + 0.05)
    erased = town.people[0]
    event_id = town.ids()
    end = UserErased(event_id=event_id, occurred_at=time_of(event_id), subject_id=erased)
    log.append([*town.events(500), end])
    report = rookery(engine, "rebuild", "counters", "--until", cut.isoformat())
    assert report["records"] == len(before)
    assert counted_in(engine, report["schema"]) == recounted([*before, end])
    # The same by offsets, which are all that the log had then.
    offsets = ",".join(f"{place(partition)}={offset}" for partition, offset in held.items())
    whole = rookery(engine, "rebuild", "counters", "--until", offsets)
    assert whole["records"] == len(before)
    assert counted_in(engine, whole["schema"]) == recounted([*before, end])
    # Who is erased while the state is kept leaves it too, and it can be read by who may only read.
    workers.start()
    later = town.people[1]
    event_id = town.ids()
    log.append([UserErased(event_id=event_id, occurred_at=time_of(event_id), subject_id=later)])
    assert_caught_up(engine, workers)
    told = rookery(
        engine, "query", f"select count(*) as n from reaction where actor_id = '{later}'", "--as-of", report["schema"]
    )
    assert told["rows"] == [{"n": 0}]
    endless = "select n, repeat('x', 200) from generate_series(1, 2000000) as g (n)"
    answer = workers.start("-c", MEASURED, "query", endless, "--as-of", report["schema"], "--limit", "2", "--json")
    wait_until(60, lambda: answer.process.poll() is not None)
    assert answer.process.returncode == DONE, answer.text()
    # All rows would take more than 500; what is on its way when the command has enough still arrives.
    assert answer.logged("peak")[0]["megabytes"] < 400
    refused = rookery(engine, "query", "delete from reaction", "--as-of", report["schema"], expect=REFUSED)
    assert "read-only" in refused["refused"]
    wait_until(20, lambda: engine.rows(f"select 1 from {whole['schema']}.reaction where actor_id = %s", later) == [])
    rookery(engine, "rebuild", "--drop", whole["schema"], "--dry-run", expect=REFUSED)
    assert rookery(engine, "rebuild", "--drop", whole["schema"]) == {"dropped": whole["schema"]}
    assert [each["schema"] for each in rookery(engine, "rebuild", "--list")["schemas"]] == [report["schema"]]


def offsets_held(engine: Engine) -> dict[Partition, int]:
    """Where each partition that the counters read ends now."""
    partitions = [Partition(topic, number) for topic in PROJECTION.topics for number in range(PARTITIONS)]
    return LogEnds(engine.environment).ends(partitions)


def test_a_partition_that_does_not_answer_for_a_time_is_not_taken_to_its_end(engine: Engine) -> None:
    there, absent = Partition("posts", 0), Partition("posts", PARTITIONS)
    now = datetime.now(UTC)
    assert offsets_at(now, engine.environment, {there: 3}) == {there: 3}
    with pytest.raises(KafkaException):
        offsets_at(now, engine.environment, {there: 3, absent: 5})


def test_nobody_who_is_erased_comes_back_by_swap_or_rollback(engine: Engine, workers: Workers) -> None:
    town = Town(Ids(26), 30)
    events = list(town.events(2_000))
    log = Log(engine.environment)
    log.append(events)
    workers.start()
    assert_caught_up(engine, workers)
    # Erased in the live schema alone: an erasure window has taken the record out of the log, or it is still to come.
    known_to_live = town.people[0]
    engine.execute(f"insert into counters.erased (user_id, event_id) values ('{known_to_live}', '{town.ids()}')")
    assert_swept(engine)
    rookery(engine, "rebuild", "counters", "--swap")
    assert rows_of(engine, "counters", known_to_live) == 0
    # Which version made the very first schema is known too, so that another one refuses to go back to it.
    with connect(engine.environment.read_database_url) as connection:
        assert [(each.schema, each.shape) for each in siblings(connection)] == [("counters_old", shape_of(PROJECTION))]
    # Erased between the swap and the way back: the former schema has never heard of it.
    later = town.people[1]
    assert rows_of(engine, "counters_old", later) > 0
    event_id = town.ids()
    log.append([UserErased(event_id=event_id, occurred_at=time_of(event_id), subject_id=later)])
    assert_caught_up(engine, workers)
    wait_until(20, lambda: rows_of(engine, "counters_old", later) == 0)
    rookery(engine, "rollback", "counters", "--verify")
    assert_swept(engine)
    assert [rows_of(engine, "counters", person) for person in (known_to_live, later)] == [0, 0]


def rows_of(engine: Engine, schema: str, person: UUID) -> int:
    """The rows in which a person stands."""
    return sum(
        int(engine.rows(f"select count(*) from {schema}.{table} where %s in ({columns})", person)[0][0])
        for table, columns in (
            ("reaction", "actor_id, author_id"),
            ("comment", "author_id, post_author_id"),
            ("post", "author_id"),
            ("affinity", "viewer_id, author_id"),
        )
    )


def test_what_has_no_sense_is_refused_and_nothing_is_made(engine: Engine) -> None:
    for arguments in (
        ("--from", "3", "--swap"),
        ("--from", "3"),
        ("--until", "2026-01-01T00:00", "--swap"),
        ("--swap", "--keep"),
        ("--until", "yesterday"),
        ("--changed", "reaction.post_id"),
        ("--until", "posts/77=3"),
        ("--processes", "-1"),
    ):
        rookery(engine, "rebuild", "counters", *arguments, expect=REFUSED)
    rookery(engine, "rebuild", "feed", "--verify", expect=REFUSED)
    rookery(engine, "rollback", "counters", expect=REFUSED)
    estimate = rookery(engine, "rebuild", "counters", "--dry-run")
    assert estimate["records"] == 0 and estimate["partitions"] == len(PROJECTION.topics) * PARTITIONS
    assert rookery(engine, "rebuild", "--list")["schemas"] == []


def test_a_bound_beyond_the_log_is_asked_for_anew_once_it_has_grown(engine: Engine) -> None:
    town, log = Town(Ids(28), 20), Log(engine.environment)
    events = list(town.events(200))
    log.append(events)
    for arguments in (("--until", "100000"), ("--from", "0", "--keep")):
        assert rookery(engine, "rebuild", "counters", *arguments)["records"] == len(events)
        again = rookery(engine, "rebuild", "counters", *arguments)
        assert again["resumed"] is True and again["records"] == len(events)
        log.append(more := list(town.events(100)))
        events += more
        grown = rookery(engine, "rebuild", "counters", *arguments)
        assert grown["resumed"] is False and grown["records"] == len(events)
        assert counted_in(engine, grown["schema"]) == recounted(events)


def is_led(environment: Environment) -> bool:
    """Whether every partition's leader answers, which takes a moment where the topics were just made."""
    ends = LogEnds(environment)
    try:
        return bool(ends.ends(ends.partitions(PROJECTION.topics)))
    except KafkaException:
        return False


def test_a_registry_that_is_away_is_told_in_one_line(engine: Engine) -> None:
    record = Parked("posts", 0, 7, ("key",), POISON, None, None, None, b"key", b"no event", "", "")
    with connect(engine.environment.read_database_url) as connection:
        set_aside.park(connection, "counters", Partition("posts", 0), [record])
    wait_until(20, lambda: is_led(engine.environment))
    for arguments, status in (
        (("rebuild", "counters"), UNFINISHED),
        (("repair", "counters", "--key", str(UUID(int=7))), UNFINISHED),
        (("parked", "show", "counters/posts/0/7"), 1),
    ):
        done = event_logs.rookery(engine, *arguments, SCHEMA_REGISTRY_URL="http://127.0.0.1:9")
        assert (done.returncode, done.stdout) == (status, b"")
        assert "Connect" in done.stderr.decode() or "refused" in done.stderr.decode()


def test_what_people_wrote_is_shown_as_it_is(engine: Engine) -> None:
    record = Parked("posts", 0, 8, ("[key]",), POISON, None, None, None, b"key", b"no event", "", "[/b]")
    with connect(engine.environment.read_database_url) as connection:
        set_aside.park(connection, "counters", Partition("posts", 0), [record])
    listed = event_logs.rookery(engine, "parked", "list", "counters").stdout.decode()
    assert "[key]" in listed and "[/b]" in listed
    event_logs.rookery(engine, "parked", "drop", "counters/posts/0/8", "--reason", "[b1]")
    assert "[b1]" in event_logs.rookery(engine, "parked", "list", "counters", "--dropped").stdout.decode()


def test_while_a_rebuild_works_kept_states_are_read_and_swept(engine: Engine, workers: Workers) -> None:
    town = Town(Ids(29), 20)
    Log(engine.environment).append(town.events(600))
    kept, erased = rookery(engine, "rebuild", "counters", "--until", "100000")["schema"], town.people[0]
    assert rows_of(engine, kept, erased) > 0
    # Erased in the live schema, whose worker is not there to sweep others.
    engine.execute(f"insert into counters.erased (user_id, event_id) values ('{erased}', '{town.ids()}')")
    at_work = workers.start("-c", HELD, "loading", "50")
    wait_until(60, lambda: at_work.logged("held"))
    wait_until(30, lambda: rows_of(engine, kept, erased) == 0)
    wait_until(10, lambda: engine.rows(f"select 1 from {kept}.erased where done_at is null") == [])
    assert len(rookery(engine, "query", "--as-of", kept)["rows"]) > 5
    assert at_work.process.poll() is None


def test_a_part_of_the_log_is_kept_apart(engine: Engine) -> None:
    town, log = Town(Ids(27), 20), Log(engine.environment)
    before, later = list(town.events(300)), list(town.events(300))
    log.append(before)
    offsets = ",".join(f"{place(partition)}={offset}" for partition, offset in offsets_held(engine).items())
    log.append(later)
    report = rookery(engine, "rebuild", "counters", "--from", offsets, "--keep")
    assert report["records"] == len(later)
    assert counted_in(engine, report["schema"]) == recounted(later) != recounted([*before, *later])
    report = rookery(engine, "rebuild", "counters", "--from", "20", "--keep")
    assert report["schema"] == "counters_part_offset20"
    assert report["records"] == sum(max(0, end - 20) for end in offsets_held(engine).values())
