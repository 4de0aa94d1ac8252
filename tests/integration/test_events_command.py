"""Claim: `rookery events` shows exactly the records asked for, faithfully; a file is whole or not there; sealed text is
opened with the right, for a reason and on record, and with nothing less.

Oracle: every record read once by a plain consumer and the product's codec, filtered in Python. Real Kafka, registry and
PostgreSQL, the command as a process. Cannot catch: what needs a log that retention shortens while it is read.
"""

import gzip
import json
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from infra.event_log.texts import time_text
from projectors.profiles.fold import PROJECTION as PROFILES
from schemas.catalogue import event_schemas
from schemas.types import EVENT_TYPES, Event, PostLiked, PostPublished
from shared.environment import REPOSITORY, Environment
from shared.ids import datetime_of, micros_of, mint, time_of
from tests.integration.event_logs import (
    Found,
    World,
    append,
    command,
    empty_topics,
    filled,
    own_name,
    place_of,
    read_plainly,
)
from tests.runtime.engine import read_database
from tests.runtime.workers import wait_until

REASON = "support case 4711"
NO_EVENTS = ("Deleted", "Maintenance", "Malformed", "UnknownSchema")


@pytest.fixture(scope="module")
def world(servers: Environment) -> Iterator[World]:
    with read_database(own_name(), PROFILES) as engine, empty_topics(engine), filled(engine) as made:
        yield made


def subject_of(found: Found) -> UUID | None:
    return UUID(bytes=found.key[:16]) if found.key is not None and len(found.key) >= 16 else None


def person(world: World) -> str:
    return str(world.town.people[0])


def moment(world: World, share: float) -> int:
    """A time at which so much of the log was written, in milliseconds since 1970."""
    times = sorted(each.time_ms for each in world.found)
    return times[int(len(times) * share)]


def iso(time_ms: int) -> str:
    return datetime_of(time_ms * 1_000).isoformat()


Case = tuple[Callable[[World], list[str]], Callable[[World, Found], bool]]
CASES: dict[str, Case] = {
    "everything": (lambda w: [], lambda w, each: True),
    "a topic": (lambda w: ["--topic", "posts"], lambda w, each: each.topic == "posts"),
    "a topic by its name in Kafka": (
        lambda w: ["--topic", w.engine.environment.topic("posts")],
        lambda w, each: each.topic == "posts",
    ),
    "two types": (
        lambda w: ["--type", "PostLiked", "--type", "rookery.posts.CommentAdded"],
        lambda w, each: each.named in ("PostLiked", "CommentAdded"),
    ),
    "a person": (lambda w: ["--subject", person(w)], lambda w, each: str(subject_of(each)) == person(w)),
    "since": (lambda w: ["--since", iso(moment(w, 0.7))], lambda w, each: each.time_ms >= moment(w, 0.7)),
    "until": (lambda w: ["--until", iso(moment(w, 0.3))], lambda w, each: each.time_ms < moment(w, 0.3)),
    "a person's likes in between": (
        lambda w: (
            [
                f"--subject={person(w)}",
                "--type=PostLiked",
                "--since",
                iso(moment(w, 0.2)),
                "--until",
                iso(moment(w, 0.8)),
            ]
        ),
        lambda w, each: (
            each.named == "PostLiked"
            and str(subject_of(each)) == person(w)
            and moment(w, 0.2) <= each.time_ms < moment(w, 0.8)
        ),
    ),
    "what is no event": (
        lambda w: [argument for kind in NO_EVENTS for argument in ("--type", kind)],
        lambda w, each: each.named in NO_EVENTS,
    ),
    "nothing": (lambda w: ["--since", "1s"], lambda w, each: False),
}


@pytest.mark.parametrize("name", CASES)
def test_an_export_holds_what_was_asked_for_in_order(world: World, name: str) -> None:
    arguments, wanted = CASES[name]
    expected = [each for each in world.found if wanted(world, each)]
    assert expected or name == "nothing"
    shown = world.lines("events", "export", "--to", "-", *arguments(world))
    assert [place_of(each) for each in shown] == [each.place for each in expected]
    assert [each["type"].rpartition(".")[2] for each in shown] == [each.kind for each in expected]


@pytest.mark.parametrize("by", ["topic", "type", "hour", "day", "subject"])
def test_counts_are_those_of_the_log(world: World, by: str) -> None:
    def key(each: Found) -> str:
        recorded = datetime_of(each.time_ms * 1_000)
        whole_key = each.key is not None and len(each.key) == 32
        return {
            "topic": each.topic,
            "type": each.named,
            "hour": recorded.strftime("%Y-%m-%dT%H:00Z"),
            "day": recorded.strftime("%Y-%m-%d"),
            "subject": str(subject_of(each)) if whole_key else "nobody",
        }[by]

    since = moment(world, 0.1)
    answer = world.answer("events", "count", "--by", by, "--since", iso(since), "--json")
    expected = Counter(key(each) for each in world.found if each.time_ms >= since)
    assert Counter(answer["counts"]) == expected
    assert answer["total"] == expected.total()
    assert len(expected) > 1


def test_a_person_is_found_by_name(world: World) -> None:
    user_id = world.town.people[0]
    role = "rookery_query"
    world.engine.execute(f"grant usage on schema profiles to {role}; grant select on profiles.person to {role}")
    world.engine.execute(f"insert into profiles.person (user_id, username) values ('{user_id}', 'corvus')")
    by_name = world.answer("events", "count", "--subject", "Corvus", "--json")
    assert by_name == world.answer("events", "count", "--subject", str(user_id), "--json")
    assert by_name["total"] > 0


def newest_first(each: Found) -> tuple[int, str, int, int]:
    return each.time_ms, *each.place


@pytest.mark.parametrize(("number", "kind"), [(1, ""), (25, ""), (40, "CommentAdded"), (100_000, "PostPublished")])
def test_tail_shows_the_newest(world: World, number: int, kind: str) -> None:
    expected = sorted((each for each in world.found if not kind or each.named == kind), key=newest_first)[-number:]
    shown = world.lines("events", "tail", "-n", str(number), "--json", *(["--type", kind] if kind else []))
    assert [place_of(each) for each in shown] == [each.place for each in expected]


def test_tail_between_two_times(world: World) -> None:
    since, until = moment(world, 0.4), moment(world, 0.5)
    expected = sorted((each for each in world.found if since <= each.time_ms < until), key=newest_first)[-7:]
    shown = world.lines("events", "tail", "-n", "7", "--json", "--since", iso(since), "--until", iso(until))
    assert [place_of(each) for each in shown] == [each.place for each in expected]


def test_lines_for_people_say_the_same_and_no_terminal_obeys_them(world: World) -> None:
    done = world.run("events", "tail", "-n", "300", "--decrypt", "--reason", REASON)
    expected = sorted(world.found, key=newest_first)[-300:]
    lines = done.stdout.decode().splitlines()
    assert [line.split("  ")[1] for line in lines] == [":".join(map(str, each.place)) for each in expected]
    assert not any(0x7F <= ord(character) <= 0x9F for character in done.stdout.decode())


def test_follow_shows_what_is_appended(world: World) -> None:
    arguments = command("events", "tail", "-n", "1", "--follow", "--json", "--type", "PostLiked")
    process = subprocess.Popen(arguments, cwd=REPOSITORY, env=dict(world.engine.environ), stdout=subprocess.PIPE)
    lines: list[bytes] = []

    def collect() -> None:
        assert process.stdout is not None
        lines.extend(iter(process.stdout.readline, b""))

    reading = threading.Thread(target=collect)
    reading.start()
    fresh = [liked(world, world.town.ids()) for _ in range(3)]
    try:
        wait_until(30, lambda: len(lines) == 1)
        for event in fresh:
            append(world.engine, world.log, event)
        wait_until(20, lambda: len(lines) == 4)
    finally:
        process.send_signal(signal.SIGINT)
        status = process.wait(20)
        reading.join()
        remember(world, fresh)
    assert {json.loads(line)["id"] for line in lines[1:]} == {str(event.event_id) for event in fresh}
    assert status == 130


def liked(world: World, event_id: UUID) -> Event:
    subject = world.town.people[1]
    return PostLiked(
        event_id=event_id,
        occurred_at=time_of(event_id),
        subject_id=subject,
        post_id=event_id,
        post_author_id=subject,
        reaction="wow",
    )


def remember(world: World, fresh: list[Event]) -> None:
    """What a test has appended is part of the log for those after it."""
    world.found[:] = read_plainly(world.engine, world.log)
    world.sealed.update({event.event_id: event for event in fresh})


def test_an_event_is_found_by_its_id_and_by_its_place(world: World) -> None:
    for each in [each for each in world.found if each.event is not None][:: len(world.found) // 4]:
        assert each.event is not None
        by_id = world.answer("events", "get", str(each.event.event_id))
        by_place = world.answer("events", "get", ":".join(map(str, each.place)))
        assert by_id == by_place
        assert place_of(by_id) == each.place


@pytest.mark.parametrize("late_days", [0.5, 40])
def test_an_event_is_found_that_was_appended_late(world: World, late_days: float) -> None:
    # Of a moment before the log began: its record stands far from where its id's time leads to.
    event = liked(world, mint(time_of(world.town.people[0]) - int(late_days * 86_400_000_000)))
    append(world.engine, world.log, event, late_ms=int((late_days + 2) * 86_400_000))
    remember(world, [event])
    assert world.answer("events", "get", str(event.event_id))["id"] == str(event.event_id)


@pytest.mark.parametrize("which", ["posts:0:123456789", str(mint(1_700_000_000_000_000))])
def test_what_the_log_does_not_hold_is_said(world: World, which: str) -> None:
    done = world.run("events", "get", which)
    assert (done.returncode, done.stdout) == (1, b"")
    assert which.rpartition(":")[2] in done.stderr.decode()


def imported(shown: dict[str, Any]) -> Event:
    """The event of a CloudEvent, by the mapping that docs/operations.md gives."""
    name = shown["type"].rpartition(".")[2]
    fields = {
        **shown["data"],
        "event_id": shown["id"],
        "subject_id": shown["subject"],
        "occurred_at": shown["time"],
    }
    for field in event_schemas()[name].avro["fields"]:
        if "timestamp-micros" in str(field["type"]):
            fields[field["name"]] = micros_of(datetime.fromisoformat(fields[field["name"]]))
    event: Event = msgspec.convert(fields, EVENT_TYPES[name])
    return event


def without_text(event: Event) -> Event:
    """As it is when its subject's key is destroyed."""
    schema_fields = {"content", "hashtags", "username", "display_name", "bio"}
    return msgspec.structs.replace(event, **dict.fromkeys(schema_fields & set(event.__struct_fields__)))


@pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.gz", "all.parquet"])
def test_what_is_exported_is_what_was_appended(world: World, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    answer = world.answer("events", "export", "--to", str(path), "--decrypt", "--reason", REASON, "--json")
    rows = read_back(path)
    assert [place_of(row) for row in rows] == [each.place for each in world.found]
    assert answer["records"] == len(rows)
    kinds = Counter(each.kind for each in world.found)
    assert answer["unreadable"] == {kind: kinds[kind] for kind in sorted(NO_EVENTS)}
    seen = set()
    for row, found in zip(rows, world.found, strict=True):
        assert row["recordedtime"] == time_text(found.time_ms * 1_000)
        if found.event is None:
            assert row["type"] == f"rookery.record.{found.kind}"
            continue
        original = world.sealed[found.event.event_id]
        if original.subject_id == world.erased:
            row["data"] = {field: None if isinstance(value, dict) else value for field, value in row["data"].items()}
            original = without_text(original)
        assert imported(row) == original
        seen.add(found.kind)
    assert seen == EVENT_TYPES.keys()
    assert [each.name for each in tmp_path.iterdir()] == [name]


def read_back(path: Path) -> list[dict[str, Any]]:
    if path.suffix != ".parquet":
        whole = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return [json.loads(line) for line in whole.splitlines()]
    import pyarrow.parquet as pq

    rows = pq.read_table(path).to_pylist()
    for row in rows:
        row["data"] = json.loads(row["data"])
        for column in ("time", "recordedtime"):
            assert row[column].tzinfo is not None
            row[column] = row[column].astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    return rows


def test_exports_one_after_the_other_make_the_whole(world: World, tmp_path: Path) -> None:
    until = iso(moment(world, 0.6))
    answer = world.answer("events", "export", "--to", str(tmp_path / "1.jsonl"), "--until", until, "--json")
    (tmp_path / "1.json").write_text(json.dumps(answer))
    after = ["--after", str(tmp_path / "1.json")]
    world.answer("events", "export", "--to", str(tmp_path / "2.jsonl"), *after, "--json")
    first, second = ([place_of(row) for row in read_back(tmp_path / f"{n}.jsonl")] for n in (1, 2))
    assert not set(first) & set(second)
    assert Counter(first + second) == Counter(each.place for each in world.found)
    assert first
    assert second

    begin = [each for each in world.found if each.topic == "posts" and each.partition == 2][5]
    shown = world.lines("events", "export", "--to", "-", "--topic", "posts", "--from-offset", f"posts:2:{begin.offset}")
    assert [place_of(row) for row in shown] == [
        each.place
        for each in world.found
        if each.topic == "posts" and (each.partition != 2 or each.offset >= begin.offset)
    ]


def test_without_the_right_nothing_is_opened(world: World) -> None:
    before = disclosures(world)
    query_role = world.engine.environment.query_database_url
    vault = world.engine.environment.keys_database_url.rpartition("/")[2]
    refusals: list[tuple[list[str], dict[str, str], str]] = [
        ([], {}, "--reason"),
        (["--reason", "   why   "], {}, "--reason"),
        (["--reason", REASON], {"ROOKERY_MASTER_KEY": "ab" * 32}, "master key"),
        (["--reason", REASON], {"ROOKERY_MASTER_KEY": "ab"}, "master key"),
        (["--reason", REASON], {"KEYS_DATABASE_URL": query_role.rpartition("/")[0] + f"/{vault}"}, "refuses this role"),
        (["--reason", REASON], {"ROOKERY_KEYS_PASSWORD": "wrong"}, "refuses this role"),
    ]
    for arguments, environ, words in refusals:
        done = world.run("events", "tail", "-n", "5", "--decrypt", *arguments, **environ)
        assert (done.returncode, done.stdout) == (2, b""), done.stderr.decode()
        assert len(done.stderr.splitlines()) == 1
        assert words in done.stderr.decode()
    assert disclosures(world) == before


def disclosures(world: World) -> list[tuple[Any, ...]]:
    with psycopg.connect(world.engine.environment.vault_database_url) as vault:
        return vault.execute(
            "select disclosure_id, phase, reason, asked, texts, at from disclosure order by row_id"
        ).fetchall()


def is_of_town(world: World, event: PostPublished) -> bool:
    """Whether it is one of the town's, whose text is always the same; an example's is another."""
    original = world.sealed[event.event_id]
    return isinstance(original, PostPublished) and original.content == "text"


def test_sealed_text_stays_sealed_is_opened_on_record_and_is_gone_with_its_key(world: World) -> None:
    posts = [each for each in world.found if isinstance(each.event, PostPublished) and is_of_town(world, each.event)]
    erased = next(each for each in posts if each.event is not None and each.event.subject_id == world.erased)
    other = next(each for each in posts if each.event is not None and each.event.subject_id != world.erased)

    def content(each: Found, *arguments: str) -> Any:
        return world.answer("events", "get", ":".join(map(str, each.place)), *arguments)["data"]["content"]

    length = len("text") + 1 + 12 + 16
    assert content(other) == content(erased) == {"sealed": length}
    began = len(disclosures(world))
    assert content(other, "--decrypt", "--reason", REASON) == "text"
    assert content(erased, "--decrypt", "--reason", REASON) == {
        "sealed": length,
        "unreadable": "the subject's key is destroyed",
    }
    rows = disclosures(world)[began:]
    assert [(row[1], row[2], row[4]) for row in rows] == [
        ("begun", REASON, None),
        ("ended", REASON, 2),  # the text, and the tags beside it
        ("begun", REASON, None),
        ("ended", REASON, 0),
    ]
    assert rows[0][3]["topics"] == ["posts"]
    assert rows[0][0] == rows[1][0] != rows[2][0] == rows[3][0]


@pytest.mark.parametrize(
    "statement", ["select 1 from disclosure", "delete from disclosure", "update disclosure set reason = ''"]
)
def test_whoever_opens_texts_cannot_touch_the_record(world: World, statement: str) -> None:
    with psycopg.connect(world.engine.environment.keys_database_url) as keys:
        keys.execute("set transaction read write")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            keys.execute(statement.encode())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tail", "--type", "PostLikd"], "is it PostLiked?"),
        (["tail", "--topic", "nowhere"], "no topic 'nowhere'"),
        (["tail", "--since", "yesterday"], "--since"),
        (["tail", "--since", "2h", "--until", "3h"], "--since is not before --until"),
        (["tail", "--follow", "--until", "1h"], "--follow"),
        (["tail", "--reason", REASON], "--decrypt"),
        (["tail", "--subject", "corvus the wise"], "nobody is called"),
        (["get", "posts:0"], "TOPIC:PARTITION:OFFSET"),
        (["get", str(uuid4())], "version 7"),
        (["get", "posts:77:0"], "no partition 77"),
        (["export", "--to", "file.csv"], ".parquet"),
        (["export", "--to", "/nowhere/at/all.jsonl"], "no folder"),
        (["export", "--to", "-", "--json"], "--json"),
        (["export", "--to", "-", "--from-offset", "posts"], "--from-offset"),
        (["export", "--to", "-", "--from-offset", "posts:0:999999"], "before 999999"),
        (["export", "--to", "-", "--topic", "graph", "--from-offset", "posts:0:1"], "posts:0"),
        (["export", "--to", "-", "--after", "README.md"], "--after"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_makes_no_sense_is_one_line(world: World, arguments: list[str], words: str) -> None:
    role = "rookery_query"
    world.engine.execute(f"grant usage on schema profiles to {role}; grant select on profiles.person to {role}")
    done = world.run("events", *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert len(done.stderr.splitlines()) == 1, done.stderr.decode()
    assert words in done.stderr.decode()


def test_servers_that_are_away_are_one_line(world: World) -> None:
    for variable, value in (
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"),
        ("SCHEMA_REGISTRY_URL", "http://127.0.0.1:1"),
        ("QUERY_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/read"),
    ):
        done = (
            world.run("events", "tail", "--subject", "x", **{variable: value})
            if "QUERY" in variable
            else world.run("events", "tail", **{variable: value})
        )
        assert (done.returncode, done.stdout) == (1, b"")
        assert len(done.stderr.splitlines()) == 1, done.stderr.decode()
        assert "rookery status" in done.stderr.decode()


def test_parquet_without_pyarrow_says_what_to_install(world: World, tmp_path: Path) -> None:
    code = "import sys; sys.modules['pyarrow'] = None; sys.argv[0] = 'rookery'; from infra.cli.main import main; main()"
    to = str(tmp_path / "x.parquet")
    done = subprocess.run(
        [*command()[:1], "-c", code, "events", "export", "--to", to],
        cwd=REPOSITORY,
        env=dict(world.engine.environ),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert "rookery[parquet]" in done.stderr.decode()
    assert not list(tmp_path.iterdir())
