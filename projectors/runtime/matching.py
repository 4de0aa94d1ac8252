"""Finds in the log, by their bytes, the records that name given ids, and folds them; all others are only passed over.

An id stands in a record's value as its 16 bytes, wherever Avro puts it. Every erasure is taken too, whomever it names.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from typing import NamedTuple

from projectors.runtime.bulk_reading import HEADER_BYTES, BulkReader, LogRecord, Stretch, open_bulk_codec
from projectors.runtime.changes import Changes
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.set_aside import NOT_ITS_OWN_FAULT
from projectors.runtime.sifting import NEVER_PARKED
from projectors.runtime.stores.port import Partition
from schemas.codec import MalformedRecord, UnknownEventType
from schemas.registration import open_codec
from shared.environment import Environment

BATCH_RECORDS = 20_000

Names = tuple[bytes, ...]  # a record is taken that holds all of these


class Place(NamedTuple):
    """Where a record lies."""

    topic: str
    partition: int
    offset: int


class Matching:
    """`matched` counts the records that named an id; `unfoldable` are those of them that no fold accepts."""

    def __init__(self, projection: PostgresProjection, environment: Environment) -> None:
        self._projection = projection
        self._reader = BulkReader(environment)
        self._bulk = open_bulk_codec(projection, environment, opaque_ids=False)
        self._codec = open_codec(environment.schema_registry_url)
        self._erasures: dict[bytes, bool] = {}
        self.matched = 0
        self.unfoldable: list[Place] = []

    def changes(
        self,
        spans: Mapping[Partition, tuple[int, int]],
        wanted: Sequence[Names],
        left_out: Set[Place],
        take: Callable[[Changes], None],
        progress: Callable[[int], None] = lambda _: None,
        deadline: float = float("inf"),
    ) -> None:
        """Hands what the records change to `take`, stretch by stretch; records `left_out` are passed over.

        Raises what the reader raises, as TimeoutError past `deadline` (of time.monotonic), and UnknownEventType.
        """
        for stretch in self._reader.stretches(spans, BATCH_RECORDS, deadline):
            found = [
                record
                for record in stretch.records()
                if self._is_wanted(record.value, wanted)
                and Place(stretch.partition.topic, stretch.partition.number, record.offset) not in left_out
            ]
            if found:
                take(self._folded(stretch, found))
            progress(len(stretch.values))

    def _is_wanted(self, value: bytes, wanted: Sequence[Names]) -> bool:
        for names in wanted:
            if all(name in value for name in names):
                self.matched += 1
                return True
        header = value[:HEADER_BYTES]
        known = self._erasures.get(header)
        if known is None:
            try:
                known = self._codec.type_name(value) == NEVER_PARKED
            except (MalformedRecord, UnknownEventType):
                known = False
            self._erasures[header] = known
        return known

    def _folded(self, stretch: Stretch, found: Sequence[LogRecord]) -> Changes:
        try:
            return self._projection.fold(self._bulk.read([record.value for record in found]))
        except NOT_ITS_OWN_FAULT:
            raise
        except Exception:
            events = []
            for record in found:
                try:
                    read = self._bulk.read([record.value])
                    self._projection.fold(read)
                    events += read
                except NOT_ITS_OWN_FAULT:
                    raise
                except Exception:  # whatever a pure fold raises, it raises again
                    self.unfoldable.append(Place(stretch.partition.topic, stretch.partition.number, record.offset))
            return self._projection.fold(events)

    def close(self) -> None:
        self._reader.close()
