"""`rookery events`: the log's records as CloudEvents, shown, counted and exported; nothing in the log is changed."""

import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any
from uuid import UUID

import orjson
import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from infra.cli.log_answers import one_line
from infra.cli.output import duration, megabytes, print_json, progress, say, screen
from infra.local.failures import MissingError

if TYPE_CHECKING:
    from infra.event_log.export import Exported, Sink
    from infra.event_log.reading import Reading

application = typer.Typer(
    no_args_is_help=True, help="Read the log: its newest records, one, how many, all into a file."
)

Topics = Annotated[list[str] | None, typer.Option("--topic", help="Of this topic; again for more. All when left out.")]
Types = Annotated[list[str] | None, typer.Option("--type", help="Of this type, such as PostLiked; again for more.")]
Subject = Annotated[str, typer.Option("--subject", help="What this person did: their id or username.")]
Since = Annotated[str, typer.Option("--since", help="Appended at this time (UTC) or later: 2026-11-21T09:30, 15m, 7d.")]
Until = Annotated[str, typer.Option("--until", help="Appended before this time.")]
Decrypt = Annotated[bool, typer.Option("--decrypt", help="Open sealed text. Needs the keys' role and the master key.")]
Reason = Annotated[str, typer.Option("--reason", help="Why it is opened; kept in the vault, with who and when.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]

# What a terminal would obey and JSON does not escape: DEL, C1 controls, line separators, changes of direction.
CONTROLS = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
ROWS_SHOWN_MAX = 50


class By(StrEnum):
    """What is counted apart."""

    TOPIC = "topic"
    TYPE = "type"
    HOUR = "hour"
    DAY = "day"
    SUBJECT = "subject"


@application.command()
def tail(
    topic: Topics = None,
    type_: Types = None,
    subject: Subject = "",
    since: Since = "",
    until: Until = "",
    number: Annotated[int, typer.Option("-n", min=0, max=100_000, help="So many, the newest that match.")] = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Then show new ones as they come.")] = False,
    decrypt: Decrypt = False,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """The newest records, oldest first; one line each, with --json one CloudEvent a line."""
    from infra.event_log import finding
    from infra.event_log.failures import BadArgument
    from infra.event_log.reading import Wanted, reading
    from shared import clock

    wanted = Wanted(topic or (), type_ or (), subject, since, until)
    with one_line():
        if follow and until:
            raise BadArgument("--follow has no end, and --until is one: give one of them")
        with reading(wanted, "events tail", decrypt, reason) as read:
            found = finding.newest(read.scan, read.asked, read.select, number, clock.now() // 1_000)
            _print_lines(read, found.records, as_json)
            if follow:
                for portion in read.scan.follow({span.partition: span.end for span in found.spans}):
                    _print_lines(read, read.select(portion), as_json)


@application.command()
def get(
    which: Annotated[str, typer.Argument(help="An event's id, or TOPIC:PARTITION:OFFSET.")],
    decrypt: Decrypt = False,
    reason: Reason = "",
) -> None:
    """One record, as JSON. An event is looked for near the time in its id. Status 1 when the log does not hold it."""
    from infra.event_log import one
    from infra.event_log.reading import Wanted, reading

    with one_line():
        place = one.parsed(which)
        topics = (place.partition.topic,) if isinstance(place, one.Place) else ()
        with reading(Wanted(topics), f"events get {which}", decrypt, reason) as read:
            record = one.find(read.scan, read.asked.topics, place, say)
            print_json(read.events.show_all([record])[0])


@application.command()
def count(
    topic: Topics = None,
    type_: Types = None,
    subject: Subject = "",
    since: Since = "",
    until: Until = "",
    by: Annotated[By | None, typer.Option("--by", help="Count each of these apart.")] = None,
    as_json: AsJson = False,
) -> None:
    """How many records match; every one is read, none decoded."""
    from infra.event_log.reading import Wanted, reading
    from infra.event_log.texts import time_text

    name_of: dict[By, Callable[[Any], str]] = {
        By.TOPIC: lambda record: record.topic,
        By.HOUR: lambda record: time_text(record.time_ms * 1_000)[:13] + ":00Z",
        By.DAY: lambda record: time_text(record.time_ms * 1_000)[:10],
        By.SUBJECT: lambda record: str(UUID(bytes=record.key[:16])) if len(record.key or b"") == 32 else "nobody",
    }
    with one_line(), reading(Wanted(topic or (), type_ or (), subject, since, until), "events count") as read:
        name_of[By.TYPE] = read.schemas.type_of
        counts: Counter[str] = Counter()
        total = 0
        with ReadingProgress(sum(span.end - span.start for span in read.spans())) as advanced:
            read_so_far = 0
            for portion in read.scan.mixed(read.spans()):
                found = read.select(portion)
                total += len(found)
                read_so_far += len(portion)
                if by is not None:
                    counts.update(map(name_of[by], found))
                advanced(read_so_far)
    # Times in their order, all else by how many.
    rows = sorted(counts.items()) if by in (By.HOUR, By.DAY) else counts.most_common()
    if as_json:
        document = {"total": total, "by": by, "counts": dict(rows)} if by else {"total": total}
        print_json(document | {"filters": read.asked.described()})
        return
    _show_counts(rows, total, by)


@application.command()
def export(
    to: Annotated[str, typer.Option("--to", help="FILE.jsonl, FILE.jsonl.gz, FILE.parquet, or - for JSON lines.")],
    topic: Topics = None,
    type_: Types = None,
    subject: Subject = "",
    since: Since = "",
    until: Until = "",
    from_offset: Annotated[
        list[str] | None, typer.Option("--from-offset", help="TOPIC:PARTITION:OFFSET to begin at; again for more.")
    ] = None,
    after: Annotated[
        Path | None, typer.Option("--after", help="Begin where an export ended: a file with its --json answer.")
    ] = None,
    decrypt: Decrypt = False,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """All that match, in the order of topic, partition and offset. The file is there whole or not at all."""
    from infra.event_log import export as exports
    from infra.event_log.failures import BadArgument
    from infra.event_log.reading import Wanted, reading

    with one_line():
        exports.check_destination(to)
        if to == exports.STANDARD_OUTPUT and as_json:
            raise BadArgument("--json answers on standard output, where --to - writes the records: give one of them")
        make_sink = _sink(to)
        wanted = Wanted(topic or (), type_ or (), subject, since, until, tuple(from_offset or ()), after)
        with reading(wanted, "events export", decrypt, reason, to) as read:
            spans = read.spans()

            def run(stream: IO[bytes]) -> "Exported":
                with ReadingProgress(sum(span.end - span.start for span in spans)) as advanced:
                    return exports.export(read.scan, spans, read.select, read.events, make_sink(stream), advanced)

            if to == exports.STANDARD_OUTPUT:
                done = run(sys.stdout.buffer)
            else:
                with exports.whole_file(Path(to)) as stream:
                    done = run(stream)
                done.size = Path(to).stat().st_size
            done.to = to
    _tell(done)
    if as_json:
        print_json(asdict(done) | {"records_per_second": round(done.records_per_second)})


def _sink(to: str) -> "Callable[[IO[bytes]], Sink]":
    from infra.event_log.export import GzippedJsonLines, JsonLines

    if to.endswith(".jsonl.gz"):
        return GzippedJsonLines
    if not to.endswith(".parquet"):
        return JsonLines
    try:
        from infra.event_log.parquet import Parquet
    except ImportError as error:
        raise MissingError("Parquet needs pyarrow, which is not installed: pip install 'rookery[parquet]'") from error
    return Parquet


class ReadingProgress:
    """Progress, rate and time left on a terminal's standard error; entering it gives what to tell it by."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._bar = Progress(
            TextColumn("reading"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=progress,
            transient=True,
            disable=not progress.is_terminal,
        )

    def __enter__(self) -> Callable[[int], None]:
        self._bar.start()
        task = self._bar.add_task("", total=self._total, rate="")

        def advanced(read: int) -> None:
            speed = self._bar.tasks[0].finished_speed or self._bar.tasks[0].speed
            self._bar.update(task, completed=read, rate=f"{speed:,.0f}/s" if speed else "")

        return advanced

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _print_lines(read: "Reading", records: "list[Any]", as_json: bool) -> None:
    if not records:
        return
    shown = read.events.show_all(records)
    if as_json:
        sys.stdout.buffer.write(b"".join(orjson.dumps(each, option=orjson.OPT_APPEND_NEWLINE) for each in shown))
        sys.stdout.buffer.flush()
        return
    for each in shown:
        line = "  ".join(
            (
                each["recordedtime"],
                f"{each['topic']}:{each['partition']}:{each['offset']}",
                each["type"].rpartition(".")[2],
                each.get("subject", "nobody"),
                orjson.dumps(each["data"]).decode(),
            )
        )
        print(CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", line))
    sys.stdout.flush()


def _show_counts(rows: list[tuple[str, int]], total: int, by: By | None) -> None:
    if by is None:
        screen.print(f"{total:,}")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column(by)
    table.add_column("records", justify="right")
    # Of times the last ones, of all else the most frequent.
    shown = rows[-ROWS_SHOWN_MAX:] if by in (By.HOUR, By.DAY) else rows[:ROWS_SHOWN_MAX]
    for name, number in shown:
        table.add_row(escape(name), f"{number:,}")
    if len(shown) < len(rows):
        table.add_row(f"{len(rows) - len(shown):,} others", f"{total - sum(number for _, number in shown):,}")
    table.add_row("total", f"{total:,}")
    screen.print(table)


def _tell(done: "Exported") -> None:
    size = f", {megabytes(done.size)}" if done.size else ""
    rate = f"{done.records_per_second:,.0f}/s"
    took = f"{done.seconds:.1f} s" if done.seconds < 60 else duration(done.seconds)
    say(f"{done.records:,} of {done.read:,} records read, in {took} ({rate}){size}: {escape(done.to)}")
    if done.unreadable:
        kinds = ", ".join(f"{number:,} {kind}" for kind, number in done.unreadable.items())
        say(f"among them no readable events: {kinds}")
