"""Claim: whatever a fence waits for, it ends within its deadline, seen by the watchdog; what was revoked is no lag.

Oracle: the settings' times. The consumer's own methods run on a consumer without a broker, whose thread and store
answer as each test says. Cannot catch: what Faust does with the errors, which tests/integration/test_engine.py shows.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from projectors.runtime.last_records import event_of
from projectors.runtime.live_transport import Consumer
from projectors.runtime.settings import WorkerSettings
from projectors.runtime.stores.port import Fence, Partition
from projectors.runtime.worker import Holdings
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
        fence_number=0,
        rebalancing_since=None,
        ever_assigned=True,
        _read_offset={},
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


def test_what_was_revoked_does_not_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watchdog would end a worker that was left without partitions while others go on with them."""

    async def nothing(self: Any, revoked: Any) -> None: ...

    monkeypatch.setattr(driver.Consumer, "on_partitions_revoked", nothing)
    left = consumer()
    asyncio.run(left.on_partitions_revoked({HERE}))
    assert left.holdings == Holdings()


def test_a_records_event_is_in_its_key_alone() -> None:
    ann, event = mint(1_760_000_000_000_000), mint(1_760_000_000_001_000)
    assert event_of(record_key(ann, event)) == event
    assert event_of(None) is None
    assert event_of(b"maintenance") is None
