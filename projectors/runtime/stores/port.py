"""What a projection's store promises: data and position move together, and only for the owner of the newest epoch.

A store keeps, per partition, the offset of the next record to apply and an epoch. `fence` raises the epoch, so that
every earlier owner's later `apply` is refused; `apply` is a compare-and-set on (offset, epoch) in one step with the
data. Kafka's own group offsets are advisory.

`stores/postgres.py` and `stores/redis.py` each have one class that fulfils `Store` and a function

    async def open_store(projection, environment, owner) -> Store

which connects (lazily or not) and does no schema work: tables and functions are made by runtime/prepare.py.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, Protocol
from uuid import UUID


class Partition(NamedTuple):
    """One partition of a topic; `topic` is the short name of schemas/topics.yaml, without the prefix it has in
    Kafka."""

    topic: str
    number: int


class Fence(NamedTuple):
    """What `fence` answers for a partition: read from `offset`, and apply under `epoch`.

    `last_event` is the id of the event right before `offset`, where the store keeps it.
    """

    offset: int
    epoch: int
    last_event: UUID | None = None


@dataclass(frozen=True, slots=True)
class Advance:
    """The step one batch makes in one partition: from `previous` to `next` under `epoch`.

    The batch holds every record with previous <= offset < next that the log still has. `last_event` is the id of the
    last one's event (out of the record's key), `leader_epoch` the leader epoch of its batch where the client tells it.
    """

    partition: Partition
    previous: int
    next: int
    epoch: int
    last_event: UUID | None = None
    leader_epoch: int | None = None


class Unstorable(Exception):
    """The store can never take these changes as they are: a value that its tables cannot hold. Its cause says
    which."""


class Outcome(Enum):
    """What became of an `apply`."""

    APPLIED = "applied"
    ALREADY = "already"  # this very step was applied before under this epoch: its answer was lost, nothing to do
    REFUSED = "refused"  # another owner, or another offset: nothing was changed


# Partitions without a position yet -> the offset of the first record that the log still has.
Beginning = Callable[[Sequence[Partition]], Awaitable[Mapping[Partition, int]]]


class Store(Protocol):
    """A projection's store. Methods are called from one event loop, `apply` never twice at once for a partition.

    Transient trouble (a lost connection, a deadlock) is retried inside, with back-off, until it is over.
    """

    async def fence(self, partitions: Sequence[Partition], beginning: Beginning) -> dict[Partition, Fence]:
        """Makes the caller the only owner of these partitions: every epoch one higher, durably, before it answers.

        A store of several shards answers the least offset of its shards, and its `apply` must then take a step that
        some shards have made already (their part of it is inert).
        """
        ...

    async def apply(self, advance: Advance, changes: Any) -> Outcome:
        """Applies what the fold answered and moves the position, both or neither. Raises Unstorable."""
        ...

    async def positions(self) -> dict[Partition, Fence]:
        """Every partition that has a position (of several shards: the least offset, the greatest epoch)."""
        ...

    async def close(self) -> None:
        """Lets go of all connections; safe to call twice."""
        ...
