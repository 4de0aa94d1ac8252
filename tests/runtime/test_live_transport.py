"""Claim: whatever a fence waits for, it ends within its deadline, seen by the watchdog; what was revoked is no lag;
what Faust's own methods do wrong, ours do not.

Oracle: the settings' times, and Faust's own method on the same consumer, which does the harm. The methods run on a
consumer without a broker, whose thread and store answer as each test says. Cannot catch: what Faust does with the
errors, which tests/integration/test_engine.py and tests/chaos/test_hangs.py show.
"""

import asyncio
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from aiokafka.errors import KafkaConnectionError, NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from projectors.runtime import live_transport
from projectors.runtime.last_records import event_of
from projectors.runtime.live_transport import Consumer, ConsumerThread
from projectors.runtime.settings import WorkerSettings
from projectors.runtime.stores.port import Fence, Partition
from projectors.runtime.worker import Chain, Fetched, Holdings, PositionError
from shared.ids import mint
from shared.kafka import record_key

HERE = TP("rookery.posts", 0)
THERE = Partition("posts", 0)


class Thread:
    """The consumer thread: answers each named call, and the others never."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers

    async def call_thread(self, method: Any, *arguments: Any) -> Any:
        if method not in self._answers:
            await asyncio.Event().wait()
        return self._answers[method]

    def __getattr__(self, name: str) -> str:
        return name


class Store:
    """A store that fences at once, or after others have fenced meanwhile."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self.overtaken = False

    async def fence(self, partitions: Any, beginning: Any) -> dict[Partition, Fence]:
        self._consumer.fence_number += self.overtaken
        return {THERE: Fence(7, 3)}


class NoDifferences:
    def differences(self, fences: Any) -> list[str]:
        return []


def consumer(**answers: Any) -> Any:
    made: Any = Consumer.__new__(Consumer)
    made.__dict__.update(
        _thread=Thread(answers),
        settings=WorkerSettings(request_seconds=0.4),
        topic_prefix="rookery.",
        last_records=NoDifferences(),
        holdings=Holdings({THERE: 1}, {THERE: 5}),
        _fencing=asyncio.Lock(),
        fence_number=0,
        rebalancing_since=None,
        ever_assigned=True,
        _read_offset={},
        _committed={},
    )
    made.store = Store(made)
    return made


@pytest.mark.parametrize("answered", [{}, {"begin_fence": ({HERE}, object())}])
def test_a_thread_that_does_not_answer_ends_the_fence(answered: Mapping[str, Any]) -> None:
    """Past Faust's own timeout the worker would hang for ever, and without partitions it has no lag to be seen by."""
    unanswered = consumer(**answered)
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(unanswered.perform_seek(), 2))
    assert time.monotonic() - begun < unanswered.settings.request_seconds
    assert unanswered.rebalancing_since >= begun


def test_a_fence_holds_what_the_store_answers() -> None:
    fenced = consumer(begin_fence=({HERE}, object()), apply_fence=True)
    asyncio.run(fenced.perform_seek())
    assert (fenced.holdings, fenced.rebalancing_since) == (Holdings({THERE: 3}, {THERE: 7}), None)


def test_a_fence_that_was_overtaken_changes_nothing() -> None:
    overtaken = consumer(begin_fence=({HERE}, object()), apply_fence=True)
    overtaken.store.overtaken = True
    asyncio.run(overtaken.perform_seek())
    assert overtaken.holdings.epochs == {}


def test_a_fence_whose_partitions_were_revoked_meanwhile_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the rebalance is still seen to be under way: a worker that never gets partitions again would look settled."""

    async def nothing(self: Any, revoked: Any) -> None: ...

    monkeypatch.setattr(driver.Consumer, "on_partitions_revoked", nothing)
    left = consumer(begin_fence=({HERE}, object()), apply_fence=True)
    answer = left._thread.call_thread

    async def revoked_meanwhile(method: Any, *arguments: Any) -> Any:
        if method == "apply_fence":
            await left.on_partitions_revoked({HERE})
        return await answer(method, *arguments)

    left._thread.call_thread = revoked_meanwhile
    asyncio.run(left.perform_seek())
    assert left.holdings == Holdings()
    assert left.rebalancing_since is not None


def test_what_was_revoked_does_not_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watchdog would end a worker that was left without partitions while others go on with them."""

    async def nothing(self: Any, revoked: Any) -> None: ...

    monkeypatch.setattr(driver.Consumer, "on_partitions_revoked", nothing)
    left = consumer()
    asyncio.run(left.on_partitions_revoked({HERE}))
    assert left.holdings == Holdings()


class Position:
    """What aiokafka keeps of a partition."""

    position = 9


class Assignment:
    """aiokafka's object that stands for one assignment."""

    active = True

    def state_value(self, tp: Any) -> Position:
        return Position()


class Record(NamedTuple):
    offset: int
    key: bytes | None = None
    value: bytes | None = None


def thread(held: Assignment | None, chained: Assignment | None, monkeypatch: pytest.MonkeyPatch, *offsets: int) -> Any:
    """A consumer thread that holds one assignment, and has its chain from that one or another."""

    async def fetch(self: Any, *arguments: Any, **options: Any) -> dict[Any, list[Record]]:
        return {driver.ensure_aiokafka_TP(HERE): [Record(offset) for offset in offsets]}

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", fetch)
    made: Any = ConsumerThread.__new__(ConsumerThread)
    chain = None if chained is None else Chain({THERE: Fence(7, 3)}, 1)
    made.__dict__.update(consumer=consumer(), _chain=chain, _chain_assignment=chained)
    made._current_assignment = lambda: held
    return made


def fetched(from_thread: Any) -> dict[TP, Fetched]:
    found: dict[TP, Fetched] = asyncio.run(from_thread._fetch_records(None, {HERE}))
    return found


def test_what_was_fetched_before_the_fence_is_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka begins to fetch from the group's commit as soon as it is assigned; Faust seeks later."""
    now, before = Assignment(), Assignment()
    assert fetched(thread(now, None, monkeypatch, 2, 3)) == {}
    assert fetched(thread(now, before, monkeypatch, 7, 8)) == {}
    assert fetched(thread(None, before, monkeypatch, 7, 8)) == {}
    fenced = thread(now, now, monkeypatch, 7, 8)
    handed_out = fetched(fenced)[HERE]
    assert (handed_out.previous, handed_out.next, handed_out.epoch) == (7, 9, 3)
    with pytest.raises(PositionError):
        fetched(fenced)  # the same records again do not follow


def test_a_fence_of_an_assignment_that_is_over_is_not_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    assigned = Assignment()
    late = thread(Assignment(), None, monkeypatch)
    assert not asyncio.run(late.apply_fence(assigned, {THERE: Fence(7, 3)}, 1))
    assert late._chain is None


def test_only_a_missing_commit_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The group need not have committed, our own seek decides; a position outside the log must end the worker."""
    now = Assignment()
    for error in (NoOffsetForPartitionError("none"), OffsetOutOfRangeError("outside")):
        fetching = thread(now, now, monkeypatch)

        async def fail(self: Any, *arguments: Any, error: Exception = error, **options: Any) -> Any:
            raise error

        monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", fail)
        if isinstance(error, OffsetOutOfRangeError):
            with pytest.raises(OffsetOutOfRangeError):
                fetched(fetching)
        else:
            assert fetched(fetching) == {}


@pytest.mark.parametrize("answer", ["fails", "never"])
def test_a_commit_that_fails_or_never_returns_is_only_logged(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faust's own crashes the worker for a failed one, and aiokafka retries one without end."""

    class Client:
        def assignment(self) -> set[Any]:
            return {driver.ensure_aiokafka_TP(HERE)}

        async def commit(self, offsets: Any) -> None:
            if answer == "never":
                await asyncio.Event().wait()
            raise KafkaConnectionError("away")

    monkeypatch.setattr(live_transport, "COMMIT_TIMEOUT_SECONDS", 0.05)
    committing = thread(None, None, monkeypatch)
    committing._ensure_consumer = Client
    begun = time.monotonic()
    assert not asyncio.run(committing.advisory_commit({THERE: 5}))
    assert time.monotonic() - begun < 2


def test_a_commit_whose_thread_has_ended_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a worker that crashed waits for ever for the answer to its last commit."""
    monkeypatch.setattr(live_transport, "COMMIT_TIMEOUT_SECONDS", -0.9)
    ended = consumer()
    assert not asyncio.run(asyncio.wait_for(ended.force_commit(), 5))


def fetching(made: Any, flow_active: bool, rebalancing: bool, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What seeks a consumer does by itself in one `getmany`, whose fetch brings a batch."""
    seeks: list[str] = []

    async def perform_seek() -> None:
        seeks.append("seek")

    async def wait_next(timeout: float) -> Any:  # noqa: ASYNC109 (Faust's signature)
        return {HERE: Fetched(THERE, 7, 9, 3, made.fence_number, [Record(7), Record(8)])}, {HERE}

    made.perform_seek, made._wait_next_records = perform_seek, wait_next
    made._to_message = lambda tp, record: SimpleNamespace(value=record)
    made.flow_active = flow_active
    made.app = SimpleNamespace(rebalancing=rebalancing, consumer_generation_id=4)
    made.scheduler = SimpleNamespace(iterate=lambda records: iter(()))
    monkeypatch.setattr(Consumer, "should_stop", False)
    return seeks


def test_nothing_is_sought_while_a_rebalance_runs_or_the_flow_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faust's own seeks then, and raising the epoch would steal partitions back from their new owner."""

    async def drain(batches: Any) -> None:
        async for _ in batches:
            pass

    for flow_active, rebalancing, sought in ((False, False, []), (True, True, []), (True, False, ["seek"])):
        ours = consumer()
        ours.holdings.fence_wanted = True
        seeks = fetching(ours, flow_active, rebalancing, monkeypatch)
        asyncio.run(drain(ours.getmany(1.0)))
        assert seeks == sought
    dropping = consumer()
    fetching(dropping, False, False, monkeypatch)
    asyncio.run(drain(dropping.getmany(1.0)))
    assert dropping.holdings.fence_wanted  # so that what was not delivered comes again, later
    stock = consumer()
    stock.log = SimpleNamespace(dev=lambda *_: None)
    seeks = fetching(stock, False, False, monkeypatch)
    asyncio.run(drain(driver.Consumer.getmany(stock, 1.0)))
    assert seeks == ["seek"]


def test_a_full_buffer_takes_no_partition_out_of_the_fetch() -> None:
    """With all of them out, Faust sleeps for a second; the full queue holds the fetch back by itself."""
    for full, left in ((Consumer.on_buffer_full, {HERE}), (driver.Consumer.on_buffer_full, set())):
        made = consumer()
        made.app = SimpleNamespace(in_recovery=False)
        made._active_partitions, made._buffered_partitions = {HERE}, set()
        full(made, HERE)
        assert made._get_active_partitions() == left


def test_positions_never_come_from_the_groups_commits() -> None:
    with pytest.raises(PositionError):
        asyncio.run(consumer().seek_to_committed())


def test_a_records_event_is_in_its_key_alone() -> None:
    ann, event = mint(1_760_000_000_000_000), mint(1_760_000_000_001_000)
    assert event_of(record_key(ann, event)) == event
    assert event_of(None) is None
    assert event_of(b"maintenance") is None


def test_a_batch_that_is_not_held_yet_is_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its fence is done in the thread, and the answer still on its way here: handed out, the worker would drop it, and
    its chain would go on behind it."""

    async def handed_out(batches: Any) -> list[Any]:
        return [message async for _, message in batches]

    for held, messages, wanted in ((3, 1, False), (2, 0, True)):
        ours = consumer()
        ours.holdings.epochs[THERE] = held
        fetching(ours, True, False, monkeypatch)
        assert len(asyncio.run(handed_out(ours.getmany(1.0)))) == messages
        assert ours.holdings.fence_wanted == wanted


def test_a_fence_begins_once_the_one_before_is_over() -> None:
    """Or the older one raises the epoch last, and forgets what the newer one took."""
    fenced = consumer(begin_fence=({HERE}, object()), apply_fence=True)
    under_way: list[int] = []

    async def fence(partitions: Any, beginning: Any) -> dict[Partition, Fence]:
        under_way.append(1)
        await asyncio.sleep(0)
        assert under_way == [1]
        under_way.clear()
        return {THERE: Fence(7, 3)}

    async def both() -> None:
        await asyncio.gather(fenced.perform_seek(), fenced.perform_seek())

    fenced.store.fence = fence
    asyncio.run(both())
    assert fenced.holdings.epochs == {THERE: 3}
