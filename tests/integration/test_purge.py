"""Claim: what has had its time goes, what somebody may still ask for stays, and one of several workers does it.

Oracle: rows written by hand on both sides of every limit. On real PostgreSQL databases of the test's own.
Cannot catch: a limit that is wrong in the first place.
"""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from command_api.event_log import partitions
from infra.purge.jobs import HOUR_MICROS, JOBS, Job
from infra.purge.worker import Purger
from projectors.notifications.fold import PROJECTION
from projectors.posts.fold import PROJECTION as POSTS
from projectors.profiles.fold import PROJECTION as PROFILES
from query_api.posts.history import VERSIONS_SQL
from schemas.types import PostEdited, PostPublished, UserRegistered
from shared import clock
from shared.environment import REPOSITORY, Environment, load
from shared.ids import LAST_ID, mint, time_of
from tests.model.reference import Model
from tests.query_api.serving import free_port
from tests.runtime.engine import Engine, read_database

Connection = psycopg.Connection[Any]
NAMES = {job.name: job for job in JOBS}
DAY_MICROS = 24 * HOUR_MICROS


@contextmanager
def owned(servers: Environment) -> Iterator[dict[str, str]]:
    """A command and a vault database, as variables of processes."""
    run = uuid4().hex[:12]
    urls = {"command": servers.command_database_url, "vault": servers.vault_database_url}
    variables = {}
    with psycopg.connect(servers.admin_database_url, autocommit=True) as admin:
        for kind, url in urls.items():
            name = f"{kind}_purge_test_{run}"
            owner = sql.Identifier(str(urlsplit(url).username))
            admin.execute(sql.SQL("create database {} owner {}").format(sql.Identifier(name), owner))
            variables[f"{kind.upper()}_DATABASE_URL"] = urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        try:
            yield variables
        finally:
            for url in variables.values():
                name = urlsplit(url).path.lstrip("/")
                admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def projections() -> AbstractContextManager[Engine]:
    return read_database(f"read_purge_test_{os.getpid()}", PROJECTION, POSTS, PROFILES)


@pytest.fixture(scope="module")
def place(servers: Environment) -> Iterator[tuple[Environment, dict[str, str]]]:
    """The three databases, and the variables that name them to a process."""
    with owned(servers) as owners, projections() as engine:
        variables = owners | {"READ_DATABASE_URL": engine.environment.read_database_url}
        migrate = [sys.executable, "-m", "infra.local.migrations"]
        subprocess.run(migrate, cwd=REPOSITORY, env=os.environ | variables, check=True)
        given = replace(
            servers,
            command_database_url=variables["COMMAND_DATABASE_URL"],
            vault_database_url=variables["VAULT_DATABASE_URL"],
            read_database_url=variables["READ_DATABASE_URL"],
        )
        yield given, variables


@pytest.fixture
def environment_(place: tuple[Environment, dict[str, str]]) -> Environment:
    return place[0]


@pytest.fixture
def command(environment_: Environment) -> Iterator[Connection]:
    with psycopg.connect(environment_.command_database_url, autocommit=True) as connection:
        connection.execute("truncate outbox, idempotency_answer")
        yield connection


def add(connection: Connection, micros: int, *, acked: bool = True, age_hours: float = 0) -> UUID:
    """An outbox row whose id is of that moment, written so many hours ago."""
    event_id = mint(micros)
    connection.execute(
        "insert into outbox (event_id, topic, partition, key, value, actor_id, acked_offset, acked_at, created_at)"
        " values (%s, 'posts', 0, 'k', 'v', %s, %s, %s, now() - make_interval(secs => %s))",
        (event_id, uuid4(), 1 if acked else None, "now" if acked else None, age_hours * 3600),
    )
    return event_id


def home_of(connection: Connection, event_id: UUID) -> str:
    row = connection.execute("select tableoid::regclass::text from outbox where event_id = %s", (event_id,)).fetchone()
    assert row is not None
    return str(row[0])


def count(connection: Connection, table: str) -> int:
    row = connection.execute(sql.SQL("select count(*) from {}").format(sql.SQL(table))).fetchone()
    assert row is not None
    return int(row[0])


def do(name: str, environment: Environment, now: int | None = None) -> tuple[int, int]:
    """What the job says it would do, and what it then did."""
    job = NAMES[name]
    with psycopg.connect(job.url(environment), autocommit=True) as connection:
        moment = clock.now() if now is None else now
        return job.due(connection, environment, moment), job.purge(connection, environment, moment)


def test_a_migrated_outbox_has_room_ahead_and_takes_anything(command: Connection) -> None:
    now = clock.now()
    assert [one.number for one in partitions.hours(command)][-partitions.HOURS_AHEAD - 1] == partitions.hour_of(now)
    assert home_of(command, add(command, now)) == f"outbox_h{partitions.hour_of(now)}"
    assert home_of(command, add(command, now + 90 * DAY_MICROS)) == partitions.REST
    assert home_of(command, add(command, now - 90 * DAY_MICROS)) == partitions.REST


def test_an_hour_made_late_takes_over_what_waited_for_it(command: Connection, environment_: Environment) -> None:
    later = clock.now() + 30 * HOUR_MICROS
    early = add(command, later)
    assert do("outbox hours to come", environment_, later) == (4, 4)
    assert home_of(command, early) == f"outbox_h{partitions.hour_of(later)}"
    assert do("outbox hours to come", environment_, later) == (0, 0)


def test_two_that_make_hours_at_once_make_each_once(command: Connection, environment_: Environment) -> None:
    moment = clock.now() + 60 * HOUR_MICROS
    threads = [threading.Thread(target=do, args=("outbox hours to come", environment_, moment)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = [one.number for one in partitions.hours(command)]
    assert numbers.count(partitions.hour_of(moment)) == 1 and len(numbers) == len(set(numbers))


def test_an_hour_goes_after_a_day_and_only_when_all_of_it_is_published(
    command: Connection, environment_: Environment
) -> None:
    now = clock.now() + 200 * HOUR_MICROS
    old, older = now - 26 * HOUR_MICROS, now - 30 * HOUR_MICROS
    for moment in (old, older):
        partitions.create_ahead(command, moment)
    published, waiting = add(command, old), add(command, older, acked=False)
    young = add(command, now - 24 * HOUR_MICROS)
    due, done = do("outbox hours gone by", environment_, now)
    assert due == done > 0
    rest = {row[0] for row in command.execute("select event_id from outbox").fetchall()}
    assert rest == {waiting, young} and published not in rest
    assert partitions.hours(command)[0].number == partitions.hour_of(older)
    command.execute("update outbox set acked_at = now() where event_id = %s", (waiting,))
    assert do("outbox hours gone by", environment_, now) == (1, 1)


def test_a_busy_outbox_is_left_alone_and_comes_later(command: Connection, environment_: Environment) -> None:
    now = clock.now() + 400 * HOUR_MICROS
    partitions.create_ahead(command, now - 30 * HOUR_MICROS)
    with psycopg.connect(environment_.command_database_url) as writer:
        writer.execute("select from outbox limit 1")
        begun = time.monotonic()
        with pytest.raises(psycopg.errors.LockNotAvailable):
            do("outbox hours gone by", environment_, now)
        assert time.monotonic() - begun < 2
    due, done = do("outbox hours gone by", environment_, now)
    assert due == done > 0


def test_bytes_are_kept_as_long_as_asked_and_never_cleared_before_the_log_has_them(
    command: Connection, environment_: Environment
) -> None:
    now = clock.now() + 600 * HOUR_MICROS
    old, young = now - 14 * HOUR_MICROS, now - 11 * HOUR_MICROS
    for moment in (old, young):
        partitions.create_ahead(command, moment)
    cleared, waiting, kept = add(command, old), add(command, old, acked=False), add(command, young)

    def with_bytes() -> set[UUID]:
        return {row[0] for row in command.execute("select event_id from outbox where value is not null").fetchall()}

    assert do("outbox bytes", environment_, now)[0] > 0
    assert with_bytes() == {waiting, kept}
    command.execute("update outbox set acked_at = now() where event_id = %s", (waiting,))
    assert do("outbox bytes", environment_, now)[0] == 1, "an hour that still had bytes is looked at again"
    assert do("outbox bytes", environment_, now)[0] == 0, "one that has none is not"
    assert with_bytes() == {kept}
    row = command.execute("select acked_offset from outbox where event_id = %s", (cleared,)).fetchone()
    assert row == (1,), "where it stands is still known"


def test_what_has_no_hour_goes_by_its_age(command: Connection, environment_: Environment) -> None:
    past = clock.now() - 90 * DAY_MICROS
    add(command, past, age_hours=25)
    waiting, young = add(command, past, acked=False, age_hours=25), add(command, past, age_hours=23)
    assert do("outbox rest", environment_) == (1, 1)
    assert {row[0] for row in command.execute("select event_id from outbox").fetchall()} == {waiting, young}


def test_answers_are_remembered_for_a_day_and_until_their_event_is_published(
    command: Connection, environment_: Environment
) -> None:
    now = clock.now()
    told = {"old": add(command, now), "waits": add(command, now, acked=False), "young": add(command, now)}
    for key, age in (("old", 25), ("waits", 25), ("young", 23)):
        command.execute(
            "insert into idempotency_answer values (%s, %s, '', 200, '', %s, now() - make_interval(hours => %s))",
            (uuid4(), key, told[key], age),
        )
    assert do("idempotency answers", environment_) == (1, 1)
    assert {row[0] for row in command.execute("select idempotency_key from idempotency_answer").fetchall()} == {
        "waits",
        "young",
    }


def test_tokens_go_when_they_expire_and_families_after_their_last(environment_: Environment) -> None:
    with psycopg.connect(environment_.vault_database_url, autocommit=True) as vault:
        over, going_on = uuid4(), uuid4()
        for family in (over, going_on):
            vault.execute("insert into refresh_family values (%s, %s, now() - interval '20 days')", (family, uuid4()))
        for token, family, spent, days in (("a", over, "now", -1), ("b", over, None, -1), ("c", going_on, "now", 1)):
            vault.execute(
                "insert into refresh_token (token_hash, family_id, spent_at, expires_at)"
                " values (%s, %s, %s, now() + make_interval(days => %s))",
                (token, family, spent, days),
            )
        assert do("refresh families", environment_) == (0, 0)
        assert do("refresh tokens", environment_) == (2, 2)
        assert do("refresh families", environment_) == (1, 1)
        assert vault.execute("select token_hash, family_id from refresh_token").fetchall() == [(b"c", going_on)]


def test_sign_ins_are_kept_for_ninety_days(environment_: Environment) -> None:
    with psycopg.connect(environment_.vault_database_url, autocommit=True) as vault:
        for days in (91, 89):
            vault.execute(
                "insert into sign_in (user_id, at) values (%s, now() - make_interval(days => %s))", (uuid4(), days)
            )
        assert do("sign-ins", environment_) == (1, 1)
        assert count(vault, "sign_in") == 1


def frames(connection: Connection, number: int, **ages: int) -> UUID:
    """A recipient with frames 1 to `number`, all sent; `up_to` of them are `days` old."""
    recipient = uuid4()
    connection.execute("insert into delivery.head values (%s, %s)", (recipient, number))
    connection.execute(
        "insert into delivery.frame (recipient_id, seq, notification_id, operation, cause_event, written_at, sent)"
        " select %s, n, gen_random_uuid(), 'set', gen_random_uuid(),"
        " now() - make_interval(days => case when n <= %s then %s else 0 end), true from generate_series(1, %s) as n",
        (recipient, ages.get("up_to", 0), ages.get("days", 0), number),
    )
    return recipient


def kept(connection: Connection, recipient: UUID) -> tuple[Any, ...]:
    row = connection.execute(
        "select min(seq), max(seq), count(*) from delivery.frame where recipient_id = %s", (recipient,)
    ).fetchone()
    assert row is not None
    return row


def test_frames_go_from_the_front_and_leave_no_hole(environment_: Environment) -> None:
    with psycopg.connect(environment_.read_database_url, autocommit=True) as read:
        many, aged, late, unsent = (
            frames(read, 1_010),
            frames(read, 20, up_to=5, days=8),
            frames(read, 20),
            frames(read, 20, up_to=20, days=8),
        )
        # Number 3 looks young between older ones: a transaction that began later may take a number before another.
        read.execute("update delivery.frame set written_at = now() where recipient_id = %s and seq = 3", (aged,))
        read.execute("update delivery.frame set sent = false where recipient_id = %s and seq = 8", (unsent,))
        assert do("delivery frames", environment_) == (22, 22)
        assert kept(read, many) == (11, 1_010, 1_000)
        assert kept(read, aged) == (6, 20, 15)
        assert kept(read, late) == (1, 20, 20)
        assert kept(read, unsent) == (8, 20, 13)


class Post:
    """A post by somebody of its own, whose texts were written so many days ago, the oldest first."""

    def __init__(self, connection: Connection, *days: float) -> None:
        self._connection, self._now = connection, clock.now()
        self.author_id = mint(self._now)
        times = [self._now - int(each * DAY_MICROS) for each in days]
        self.versions = [mint(time) for time in times]
        for version_id, time_ in zip(self.versions, times, strict=True):
            connection.execute(
                "insert into posts.post_version (post_id, version_id, author_id, content, written_at, written_event)"
                " values (%s, %s, %s, 'text', to_timestamp(%s / 1e6), %s)",
                (self.versions[0], version_id, self.author_id, time_, version_id),
            )

    def rows(self) -> list[UUID]:
        """What is there, newest first."""
        return [row[0] for row in self._connection.execute(
            "select version_id from posts.post_version where post_id = %s order by 1 desc", (self.versions[0],)
        )]  # fmt: skip

    def shown(self, history_days: int) -> list[UUID]:
        """What a reader of the history gets."""
        given = {
            "post": self.versions[0], "viewer": None, "before": None, "last": LAST_ID, "limit": 100,
            "history_days": history_days,
        }  # fmt: skip
        return [row[0] for row in self._connection.execute(VERSIONS_SQL, given)]

    def meant(self, history_days: int) -> list[UUID]:
        """What the reference model says."""
        post_id, times = self.versions[0], [time_of(each) for each in self.versions]
        texts: dict[str, Any] = {"subject_id": self.author_id, "post_id": post_id, "content": "text", "hashtags": ""}
        edits = [
            PostEdited(event_id=each, occurred_at=time_, **texts)
            for each, time_ in zip(self.versions[1:], times[1:], strict=True)
        ]
        first = PostPublished(event_id=post_id, occurred_at=times[0], visibility="public", **texts)
        joined = UserRegistered(
            event_id=self.author_id, occurred_at=0, subject_id=self.author_id, username="a", display_name="A"
        )
        limit = self._now - history_days * DAY_MICROS if history_days else 0
        return Model([*edits, first, joined], limit).history(post_id, self.author_id)


def test_a_text_goes_a_year_after_it_was_replaced_and_shows_no_longer_even_before(environment_: Environment) -> None:
    assert environment_.history_days == 365
    with psycopg.connect(environment_.read_database_url, autocommit=True) as read:
        read.execute("truncate posts.post_version")
        never_edited = Post(read, 4_000)
        long_settled = Post(read, 4_000, 2_000, 1_000)
        at_the_limit = Post(read, 900, 366, 364, 2)
        edited_today = Post(read, 4_000, 0)
        posts = (never_edited, long_settled, at_the_limit, edited_today)
        left = [
            never_edited.versions,
            long_settled.versions[2:],
            at_the_limit.versions[1:],
            edited_today.versions,
        ]
        wanted = [each[::-1] for each in left]
        assert [post.shown(365) for post in posts] == wanted == [post.meant(365) for post in posts]
        assert do("post versions", environment_) == (3, 3)
        assert [post.rows() for post in posts] == wanted == [post.shown(365) for post in posts]
        assert do("post versions", environment_) == (0, 0)


def test_history_is_kept_for_ever_where_the_setting_says_so(environment_: Environment) -> None:
    with psycopg.connect(environment_.read_database_url, autocommit=True) as read:
        read.execute("truncate posts.post_version")
        post = Post(read, 4_000, 2_000, 1_000)
        assert do("post versions", replace(environment_, history_days=0)) == (0, 0)
        assert post.rows() == post.shown(0) == post.meant(0) == post.versions[::-1]
        assert post.shown(1_500) == post.meant(1_500) == post.versions[:0:-1]
        assert do("post versions", replace(environment_, history_days=1_500)) == (1, 1)
        assert post.rows() == post.versions[:0:-1]


@pytest.mark.parametrize("days", ["-1", "36501", "a year"])
def test_a_limit_that_means_nothing_is_refused(days: str) -> None:
    with pytest.raises(ValueError, match="ROOKERY_HISTORY_DAYS"):
        load({"ROOKERY_HISTORY_DAYS": days})


def waited_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)


def readiness(port: int) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return {"status": answer.status, **json.load(answer)}
    except urllib.error.HTTPError as error:
        return {"status": error.code, **json.load(error)}
    except OSError:
        return {"status": 0, "role": ""}


@contextmanager
def workers(variables: dict[str, str], ports: list[int]) -> Iterator[list[subprocess.Popen[bytes]]]:
    command = [sys.executable, "-m", "infra.purge.worker"]
    started = [
        subprocess.Popen(command, cwd=REPOSITORY, env=os.environ | variables | {"ROOKERY_PURGER_PORT": str(port)})
        for port in ports
    ]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_of_two_workers_one_works_and_the_other_takes_its_place(
    place: tuple[Environment, dict[str, str]], command: Connection
) -> None:
    ports = [free_port(), free_port()]
    gone = add(command, clock.now() - 90 * DAY_MICROS, age_hours=25)
    with workers(place[1], ports) as (first, second):
        waited_for(lambda: {readiness(port)["role"] for port in ports} == {"leading", "standing by"})
        waited_for(lambda: all(readiness(port)["status"] == 200 for port in ports))
        waited_for(lambda: command.execute("select from outbox where event_id = %s", (gone,)).fetchone() is None)
        leading = 0 if readiness(ports[0])["role"] == "leading" else 1
        (first, second)[leading].kill()
        waited_for(lambda: readiness(ports[1 - leading])["role"] == "leading")
        waited_for(lambda: readiness(ports[1 - leading])["status"] == 200)
        (first, second)[1 - leading].terminate()
        assert (first, second)[1 - leading].wait(10) == 0


def test_a_database_that_is_away_holds_up_no_other_job(environment_: Environment, command: Connection) -> None:
    gone = add(command, clock.now() - 90 * DAY_MICROS, age_hours=25)
    purger = Purger(replace(environment_, vault_database_url="postgresql://nobody@127.0.0.1:1/vault"))
    purger.do_what_is_due()
    state = purger.state()
    assert set(state["errors"]) == {"refresh tokens", "refresh families", "sign-ins"} == set(state["late"])
    assert not state["ready"]
    assert command.execute("select from outbox where event_id = %s", (gone,)).fetchone() is None


def test_a_long_first_round_is_no_fault_until_it_is_late(environment_: Environment) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def purge(*_: Any) -> int:
        begun.set()
        assert may_end.wait(30)
        return 1

    long = Job("long", "command", "rows", 60.0, purge, purge)
    waiting = Job("waiting", "command", "rows", 0.1, purge, purge)
    purger = Purger(environment_, (long, waiting))
    thread = threading.Thread(target=purger.run)
    thread.start()
    try:
        assert begun.wait(30)
        waited_for(lambda: purger.state()["late"] == ["waiting"])
        assert not purger.state()["ready"]
        may_end.set()
        waited_for(lambda: purger.state()["done"] == {"long": 1, "waiting": 1})
    finally:
        may_end.set()
        purger.stop()
        thread.join()


def test_the_command_line_counts_first_and_purges_then(
    place: tuple[Environment, dict[str, str]], command: Connection
) -> None:
    add(command, clock.now() - 90 * DAY_MICROS, age_hours=25)

    def purge(*flags: str) -> dict[str, int]:
        run = [sys.executable, "-m", "infra.cli.main", "purge", "--json", *flags]
        done = subprocess.run(run, cwd=REPOSITORY, env=os.environ | place[1], capture_output=True, check=True)
        told = json.loads(done.stdout)
        assert told["dry_run"] == ("--dry-run" in flags)
        return {job["name"]: job["count"] for job in told["jobs"]}

    for _ in range(2):
        assert purge("--dry-run")["outbox rest"] == 1
    assert count(command, "outbox") == 1
    assert purge()["outbox rest"] == 1
    assert count(command, "outbox") == 0
