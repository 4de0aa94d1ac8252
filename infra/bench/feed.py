"""How fast one web worker answers the ranked home page of the demo's people; prints one JSON object.

    python -m infra.bench.feed REQUESTS

Run by `rookery bench feed` on servers of its own, which hold what the demo holds and, for the last figure, ten times
the posts. Projectors have caught up and are gone: what is measured is reading.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any

import httpx

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "command_api.settings.base")

from infra.bench import demo_events
from infra.bench.projection import fresh, log_directory, tell, worker
from infra.demo import generate
from infra.demo.measure import quantiles
from infra.demo.seed import access_token
from infra.local import programs
from projectors.catalogue import PROJECTIONS
from projectors.runtime.lag import wait_until_caught_up
from shared import clock
from shared.environment import REPOSITORY, Environment

SEED = 1
CONNECTIONS = 8
PAGE = 20
FEW, FEW_SLACK = 10, 2  # people whom somebody follows, more or less
COMPARED = 400  # requests of each kind whose medians are compared
TIMES_THE_POSTS = 10
READ_BY_PAGES = ("profiles", "graph", "posts", "counters", "feed")
CAUGHT_UP_SECONDS_MAX = 900.0


@contextmanager
def web_worker(where: Environment) -> Iterator[str]:
    """One worker process of the query API as it is shipped; the address of its home feed."""
    port = where.ports["query"]
    process = subprocess.Popen(
        programs.query_command(port, workers=1),
        cwd=REPOSITORY,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "query_api.settings"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(log_directory(where) / "bench-query.log").open("ab"),
    )
    base = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                if httpx.get(f"{base}/readyz", timeout=2).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError("the web worker did not become ready; its log is bench-query.log")
            time.sleep(0.1)
        yield f"{base}/api/v1/feed/home/?sort=ranked&limit={PAGE}"
    finally:
        process.terminate()
        process.wait(30)


def read(url: str, tokens: Sequence[str], connections: int, requests: int, cache: str | None) -> dict[str, Any]:
    """Raises RuntimeError for an answer that is no page, or is not from where it should be."""
    asked = {"url": url, "tokens": list(tokens), "connections": connections, "requests": requests}
    done = subprocess.run(
        [sys.executable, "-m", "infra.bench.readers"],
        cwd=REPOSITORY, input=json.dumps(asked), stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    if set(found["statuses"]) != {"200"} or (cache is not None and set(found["caches"]) != {cache}):
        raise RuntimeError(f"answered {found['statuses']}, from {found['caches']}")
    return found


def project(where: Environment) -> None:
    """Has every projection that pages read catch up, and ends the workers."""
    projections = [each for each in PROJECTIONS if each.name in READ_BY_PAGES]
    with ExitStack() as workers:
        for each in projections:
            workers.enter_context(worker(each, where))
        if not asyncio.run(wait_until_caught_up(where, CAUGHT_UP_SECONDS_MAX, projections=projections)):
            raise RuntimeError("the projections did not catch up")


def compared(url: str, ones: Sequence[str], others: Sequence[str]) -> float:
    """The median of the one kind of reader's milliseconds over the other's, asked in turn through one connection."""
    read(url, [*ones, *others], 1, len(ones) + len(others), None)  # warm
    pairs = [token for number in range(COMPARED) for token in (ones[number % len(ones)], others[number % len(others)])]
    took = read(url, pairs, 1, len(pairs), "hit")["ms"]
    return round(median(took[::2]) / median(took[1::2]), 2)


def measure(requests: int) -> dict[str, Any]:
    """`ms` of pages of warm feeds, `cold_ms` of pages whose feed had to be filled first, both with 8 connections."""
    where = fresh("feed")
    plan = generate.plan(clock.now())
    tell(f"appending the demo's {plan.size:,} events")
    demo_events.append(where, plan, demo_events.of_plan(plan, SEED))
    tell("projecting")
    project(where)
    following = Counter(follow.follower for follow in plan.follows)
    tokens = [access_token(person.user_id) for person in plan.people]
    most = max(following, key=lambda number: following[number])
    few = [tokens[number] for number, count in following.items() if abs(count - FEW) <= FEW_SLACK]
    with web_worker(where) as url:
        tell("reading cold feeds, then warm ones")
        cold = read(url, tokens, CONNECTIONS, len(tokens), None)
        warm = read(url, tokens, CONNECTIONS, requests, "hit")
        following_ratio = compared(url, [tokens[most]], few)
        alone = read(url, tokens, 1, COMPARED, "hit")["ms"]
    tell(f"{TIMES_THE_POSTS} times the posts")
    demo_events.append(where, plan, demo_events.further_posts(plan, TIMES_THE_POSTS - 1, SEED))
    project(where)
    tokens = [access_token(person.user_id) for person in plan.people]
    with web_worker(where) as url:
        read(url, tokens, CONNECTIONS, len(tokens), None)
        crowded = read(url, tokens, 1, COMPARED, "hit")["ms"]
    return {
        "requests_per_second": round(requests / warm["seconds"]),
        "ms": quantiles(warm["ms"])._asdict(),
        "cold_ms": quantiles(cold["ms"])._asdict(),
        "following_ratio": following_ratio,
        "posts_ratio": round(median(crowded) / median(alone), 2),
        "requests": requests,
        "readers": len(tokens),
        "connections": CONNECTIONS,
        "items_per_page": round(warm["items"] / requests, 1),
        "following_most": following[most],
        "alone_ms": quantiles(alone)._asdict(),
    }


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
