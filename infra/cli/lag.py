"""`rookery lag`: how far every projection is behind the log, in seconds, and why; asks and changes nothing."""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from infra.cli.output import duration, screen
from infra.local.failures import LocalError
from projectors.catalogue import PROJECTIONS, projection_named
from projectors.runtime.lag_figures import PartitionFigures, ProjectionFigures, Report, State, document
from projectors.runtime.lag_observer import LagObserver
from projectors.runtime.projection import Projection
from shared.environment import environment

STATUS_BEHIND = 3
# A shape beside each colour, for whoever does not see the colour.
MARKS = {
    State.IDLE: ("●", "green"),
    State.ADVANCING: ("▶", "cyan"),
    State.NEVER_STARTED: ("○", "yellow"),
    State.STOPPED: ("✕", "bold red"),
    State.STALLED: ("■", "bold red"),
    State.AHEAD: ("▲", "bold magenta"),
    State.UNKNOWN: ("?", "yellow"),
}
WORDS = {State.NEVER_STARTED: "never started", State.STOPPED: "no worker", State.AHEAD: "log lost its tail"}
COLUMNS = ("lag", "records", "per s", "to drain", "advanced", "parked", "workers", "takeovers", "drift")
NARROW = 6  # so many of them on a screen of less than WIDE characters
WIDE = 120


def lag(
    projections: Annotated[list[str] | None, typer.Argument(help="Only these; all when left out.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON; with --watch one object a line.")] = False,
    partitions: Annotated[bool, typer.Option("--partitions", help="A line for each partition.")] = False,
    every: Annotated[float, typer.Option(help="Seconds between two looks; rates need two.", min=0.2)] = 1.0,
    fail_above: Annotated[
        float | None, typer.Option(help="Exit status 3 when a lag is above so many seconds, or not known.", min=0)
    ] = None,
) -> None:
    """How far each projection is behind the log: seconds, records, rate, time to drain, and whether it moves at all."""
    try:
        chosen = [projection_named(name) for name in projections or ()] or list(PROJECTIONS)
    except LookupError as error:
        raise LocalError(str(error)) from error
    try:
        behind = asyncio.run(_show(chosen, watch, as_json, partitions, every, fail_above))
    except KeyboardInterrupt:
        behind = False
    raise typer.Exit(STATUS_BEHIND if behind else 0)


async def _show(
    chosen: Sequence[Projection], watch: bool, as_json: bool, partitions: bool, every: float, fail_above: float | None
) -> bool:
    """Whether a lag was above the limit; watching ends with the first that is."""
    async with LagObserver(environment(), chosen) as observer:
        report = await observer.look()
        if not watch:
            # Once more, since only a second look tells what moves.
            await asyncio.sleep(every)
            report = await observer.look()
            print(json.dumps(document(report), indent=2)) if as_json else screen.print(_page(report, partitions))
            return is_behind(report, fail_above)
        if as_json:
            while not is_behind(report, fail_above):
                sys.stdout.write(json.dumps(document(report)) + "\n")
                sys.stdout.flush()
                await asyncio.sleep(every)
                report = await observer.look()
            sys.stdout.write(json.dumps(document(report)) + "\n")
            return True
        with Live(_page(report, partitions), console=screen, auto_refresh=False) as live:
            while not is_behind(report, fail_above):
                await asyncio.sleep(every)
                report = await observer.look()
                live.update(_page(report, partitions), refresh=True)
        return True


def is_behind(report: Report, seconds: float | None) -> bool:
    """Whether a projection's lag is above the limit, or could not be told; never without a limit."""
    if seconds is None:
        return False
    return any(each.lag_seconds is None or each.lag_seconds > seconds for each in report.projections)


def _page(report: Report, partitions: bool) -> Group:
    shown = len(COLUMNS) if screen.width >= WIDE else NARROW
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for heading in COLUMNS[:shown]:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("worst", no_wrap=True)
    for each in report.projections:
        worst = each.worst
        place = f"{worst.topic} {worst.partition}" if worst is not None and worst.state is not State.IDLE else ""
        table.add_row(f"[bold]{each.projection}[/]", _state(each), *_cells(each)[:shown], place)
        for partition in each.partitions if partitions else ():
            name = f"  {partition.topic} {partition.partition}"
            table.add_row(name, _state(partition), *_cells(partition)[:shown], "")
    return Group(table, *(Text.from_markup(f"[bold red]trouble[/] {escape(each)}") for each in report.troubles))


def _state(found: ProjectionFigures | PartitionFigures) -> str:
    mark, colour = MARKS[found.state]
    return f"[{colour}]{mark} {WORDS.get(found.state, found.state.value)}[/]"


def _cells(found: ProjectionFigures | PartitionFigures) -> list[str]:
    """In the order of COLUMNS."""
    if found.state is State.UNKNOWN:
        return [""] * len(COLUMNS)
    drain = "never" if found.drain_seconds is None and found.rate is not None else _seconds(found.drain_seconds)
    advanced = found.seconds_since_advance
    workers = found.workers if isinstance(found, ProjectionFigures) else None
    return [
        _seconds(found.lag_seconds) or "?",
        f"{found.lag_records:,}",
        "" if found.rate is None else f"{found.rate:,.0f}",
        drain,
        "" if advanced is None else f"{duration(advanced)} ago",
        f"[bold red]{found.parked:,}[/]" if found.parked else "?" if found.parked is None else "0",
        "" if workers is None else str(workers),
        f"{found.rebalances:,}",
        "" if found.commit_drift is None else f"{found.commit_drift:,}",
    ]


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return "0 s" if seconds == 0 else f"{seconds:.1f} s" if seconds < 60 else duration(seconds)
