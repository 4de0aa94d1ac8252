"""Requests counted by route and status, with their times, in Prometheus' text format; each process tells its own."""

import threading
from bisect import bisect_left

BUCKETS_SECONDS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Requests:
    """A histogram per route; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, int], int] = {}
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    def observe(self, route: str, status: int, seconds: float) -> None:
        with self._lock:
            self._counts[route, status] = self._counts.get((route, status), 0) + 1
            buckets = self._buckets.setdefault(route, [0] * (len(BUCKETS_SECONDS) + 1))
            buckets[bisect_left(BUCKETS_SECONDS, seconds)] += 1
            self._seconds[route] = self._seconds.get(route, 0.0) + seconds

    def text(self) -> str:
        lines = ["# TYPE rookery_query_requests_total counter"]
        with self._lock:
            for (route, status), count in sorted(self._counts.items()):
                lines.append(f'rookery_query_requests_total{{route="{_escaped(route)}",status="{status}"}} {count}')
            lines.append("# TYPE rookery_query_request_seconds histogram")
            for route, buckets in sorted(self._buckets.items()):
                name, label, below = "rookery_query_request_seconds", f'route="{_escaped(route)}"', 0
                for limit, count in zip((*map(str, BUCKETS_SECONDS), "+Inf"), buckets, strict=True):
                    below += count
                    lines.append(f'{name}_bucket{{{label},le="{limit}"}} {below}')
                lines.append(f"{name}_sum{{{label}}} {self._seconds[route]:.6f}")
                lines.append(f"{name}_count{{{label}}} {below}")
        return "\n".join(lines) + "\n"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


REQUESTS = Requests()
