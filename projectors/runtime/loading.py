"""Loads parts of the log into a rebuild's staging tables, each record once whatever is killed when.

    python -m projectors.runtime.loading PROJECTION SCHEMA CHUNK_RECORDS      (started by rebuild.py, one for each core)

It takes segments of partitions as JSON lines on standard input and answers its progress likewise. Staged rows, the sets
of the erased and gone, and how far the segment is go in one transaction that begins with a compare-and-set on that
progress: a process that outlived its rebuild, or a segment given twice, changes nothing. What the live schema leaves
out is left out (runtime/set_aside.py); what else the fold or the tables refuse is parked in the schema being made. It
ends with its parent.
"""

import gc
import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence, Set
from queue import SimpleQueue
from typing import Any, NamedTuple

from psycopg import Connection

from projectors.runtime import set_aside
from projectors.runtime.bulk_reading import BulkCodec, BulkReader, LogRecord, Stretch, open_bulk_codec
from projectors.runtime.catching_up import NotPassed
from projectors.runtime.changes import Changes
from projectors.runtime.parking_lot import Parked
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.set_aside import NOT_ITS_OWN_FAULT
from projectors.runtime.siblings import connect, lock_number, place
from projectors.runtime.sifting import Folds, sift
from projectors.runtime.staging import SEGMENT, copies, entered_sets
from projectors.runtime.stores.port import Partition, Unstorable
from projectors.runtime.stores.postgres import NOT_TO_BE_PACKED, OF_VALUES
from shared.environment import environment

CHUNK_RECORDS = 40_000  # of one transaction
SEGMENT_CHUNKS = 6  # so many of one partition are one process's work at a time


class Segment(NamedTuple):
    """A part of a partition: what lies from `first` up to but not including `until`, of which `next` is next."""

    topic: str
    partition: int
    first: int
    until: int
    next: int


class MovedOn(Exception):
    """Another process is further with this segment, or the rebuild is past loading: whoever learns it ends."""


def segments_of(partition: Partition, first: int, until: int, chunk_records: int) -> Iterator[Segment]:
    """The partition in segments; an empty partition is one empty segment, so that it gets a position."""
    at = first
    while True:
        end = min(at + SEGMENT_CHUNKS * chunk_records, until) if until > at else at
        yield Segment(partition.topic, partition.number, at, end, at)
        at = end
        if at >= until:
            return


class Loader:
    """One process's connection to the broker and to the database."""

    def __init__(self, projection: PostgresProjection, schema: str, chunk_records: int) -> None:
        self._projection = projection
        self._schema = schema
        self._chunk_records = chunk_records
        self._reader = BulkReader(environment())
        self._codec = open_bulk_codec(projection, environment(), not projection.computes_with_ids)
        # What is staged is unlogged, so that nothing is gained by waiting for the disk.
        self._connection = connect(environment().read_database_url, synchronous_commit="off")
        # Whoever begins to load after this process's rebuild was killed waits until it is gone.
        self._connection.execute("select pg_advisory_lock_shared(%s)", (lock_number("loading", schema),))

    def load(self, segment: Segment) -> Iterator[int]:
        """Loads what is left of the segment; yields the number of records of each chunk once it is committed.

        Raises MovedOn, and what the reader, the codec and the database raise.
        """
        partition = Partition(segment.topic, segment.partition)
        at = segment.next
        out = set_aside.left_out(self._connection, self._schema, partition, at, segment.until)
        for stretch in self._reader.stretches({partition: (at, segment.until)}, self._chunk_records):
            try:
                changes = self._projection.fold(self._codec.read(stretch.values_without(out)))
                self._stage(segment, at, stretch, changes)
            except (*NOT_ITS_OWN_FAULT, MovedOn):
                raise
            except Exception:  # some record of these cannot be folded, or staged
                self._stage_sifted(segment, at, stretch, out)
            yield stretch.next - at
            at = stretch.next

    def _stage_sifted(self, segment: Segment, at: int, stretch: Stretch, out: Set[int]) -> None:
        """Stages what can be staged, and parks the rest in the same transaction."""
        codec = open_bulk_codec(self._projection, environment(), opaque_ids=False)
        folds = Folds(self._projection.fold, self._projection.parking_keys)
        records = [record for record in stretch.records() if record.offset not in out]
        refused: dict[int, BaseException] = {}
        while True:
            sifted = sift(stretch.partition, records, frozenset(), refused, codec, folds)
            if sifted.ended_at is not None:
                where = f"{place(stretch.partition)}/{records[sifted.ended_at].offset}"
                raise NotPassed(f"{where} may not be passed and cannot be applied: {sifted.ended_by!r}")
            found = self._refused_among([records[index] for index in sifted.free], codec)
            if not found:
                break
            refused |= found
        self._stage(segment, at, stretch, sifted.changes, sifted.parked)

    def _refused_among(self, records: Sequence[LogRecord], codec: BulkCodec) -> dict[int, BaseException]:
        """The records that PostgreSQL does not take, by offset: found by halving."""
        try:
            with self._connection.transaction(force_rollback=True):
                self._copy(self._projection.fold(codec.read([record.value for record in records])))
            return {}
        except (*OF_VALUES, *NOT_TO_BE_PACKED) as error:
            if len(records) == 1:
                refusal = Unstorable()
                refusal.__cause__ = error
                return {records[0].offset: refusal}
        half = len(records) // 2
        return self._refused_among(records[:half], codec) | self._refused_among(records[half:], codec)

    def _copy(self, changes: Changes) -> None:
        for statement, rows in copies(self._projection, self._schema, changes):
            with self._connection.cursor().copy(statement.encode()) as copy:
                copy.write(rows)

    def _stage(
        self, segment: Segment, at: int, stretch: Stretch, changes: Changes, parked: Sequence[Parked] = ()
    ) -> None:
        with self._connection.transaction():
            moved = self._connection.execute(
                f"""update {self._schema}.{SEGMENT} set next_offset = %s, last_event = coalesce(%s, last_event)
                     where topic = %s and partition = %s and first_offset = %s and next_offset = %s""".encode(),
                (stretch.next, stretch.last_event, segment.topic, segment.partition, segment.first, at),
            )
            if moved.rowcount != 1:
                raise MovedOn(f"{segment} is no longer at {at}")
            self._copy(changes)
            if parked:
                set_aside.park(self._connection, self._schema, stretch.partition, parked)
            enter(self._connection, self._projection, self._schema, changes)


def enter(connection: Connection[Any], projection: PostgresProjection, schema: str, changes: Changes) -> None:
    """Enters who is erased and what is gone; ids may be UUIDs or their 16 bytes."""
    for name, column, entries in entered_sets(projection, changes):
        pairs = sorted((_hex(subject), _hex(event)) for subject, event in entries.items())
        connection.execute(
            f"insert into {schema}.{name} ({column}, event_id) select * from unnest(%s::uuid[], %s::uuid[])"
            " on conflict do nothing".encode(),
            ([subject for subject, _ in pairs], [event for _, event in pairs]),
        )


def _hex(identifier: Any) -> str:
    return identifier.hex() if isinstance(identifier, bytes) else identifier.hex


def main() -> None:
    from projectors.catalogue import projection_named

    projection = projection_named(sys.argv[1])
    if not isinstance(projection, PostgresProjection):
        sys.exit(f"{projection.name} is not in PostgreSQL")
    # Nothing here makes cycles, and looking for them takes a fifth of the time.
    gc.disable()
    given: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_listen, args=(given,), daemon=True).start()
    loader = Loader(projection, sys.argv[2], int(sys.argv[3]))
    _tell({"ready": os.getpid()})
    while line := given.get():
        segment = Segment(*json.loads(line))
        for records in loader.load(segment):
            _tell({"records": records})
        _tell({"done": segment})


def _listen(given: "SimpleQueue[str]") -> None:
    """Hands on what the parent says. Its end is this process's too, whatever it is doing."""
    for line in sys.stdin:
        given.put(line)
    os._exit(0)


def _tell(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
