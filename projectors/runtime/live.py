"""Applies a projection's events as they come, each exactly once in effect; any number of workers share the partitions.

    python -m projectors.runtime.live NAME

Faust carries the records (live_transport.py); the store's compare-and-set makes it correct; the watchdog keeps it
alive; whoever started the process starts it again when it ends. Any error that is not transient ends it: better loud
than wrong.
"""

import asyncio
import contextlib
import faulthandler
import gc
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import faust
import mode
import structlog
from aiokafka.protocol.group import LeaveGroupRequest

from projectors.runtime import logs, retrying
from projectors.runtime.dead_letters import DeadLetters
from projectors.runtime.erasure import Sweeper
from projectors.runtime.groups import group_of
from projectors.runtime.last_records import LastRecords
from projectors.runtime.live_transport import Transport
from projectors.runtime.log_ends import LogEnds
from projectors.runtime.parking import Parking, PassedAfterParked
from projectors.runtime.parking_lot import ParkingLot
from projectors.runtime.projection import PostgresProjection, Projection
from projectors.runtime.projector import Projector, open_projector
from projectors.runtime.settings import WorkerSettings, worker_settings
from projectors.runtime.sibling_sweeps import SiblingSweeper
from projectors.runtime.stores.port import Partition
from projectors.runtime.stores.postgres import PostgresStore, connect
from projectors.runtime.watchdog import Watchdog
from projectors.runtime.worker import Holdings, Worker
from shared.environment import Environment, environment

REPORT_SECONDS = 10.0
# A batch makes tens of thousands of objects that are gone with it; looking for cycles among them every 700 took a third
# of a worker's time.
GC_THRESHOLDS = (200_000, 20, 50)
LEAVE_SECONDS = 1.0
# While audiences are walked, a batch waits for the walk's calls that came before it. Several wait for the same ones.
FEED_LANES = 6
log = structlog.get_logger()


def make_app(projection: Projection, environment: Environment, settings: WorkerSettings) -> faust.App:
    """A Faust app of which only the consumer is used: no tables, no leader topic, no web server."""
    group = group_of(projection, environment)
    datadir = environment.var / "faust"  # Faust insists on one; nothing of ours is kept there
    datadir.mkdir(parents=True, exist_ok=True)
    return faust.App(
        group,
        broker=";".join(f"kafka://{address}" for address in environment.kafka_bootstrap_servers.split(",")),
        store="memory://",
        datadir=str(datadir),
        topic_disable_leader=True,
        topic_allow_declare=False,
        table_standby_replicas=0,  # with standbys Faust's own assignor would be chosen, made for tables
        web_enabled=False,
        worker_redirect_stdouts=False,
        consumer_auto_offset_reset="none",  # a position outside the log must stop the worker, not move it
        stream_wait_empty=False,  # a revocation need not wait for batches: the epoch decides
        stream_buffer_maxsize=int(settings.buffer_batches_max),
        broker_max_poll_records=int(settings.batch_records_max),
        broker_max_poll_interval=1e6,  # thrown out, it would never rejoin; the watchdog ends it instead
        broker_session_timeout=settings.session_seconds,
        broker_heartbeat_interval=settings.heartbeat_seconds,
        broker_rebalance_timeout=settings.rebalance_seconds,
        broker_request_timeout=settings.request_seconds,
        broker_commit_interval=settings.commit_seconds,
        consumer_metadata_max_age_ms=int(settings.metadata_seconds * 1000),
    )


class LiveWorker:
    """One process's share of a projection."""

    def __init__(
        self, projector: Projector, environment: Environment, settings: WorkerSettings, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._settings = settings
        self._loop = loop
        self._ends = LogEnds(environment)
        self._holdings = Holdings()
        self.app = make_app(projector.projection, environment, settings)
        self._parking, self._dead_letters = parking_of(projector, environment, self._holdings, settings)
        self._worker = Worker(
            projector,
            self._holdings,
            lambda error: self.app.add_future(self.app.crash(error)),
            self._parking,
            lanes=lanes_of(projector.projection, settings),
        )
        transport = Transport(self.app.conf.broker_consumer, self.app)
        transport.store, transport.holdings, transport.settings = projector.store, self._holdings, settings
        transport.topic_prefix, transport.last_records = environment.topic_prefix, LastRecords(environment)
        self.app.transport = transport
        names = [environment.topic(topic) for topic in projector.projection.topics]
        # Without acks: Faust would keep an interval tree of every gap, and nothing reads it.
        topic = self.app.topic(*names, key_serializer="raw", value_serializer="raw", acks=False)
        # Faust's own supervisor would restart the agent behind the batch that failed.
        self.app.agent(topic, name="projector", supervisor_strategy=mode.CrashingSupervisor)(self.consume)
        self.app.task(self.check_positions)
        self.app.task(self.tend_parked)
        self.app.task(self.report)
        if isinstance(projector.projection, PostgresProjection):
            self.app.task(Sweeper(projector.projection, environment, self._ends).run)
            self.app.task(SiblingSweeper(projector.projection, environment).run)

    async def consume(self, stream: Any) -> None:
        async for fetched in stream:
            await self._worker.take(fetched)

    async def check_positions(self) -> None:
        while not self.app.should_stop:
            await asyncio.sleep(self._settings.check_seconds)
            await self._worker.check_positions()

    async def tend_parked(self) -> None:
        while not self.app.should_stop:
            await asyncio.sleep(self._settings.check_seconds)
            await self._parking.tend(self._worker.alone)
            await self._dead_letters.copy(dict(self._holdings.epochs))

    async def report(self) -> None:
        """A line with what was applied, every ten seconds in which something was."""
        reported, at = 0, time.monotonic()
        while not self.app.should_stop:
            await asyncio.sleep(REPORT_SECONDS)
            applied, now = self._worker.applied_records, time.monotonic()
            if applied != reported:
                log.info("applied", records=applied - reported, per_second=round((applied - reported) / (now - at)))
            reported, at = applied, now

    # What the watchdog asks, from its own thread.

    def tick(self, answered: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(answered)

    def rebalancing_since(self) -> float | None:
        consumer = self.app._consumer
        return None if consumer is None else consumer.rebalancing_since

    def ever_assigned(self) -> bool:
        consumer = self.app._consumer
        return consumer is not None and consumer.ever_assigned

    def stopping(self) -> bool:
        return bool(self.app._crashed.is_set() or self.app._stopped.is_set())

    def is_out_of_group(self) -> bool:
        """aiokafka's routine that finds the coordinator and joins ends with an error that nobody asks for as long as
        nothing is fetched: when its first connection came to a frozen broker, for one."""
        consumer = self.app._consumer
        client = None if consumer is None else consumer._thread._consumer
        routine = getattr(getattr(client, "_coordinator", None), "_coordination_task", None)
        return routine is not None and bool(routine.done())

    def applied(self) -> Mapping[Partition, int]:
        """Without what stands still on purpose: a new process would not mend it."""
        unmoved = self._parking.unmoved()
        return {place: offset for place, offset in self._holdings.applied.copy().items() if place not in unmoved}

    def store_failed_at(self) -> float:
        return retrying.failed_at()

    def leave(self) -> None:
        """Through the consumer's own thread, which may have ended, or may wait for a broker that does not answer."""
        consumer = self.app._consumer
        with contextlib.suppress(Exception):
            thread = consumer._thread
            member = thread._ensure_consumer()._coordinator
            # Not the coordinator's own farewell, behind which it would join again at once.
            farewell = member._send_req(LeaveGroupRequest(member.group_id, member.member_id))
            asyncio.run_coroutine_threadsafe(farewell, thread.thread_loop).result(LEAVE_SECONDS)

    def watch(self) -> None:
        Watchdog(self, self._ends, self._settings).start()


def lanes_of(projection: Projection, settings: WorkerSettings) -> int:
    """How many batches of different partitions are applied at once."""
    if isinstance(projection, PostgresProjection):
        return int(settings.lanes)
    return 1 if projection.one_shard else FEED_LANES


def parking_of(
    projector: Projector, environment: Environment, holdings: Holdings, settings: WorkerSettings
) -> tuple[Parking, DeadLetters]:
    """What sets a projection's records aside, wherever its store is, and what copies them."""
    projection, store = projector.projection, projector.store
    connecting = partial(connect, environment.read_database_url)
    lot = ParkingLot(projection.name, connecting)
    aside = store if isinstance(store, PostgresStore) else PassedAfterParked(store, lot)
    copies = DeadLetters(projection.name, ParkingLot(projection.name, connecting), environment)
    return Parking(projection, aside, projector.reader, lot, holdings, settings), copies


def run(projection: Projection, environment: Environment, settings: WorkerSettings) -> None:
    """Works until a signal or an error ends it, then exits the process."""
    owner = f"{socket.gethostname()}:{os.getpid()}"
    logs.configure(projection=projection.name, pid=os.getpid())
    faulthandler.enable()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    projector = loop.run_until_complete(open_projector(projection, environment, owner))
    worker = LiveWorker(projector, environment, settings, loop)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    worker.watch()
    log.info("starting", group=group_of(projection, environment))
    # daemon: runs until it is stopped; quiet and override_logging: its banner and its log format are not ours.
    faust.Worker(
        worker.app, loop=loop, daemon=True, quiet=True, override_logging=False, redirect_stdouts=False
    ).execute_from_commandline()


def main() -> None:
    from projectors.catalogue import projection_named

    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        projection = projection_named(sys.argv[1])
    except LookupError as error:
        sys.exit(str(error))
    run(projection, environment(), worker_settings(os.environ))


if __name__ == "__main__":
    main()
