"""`rookery repair-log`: publishes again what the outbox saw acknowledged and the log lost; positions are set to fit."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from infra.cli.output import print_json, say, screen
from infra.local.failures import LocalError
from shared.environment import environment

if TYPE_CHECKING:
    from infra.repair.comparison import Finding
    from infra.repair.log import Repair

LOST = 3


def repair_log(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what is missing; change nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Bring back what a broker lost of the log's tail. Exit status 3 while acknowledged events are missing."""
    # Imported late: other commands need not pay for it.
    import psycopg
    import redis
    from confluent_kafka import KafkaException

    from infra.repair.log import NotDelivered, examine, mend

    def progress(line: str) -> None:
        say(escape(line))

    try:
        repair = examine(environment(), progress)
        if not dry_run and repair.findings:
            mend(environment(), repair, progress)
    except NotDelivered as error:
        raise LocalError(f"{error}: run it again, it goes on from there") from error
    except (psycopg.Error, redis.RedisError, KafkaException, TimeoutError, LookupError) as error:
        raise LocalError(f"{type(error).__name__}: {str(error).strip()}: is everything up?") from error
    if as_json:
        print_json(told(repair, dry_run))
    else:
        _show(repair, dry_run)
    raise typer.Exit(0 if repair.is_whole else LOST)


def told(repair: "Repair", dry_run: bool) -> dict[str, Any]:
    """The report as JSON has it."""
    return {
        "dry_run": dry_run,
        "compared": repair.compared,
        "lost": sum(len(finding.lost) for finding in repair.findings),
        "published": repair.published,
        "withheld": [str(event_id) for event_id in repair.withheld],
        "gone": [
            {"event_id": str(event_id), "topic": place.topic, "partition": place.number}
            for event_id, place in sorted(repair.gone.items())
        ],
        "positions_set_back": repair.set_back,
        "whole": repair.is_whole,
        "partitions": [_partition(finding) for finding in repair.findings],
    }


def _partition(finding: "Finding") -> dict[str, Any]:
    unknown = finding.unknown
    return {
        "topic": finding.partition.topic,
        "partition": finding.partition.number,
        "end": finding.end,
        "common": finding.common,
        "lost": [str(event_id) for event_id in finding.lost],
        "moved": len(finding.moved),
        "unknown_offsets": [unknown.start, unknown.stop - 1] if unknown else None,
        "ahead": {stand.store: stand.offset for stand in finding.ahead},
    }


def _show(repair: "Repair", dry_run: bool) -> None:
    if not repair.findings and not repair.gone:
        screen.print(f"the log has all of {repair.compared:,} acknowledged events, and every position fits it")
        return
    if repair.findings:
        table = Table(box=None, pad_edge=False)
        for heading in ("partition", "ends at", "differs from", "lost", "positions beyond"):
            table.add_column(heading, justify="left" if heading == "partition" else "right")
        for finding in repair.findings:
            cells = (finding.end, finding.common, len(finding.lost), len(finding.ahead))
            place = f"{finding.partition.topic}:{finding.partition.number}"
            table.add_row(place, *(f"{cell:,}" for cell in cells))
        screen.print(table)
    done = "can be published again" if dry_run else "published again"
    count = len(repair.records) if dry_run else repair.published
    screen.print(f"{count:,} events {done}; {repair.set_back:,} positions set back", soft_wrap=True)
    if repair.withheld:
        screen.print(f"{len(repair.withheld):,} events of people erased since are not published again")
    for finding in repair.findings:
        if finding.unknown:
            unknown = finding.unknown
            screen.print(
                f"[red]unknown[/] {finding.partition.topic}:{finding.partition.number}:"
                f" offsets {unknown.start} to {unknown.stop - 1} were applied; the outbox"
                " remembers nothing of them", soft_wrap=True,
            )  # fmt: skip
    for event_id, of in sorted(repair.gone.items()):
        screen.print(f"[red]gone[/] {event_id} {of.topic}:{of.number}", soft_wrap=True)
