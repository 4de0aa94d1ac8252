"""`rookery rebuild`, `rollback` and `query`: a projection made anew, compared with the live one, swapped in.

Exit status: 0 done, 2 refused (nothing was changed), 3 a difference was found (nothing was swapped), 4 ended before its
time (the same command goes on from there).
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from typing import Annotated, Any

import psycopg
import typer
from psycopg import Connection, sql
from rich.markup import escape
from rich.table import Table

from infra.cli.output import duration, print_json, progress, say, screen
from infra.cli.trouble import TROUBLE
from projectors.catalogue import projection_named
from projectors.feed.fold import PROJECTION as FEED
from projectors.runtime import siblings
from projectors.runtime.catching_up import PositionMoved, sweep
from projectors.runtime.loading import CHUNK_RECORDS
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.rebuild import Refused, Report, Unfinished, alone
from projectors.runtime.rebuilding import Request, estimate
from projectors.runtime.rebuilding import rebuild as run_rebuild
from projectors.runtime.rebuilding import rollback as run_rollback
from projectors.runtime.sibling_sweeps import has_unswept
from projectors.runtime.swap import NotSwapped
from projectors.trends.fold import PROJECTION as TRENDS
from shared.environment import environment

DONE, REFUSED, DIFFERENT, UNFINISHED = 0, 2, 3, 4
SAY_SECONDS = 2.0
FEEDS_COMPARED = 100
OPERATIONAL = (*TROUBLE, Unfinished, PositionMoved, NotSwapped)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Name = Annotated[str, typer.Argument(help="A projection in PostgreSQL, such as counters.", show_default=False)]


class Told:
    """Says on standard error how far a phase is: rate and time left, every two seconds at most; `of_long_phases` says
    nothing of one that takes less."""

    def __init__(self, of_long_phases: bool = False) -> None:
        self._of_long_phases = of_long_phases
        self._phase = ""
        self._began, self._at_first, self._said = 0.0, 0, 0.0

    def __call__(self, phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        if phase != self._phase:
            self._phase, self._began, self._at_first, self._said = phase, now, done, now
            if not self._of_long_phases:
                say(f"{phase}: {done:,} of {total:,}" if done else f"{phase}: {total:,}")
        elif now - self._said >= SAY_SECONDS and done < total:
            self._said = now
            rate = (done - self._at_first) / (now - self._began)
            left = f", {duration((total - done) / rate)} left" if rate else ""
            say(f"{phase}: {done:,} of {total:,}, {rate:,.0f}/s{left}")


def rebuild(
    projection: Annotated[str, typer.Argument(help="A projection in PostgreSQL, such as counters.")] = "",
    from_: Annotated[
        str, typer.Option("--from", help="Offset or time: only what came from then on. Needs --keep.")
    ] = "",
    until: Annotated[str, typer.Option(help="Offset or time: the state as of then, in a schema of its own.")] = "",
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare with the live schema at the same positions.")
    ] = False,
    swap: Annotated[bool, typer.Option("--swap", help="Verify, then put it in the live one's place.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave it beside the live one, as without --swap.")] = False,
    changed: Annotated[
        list[str] | None, typer.Option(help="table.column or table that this version changes: not compared.")
    ] = None,
    processes: Annotated[int, typer.Option(min=0, help="How many load at once; 0: one for each core, 4 at most.")] = 0,
    chunk_records: Annotated[int, typer.Option(min=1, hidden=True)] = CHUNK_RECORDS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what there is to do, and change nothing.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the schemas beside the live ones.")] = False,
    drop: Annotated[str, typer.Option(help="Drop a schema that a rebuild made.")] = "",
    warm: Annotated[
        bool, typer.Option("--warm", help="The feed: fill active readers' at once, not as they read.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild a projection from the log, beside the live one while that serves; the feed: have all of it filled anew;
    trends: count them anew.

    An offset is a number, the same in every partition, or TOPIC/PARTITION=OFFSET,… for some; a time is ISO 8601, UTC
    where it names no zone, and stands for what the log had appended before it.
    """
    with _exits():
        if list_:
            return _list(projection, as_json)
        if drop and dry_run:
            raise Refused("--drop drops, whatever else is asked for: leave --dry-run out")
        if drop:
            return _drop(drop, as_json)
        given = (from_, until, verify, swap, keep, changed, processes, dry_run)
        if projection == FEED.name:
            return _rebuild_feeds(warm, any(given), as_json)
        if projection == TRENDS.name:
            return _rebuild_trends(any((*given, warm)), as_json)
        if warm:
            raise Refused("--warm is of the feed")
        request = Request(
            _postgres_projection(projection),
            from_,
            until,
            verify or swap,
            swap,
            keep,
            tuple(changed or ()),
            processes,
            chunk_records,
        )
        if dry_run:
            return _show_estimate(estimate(request, environment()), as_json)
        report = run_rebuild(request, environment(), Told())
        _show(report, as_json)
        if report.comparison is not None and report.comparison.differing:
            raise typer.Exit(DIFFERENT)
    return None


def _rebuild_feeds(warm: bool, more: bool, as_json: bool) -> None:
    from infra.repair.feeds import rebuild_feeds

    if more:
        raise Refused(f"of {FEED.name} no schema is made: it takes --warm and --json alone")
    report = rebuild_feeds(FEED, environment(), Told(), warm, FEEDS_COMPARED)
    if as_json:
        print_json(report.as_json())
    else:
        screen.print(f"{len(report.incarnations)} shards were made cold in {report.seconds['switching'] * 1000:.0f} ms")
        if warm:
            seconds = report.seconds["warming"]
            rate = f", {report.warmed / seconds:,.0f}/s" if seconds else ""
            screen.print(f"{report.warmed:,} of {report.active:,} active readers filled in {seconds:.1f} s{rate}")
        else:
            screen.print(f"{report.active:,} readers were active; each one's next read fills their feed")
        said = {True: "[green]verified[/]", False: "[red]not the same[/]", None: "[yellow]not verified[/]"}
        screen.print(
            f"{said[report.verified]}: {report.compared:,} readers' newest items compared with PostgreSQL's"
            + (f"; {report.not_compared:,} feeds could not be filled by now" if report.not_compared else "")
        )
    if report.differing:
        raise typer.Exit(DIFFERENT)


def _rebuild_trends(more: bool, as_json: bool) -> None:
    from infra.repair.trends import rebuild_trends

    if more:
        raise Refused(f"of {TRENDS.name} no schema is made: it takes --json alone")
    report = rebuild_trends(TRENDS, environment(), Told())
    if as_json:
        print_json(report.as_json())
    else:
        screen.print(
            f"{report.records:,} records read again in {report.seconds:.1f} s, {report.freed:,} old keys freed"
        )


def rollback(
    projection: Name,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare first; a difference is an exit status of 3.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put what was live before the last swap in its place again, caught up with the log."""
    with _exits():
        report = run_rollback(_postgres_projection(projection), environment(), Told(), verify)
        _show(report, as_json)
        if report.comparison is not None and report.comparison.differing:
            raise typer.Exit(DIFFERENT)


def query(
    statement: Annotated[str, typer.Argument(help="SQL, or a table's name; left out: the tables.")] = "",
    as_of: Annotated[str, typer.Option(help="A kept schema, or the time that one was made for.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Rows at most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Read a state of the past, as the role that may only SELECT."""
    with _exits():
        schema = _swept(_schema_as_of(as_of))
        with psycopg.connect(environment().query_database_url, autocommit=True, connect_timeout=3) as connection:
            connection.execute(sql.SQL("set search_path to {}").format(sql.Identifier(schema)))
            connection.execute("set statement_timeout = '60s'")
            columns, rows, more = _answered(connection, schema, statement, limit)
    if as_json:
        print_json({"schema": schema, "rows": [dict(zip(columns, row, strict=True)) for row in rows], "more": more})
        return
    table = Table(*columns, box=None, pad_edge=False, title=schema, title_justify="left")
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row))
    screen.print(table)
    if more:
        progress.print(f"[dim]the first {limit}; --limit shows more[/]")


def _answered(
    connection: Connection[Any], schema: str, statement: str, limit: int
) -> tuple[list[str], list[tuple[Any, ...]], bool]:
    """Columns, at most `limit` rows, and whether there are more."""
    names = connection.execute("select tablename from pg_tables where schemaname = %s order by 1", (schema,)).fetchall()
    tables = [name for (name,) in names]
    if not statement:
        counted = [
            (
                name,
                *(connection.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(name))).fetchone() or ()),
            )
            for name in tables
        ]
        return ["table", "rows"], counted, False
    asked = sql.SQL("select * from {}").format(sql.Identifier(statement)) if statement in tables else statement.encode()
    cursor = connection.cursor()
    try:
        # Row by row: the client would otherwise hold all that the statement answers.
        rows = list(islice(cursor.stream(asked), limit + 1))
        if not rows:
            cursor.execute(asked)  # a stream that ended does not tell its columns
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise Refused(f"{error.diag.message_primary or error}: a state of the past is read by a SELECT") from None
    return [column.name for column in cursor.description or ()], rows[:limit], len(rows) > limit


def _schema_as_of(as_of: str) -> str:
    """The schema's name. Raises Refused naming those there are."""
    with siblings.connect(environment().read_database_url) as connection:
        kept = siblings.siblings(connection)
    fitting = [each.schema for each in kept if as_of and as_of in (each.schema, each.until)]
    if len(fitting) != 1:
        there = ", ".join(each.schema for each in kept) or "none: rookery rebuild PROJECTION --until TIME makes one"
        raise Refused(f"--as-of names no schema, or several, by {as_of!r}; there are {there}")
    return fitting[0]


def _swept(schema: str) -> str:
    """Nobody who was erased since is shown, whether or not a live sweeper came by."""
    with siblings.connect(environment().read_database_url) as connection:
        sibling = siblings.found(connection, schema)
        if sibling is None or sibling.phase is not siblings.Phase.READY:
            raise Refused(f"{schema} is not whole yet: the command that makes it goes on with it")
        if not has_unswept(connection, sibling.projection, schema):
            return schema  # also while another schema is being made for hours
    with alone(environment(), sibling.projection):
        sweep(_postgres_projection(sibling.projection), environment(), sibling)
    return schema


def _list(projection: str, as_json: bool) -> None:
    with siblings.connect(environment().read_database_url) as connection:
        kept = siblings.siblings(connection, projection)
        sizes = dict(
            connection.execute(
                "select relnamespace::regnamespace::text, sum(pg_total_relation_size(oid))::bigint from pg_class"
                " where relkind = 'r' group by 1"
            ).fetchall()
        )
    if as_json:
        print_json({"schemas": [{**asdict(each), "bytes": sizes.get(each.schema, 0)} for each in kept]})
        return
    table = Table("schema", "what", "phase", "since", "until", "MB", box=None, pad_edge=False)
    for each in kept:
        size = f"{sizes.get(each.schema, 0) / 1_048_576:,.0f}"
        table.add_row(each.schema, each.kind, each.phase, each.began_at, each.until, size)
    screen.print(table if kept else "no schema beside the live ones")


def _drop(schema: str, as_json: bool) -> None:
    with siblings.connect(environment().read_database_url) as connection:
        sibling = siblings.found(connection, schema)
        if sibling is None:
            raise Refused(f"{schema} is not a schema that a rebuild made; `rookery rebuild --list` names those")
        with alone(environment(), sibling.projection):
            siblings.drop(connection, schema)
    if as_json:
        print_json({"dropped": schema})
    else:
        screen.print(f"dropped {schema}")


def _postgres_projection(name: str) -> PostgresProjection:
    try:
        projection = projection_named(name)
    except LookupError as error:
        raise Refused(str(error.args[0])) from None
    if not isinstance(projection, PostgresProjection):
        raise Refused(f"{name} lies in Redis, where nothing is kept that needs this")
    return projection


@contextmanager
def _exits() -> Iterator[None]:
    """Turns what can go wrong into one message and the exit status that says what to do."""
    try:
        yield
    except OPERATIONAL as error:  # first, as an unknown type of event is a LookupError too
        say(f"[bold red]unfinished[/] {type(error).__name__}: {escape(str(error).strip())}")
        say("what is done is kept: the same command goes on from there")
        sys.exit(UNFINISHED)
    except (Refused, LookupError, ValueError) as error:
        say(f"[bold red]refused[/] {escape(str(error.args[0] if error.args else error))}")
        sys.exit(REFUSED)


def _show_estimate(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        return print_json(found)
    for name, value in found.items():
        shown = ("no", "yes")[value] if isinstance(value, bool) else f"{value:,}" if isinstance(value, int) else value
        screen.print(f"{name.replace('_', ' '):<24} {shown}")
    return None


def _show(report: Report, as_json: bool) -> None:
    answer = answer_of(report)
    if as_json:
        print_json(answer)
        return
    seconds: dict[str, float] = answer["seconds"]
    screen.print(f"{report.schema}: {report.records:,} records in {sum(seconds.values()):.1f} s")
    screen.print("  " + ", ".join(f"{phase} {each:.1f} s" for phase, each in seconds.items()))
    if report.comparison is not None:
        _show_comparison(report)
    if report.parked:
        screen.print(f"{report.parked:,} records are parked in it, as `rookery parked list` shows once it is live")
    if report.released:
        screen.print(f"{report.released:,} parked records were applied: this version's fold accepts them")
    if report.swapped is not None:
        screen.print(
            f"swapped in: live workers waited {report.swapped.frozen_seconds * 1000:.0f} ms;"
            f" the former one is {report.swapped.old_schema}"
        )


def _show_comparison(report: Report) -> None:
    comparison = report.comparison
    assert comparison is not None
    rows = sum(comparison.rows.values())
    if not comparison.differing:
        screen.print(f"[green]verified[/]: {rows:,} rows of {len(comparison.rows)} tables are the live ones")
    for each in comparison.first:
        key = ", ".join(f"{name}={value}" for name, value in each.key.items())
        screen.print(f"[red]differs[/] {each.table}, first at {escape(key)}:")
        screen.print(escape(f"    live {_side(each.live)}; rebuilt {_side(each.rebuilt)}"))
    if comparison.changed:
        screen.print(f"not compared, changed by this version: {escape(', '.join(comparison.changed))}")


def _side(values: Any) -> str:
    return "no row" if values is None else ", ".join(f"{name}={value}" for name, value in values.items()) or "a row"


def answer_of(report: Report) -> dict[str, Any]:
    """The report as machines read it; seconds and rates are of this run."""
    total = sum(report.seconds.values())
    return {
        "projection": report.projection,
        "schema": report.schema,
        "resumed": report.resumed,
        "records": report.records,
        "seconds": {phase: round(seconds, 3) for phase, seconds in report.seconds.items()},
        "records_per_second": round(report.records / total) if total else None,
        "statements": report.statements,
        "verified": None if report.comparison is None else not report.comparison.differing,
        "comparison": None if report.comparison is None else report.comparison.as_json(),
        "parked": report.parked,
        "released": report.released,
        "swapped": None if report.swapped is None else asdict(report.swapped),
    }
