"""The real transport's consumer (runtime/live_transport.py) on a simulated Kafka client, and Faust's part of the flow.

Real: fences, chain, what is discarded, when positions are fenced anew. Stood in for: aiokafka (fetches that take time
and are dropped when the position moved meanwhile, as its fetcher does; an offset that the log does not have) and
Faust's flow (revoke, assign, perform_seek by its recovery, buffers that are cleared, fetches that are given up).
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition
from faust.types import TP

from projectors.runtime.live_transport import Consumer, ConsumerThread
from projectors.runtime.settings import WorkerSettings
from projectors.runtime.stores.port import Partition, Store
from projectors.runtime.worker import Holdings
from tests.simulation.chance import Chance
from tests.simulation.log import Group, SimulatedLog

FETCH_SECONDS = 0.5
IDLE_SECONDS = 0.2


class Assignment:
    """aiokafka's, of which each rebalance makes a new one."""

    def __init__(self, tps: Iterable[TopicPartition]) -> None:
        self.tps = frozenset(tps)
        self.active = True
        self._states = {tp: SimpleNamespace(position=None) for tp in sorted(tps)}

    def state_value(self, tp: TopicPartition) -> Any:
        return self._states[tp]


class Client:
    """As much of aiokafka's consumer, its fetcher and its subscription as the transport touches."""

    _closed = False

    def __init__(self, log: SimulatedLog, group: Group, chance: Chance, records_max: int) -> None:
        self._log, self._group, self._chance = log, group, chance
        self._max_poll_records = records_max
        self._subscription = SimpleNamespace(subscription=SimpleNamespace(assignment=Assignment([])))
        self._fetcher = self
        self._subscriptions = self

    @contextmanager
    def fetch_context(self) -> Any:
        yield

    @property
    def current(self) -> Assignment:
        found: Assignment = self._subscription.subscription.assignment
        return found

    def assign(self, tps: Iterable[TopicPartition]) -> None:
        self.current.active = False
        self._subscription.subscription.assignment = Assignment(tps)

    def assignment(self) -> frozenset[TopicPartition]:
        return self.current.tps

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.current.state_value(tp).position = offset

    async def beginning_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        await self._chance.pause()
        return dict.fromkeys(tps, 0)

    async def commit(self, offsets: dict[TopicPartition, Any]) -> None:
        await self._chance.pause()
        for tp, offset in offsets.items():
            self._group.commits[partition_of(tp)] = offset.offset

    async def fetched_records(
        self,
        active: Any,
        timeout: float,  # noqa: ASYNC109 (aiokafka's signature)
        max_records: int,
    ) -> dict[TopicPartition, Any]:
        """What aiokafka hands out: of each partition what follows its position, unless that moved meanwhile."""
        assignment = self.current
        for tp in sorted(assignment.tps):
            state = assignment.state_value(tp)
            if state.position is None:
                if partition_of(tp) not in self._group.commits:
                    raise NoOffsetForPartitionError(tp)
                state.position = self._group.commits[partition_of(tp)]
        before = {tp: assignment.state_value(tp).position for tp in sorted(assignment.tps)}
        fetched = {tp: self._log.from_offset(partition_of(tp), at, max_records) for tp, at in before.items()}
        if any(self._log.ends[partition_of(tp)] < at for tp, at in before.items()):
            raise OffsetOutOfRangeError("the log has no such offset")
        if not any(fetched.values()) or self._chance.happens("broker error"):
            await asyncio.sleep(IDLE_SECONDS)
            return {}
        await self._chance.pause()
        handed_out = {}
        for tp, records in fetched.items():
            state = assignment.state_value(tp)
            if records and assignment.active and state.position == before[tp]:
                state.position = records[-1].offset + 1
                handed_out[tp] = records
        return handed_out


def partition_of(tp: TopicPartition) -> Partition:
    return Partition(tp.topic, tp.partition)


class SimulatedThread(ConsumerThread):
    """The real consumer thread; a call into it takes a while."""

    def __init__(self, consumer: Any, client: Client, chance: Chance) -> None:
        self.consumer, self._client, self._chance = consumer, client, chance

    def _ensure_consumer(self) -> Any:
        return self._client

    async def call_thread(self, method: Any, *args: Any, **options: Any) -> Any:
        async def call() -> Any:
            await self._chance.pause()
            return await method(*args, **options)

        # A caller that gives up leaves the thread at its work.
        answer = await asyncio.shield(asyncio.ensure_future(call()))
        await self._chance.pause()
        return answer


class SimulatedConsumer(Consumer):
    """The real consumer, without the services that Faust would start."""

    should_stop = False
    topic_prefix = ""

    def __init__(
        self, store: Store, holdings: Holdings, log: SimulatedLog, group: Group, chance: Chance, records_max: int
    ) -> None:
        self.client = Client(log, group, chance, records_max)
        self.chance = chance
        self.can_resume = asyncio.Event()
        self.app: Any = SimpleNamespace(rebalancing=True, consumer_generation_id=0)
        self.__dict__.update(
            store=store,
            holdings=holdings,
            settings=WorkerSettings(),
            last_records=log,
            flow_active=False,
            _fencing=asyncio.Lock(),
            fence_number=0,
            rebalancing_since=None,
            ever_assigned=False,
            _thread=SimulatedThread(self, self.client, chance),
            _read_offset={},
            _committed={},
        )

    async def _wait_next_records(self, timeout: float) -> Any:  # noqa: ASYNC109 (Faust's signature)
        if not self.flow_active:
            await self.can_resume.wait()
        fetch = self._thread.call_thread(self._thread._fetch_records, self.client, None, timeout=FETCH_SECONDS,
                                         max_records=self.client._max_poll_records)  # fmt: skip
        return await fetch, None

    def _to_message(self, tp: TP, record: Any) -> Any:
        return SimpleNamespace(value=None)

    async def batches(self) -> AsyncIterator[Any]:
        """What Faust's conductor is given."""
        async for _, message in self.getmany(FETCH_SECONDS):
            yield message.value

    # What Faust does at a rebalance, in this order.

    def revoke(self) -> None:
        self.app.rebalancing = True
        self.flow_active = False
        self.can_resume.clear()
        # As the real on_partitions_revoked begins; its other lines are Faust's.
        self.holdings.forget()
        self.fence_number += 1

    async def assign(self, generation: int, partitions: list[Partition]) -> None:
        await self.chance.pause()
        self.client.assign([TopicPartition(*partition) for partition in partitions])
        self.app.consumer_generation_id = generation
        await self.chance.pause()
        if self.app.consumer_generation_id != generation:
            return
        await self.perform_seek()
        # A newer revocation in between is not looked at: Faust's recovery resumes all the same.
        self.app.rebalancing = False
        self.flow_active = True
        self.can_resume.set()
