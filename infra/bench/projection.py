"""How fast one live worker applies what the log holds, beside stock Faust that only decodes it; prints one JSON object.

    python -m infra.bench.projection likes|mix|latency|stock [COUNT]

Each is run by `rookery bench projection` on servers of its own. A rate is records from the first one seen applied to
the last, as the store's committed positions tell, asked 20 times a second.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from infra.bench import events
from infra.demo.measure import quantiles
from infra.local import memory, topics
from projectors.catalogue import PROJECTIONS, projection_named
from projectors.runtime.log_ends import LogEnds
from projectors.runtime.prepare import prepare
from projectors.runtime.projection import PostgresProjection, Projection
from projectors.runtime.stores.port import Partition
from shared import clock
from shared.environment import REPOSITORY, Environment, load
from shared.ids import mint

LOOK_SECONDS = 0.05
LATENCY_LOOK_SECONDS = 0.001
OFFERED_PER_SECOND = 200
WARM_UP_EVENTS = 400
STANDS_STILL_SECONDS = 60
TICKS = os.sysconf("SC_CLK_TCK")


def tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def fresh(kind: str) -> Environment:
    """This installation with topics of their own, and projections that hold nothing."""
    os.environ["ROOKERY_TOPIC_PREFIX"] = f"{kind}."
    where = load(os.environ)
    topics.create(where)
    of_postgres = [each for each in PROJECTIONS if isinstance(each, PostgresProjection)]
    with psycopg.connect(where.read_database_url, autocommit=True) as connection:
        for each in of_postgres:
            connection.execute(f"drop schema if exists {each.name} cascade".encode())
        connection.execute(b"drop schema if exists delivery cascade")
    asyncio.run(prepare(where, of_postgres))
    return where


def log_directory(where: Environment) -> Path:
    found = where.var / "log"
    found.mkdir(exist_ok=True)
    return found


class Positions:
    """The committed positions of one projection."""

    def __init__(self, where: Environment, projection: Projection) -> None:
        self._connection = psycopg.connect(where.read_database_url, autocommit=True)
        self._query = f"select topic, partition, next_offset from {projection.name}.position".encode()

    def __call__(self) -> dict[Partition, int]:
        rows = self._connection.execute(self._query, prepare=True).fetchall()
        return {Partition(topic, number): offset for topic, number, offset in rows}


@contextmanager
def worker(projection: Projection, where: Environment) -> Iterator[int]:
    """A live worker as it is shipped; its process id."""
    process = subprocess.Popen(
        [sys.executable, "-m", "projectors.runtime.live", projection.name],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(log_directory(where) / f"bench-{projection.name}.log").open("ab"),
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def processor_seconds(pid: int) -> float:
    """What a process has used of the processors so far, user and system."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def servers_seconds(where: Environment) -> dict[str, float]:
    """The same for each server of this installation, with its children, ended ones too."""
    used: dict[str, float] = {}
    tree = memory.children()
    for name, pid in server_pids(where).items():
        total, waiting = 0.0, [pid]
        while waiting:
            each = waiting.pop()
            waiting += tree.get(each, [])
            try:
                total += processor_seconds(each)
            except OSError:
                continue  # ended in between
        used[name] = total
    return used


def server_pids(where: Environment) -> dict[str, int]:
    from infra.local import installation
    from infra.local.supervision import Supervisor

    states = Supervisor(installation.current()).states()
    return {name: int(states[name]["pid"]) for name in ("postgres", "kafka") if name in states}


def drain(projection: Projection, where: Environment) -> dict[str, Any]:
    """Starts a worker on topics that are full, and measures until all is applied."""
    log = LogEnds(where)
    ends = log.ends(log.partitions(projection.topics))
    total, positions = sum(ends.values()), Positions(where, projection)
    samples: list[tuple[float, int, int]] = []  # when, records applied, bytes resident
    with worker(projection, where) as pid:
        moved = time.monotonic()
        before: tuple[float, dict[str, float]] | None = None
        while True:
            now, done = time.monotonic(), sum(positions().values())
            if samples and done == samples[-1][1]:
                if done >= total:
                    break
                if now - moved > STANDS_STILL_SECONDS:
                    raise RuntimeError(f"{projection.name} stands at {done} of {total}")
            elif done:
                if before is None:
                    before = (processor_seconds(pid), servers_seconds(where))
                moved = now
                samples.append((now, done, memory.of_process(pid).resident))
            time.sleep(LOOK_SECONDS)
        assert before is not None
        used = {"worker": processor_seconds(pid) - before[0]}
        used |= {name: seconds - before[1][name] for name, seconds in servers_seconds(where).items()}
    (began, first, _), (ended, last, _) = samples[0], samples[-1]
    events_applied, seconds = last - first, ended - began
    resident = [size / 1_048_576 for _, _, size in samples]
    quarter = max(1, len(resident) // 4)
    return {
        "events": total,
        "seconds": round(seconds, 2),
        "per_second": round(events_applied / seconds),
        "memory_mb": round(max(resident)),
        "memory_mb_by_quarter": [
            round(sum(part) / len(part), 1)
            for part in (resident[number * quarter : (number + 1) * quarter] for number in range(4))
            if part
        ],
        "processor_us_per_event": {name: round(each / events_applied * 1e6, 1) for name, each in used.items()},
    }


def stock(where: Environment, count: int) -> dict[str, Any]:
    """Stock Faust on the same topic, as `python -m infra.bench.stock_faust` tells."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.bench.stock_faust", str(count)],
        cwd=REPOSITORY,
        env={**os.environ, "ROOKERY_TOPIC_PREFIX": where.topic_prefix},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=(log_directory(where) / "bench-stock.log").open("ab"),
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def latency(where: Environment, seconds: int) -> dict[str, Any]:
    """One like at a time, and how long until its effect is committed: produced before, seen in a position after."""
    counters = projection_named("counters")
    stage, log, positions = events.cast(7), events.Log(where, linger_ms=0), Positions(where, counters)
    offered = WARM_UP_EVENTS + seconds * OFFERED_PER_SECOND
    ends = LogEnds(where)
    partitions = ends.partitions(counters.topics)
    base = ends.ends(partitions)
    waiting: dict[Partition, list[tuple[int, float]]] = {partition: [] for partition in partitions}
    appended, took = dict(base), list[float]()
    with worker(counters, where):
        while len(positions()) < len(partitions):
            time.sleep(LOOK_SECONDS)
        due, number = time.monotonic(), 0
        while number < offered or any(waiting.values()):
            now = time.monotonic()
            if number < offered and now >= due:
                drawn = next(events.draw(stage, 7, number, 1))
                at = clock.now()
                event = events.like(drawn._replace(event_id=mint(at), occurred_at=at))
                partition = Partition("engagement", log.partition(event))
                waiting[partition].append((appended[partition] + 1, time.monotonic()))
                appended[partition] += 1
                log.append(event)
                number, due = number + 1, due + 1 / OFFERED_PER_SECOND
            log.poll()
            for partition, offset in positions().items():
                queue = waiting[partition]
                while queue and queue[0][0] <= offset:
                    took.append((time.monotonic() - queue.pop(0)[1]) * 1000)
            if now - due > STANDS_STILL_SECONDS:
                raise RuntimeError(f"{sum(map(len, waiting.values()))} events are not applied")
            time.sleep(LATENCY_LOOK_SECONDS)
    return {"offered_per_second": OFFERED_PER_SECOND, "ms": quantiles(took[WARM_UP_EVENTS:])._asdict()}


def main(arguments: Mapping[int, str]) -> dict[str, Any]:
    kind, count = arguments[0], int(arguments.get(1, "2000000"))
    where = fresh(kind)
    if kind == "latency":
        return latency(where, count)
    tell(f"appending {count:,} events")
    events.append(kind, count, seed=1)
    if kind == "likes":
        tell("one worker of the counters, and stock Faust")
        return {"counters": drain(projection_named("counters"), where), "stock": stock(where, 200_000)}
    found = {}
    for projection in PROJECTIONS:
        if isinstance(projection, PostgresProjection):
            tell(f"one worker of {projection.name}")
            found[projection.name] = drain(projection, where)
    return found


if __name__ == "__main__":
    print(json.dumps(main(dict(enumerate(sys.argv[1:])))))
