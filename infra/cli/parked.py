"""`rookery parked`: what projections could not apply and have set aside, and what is to become of it.

A retry is asked for here and made by the partition's live worker, which alone knows what it applies at this moment: so
it is made by the code that runs, in order, and once. A drop is a person's decision, kept with its reason.
"""

import getpass
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import psycopg
import typer
from psycopg.rows import dict_row
from rich.markup import escape
from rich.table import Table

from infra.cli.output import print_json, say, screen
from infra.local import installation as installations
from infra.local.failures import LocalError
from projectors.catalogue import PROJECTIONS, projection_named
from shared.environment import environment

RETRY_SECONDS = 30.0
POLL_SECONDS = 0.2
SHOWN_MAX = 100
NEIGHBOURS_MAX = 20

application = typer.Typer(no_args_is_help=True, help="Records that could not be applied: list, show, retry, drop.")
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Name = Annotated[str | None, typer.Argument(help="A projection; all of them when left out.")]


@dataclass(frozen=True)
class Place:
    """Which record: its id is `projection/topic/partition/offset`."""

    projection: str
    topic: str
    partition: int
    offset: int

    @staticmethod
    def of(identifier: str) -> "Place":
        parts = identifier.split("/")
        try:
            projection, topic, partition, offset = parts
            return Place(_projection(projection), topic, int(partition), int(offset))
        except ValueError:
            raise LocalError(
                f"{identifier!r} is no record's id: it is projection/topic/partition/offset, as `list` shows it"
            ) from None

    def __str__(self) -> str:
        return f"{self.projection}/{self.topic}/{self.partition}/{self.offset}"


@application.command("list")
def list_parked(
    projection: Name = None,
    dropped: Annotated[bool, typer.Option("--dropped", help="What was dropped, by whom and why, instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what is parked, in the order of the log, and which projections the breaker has stopped."""
    with _read_database() as connection:
        names = _names(projection)
        stopped = {name: row for name in names for row in _rows(connection, BREAKER, name) if row["stopped_at"]}
        found = [_said(name, row) for name in names for row in _rows(connection, DROPPED if dropped else LIST, name)]
    if as_json:
        print_json({"dropped" if dropped else "parked": found, "stopped": stopped})
        return
    for name, row in stopped.items():
        screen.print(
            f"[bold red]{name} is stopped[/] since {row['stopped_at']:%Y-%m-%d %H:%M:%S}: {escape(row['why'])}."
            f" `rookery parked resume {name}` lets it go on.",
            soft_wrap=True,
        )
    _show_list(found, dropped)


@application.command()
def show(
    record: Annotated[str, typer.Argument(help="Its id, as `list` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Show one record: what it failed of, its event as far as it can be read, and what waits behind it."""
    place = Place.of(record)
    with _read_database() as connection:
        row = _one(connection, place)
        neighbours = _rows(
            connection,
            LIST + " where topic = %(topic)s and partition = %(partition)s and record_offset <> %(offset)s"
            f" and keys && %(keys)s order by record_offset limit {NEIGHBOURS_MAX}",
            place.projection,
            topic=place.topic, partition=place.partition, offset=place.offset, keys=row["keys"],
        )  # fmt: skip
    document = _said(place.projection, row)
    document |= {"bytes": len(row["value"]), "value": bytes(row["value"]).hex(), **_decoded(place, row["value"])}
    document["same_key"] = [_said(place.projection, each) for each in neighbours]
    if as_json:
        print_json(document)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in document.items():
        if name not in ("same_key", "value"):
            table.add_row(name.replace("_", " "), escape(_text(value)))
    screen.print(table)
    for each in document["same_key"]:
        when = "before it" if each["offset"] < place.offset else "behind it"
        screen.print(f"{when}: {each['id']}  {each['event_type'] or 'no event'}  {each['state']}")


@application.command()
def retry(
    record: Annotated[str | None, typer.Argument(help="A record's id, or a projection with --all or --key.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that is parked there.")] = False,
    key: Annotated[str | None, typer.Option(help="All of one key, as `list` shows it.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the live worker.")] = RETRY_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Have the live worker try again. Exit status 3 when some failed again, 1 when no worker has tried."""
    if not every and key is None:
        if record is None:
            raise LocalError("say which: a record's id, or --all, or --key")
        place = Place.of(record)
        names, condition = [place.projection], (
            "topic = %(topic)s and partition = %(partition)s and record_offset = %(offset)s"
        )  # fmt: skip
        values: dict[str, Any] = {"topic": place.topic, "partition": place.partition, "offset": place.offset}
    else:
        names = _names(record)
        condition, values = ("true", {}) if key is None else ("%(key)s = any(keys)", {"key": key})
    with _read_database() as connection:
        asked = [
            (name, row)
            for name in names
            for row in _rows(connection, RETRY.replace("{condition}", condition), name, **values)
        ]
        if not asked:
            raise LocalError("nothing of the kind is parked (`rookery parked list`)")
        _refuse_where_stopped(connection, {name for name, _ in asked})
        applied, failed, waiting = _awaited(connection, asked, timeout)
    if as_json:
        print_json({"applied": applied, "failed_again": failed, "waiting": waiting})
    else:
        for identifier in applied:
            screen.print(f"[green]applied[/] {identifier}")
        for each in failed:
            screen.print(f"[red]failed again[/] {each['id']}: {escape(each['reason'])}", soft_wrap=True)
        for identifier in waiting:
            screen.print(f"[yellow]waiting[/] {identifier}")
    if waiting and not failed:
        say("some wait behind others that are parked, or their projector does not run (`rookery status`)")
    raise typer.Exit(3 if failed else 1 if waiting else 0)


@application.command()
def drop(
    record: Annotated[str, typer.Argument(help="Its id, as `list` shows it.")],
    reason: Annotated[str, typer.Option(help="Why it may be left out; it is kept.")],
    as_json: AsJson = False,
) -> None:
    """Leave a record out for good, of rebuilds too: what waits behind it follows."""
    place = Place.of(record)
    if not reason.strip():
        raise LocalError("a drop without a reason cannot be understood later: --reason")
    who = f"{getpass.getuser()}@{socket.gethostname()}"
    with _read_database() as connection:
        found = _rows(
            connection, DROP, place.projection,
            topic=place.topic, partition=place.partition, offset=place.offset, who=who, why=reason.strip(),
        )  # fmt: skip
    if not found:
        raise LocalError(f"{place} is not parked (`rookery parked list`)")
    if as_json:
        print_json({"dropped": str(place), "by": who, "reason": reason.strip()})
    else:
        screen.print(f"dropped {place}: {escape(reason.strip())}", soft_wrap=True)


@application.command()
def resume(
    projection: Annotated[str, typer.Argument(help="The projection that the breaker has stopped.")],
    as_json: AsJson = False,
) -> None:
    """Let a stopped projection go on; what was parked before counts no more for the breaker."""
    who = f"{getpass.getuser()}@{socket.gethostname()}"
    with _read_database() as connection:
        found = _rows(connection, RESUME, _projection(projection), who=who)
    if as_json:
        print_json({"resumed": bool(found), "projection": projection})
    else:
        screen.print(f"{projection} goes on" if found else f"{projection} was not stopped")


# What follows asks the database; {schema} stands for the projection's.

COLUMNS = "topic, partition, record_offset, keys, event_type, event_id, subject_id, reason"
LIST = f"select {COLUMNS}, state, attempts, first_at, last_at, retry_at, copied_at from {{schema}}.parked"
DROPPED = f"select {COLUMNS}, parked_at, dropped_at, dropped_by, why from {{schema}}.dropped"
BREAKER = "select stopped_at, why, resumed_at, resumed_by from {schema}.breaker"
RETRY = """update {schema}.parked set retry_at = clock_timestamp() where {condition}
           returning topic, partition, record_offset, attempts"""
DROP = """
with gone as (
  delete from {schema}.parked
   where topic = %(topic)s and partition = %(partition)s and record_offset = %(offset)s
  returning topic, partition, record_offset, keys, event_type, event_id, subject_id, reason, first_at)
insert into {schema}.dropped as d (topic, partition, record_offset, keys, event_type, event_id, subject_id, reason,
                                   parked_at, dropped_by, why)
select *, %(who)s, %(why)s from gone
on conflict (topic, partition, record_offset) do update
   set dropped_at = clock_timestamp(), dropped_by = excluded.dropped_by, why = excluded.why
returning 1"""
RESUME = """update {schema}.breaker set stopped_at = null, why = null, resumed_at = clock_timestamp(),
                   resumed_by = %(who)s where stopped_at is not null returning 1"""


def _awaited(
    connection: psycopg.Connection[Any], asked: Sequence[tuple[str, dict[str, Any]]], timeout: float
) -> tuple[list[str], list[dict[str, Any]], list[str]]:
    """The ids of what was applied, what failed again, and the ids of what nobody has decided yet."""
    deadline = time.monotonic() + timeout
    attempts = {_id(name, row): row["attempts"] for name, row in asked}
    names = {name for name, _ in asked}
    while True:
        standing = {_id(name, row): _said(name, row) for name in names for row in _rows(connection, LIST, name)}
        applied = [identifier for identifier in attempts if identifier not in standing]
        left = [standing[identifier] for identifier in attempts if identifier in standing]
        failed = [each for each in left if each["attempts"] > attempts[each["id"]]]
        waiting = [each["id"] for each in left if each["attempts"] == attempts[each["id"]]]
        undecided = [each["id"] for each in left if each["retry_at"] is not None]
        if not undecided or time.monotonic() > deadline:
            return applied, failed, waiting
        time.sleep(POLL_SECONDS)


def _refuse_where_stopped(connection: psycopg.Connection[Any], names: set[str]) -> None:
    for name in names:
        if any(row["stopped_at"] for row in _rows(connection, BREAKER, name)):
            raise LocalError(f"{name} is stopped by its breaker: `rookery parked resume {name}` first")


def _rows(connection: psycopg.Connection[Any], query: str, projection: str, **values: Any) -> list[dict[str, Any]]:
    # Projections' names come from the catalogue.
    order = " order by topic, partition, record_offset" if query in (LIST, DROPPED) else ""
    statement = (query + order).replace("{schema}", projection)
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement.encode(), values).fetchall()


def _one(connection: psycopg.Connection[Any], place: Place) -> dict[str, Any]:
    query = LIST.replace("select ", "select value, ") + (
        " where topic = %(topic)s and partition = %(partition)s and record_offset = %(offset)s"
    )
    values = {"topic": place.topic, "partition": place.partition, "offset": place.offset}
    found = _rows(connection, query, place.projection, **values)
    if not found:
        raise LocalError(f"{place} is not parked (`rookery parked list`)")
    return found[0]


def _decoded(place: Place, value: Any) -> dict[str, Any]:
    """The event as far as its bytes can be read, sealed fields closed, and what its fold says of it here and now."""
    from infra.cli.trouble import REGISTRY
    from schemas.codec import MalformedRecord, UnknownEventType
    from schemas.registration import open_codec

    try:
        event = open_codec(environment().schema_registry_url).decode(bytes(value))
    except REGISTRY as error:
        raise LocalError(f"schema registry: {str(error).strip()}: is it up (`rookery status`)?") from error
    except (MalformedRecord, UnknownEventType) as error:
        return {"event": None, "undecodable": str(error)}
    read = {"event": {"type": type(event).__name__, **msgspec.to_builtins(event)}}
    try:
        projection_named(place.projection).fold([event])
    except Exception as error:  # whatever a fold raises is what is to be seen
        return {**read, "fold_raises": f"{type(error).__name__}: {error}"}
    return {**read, "fold_raises": None}


def _said(projection: str, row: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in row.items() if name not in ("record_offset", "value")}
    return {"id": _id(projection, row), "projection": projection, "offset": row["record_offset"], **shown}


def _id(projection: str, row: dict[str, Any]) -> str:
    return str(Place(projection, row["topic"], row["partition"], row["record_offset"]))


def _show_list(found: Sequence[dict[str, Any]], dropped: bool) -> None:
    headings = (
        ("id", "event", "dropped", "by", "why") if dropped else ("id", "event", "state", "tries", "key", "reason")
    )
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold", no_wrap=heading == "id")
    for each in found[:SHOWN_MAX]:
        kind = each["event_type"] or "no event"
        if dropped:
            by, why = escape(each["dropped_by"]), escape(each["why"])
            table.add_row(each["id"], kind, f"{each['dropped_at']:%Y-%m-%d %H:%M}", by, why)
        else:
            keys = escape(", ".join(each["keys"]))
            table.add_row(each["id"], kind, each["state"], str(each["attempts"]), keys, escape(each["reason"]))
    if found:
        screen.print(table)
    more = f", of which {SHOWN_MAX} are shown" if len(found) > SHOWN_MAX else ""
    screen.print(f"{len(found):,} {'dropped' if dropped else 'parked'}{more}")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _names(projection: str | None) -> list[str]:
    return [each.name for each in PROJECTIONS] if projection is None else [_projection(projection)]


def _projection(name: str) -> str:
    try:
        return projection_named(name).name
    except LookupError as error:
        raise LocalError(str(error)) from error


@contextmanager
def _read_database() -> Iterator[psycopg.Connection[Any]]:
    installations.current()
    try:
        with psycopg.connect(environment().read_database_url, autocommit=True, connect_timeout=3) as connection:
            yield connection
    except psycopg.Error as error:
        raise LocalError(f"{str(error).strip()}: is everything up (`rookery status`)?") from error
