"""`rookery repair`: one id's rows of a projection, made anew from the log beside running workers.

Exit status: 0 nothing was wrong, 3 something was, and is not any more (with --dry-run: still is), 2 refused, 4 it could
not be done now and nothing was changed.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.markup import escape

from infra.cli.output import print_json, say, screen
from infra.cli.rebuild import DIFFERENT, REFUSED, UNFINISHED, Told
from infra.cli.trouble import TROUBLE
from projectors.catalogue import projection_named
from projectors.runtime.projection import PostgresProjection, RedisProjection
from projectors.runtime.repairing import Difference, NotRepairable, NotRepaired, Repair
from projectors.runtime.repairing import repair as run_repair
from projectors.runtime.row_scope import Scope
from shared.environment import environment

SHOWN_MAX = 50
TEXT_MAX = 60


def repair(
    projection: Annotated[str, typer.Argument(help="A projection, such as counters.", show_default=False)],
    key: Annotated[str, typer.Option(help="Whose rows: an id, or an edge such as like:POST:PERSON.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is wrong, and change nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Make one id's rows anew from the log, while workers go on; the feed's: have it filled anew."""
    with _exits():
        found = projection_named(projection)
        if not isinstance(found, PostgresProjection):
            return _cool(found, key, dry_run, as_json)
        report = run_repair(found, key, environment(), Told(of_long_phases=True), dry_run)
    if as_json:
        print_json(report.as_json())
    else:
        _show(report)
    raise typer.Exit(DIFFERENT if report.changed else 0)


def _cool(projection: RedisProjection, key: str, dry_run: bool, as_json: bool) -> None:
    """The next read of a feed that is cold fills it, and so does one that was dropped."""
    if projection.name != "feed":
        raise NotRepairable(f"of {projection.name} no part is made anew alone: rookery rebuild {projection.name}")
    ids = Scope.of(key).ids
    if dry_run or len(ids) != 1:
        raise NotRepairable(f"of {projection.name} a reader's feed is dropped: --key READER, without --dry-run")
    from infra.repair.feeds import cool

    state = cool(projection, environment(), ids[0])
    if as_json:
        print_json({"projection": projection.name, "key": key, "was": state, "changed": state != "cold"})
    else:
        screen.print(f"the feed was {state}; whoever reads it next has it filled anew")
    raise typer.Exit(DIFFERENT if state != "cold" else 0)


def _show(report: Repair) -> None:
    by_table: dict[str, list[Difference]] = {}
    for each in report.differences:
        by_table.setdefault(each.table, []).append(each)
    for table, differences in by_table.items():
        rows = f" of {report.rows[table]:,} rows" if table in report.rows else ""
        screen.print(f"{table}: {len(differences):,} wrong{rows}")
        for each in differences[:SHOWN_MAX]:
            key = ", ".join(f"{name}={value}" for name, value in each.key.items())
            screen.print(escape(f"  {key}"), soft_wrap=True)
            screen.print(escape(f"    {_side(each.before)} -> {_side(each.after)}"), soft_wrap=True)
        if len(differences) > SHOWN_MAX:
            screen.print(f"  and {len(differences) - SHOWN_MAX:,} more (--json names all)")
    if report.erased:
        screen.print(f"{report.erased:,} erased people were not known as such; what is theirs is being swept")
    for place in report.unfoldable:
        screen.print(f"[yellow]left out[/] {place.topic}/{place.partition}/{place.offset}, which no fold accepts")
    done = "nothing was wrong" if not report.changed else "nothing was changed" if report.dry_run else "mended"
    screen.print(
        f"{done}: {report.records:,} of {report.read:,} records name it, read in {report.seconds:.1f} s;"
        f" workers waited {report.locked_seconds * 1000:.0f} ms",
        soft_wrap=True,
    )


def _side(values: Mapping[str, str | None] | None) -> str:
    if values is None:
        return "no row"
    return ", ".join(f"{name}={_short(value)}" for name, value in values.items()) or "a row"


def _short(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"


@contextmanager
def _exits() -> Iterator[None]:
    try:
        yield
    except (NotRepaired, *TROUBLE) as error:  # first, as an unknown type of event is a LookupError too
        _end("unfinished", f"{type(error).__name__}: {str(error).strip()}", UNFINISHED)
    except (NotRepairable, LookupError, ValueError) as error:
        _end("refused", str(error.args[0] if error.args else error), REFUSED)


def _end(what: str, message: str, status: int) -> None:
    say(f"[bold red]{what}[/] {escape(message)}")
    sys.exit(status)
