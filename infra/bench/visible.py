"""How long from sending a post until it is in a follower's page, all over HTTP, while others post; one JSON object.

    python -m infra.bench.visible SECONDS

Run by `rookery bench fanout` on servers of its own. The command API, the relay, the query API and the projectors that
pages read from run as they are shipped, and no others. Posts are sent at a steady rate, whether or not those before
were answered; the time of each begins when it was due, and ends when a page that has it was read.
"""

import asyncio
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import aiohttp
import httpx

from infra.bench.projection import fresh, log_directory, processor_seconds, servers_seconds, tell
from infra.demo.measure import quantiles
from infra.demo.seed import PASSWORD_HASH, access_token
from infra.local import installation, memory, programs
from projectors.catalogue import PROJECTIONS
from projectors.runtime.lag import wait_until_caught_up
from shared import clock
from shared.environment import REPOSITORY, Environment
from shared.feed_redis import connect
from shared.ids import mint

POSTS_PER_SECOND = 100
AUTHORS, FOLLOWED, READERS = 100, 20, 50  # the follower who looks follows every fifth author, other readers all
READ_BY_PAGES = ("profiles", "graph", "posts", "counters", "feed")
RUNNING = ("command", "relay", "query", *(f"projector-{name}" for name in READ_BY_PAGES))
WARM_UP_SECONDS = 3
LOOK_SECONDS = 0.002
PAGE, PAGE_MAX = 20, 100
READY_SECONDS_MAX, SEEN_SECONDS_MAX = 60, 30


@contextmanager
def running(where: Environment) -> Iterator[Mapping[str, int]]:
    """The processes by name, with their ids; ready, and gone afterwards."""
    variables = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    started: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for program in programs.processes(installation.current()):
            if program.name in RUNNING:
                started[program.name] = subprocess.Popen(
                    program.command,
                    cwd=REPOSITORY,
                    env={**variables, **program.variables},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=(log_directory(where) / f"bench-{program.name}.log").open("ab"),
                )
        for name in ("command", "query"):
            _await_ready(f"http://127.0.0.1:{where.ports[name]}/readyz", started[name])
        yield {name: process.pid for name, process in started.items()}
    finally:
        for process in started.values():
            process.terminate()
        for process in started.values():
            process.wait(30)


def _await_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while True:
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline or process.poll() is not None:
            raise RuntimeError(f"{url} did not become ready; its log is beside the others, bench-*.log")
        time.sleep(0.1)


def people(authors: int, readers: int) -> tuple[list[UUID], list[UUID]]:
    """Registers them, and has the first reader follow some of the authors and the others all; through the commands."""
    # Behind infra.demo.seed, which sets Django up.
    from command_api.accounts.registration import register_batch
    from command_api.dispatch import dispatch_batch
    from command_api.relationships.commands.follow_user import FollowUser

    found, run = [], secrets.token_hex(3)
    for number in range(authors + readers):
        now = clock.now()
        name = f"bench_{run}_{number}"
        found.append((mint(now), name, f"{name}@rookery.example", name, PASSWORD_HASH, now))
    ids = [row[0] for row in found]
    writing, reading = ids[:authors], ids[authors:]
    follows = [FollowUser(reading[0], author) for author in writing[:: authors // FOLLOWED]]
    follows += [FollowUser(reader, author) for reader in reading[1:] for author in writing]
    for outcome in register_batch(found) + dispatch_batch(follows):
        if outcome.rejection is not None:
            raise RuntimeError(f"a command was refused: {outcome.rejection.detail}")
    return writing, reading


class Offering:
    """Posts at their due times, and the pages of one follower."""

    def __init__(self, where: Environment, authors: Sequence[UUID], reader: UUID) -> None:
        base = "http://127.0.0.1:{}/api/v1/"
        self._posts = base.format(where.ports["command"]) + "posts/"
        self._page = base.format(where.ports["query"]) + "feed/home/?sort=recent&limit="
        self._authors = [{"Authorization": f"Bearer {access_token(each)}"} for each in authors]
        self._reader = {"Authorization": f"Bearer {access_token(reader)}"}
        self._all_sent = False
        self._unseen: dict[str, float] = {}  # posts that the follower is to see -> when they were due
        self.took, self.answered, self.pages = list[float](), list[float](), 0

    async def run(self, seconds: int) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60)) as session:
            self._all_sent = False
            looking = asyncio.create_task(self._look(session))
            async with asyncio.TaskGroup() as posting:
                due = time.monotonic()
                for number in range(seconds * POSTS_PER_SECOND):
                    await asyncio.sleep(due - time.monotonic())
                    posting.create_task(self._post(session, number % len(self._authors), due))
                    due += 1 / POSTS_PER_SECOND
            self._all_sent = True
            async with asyncio.timeout(SEEN_SECONDS_MAX):
                await looking

    async def _post(self, session: aiohttp.ClientSession, author: int, due: float) -> None:
        body = {"content": "The jackdaws are back on the tower. #rookery"}
        async with session.post(self._posts, json=body, headers=self._authors[author]) as answer:
            found = await answer.json()
            if answer.status not in (201, 202):
                raise RuntimeError(f"a post was answered {answer.status}: {found}")
        self.answered.append((time.monotonic() - due) * 1000)
        if author % (len(self._authors) // FOLLOWED) == 0:
            self._unseen[found["id"]] = due

    async def _look(self, session: aiohttp.ClientSession) -> None:
        while self._unseen or not self._all_sent:
            await asyncio.sleep(LOOK_SECONDS)
            if not self._unseen:
                continue
            # Whoever looks late must look further: 20 of the posts a second are the follower's.
            limit = PAGE if len(self._unseen) < PAGE // 2 else PAGE_MAX
            async with session.get(f"{self._page}{limit}", headers=self._reader) as answer:
                found = await answer.json()
                if answer.status != 200 or answer.headers.get("X-Cache-Status") != "hit":
                    raise RuntimeError(f"a page was answered {answer.status}, {answer.headers.get('X-Cache-Status')}")
            self.pages += 1
            for item in found["items"]:
                due = self._unseen.pop(item["post"]["id"], None)
                if due is not None:
                    self.took.append((time.monotonic() - due) * 1000)


def measure(seconds: int) -> dict[str, Any]:
    where = fresh("visible")
    redis = connect(where)
    redis.flushdb(asynchronous=True)
    projections = [each for each in PROJECTIONS if each.name in READ_BY_PAGES]
    tell("the processes that a post goes through begin")
    with running(where) as pids:
        authors, readers = people(AUTHORS, READERS)
        tell("all are registered and follow each other")
        if not asyncio.run(wait_until_caught_up(where, READY_SECONDS_MAX, projections=projections)):
            raise RuntimeError("the projections did not catch up")
        for reader in readers:
            headers = {"Authorization": f"Bearer {access_token(reader)}"}
            httpx.get(f"http://127.0.0.1:{where.ports['query']}/api/v1/feed/home/?sort=recent", headers=headers)
        offering = Offering(where, authors, readers[0])
        tell(f"{POSTS_PER_SECOND} posts a second")
        asyncio.run(offering.run(WARM_UP_SECONDS))
        offering.took, offering.answered, offering.pages = [], [], 0
        before, began = _used(where, pids), time.monotonic()
        asyncio.run(offering.run(seconds))
        passed = time.monotonic() - began
        used = {name: round((each - before[name]) / passed, 2) for name, each in _used(where, pids).items()}
    return {
        "visible_ms": quantiles(offering.took)._asdict(),
        "answered_ms": quantiles(offering.answered)._asdict(),
        "posts_per_second": POSTS_PER_SECOND,
        "posts": len(offering.answered),
        "looked_for": len(offering.took),
        "pages": offering.pages,
        "processor_share": used,
    }


def _used(where: Environment, pids: Mapping[str, int]) -> dict[str, float]:
    tree, used = memory.children(), servers_seconds(where)
    for name, pid in pids.items():
        used[name] = sum(map(processor_seconds, [pid, *tree.get(pid, [])]))
    return used | {"this": time.process_time()}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
