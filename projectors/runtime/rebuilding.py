"""The commands of rebuilding, from what was asked to what was done: refused before anything is touched, or whole."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from projectors.runtime import set_aside, siblings
from projectors.runtime.catching_up import CatchUp
from projectors.runtime.digests import compared
from projectors.runtime.loading import CHUNK_RECORDS
from projectors.runtime.log_ends import LogEnds, offsets_for_times
from projectors.runtime.phases import timed
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.rebuild import UNBOUND, Progress, Rebuild, Refused, Report, Spans, alone
from projectors.runtime.sibling_sweeps import others_swept
from projectors.runtime.siblings import Kind, Phase, Sibling, connect, partition_at, shape_of, stamp
from projectors.runtime.stores.port import Partition
from shared.environment import Environment

# Rates on two cores, for the estimate of a dry run alone.
USUAL_RECORDS_PER_SECOND = 80_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OFFSETS_NAMED_MAX = 20  # characters of a schema's name


@dataclass(frozen=True)
class Request:
    """What was asked for; `first` and `until` are offsets or times as they were written, empty where not given."""

    projection: PostgresProjection
    first: str = ""
    until: str = ""
    verify: bool = False
    swap: bool = False
    keep: bool = False
    changed: tuple[str, ...] = ()
    processes: int = 0
    chunk_records: int = CHUNK_RECORDS

    def check(self) -> None:
        """Raises Refused for what has no sense together, LookupError or ValueError for columns there are not."""
        if self.swap and self.keep:
            raise Refused("--swap and --keep exclude each other")
        if self.until and (self.swap or self.verify):
            raise Refused("a state of the past is neither compared with the live one nor swapped in: leave --until out")
        if self.first and (self.swap or self.verify):
            raise Refused("what begins in the middle of the log is a part of the state: it is never swapped in")
        if self.first and not self.keep:
            raise Refused("--from makes a part of the state, in a schema of its own: say --keep")
        compared(self.projection, self.changed)


def rebuild(request: Request, environment: Environment, progress: Progress) -> Report:
    """Does what was asked for. Raises Refused, and what a server's trouble raises; then the same call goes on."""
    request.check()
    name = request.projection.name
    with alone(environment, name) as connection:
        work = Rebuild(request.projection, environment, connection, progress, request.processes, request.chunk_records)
        kind, schema, spans = _planned(request, environment, work)
        report = Report(name, schema)
        with others_swept(request.projection, environment, schema):
            sibling = _made(request, work, kind, schema, spans, report)
        if kind is Kind.NEXT:
            _finish(request, environment, work, sibling, report)
        else:
            work.sweep(sibling)
            report.parked = len(set_aside.lying(connection, schema))
    return report


def _made(request: Request, work: Rebuild, kind: Kind, schema: str, spans: Spans, report: Report) -> Sibling:
    """The schema, whole."""
    with timed(report.seconds, "loading"):
        until = request.until or (UNBOUND if kind is not Kind.NEXT else "")
        sibling, report.resumed = work.begin_or_resume(kind, schema, spans, until)
        if kind is not Kind.NEXT and sibling.phase is not Phase.READY:
            spans = work.segment_spans(schema)
        report.records = sum(end - first for first, end in spans.values())
        if sibling.phase is Phase.LOADING:
            sibling = work.load(sibling)
    if sibling.phase is Phase.MERGING:
        with timed(report.seconds, "merging"):
            sibling = work.merge(sibling, report)
            if kind is not Kind.NEXT:
                work.enter_later_erasures(sibling, {each: first for each, (first, _) in spans.items()})
    return sibling


def _finish(request: Request, environment: Environment, work: Rebuild, sibling: Sibling, report: Report) -> None:
    """Catches up with the live schema, compares, swaps."""
    writer = CatchUp(request.projection, environment, sibling.schema)
    try:
        with others_swept(request.projection, environment, sibling.schema):
            with timed(report.seconds, "catching up"):
                work.catch_up(sibling, writer)
                work.sweep(sibling)
            if request.verify:
                with timed(report.seconds, "verifying"):
                    report.comparison = work.verify(sibling, writer, request.changed)
        report.parked, report.released = len(writer.lying()), writer.released
        if report.comparison is not None and report.comparison.differing:
            return
        if request.swap:
            with timed(report.seconds, "swapping"):
                report.swapped = work.swap(sibling, writer)
            report.parked -= writer.released - report.released
            report.released = writer.released
    finally:
        writer.close()


def rollback(
    projection: PostgresProjection, environment: Environment, progress: Progress, verify: bool = False
) -> Report:
    """Swaps what was live before the last swap in again. Raises Refused where there is none, or it is too old."""
    schema = f"{projection.name}_old"
    with alone(environment, projection.name) as connection:
        sibling = siblings.found(connection, schema)
        if sibling is None:
            raise Refused(f"there is no {schema}: nothing was swapped, or it was dropped")
        if sibling.shape and sibling.shape != shape_of(projection):
            raise Refused(f"{schema} was made by another version of {projection.name}: put that version back first")
        age = datetime.now(UTC) - datetime.fromisoformat(sibling.ended_at)
        if age > timedelta(days=environment.rollback_days):
            raise Refused(f"{schema} was swapped out {age.days} days ago, which is too long: rebuild instead")
        work, report = Rebuild(projection, environment, connection, progress), Report(projection.name, schema)
        writer = CatchUp(projection, environment, schema)
        try:
            with timed(report.seconds, "catching up"):
                # Whoever was erased meanwhile goes first of all.
                work.sweep(sibling)
                writer.own()
                report.records = work.catch_up(sibling, writer)
                work.sweep(sibling)
            if verify:
                with timed(report.seconds, "verifying"):
                    report.comparison = work.verify(sibling, writer, ())
                if report.comparison.differing:
                    return report
            with timed(report.seconds, "swapping"):
                report.swapped = work.swap(sibling, writer)
        finally:
            writer.close()
    return report


def estimate(request: Request, environment: Environment) -> dict[str, Any]:
    """What a rebuild would do, without doing any of it."""
    request.check()
    with connect(environment.read_database_url) as connection:
        work = Rebuild(request.projection, environment, connection, lambda *_: None, request.processes)
        kind, schema, spans = _planned(request, environment, work)
        known = siblings.found(connection, schema)
        row = connection.execute(
            "select coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint from pg_class as c"
            " join pg_namespace as n on n.oid = c.relnamespace where n.nspname = %s and relkind = 'r'",
            (request.projection.name,),
        ).fetchone()
    records = sum(end - first for first, end in spans.values())
    return {
        "projection": request.projection.name,
        "schema": schema,
        "kind": str(kind),
        "resumes": known is not None and known.shape == shape_of(request.projection),
        "partitions": len(spans),
        "records": records,
        "estimated_seconds": round(records / USUAL_RECORDS_PER_SECOND),
        "live_bytes": row[0] if row else 0,
        # The tables once more, and while loading the staged rows beside them.
        "disk_bytes_at_most": 2 * (row[0] if row else 0),
    }


def _planned(
    request: Request, environment: Environment, work: Rebuild
) -> tuple[Kind, str, dict[Partition, tuple[int, int]]]:
    """What kind of schema, under what name, of what part of each partition."""
    name = request.projection.name
    if not (request.until or request.first):
        return Kind.NEXT, f"{name}_next", work.live_spans()
    ends = LogEnds(environment)
    partitions = ends.partitions(request.projection.topics)
    first, last = ends.beginnings(partitions), ends.ends(partitions)
    begin = _offsets(request.first, environment, last) if request.first else first
    until = _offsets(request.until, environment, last) if request.until else last
    spans = {}
    for each in partitions:
        end = max(first[each], min(until.get(each, last[each]), last[each]))
        spans[each] = (min(max(begin.get(each, first[each]), first[each]), end), end)
    kind = Kind.PART if request.first else Kind.AS_OF
    word = "_".join(
        part
        for part in (
            "part_" + _named(request.first) if request.first else "",
            "asof_" + _named(request.until) if request.until else "",
        )
        if part
    )
    return kind, siblings.checked_name(f"{name}_{word}"), spans


def _named(bound: str) -> str:
    """An offset or time as a part of a schema's name."""
    if bound.isdecimal():
        return f"offset{bound}"
    moment = _moment(bound)
    if moment:
        return stamp(moment)
    words = re.sub(r"[^a-z0-9]+", "_", bound.lower()).strip("_")
    # A name has 63 characters at most, and a log many partitions; `rookery rebuild --list` has the offsets in full.
    short = words if len(words) <= OFFSETS_NAMED_MAX else hashlib.sha256(words.encode()).hexdigest()[:10]
    return f"offsets_{short}"


def _moment(bound: str) -> datetime | None:
    if "=" in bound:
        return None
    try:
        moment = datetime.fromisoformat(bound)
    except ValueError:
        raise ValueError(
            f"{bound!r} is neither an offset, nor TOPIC/PARTITION=OFFSET,…, nor a time (ISO 8601)"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _offsets(bound: str, environment: Environment, ends: Mapping[Partition, int]) -> dict[Partition, int]:
    """The offset in each partition that a bound names; of those that it does not name, none. Raises ValueError."""
    if bound.isdecimal():
        return dict.fromkeys(ends, int(bound))
    moment = _moment(bound)
    if moment is not None:
        return offsets_at(moment, environment, ends)
    found = {}
    for part in bound.split(","):
        where, _, offset = part.partition("=")
        partition = partition_at(where.strip())
        if partition not in ends or not offset.isdecimal():
            raise ValueError(f"{part!r} is not TOPIC/PARTITION=OFFSET of what this projection reads")
        found[partition] = int(offset)
    return found


def offsets_at(moment: datetime, environment: Environment, ends: Mapping[Partition, int]) -> dict[Partition, int]:
    """The first offset of each partition that the log appended at that moment or later; its end where there is none.

    Raises KafkaException where a partition does not answer: its end is not the state of that moment.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": environment.kafka_bootstrap_servers,
            "group.id": environment.topic("rebuild"),
            "log_level": 0,
        }
    )
    try:
        # The log counts whole milliseconds: what it appended within the moment's own came before the moment.
        millis = -((EPOCH - moment) // timedelta(milliseconds=1))
        asked = [TopicPartition(environment.topic(each.topic), each.number, millis) for each in ends]
        answered = offsets_for_times(consumer, asked)
    finally:
        consumer.close()
    return {
        each: end if place.offset == OFFSET_END else place.offset
        for (each, end), place in zip(ends.items(), answered, strict=True)
    }
