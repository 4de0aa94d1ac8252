"""The log: partitions of records with offsets, which may lose their tail, and a group that shares them out.

Records are the real bytes under their real keys. The group gives partitions to its members round robin and takes them
away as Kafka does: it tells a member, and does not wait for one that does not listen.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from uuid import UUID

from projectors.runtime.last_records import event_of
from projectors.runtime.stores.port import Fence, Partition
from schemas.types import Event
from tests.simulation.loop import RUNNING, Process, SimulatedLoop

SESSION_SECONDS = 6.0
REBALANCE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Record:
    """One record; `event` is None where a null or a maintenance record stands."""

    offset: int
    key: bytes
    value: bytes | None
    event: Event | None


class SimulatedLog:
    """Every partition's records, in the order of their offsets; where one was compacted away there is a hole."""

    def __init__(self, partitions: Iterable[Partition]) -> None:
        self.records: dict[Partition, list[Record]] = {partition: [] for partition in partitions}
        self.ends: dict[Partition, int] = dict.fromkeys(self.records, 0)
        self._eras: dict[Partition, list[list[Record]]] = {partition: [] for partition in self.records}

    def append(self, partition: Partition, key: bytes, value: bytes | None, event: Event | None) -> None:
        offset = self.ends[partition]
        self.records[partition].append(Record(offset, key, value, event))
        self.ends[partition] = offset + 1

    def from_offset(self, partition: Partition, offset: int, records_max: int) -> list[Record]:
        return [record for record in self.records[partition] if record.offset >= offset][:records_max]

    def between(self, partition: Partition, previous: int, following: int) -> list[Record]:
        return [record for record in self.records[partition] if previous <= record.offset < following]

    def fetched(self, partition: Partition, previous: int, following: int, last_event: UUID | None) -> list[Event]:
        """The events that a step has folded; the log may have lost them, or some of them, since."""
        for records in [self.records[partition], *reversed(self._eras[partition])]:
            held = [record for record in records if previous <= record.offset < following]
            if held and held[-1].offset == following - 1 and event_of(held[-1].key) == last_event:
                return [record.event for record in held if record.event is not None]
        raise AssertionError(f"{partition} never had {previous}..{following} up to {last_event}")

    def lose_tail(self, partition: Partition, end: int) -> list[Record]:
        """Cuts the partition off at `end` and answers what was lost."""
        lost = self.between(partition, end, self.ends[partition])
        self._eras[partition].append(self.records[partition])
        self.records[partition] = [record for record in self.records[partition] if record.offset < end]
        self.ends[partition] = end
        return lost

    def delete(self, partition: Partition, key: bytes, null: bool) -> None:
        """Takes the records of this key out, as compaction does: their places are empty, or hold a null.

        The last one stays, since the active segment is never compacted.
        """
        end = self.ends[partition]
        self._eras[partition].append(self.records[partition])
        self.records[partition] = [
            record if stays else Record(record.offset, key, None, None)
            for record in self.records[partition]
            for stays in [record.key != key or record.offset == end - 1]
            if stays or null
        ]

    def events(self) -> list[Event]:
        return [record.event for records in self.records.values() for record in records if record.event is not None]

    # What runtime/log_ends.py asks the broker.

    def partitions(self, topics: Iterable[str]) -> list[Partition]:
        wanted = set(topics)
        return [partition for partition in self.records if partition.topic in wanted]

    def ends_of(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        return {partition: self.ends[partition] for partition in partitions}

    # What runtime/last_records.py asks it.

    def differences(self, fences: Mapping[Partition, Fence]) -> list[str]:
        """One sentence for each partition whose log is not the one that was applied."""
        return [
            difference
            for partition, fence in sorted(fences.items())
            if fence.last_event is not None and fence.offset > 0
            for difference in [self._difference(partition, fence)]
            if difference
        ]

    def _difference(self, partition: Partition, fence: Fence) -> str | None:
        end = self.ends[partition]
        if end < fence.offset:
            return f"{partition} ends at {end}, before the position {fence.offset}"
        event_id = self.event_before(partition, fence.offset)
        if event_id is None or event_id == fence.last_event:
            return None
        return f"{partition} has {event_id} at {fence.offset - 1}, where {fence.last_event} was applied"

    def event_before(self, partition: Partition, offset: int) -> UUID | None:
        """The id of the event right before this offset; None where no record stands there."""
        found = self.between(partition, offset - 1, offset)
        return event_of(found[0].key) if found else None


# A member is told its partitions, under the generation's number.
Told = Callable[[int, list[Partition]], None]


class Group:
    """Who has which partitions."""

    def __init__(self, loop: SimulatedLoop, partitions: Sequence[Partition]) -> None:
        self._loop = loop
        self._partitions = list(partitions)
        self._members: dict[str, tuple[Process, Told]] = {}
        self._expelled: set[str] = set()
        self._due = False
        self._context = copy_context()  # of no process: the coordinator outlives all of them
        self.generation = 0
        self.commits: dict[Partition, int] = {}

    def join(self, process: Process, told: Told) -> None:
        self._members[process.name] = (process, told)
        self.rebalance()

    def leave(self, process: Process) -> None:
        if self._members.pop(process.name, None) is not None:
            self.rebalance()

    def rebalance(self) -> None:
        """Shares the partitions out anew, a little later, once for all that ask until then."""
        if not self._due:
            self._due = True
            self._loop.call_later(REBALANCE_SECONDS, self._share_out, context=self._context)

    def look(self) -> None:
        """Throws out who was not heard of for a session, and takes in whom it had thrown out wrongly.

        Called twice a session: who does not run in two looks is thrown out.
        """
        changed = False
        for name, (process, _) in list(self._members.items()):
            silent = process.state != RUNNING
            if silent and name not in self._expelled:
                self._expelled.add(name)
                changed = True
            elif not silent and name in self._expelled:
                self._expelled.discard(name)
                changed = True
        if changed:
            self.rebalance()

    def _share_out(self) -> None:
        self._due = False
        self.generation += 1
        names = sorted(name for name in self._members if name not in self._expelled)
        for index, name in enumerate(names):
            _, told = self._members[name]
            told(self.generation, self._partitions[index :: len(names)])
