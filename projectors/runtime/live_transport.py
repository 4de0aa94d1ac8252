"""Faust's Kafka transport with positions in the store: each fetched batch is one message, chained to the one before.

Faust may drop, repeat, skip or hand over late: every batch says from which offset to which it goes and under which
epoch, and the store refuses what does not follow. What this module guards against stands in
docs/decisions/0005-positions-outside-faust.md; the versions of faust-streaming, mode-streaming and aiokafka are pinned
because it overrides their inner methods.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import structlog
from aiokafka.errors import NoOffsetForPartitionError
from faust.transport.consumer import ensure_TP
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.utils.futures import notify

from projectors.runtime.last_records import LastRecords
from projectors.runtime.settings import WorkerSettings
from projectors.runtime.stores.port import Fence, Partition, Store
from projectors.runtime.worker import Chain, Fetched, Holdings, PositionError

COMMIT_TIMEOUT_SECONDS = 5.0
log = structlog.get_logger()


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Owns the chain of positions. All of its state is touched in this thread's loop alone."""

    _chain: Chain | None = None
    _chain_assignment: Any = None  # the aiokafka Assignment object that the chain belongs to

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # aiokafka has one fetch under way for each broker. Once a partition's records have lain for 0.2 s it fetches
        # without that partition, which cannot be fetched again before this one ends; Faust would let it wait for 1.5 s.
        consumer._fetch_max_wait_ms = int(self.consumer.settings.fetch_wait_seconds * 1000)
        return consumer

    def _current_assignment(self) -> Any:
        subscription = self._ensure_consumer()._subscription.subscription
        return None if subscription is None else subscription.assignment

    async def begin_fence(self) -> tuple[set[TP], Any]:
        """The partitions held and the object that stands for this very assignment."""
        assignment = self._current_assignment()
        return (set() if assignment is None else {ensure_TP(tp) for tp in assignment.tps}), assignment

    async def beginnings(self, tps: Sequence[TP]) -> dict[TP, int]:
        """The first offset that each partition still has."""
        found = await self._ensure_consumer().beginning_offsets([driver.ensure_aiokafka_TP(tp) for tp in tps])
        return {ensure_TP(tp): offset for tp, offset in found.items()}

    async def apply_fence(self, assignment: Any, fences: Mapping[Partition, Fence], number: int) -> bool:
        """Seeks and begins a chain, unless another rebalance came in between; no await, so no fetch can come in
        between."""
        if assignment is None or assignment is not self._current_assignment() or not assignment.active:
            return False
        consumer = self._ensure_consumer()
        for partition, fence in fences.items():
            consumer.seek(driver.ensure_aiokafka_TP(self.consumer.tp_of(partition)), fence.offset)
        self._chain, self._chain_assignment = Chain(fences, number), assignment
        return True

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,  # noqa: ASYNC109 (Faust's signature)
        max_records: int | None = None,
    ) -> dict[TP, Fetched]:
        try:
            records = await super()._fetch_records(
                consumer, active_partitions, timeout=timeout, max_records=max_records
            )
        except NoOffsetForPartitionError:
            # The group has no commit and we have not seeked yet: our own seek decides, never a reset policy.
            await asyncio.sleep(0.05)
            return {}
        if not records:
            return {}
        # From here to the end nothing awaits: position and chain are of one moment.
        assignment = self._current_assignment()
        if self._chain is None or assignment is not self._chain_assignment:
            return {}
        fetched = {}
        for aiokafka_tp, batch in records.items():
            tp = ensure_TP(aiokafka_tp)
            following = assignment.state_value(aiokafka_tp).position
            linked = self._chain.link(self.consumer.partition_of(tp), batch, following)
            if linked is not None:
                fetched[tp] = linked
        return fetched

    async def advisory_commit(self, offsets: Mapping[Partition, int]) -> bool:
        """Tells Kafka's group of our positions, for its own lag tools. It decides nothing, so a failure is only
        logged."""
        consumer = self._ensure_consumer()
        mine = consumer.assignment()
        places = {driver.ensure_aiokafka_TP(self.consumer.tp_of(each)): offset for each, offset in offsets.items()}
        wanted = {tp: driver.OffsetAndMetadata(offset, "") for tp, offset in places.items() if tp in mine}
        if not wanted:
            return False
        try:
            await asyncio.wait_for(consumer.commit(wanted), COMMIT_TIMEOUT_SECONDS)
        except Exception as error:  # whatever it is, a crash for the sake of an advisory number would be worse
            log.warning("advisory_commit_failed", error=repr(error))
            return False
        return True


class Consumer(driver.Consumer):
    """Seeks to the store's positions, delivers batches, and commits advisory offsets."""

    store: Store
    settings: WorkerSettings
    topic_prefix: str
    last_records: LastRecords

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        transport: Transport = self.transport
        self.store, self.settings, self.topic_prefix = transport.store, transport.settings, transport.topic_prefix
        self.last_records = transport.last_records
        self.holdings: Holdings = transport.holdings
        self._committed: dict[Partition, int] = {}
        # One fence after the other: of two at once the older one could raise the epoch last, or forget what the newer
        # one took, and then nothing would be applied any more, nor would the watchdog see a lag.
        self._fencing = asyncio.Lock()
        self.fence_number = 0
        self.rebalancing_since: float | None = time.monotonic()
        self.ever_assigned = False

    def partition_of(self, tp: TP) -> Partition:
        return Partition(tp.topic[len(self.topic_prefix) :], tp.partition)

    def tp_of(self, partition: Partition) -> TP:
        return TP(self.topic_prefix + partition.topic, partition.number)

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        """Called by Faust after each assignment. Raises when the fence takes too long: later Faust would hang
        silently."""
        # Without partitions under a fence there is no lag to be seen, so the watchdog must see the fence itself.
        self.rebalancing_since = self.rebalancing_since or time.monotonic()
        async with asyncio.timeout(self.settings.fence_seconds), self._fencing:
            await self._fence()

    async def _fence(self) -> None:
        self.holdings.fence_wanted = False
        self.fence_number += 1
        number = self.fence_number
        tps, assignment = await self._thread.call_thread(self._thread.begin_fence)
        self.holdings.forget()
        if not tps:
            self._settled()
            return
        began = time.monotonic()

        async def beginning(partitions: Sequence[Partition]) -> dict[Partition, int]:
            wanted = [self.tp_of(partition) for partition in partitions]
            found = await self._thread.call_thread(self._thread.beginnings, wanted)
            return {self.partition_of(tp): offset for tp, offset in found.items()}

        fences = await self.store.fence(sorted(map(self.partition_of, tps)), beginning)
        for difference in await asyncio.to_thread(self.last_records.differences, fences):
            raise PositionError(difference)
        if number != self.fence_number:
            return  # a later fence is under way, and only the newest epoch counts
        if not await self._thread.call_thread(self._thread.apply_fence, assignment, fences, number):
            log.info("fence_outdated", number=number)
            self.holdings.fence_wanted = True
            return
        if number != self.fence_number:
            return  # revoked while the thread answered: the partitions are held no more, and the rebalance goes on
        for tp in tps:
            self._read_offset[tp] = None
        self.holdings.take(fences)
        self._settled()
        log.info("fenced", partitions=len(fences), number=number, seconds=round(time.monotonic() - began, 3))

    def _settled(self) -> None:
        self.rebalancing_since = None
        self.ever_assigned = True

    async def seek_to_committed(self) -> Mapping[TP, int]:
        raise PositionError("positions are in the store, never in the group's commits")

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self.holdings.forget()
        self.fence_number += 1  # a fence that is under way is outdated
        self.rebalancing_since = self.rebalancing_since or time.monotonic()
        log.info("revoked", partitions=len(revoked))
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        log.info("assigned", partitions=len(assigned), generation=generation_id)
        if assigned:
            # Joining has ended; what follows has a time of its own.
            self.rebalancing_since = time.monotonic()
        else:
            self._settled()  # Faust fences nothing then
        await super().on_partitions_assigned(assigned, generation_id)

    def on_buffer_full(self, tp: TP) -> None:
        """Nothing: the blocking put on the stream's queue is the back pressure, without Faust's pause of a second."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Nothing, as above."""

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109 (Faust's signature)
        # Never seek while a rebalance runs: raising the epoch would steal partitions back from their new owner.
        if self.holdings.fence_wanted and self.flow_active and not self.app.rebalancing:
            log.info("fencing_again")
            await self.perform_seek()
        records, active = await self._wait_next_records(timeout)
        if not records or self.should_stop:
            return
        generation = self.app.consumer_generation_id
        for tp, fetched in records.items():
            fresh = self.flow_active and generation == self.app.consumer_generation_id
            # One that is not held yet is of a fence whose answer is still on its way: it would be dropped for good.
            held = self.holdings.holds(fetched)
            if not fresh or not held or (active is not None and tp not in active):
                if fetched.fence_number == self.fence_number:
                    self.holdings.fence_wanted = True
                continue
            message = self._to_message(tp, fetched.records[-1])
            message.value = fetched
            yield tp, message

    def ack(self, message: Any) -> bool:
        """Only marks the message: what is done is known by the store."""
        message.acked = True
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)
        return True

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        offsets = {
            partition: offset
            for partition, offset in self.holdings.applied.items()
            if self._committed.get(partition) != offset
        }
        if not offsets:
            return False
        # The consumer thread may have ended already, and then nobody would ever answer the call.
        commit = self._thread.call_thread(self._thread.advisory_commit, offsets)
        try:
            done: bool = await asyncio.wait_for(commit, COMMIT_TIMEOUT_SECONDS + 1)
        except TimeoutError:
            log.warning("advisory_commit_unanswered")
            return False
        if done:
            self._committed.update(offsets)
        return done


class Transport(driver.Transport):
    """What Faust asks for a consumer."""

    Consumer = Consumer
    store: Store
    holdings: Holdings
    settings: WorkerSettings
    topic_prefix: str
    last_records: LastRecords
