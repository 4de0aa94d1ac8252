"""Claim: the Faust app of a live worker is set up so that Faust decides nothing of what is read, moved or restarted.

Oracle: for each setting, what docs/decisions/0005-positions-outside-faust.md says of it, and Faust's own default, which
is another one. Cannot catch: a setting that Faust ignores; tests/chaos/test_hangs.py and test_log_and_group.py show the
effects with real workers.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import faust
import mode
import pytest

from projectors.counters.fold import PROJECTION
from projectors.runtime.live import LiveWorker
from projectors.runtime.projector import Projector
from projectors.runtime.settings import WorkerSettings
from shared.environment import Environment, environment

SETTINGS = {
    "consumer_auto_offset_reset": "none",
    "table_standby_replicas": 0,
    "topic_disable_leader": True,
    "topic_allow_declare": False,
    "web_enabled": False,
    "stream_wait_empty": False,
    "stream_buffer_maxsize": 8,
    "broker_max_poll_interval": 1e6,
    "broker_max_poll_records": 4000,
    "broker_session_timeout": 6.0,
    "broker_heartbeat_interval": 1.5,
    "broker_rebalance_timeout": 10.0,
    "broker_request_timeout": 15.0,
    "consumer_metadata_max_age_ms": 30_000,
}


@pytest.fixture(scope="module")
def worker() -> Iterator[LiveWorker]:
    """A worker that has connected to nothing."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    nothing: Any = None
    unread: Environment = environment()
    yield LiveWorker(Projector(PROJECTION, nothing, nothing), unread, WorkerSettings(), loop)
    asyncio.set_event_loop(None)
    loop.close()


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_set_is_what_faust_would_do_otherwise(worker: LiveWorker, name: str) -> None:
    stock = faust.App("stock", broker="kafka://127.0.0.1:1", store="memory://")
    assert getattr(worker.app.conf, name) == SETTINGS[name]
    if name != "stream_wait_empty":  # off by default; on, a revocation would wait for batches
        assert getattr(stock.conf, name) != SETTINGS[name]


def test_members_are_dynamic(worker: LiveWorker) -> None:
    """Two processes with one static id throw each other out for ever, and neither ends."""
    assert not worker.app.conf.consumer_group_instance_id


def test_nothing_keeps_track_of_acknowledgements_and_an_error_ends_the_worker(worker: LiveWorker) -> None:
    """Faust would keep a tree of gaps that only grows, and restart an agent behind the batch that failed."""
    [agent] = worker.app.agents.values()
    assert not agent.channel.acks
    assert agent.supervisor_strategy is mode.CrashingSupervisor
    assert faust.App("stock").topic("any").acks
