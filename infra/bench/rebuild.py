"""How fast the counters are rebuilt from a log of the realistic mix, and what bounds it; prints one JSON object.

    python -m infra.bench.rebuild EVENTS

Run by `rookery bench rebuild` on servers of its own.
"""

import json
import os
import resource
import sys
import time
from typing import Any

import psycopg

from infra.bench import events
from infra.bench.projection import fresh, tell
from projectors.catalogue import projection_named
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.rebuilding import Request, rebuild


def measure(count: int) -> dict[str, Any]:
    """Appends, rebuilds, and says how long what took; seconds of the processor are the loading processes'."""
    where, counters = fresh("rebuild"), projection_named("counters")
    assert isinstance(counters, PostgresProjection)
    tell(f"appending {count:,} events")
    events.append("mix", count, seed=1)
    with psycopg.connect(where.admin_database_url, autocommit=True) as database:
        database.execute("checkpoint")
    tell("rebuilding")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    report = rebuild(Request(counters), where, lambda *_: None)
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    with psycopg.connect(where.read_database_url) as database:
        rows = database.execute(
            "select count(*), (select sum(likes) from counters_next.post_count) from counters_next.reaction"
        ).fetchone()
    assert rows is not None
    loaders = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    indexes = sum(each for name, each in report.statements.items() if name.startswith("index "))
    return {
        "events": report.records,
        "seconds": round(seconds, 2),
        "events_per_second": round(report.records / seconds),
        "phases": {phase: round(each, 2) for phase, each in report.seconds.items()},
        "loading_per_second": round(report.records / report.seconds["loading"]),
        "loader_cpu_microseconds_per_event": round(loaders / report.records * 1e6, 2),
        "merging_seconds": {
            "tables": round(sum(report.statements.values()) - indexes, 1),
            "indexes": round(indexes, 1),
        },
        "slowest_statements": dict(sorted(report.statements.items(), key=lambda each: -each[1])[:8]),
        "rows": {"reaction": int(rows[0]), "likes": int(rows[1])},
        "cores": os.cpu_count(),
        "bound_by": "the loaders' processors" if report.seconds["loading"] > seconds / 2 else "sorting and indexing",
    }


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
