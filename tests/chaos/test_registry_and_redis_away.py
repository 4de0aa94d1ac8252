"""Claim: the registry is missed only by what has not asked it yet, and Redis holds nothing that a page needs.

Oracle: what the clients were answered, against the whole log, and `rookery verify`; for pages, the reference model made
of the log. A real registry, stopped; a real Redis, flushed while people read. Cannot catch: a registry that answers
wrong ids.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx

from infra.local.programs import PROJECTIONS
from tests.chaos.conftest import Write
from tests.chaos.load import Load, Person
from tests.chaos.system import System
from tests.model.log import LogReader
from tests.model.reference import Model
from tests.runtime.workers import wait_until

READERS = 4
FLUSHES = 5
PAGE = 50


def test_the_registry_away_while_everything_runs(system: System, write: Write, whole: Callable[[Load], None]) -> None:
    # A worker that has only just begun would have to ask.
    wait_until(60, lambda: all(system.ready("command").ok for _ in range(20)), every=0.5)
    with system.stopped("registry"), write() as load:
        time.sleep(3)
        projected = system.settle()
        assert projected < 60
    whole(load)
    assert set(load.statuses()) <= {200, 201, 202}, load.summary()


def test_workers_that_replace_others_while_the_registry_is_away(
    system: System, write: Write, whole: Callable[[Load], None]
) -> None:
    """They know the schemas from the process that forks them, so that the last write is accepted."""
    with system.stopped("registry"), write() as load:
        time.sleep(1)
        for worker in system.workers("command"):
            os.kill(worker, signal.SIGKILL)
        time.sleep(2)
    whole(load)
    assert set(load.statuses()) <= {0, 200, 201, 202, 503}, load.summary()


def test_the_registry_away_while_processes_start(system: System, write: Write, whole: Callable[[Load], None]) -> None:
    """Writes are refused with 503 until it is back; then everything comes by itself."""
    starting = ["command", "query", "realtime", "relay", "sender", *(f"projector-{name}" for name in PROJECTIONS)]
    with write() as load:
        with system.stopped("registry"):
            system.restart(*starting)
            wait_until(40, lambda: "registry" in system.ready("command").text, every=0.2)
            wait_until(40, lambda: load.statuses()[503] > 5)
        wait_until(60, lambda: system.ready("command").ok, every=0.2)
        came_back = time.monotonic()
        wait_until(60, lambda: any(one.at > came_back and one.status in (200, 201) for one in load.replies[-50:]))
    whole(load)
    assert set(load.statuses()) <= {0, 200, 201, 202, 503}, load.summary()


def test_redis_flushed_while_people_read(system: System, people: list[Person]) -> None:
    system.settle()
    reader = LogReader(system.environment)
    reader.read_to(reader.ends(), lambda done, total: None)
    reader.close()
    model = Model(reader.events)
    readers = sorted(people, key=lambda person: -len(model.feeds.home(person.user_id)))[:READERS]
    wrong: list[str] = []
    read_through, enough = [0], threading.Event()

    def read(person: Person) -> None:
        try:
            read_on(person)
        except Exception as error:  # told in the end, with what else was wrong
            wrong.append(f"{person.username}: {error!r}")

    def read_on(person: Person) -> None:
        wanted = [item.post_id for item in model.feeds.home(person.user_id)]
        headers = {"Authorization": f"Bearer {person.access}"}
        with httpx.Client(base_url=f"{system.environment.gateway_url}/api/v1/", headers=headers, timeout=60) as client:
            while not enough.is_set():
                if (found := whole_feed(client)) != wanted:
                    wrong.append(f"{person.username}: {len(found)} items, not the {len(wanted)} of the model")
                ranked = page(client, sort="ranked")
                at = int(datetime.fromisoformat(ranked["ranked_at"]).timestamp() * 1_000_000)
                expected = [item.post_id for item in model.feeds.ranked_home(person.user_id, at)[:PAGE]]
                if ids_of(ranked) != expected:
                    wrong.append(f"{person.username}: another ranked page than the model's")
                read_through[0] += 1

    threads = [threading.Thread(target=read, args=(person,)) for person in readers]
    for thread in threads:
        thread.start()
    try:
        for _ in range(FLUSHES):
            time.sleep(0.7)
            system.flush_redis()
        time.sleep(0.7)
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    report = system.verify()
    print(f"\n  {read_through[0]} readings of whole feeds over {FLUSHES} flushes, {len(wrong)} wrong;"
          f" verify: {report['differences']} differences")  # fmt: skip
    assert wrong == []
    assert read_through[0] > FLUSHES
    assert report["differences"] == 0, report["first_differences"]


def whole_feed(client: httpx.Client) -> list[UUID]:
    """All of it, page by page: a flush may come between any two."""
    found: list[UUID] = []
    cursor = None
    while True:
        one = page(client, sort="recent", **({"cursor": cursor} if cursor else {}))
        found += ids_of(one)
        cursor = one["next"]
        if cursor is None:
            return found


def page(client: httpx.Client, **parameters: str) -> dict[str, Any]:
    answer = client.get("feed/home/", params={"limit": PAGE, **parameters})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def ids_of(one: dict[str, Any]) -> list[UUID]:
    return [UUID(item["post"]["id"]) for item in one["items"]]
