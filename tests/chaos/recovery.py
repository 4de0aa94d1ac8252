"""How long each fault was felt: from its moment until every partition concerned has applied what came after it."""

import threading
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import ceil

import psycopg
import redis

from projectors.runtime.stores.port import Partition
from shared.environment import Environment
from tests.model import positions

LOOK_SECONDS = 0.1


@dataclass
class Felt:
    """One fault: `seconds` is None until it is over."""

    fault: str
    projections: Collection[str]
    ends: Mapping[Partition, int]
    began: float = field(default_factory=time.monotonic)
    seconds: float | None = None
    over: threading.Event = field(default_factory=threading.Event)


class Recovery(threading.Thread):
    """Looks at all positions ten times a second, as the stores have them."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(name="recovery", daemon=True)
        self._environment = environment
        self._lock = threading.Lock()
        self._finish = threading.Event()
        self.felt: list[Felt] = []

    def expect(self, fault: str, projections: Collection[str], ends: Mapping[Partition, int], began: float) -> Felt:
        """A fault at the moment `began` (time.monotonic); the log has grown to `ends` since then."""
        felt = Felt(fault, projections, ends, began)
        with self._lock:
            self.felt.append(felt)
        return felt

    def finish(self) -> None:
        self._finish.set()
        self.join()

    def run(self) -> None:
        while not self._finish.is_set():
            try:
                self._look()
            except (psycopg.OperationalError, redis.RedisError):
                time.sleep(LOOK_SECONDS)  # one of them is away, on purpose

    def _look(self) -> None:
        url = self._environment.read_database_url
        with (
            psycopg.connect(url, autocommit=True, connect_timeout=2) as connection,
            redis.Redis.from_url(self._environment.redis_url, decode_responses=True, socket_timeout=2) as client,
        ):
            while not self._finish.wait(LOOK_SECONDS):
                with self._lock:
                    waiting = [felt for felt in self.felt if felt.seconds is None]
                if not waiting:
                    continue
                now = time.monotonic()
                stands = positions.in_postgres(connection) | positions.in_redis(client, self._environment)
                for felt in waiting:
                    concerned = {n: at for n, at in stands.items() if n.partition(" ")[0] in felt.projections}
                    if not any(positions.behind(concerned, felt.ends)):
                        felt.seconds = max(0.0, now - felt.began)
                        felt.over.set()

    def unrecovered(self) -> list[str]:
        return [felt.fault for felt in self.felt if felt.seconds is None]

    def by_fault(self) -> dict[str, dict[str, float]]:
        """Of each kind of fault: how many, and the median and the longest of their seconds."""
        kinds: dict[str, list[float]] = defaultdict(list)
        for felt in self.felt:
            if felt.seconds is not None:
                kinds[felt.fault].append(felt.seconds)
        return {
            kind: {"n": len(each), "p50": quantile(each, 0.5), "max": quantile(each, 1.0)}
            for kind, each in sorted(kinds.items())
        }

    def seconds(self) -> dict[str, float | None]:
        """Of all faults together; None where there was none."""
        felt = [each.seconds for each in self.felt if each.seconds is not None]
        return {name: quantile(felt, share) if felt else None for name, share in (("p50", 0.5), ("p99", 0.99))}


def quantile(values: Collection[float], share: float) -> float:
    """The least value that this share of them does not exceed (nearest rank), to a hundredth."""
    ordered = sorted(values)
    return round(ordered[max(0, ceil(share * len(ordered)) - 1)], 2)
