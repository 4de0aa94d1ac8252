"""Every read model is what the log says it must be, or the first differences are named.

    python -m tests.model.verify [--json] [--timeout SECONDS]      (`rookery verify` runs this)

It reads the whole log, waits until every projection has applied it, makes the reference model of it, and compares all
tables of the read database in one snapshot, the warm feeds in Redis, and what the query API answers some readers. It
writes nothing, but reading a feed warms it. Exit status: 0 no difference, 3 some, 1 when it could not compare.
"""

import argparse
import gc
import json
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg
import redis
from confluent_kafka import KafkaException
from confluent_kafka.schema_registry.error import SchemaRegistryError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from projectors.runtime.stores.port import Partition
from schemas.codec import MalformedRecord, UnknownEventType
from schemas.types import Event
from shared import feed_redis
from shared.clock import now
from shared.environment import Environment, environment
from shared.feed_store import FeedStore, FeedUnavailable
from shared.trend_store import TrendsUnavailable
from tests.model import positions
from tests.model.feeds import compare_answers, compare_delivery, compare_warm
from tests.model.finding import compare_findings
from tests.model.found import rows_of
from tests.model.home import MICROS_PER_DAY
from tests.model.log import LogReader
from tests.model.reference import Model
from tests.model.tables import TABLES, VIEWS, Difference, compare

SAME, CANNOT_COMPARE, DIFFERENT = 0, 1, 3
SHOWN_MAX = 20
# The purger goes by the database's clock, and on while this compares.
PURGER_AHEAD_MICROS = 3_600_000_000
POLL_SECONDS = 0.2
# What ends a comparison without a result: errors that say what to do, and servers that do not answer.
SAYING_WHY = (TimeoutError, LookupError, FeedUnavailable, TrendsUnavailable)
TROUBLE = (
    KafkaException,
    SchemaRegistryError,
    psycopg.Error,
    redis.RedisError,
    MalformedRecord,
    UnknownEventType,
)
screen, errors = Console(highlight=False), Console(stderr=True, highlight=False, soft_wrap=True)


class CannotCompare(Exception):
    """The comparison has no sense now; the message says why and what to do."""


@dataclass
class Report:
    """What was compared and what differs. `compared` counts rows, or readers where it is about readers."""

    differences: int = 0
    events: int = 0
    compared: dict[str, int] = field(default_factory=dict)
    first_differences: list[Difference] = field(default_factory=list)
    parked: dict[str, int] = field(default_factory=dict)  # records set aside, by projection; theirs are differences
    seconds: float = 0.0

    def add(self, name: str, compared: int, count: int, differences: list[Difference]) -> None:
        self.compared[name] = compared
        self.differences += count
        self.first_differences += differences[: max(0, SHOWN_MAX - len(self.first_differences))]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "seconds": round(self.seconds, 3)}


def verify(environment: Environment, timeout_seconds: float) -> Report:
    """Compares everything. Raises CannotCompare."""
    began, report = time.monotonic(), Report()
    deadline = began + timeout_seconds
    reader = LogReader(environment)
    client = feed_redis.connect(environment)
    # Through the owner's role: the model also looks at what no reader is shown.
    with psycopg.connect(environment.read_database_url, autocommit=True) as connection:
        with _settled(environment, reader, connection, client, deadline) as ends:
            say(f"making the reference model of {len(reader.events):,} events")
            model = Model(reader.events, forgotten_before(environment))
            report.events = len(reader.events)
            report.parked = positions.parked(connection)
            for table in (*TABLES, *VIEWS):
                say(table.name)
                report.add(table.name, *compare(table, model, rows_of(connection, table)))
            compared, differences = compare_delivery(model, connection, say)
            report.add("delivery.frame", compared, len(differences), differences)
        _compare_readers(environment, model, reader.events, report)
        if report.differences and reader.ends() != ends:
            raise CannotCompare("records were appended while readers were compared: stop the writers and try again")
    reader.close()
    report.seconds = time.monotonic() - began
    return report


def forgotten_before(environment: Environment) -> int:
    """In microseconds since 1970: a text that was replaced earlier may be gone; 0 where none ever goes."""
    if environment.history_days == 0:
        return 0
    return now() - environment.history_days * MICROS_PER_DAY + PURGER_AHEAD_MICROS


def _compare_readers(environment: Environment, model: Model, events: Sequence[Event], report: Report) -> None:
    say("warm feeds and what the query API answers")
    warm = sorted(FeedStore.open(environment).warm_feeds(), key=lambda entry: entry[0])
    compared, differences = compare_warm(model, warm)
    report.add("feed.warm", compared, len(differences), differences)
    readers = [reader_id for reader_id, _ in warm]
    # What trends is a matter of hours, and the log's newest event may be older.
    latest = max((event.occurred_at for event in events), default=now())
    for answered, differences in (
        compare_answers(model, readers, now()),
        compare_findings(model, readers, latest),
    ):
        for name, count in answered.items():
            own = [difference for difference in differences if difference.table == name]
            report.add(name, count, len(own), own)


@contextmanager
def _settled(
    environment: Environment,
    reader: LogReader,
    connection: psycopg.Connection[Any],
    client: redis.Redis,
    deadline: float,
) -> Iterator[dict[Partition, int]]:
    """A snapshot of the read database whose every position is exactly the log's end, the log being read to there."""
    while True:
        ends = reader.ends()
        read_log(reader, ends)
        wait_for(environment, connection, client, ends, deadline)
        with connection.transaction():
            connection.execute("set transaction isolation level repeatable read, read only")
            connection.execute("set local timezone = 'UTC'")
            if not positions.beyond(positions.in_postgres(connection), ends):
                yield ends
                return
        if time.monotonic() > deadline:
            raise CannotCompare("the log keeps growing: stop the writers and try again")
        say("the log has grown; reading on")


def read_log(reader: LogReader, ends: dict[Partition, int]) -> None:
    """Everything up to these ends, with a bar that shows how far it is."""
    with progress_bar() as bar:
        task = bar.add_task("reading the log", total=None)
        reader.read_to(ends, lambda done, total: bar.update(task, completed=done, total=total))


def wait_for(
    environment: Environment,
    connection: psycopg.Connection[Any],
    client: redis.Redis,
    ends: dict[Partition, int],
    deadline: float,
) -> None:
    """Until every projection is at these ends and has swept what it must. Raises CannotCompare after the deadline."""
    said = 0.0
    while True:
        stands = positions.in_postgres(connection) | positions.in_redis(client, environment)
        waiting = list(positions.behind(stands, ends)) or list(positions.unswept(connection))
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise CannotCompare(
                f"not caught up in time: {'; '.join(waiting[:5])}{' …' if len(waiting) > 5 else ''}. Does it run "
                "(`rookery status`)? --timeout SECONDS waits longer."
            )
        if time.monotonic() - said > 5:
            say(f"waiting for {len(waiting)} more: {waiting[0]}")
            said = time.monotonic()
        time.sleep(POLL_SECONDS)


def progress_bar() -> Progress:
    """On standard error, gone when it is done."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        console=errors, transient=True,
    )  # fmt: skip


def say(message: str) -> None:
    errors.print(f"[dim]{message}[/]")


def show(report: Report) -> None:
    """For people, on standard output."""
    table = Table(title=f"{report.events:,} events against the reference model", title_justify="left", box=None)
    table.add_column("")
    table.add_column("compared", justify="right")
    for name, count in report.compared.items():
        table.add_row(name, f"{count:,}")
    screen.print(table)
    if report.first_differences:
        found = Table(title="first differences", title_justify="left", box=None)
        for heading in ("table", "key", "column", "expected", "found"):
            found.add_column(heading, overflow="fold")
        for difference in report.first_differences:
            found.add_row(difference.table, difference.key, difference.column, difference.expected, difference.found)
        screen.print(found)
    for name, count in report.parked.items():
        screen.print(f"[yellow]{count:,} records are parked in {name}[/]: what they say is missing there")
    colour = "red" if report.differences else "green"
    screen.print(f"[{colour}]{report.differences:,} differences[/] in {report.seconds:.1f} s")


def main() -> int:
    parser = argparse.ArgumentParser(prog="rookery verify", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds to wait for the projections")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    # Millions of small tuples, none of them in a cycle: looking for cycles would take a third of the time.
    gc.disable()
    try:
        report = verify(environment(), arguments.timeout)
    except (CannotCompare, *SAYING_WHY) as error:
        errors.print(f"[bold red]could not compare:[/] {error}")
        return CANNOT_COMPARE
    except TROUBLE as error:
        errors.print(
            f"[bold red]could not compare:[/] {type(error).__name__}: {error}. Is everything up (`rookery status`)?"
        )
        return CANNOT_COMPARE
    if arguments.json:
        json.dump(report.as_json(), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        show(report)
    return DIFFERENT if report.differences else SAME


if __name__ == "__main__":
    sys.exit(main())
