"""`rookery topics`: what each topic holds, how fast it grows, and whether it is set up as it must be."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.cli.log_answers import one_line
from infra.cli.output import print_json, screen

if TYPE_CHECKING:
    from infra.event_log.topics import TopicHeld

TABLE_WIDTH = 160


def topics(
    name: Annotated[str, typer.Argument(help="One topic, with its partitions; all when left out.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Show each topic: records, size, times, rate, configuration. Status 1 when one is not as it should be."""
    from infra.event_log.topics import describe
    from shared import clock
    from shared.environment import environment

    with one_line():
        held = describe(environment(), clock.now(), [name] if name else [])
    if as_json:
        print_json({"topics": [_document(each, bool(name)) for each in held]})
    else:
        _show(held)
        for each in held if name else []:
            _show_one(each)
        for each in held:
            for difference in each.differs:
                screen.print(f"[bold red]{escape(each.kafka_name)}[/]: {escape(difference)}", soft_wrap=True)
    raise typer.Exit(1 if any(each.differs for each in held) else 0)


def _show(held: "list[TopicHeld]") -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("topic", no_wrap=True)
    for heading in ("partitions", "replicas", "records", "on disk", "/s, last hour"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("first", "last"):
        table.add_column(heading, no_wrap=True)
    table.add_column("as it should be")
    for each in held:
        table.add_row(
            each.kafka_name,
            str(len(each.partitions)),
            str(min((one.replicas for one in each.partitions), default=0)),
            f"{each.records:,}",
            _size(each.bytes),
            f"{each.per_second:,.1f}",
            _second(each.first_ms),
            _second(each.last_ms),
            "[red]no[/]" if each.differs else "yes",
        )
    _print_whole(table)


def _show_one(each: "TopicHeld") -> None:
    if each.producer:
        screen.print(
            f"\nby {each.partitioned_by}; appended by {each.producer}; read by {', '.join(each.readers)}",
            soft_wrap=True,
        )
    screen.print("  ".join(f"{name}={value}" for name, value in sorted(each.configuration.items())), soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for heading in ("partition", "leader", "in sync", "start", "end", "records", "on disk", "last hour"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("first", "last"):
        table.add_column(heading, no_wrap=True)
    for one in each.partitions:
        table.add_row(
            str(one.number),
            str(one.leader),
            f"{one.in_sync}/{one.replicas}",
            f"{one.start:,}",
            f"{one.end:,}",
            f"{one.records:,}",
            _size(one.bytes),
            f"{one.last_hour:,}",
            _second(one.first_ms),
            _second(one.last_ms),
        )
    _print_whole(table)


def _print_whole(table: Table) -> None:
    """Never with columns cut short: a narrow terminal wraps the lines, and a file has no width."""
    Console(highlight=False, width=max(screen.width, TABLE_WIDTH)).print(table)


def _document(each: "TopicHeld", with_partitions: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "topic": each.name,
        "kafka_name": each.kafka_name,
        "exists": each.exists,
        "partitions": len(each.partitions),
        "replicas": min((one.replicas for one in each.partitions), default=0),
        "records": each.records,
        "bytes": each.bytes,
        "first_recorded_at": _moment(each.first_ms),
        "last_recorded_at": _moment(each.last_ms),
        "records_per_second_last_hour": round(each.per_second, 3),
        "partitioned_by": each.partitioned_by,
        "producer": each.producer,
        "readers": each.readers,
        "configuration": each.configuration,
        "differs": each.differs,
    }
    if with_partitions:
        document["per_partition"] = [
            {
                "partition": one.number,
                "leader": one.leader,
                "replicas": one.replicas,
                "in_sync": one.in_sync,
                "start": one.start,
                "end": one.end,
                "records": one.records,
                "bytes": one.bytes,
                "records_last_hour": one.last_hour,
                "first_recorded_at": _moment(one.first_ms),
                "last_recorded_at": _moment(one.last_ms),
            }
            for one in each.partitions
        ]
    return document


def _size(size: int | None) -> str:
    if size is None:
        return ""
    return f"{size / 1_048_576:,.1f} MB" if size >= 1_048_576 else f"{size / 1_024:,.1f} kB"


def _moment(time_ms: int | None) -> str | None:
    from infra.event_log.texts import time_text

    return None if time_ms is None else time_text(time_ms * 1_000)


def _second(time_ms: int | None) -> str:
    return "" if time_ms is None else str(_moment(time_ms))[:19].replace("T", " ")
