"""Claim: any process of ours may be killed or frozen at any moment; nothing is lost, nothing is done twice.

Oracle: what the clients were answered, against the whole log, and `rookery verify`. The system's own processes, killed
with -9, frozen beyond their session and thawed. Cannot catch: two processes dying at the same instant.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import psycopg

from shared.environment import REPOSITORY
from tests.chaos.conftest import Write
from tests.chaos.load import Load, Person, Writer
from tests.chaos.system import System
from tests.runtime.workers import wait_until

# A worker begun anew imports Django and asks for the schemas; one that hung would be ended after 30 s.
BACK_MILLISECONDS_MAX = 20_000
KILLS = 3


def test_a_projector_killed(system: System, write: Write, whole: Callable[[Load], None]) -> None:
    with write() as load:
        for program in ("projector-counters", "projector-feed", "projector-posts"):
            time.sleep(1)
            system.kill(program)
        time.sleep(1)
    whole(load)
    assert set(load.statuses()) <= {200, 201, 202}, load.summary()


def test_a_projector_frozen_beyond_its_session(
    system: System, write: Write, whole: Callable[[Load], None], tmp_path: Path
) -> None:
    """Another worker takes its partitions; what the thawed one still had in hand is refused."""
    logged = system.logged_since("projector-counters")
    with spare_worker(system, "counters", tmp_path / "spare.log") as spare, write() as load:
        wait_until(30, lambda: spare().count('"fenced"') >= 1)
        time.sleep(1)
        before = spare().count('"fenced"')
        with system.frozen("projector-counters"):
            wait_until(40, lambda: spare().count('"fenced"') > before)
            time.sleep(1)
        wait_until(30, lambda: logged('"refused"') or logged("in the store"))
        print(f"\n  {logged(chr(34) + 'refused' + chr(34))} batches of the thawed worker were refused", end="")
        time.sleep(1)
    system.await_running(["projector-counters"])
    whole(load)
    assert set(load.statuses()) <= {200, 201, 202}, load.summary()


@contextmanager
def spare_worker(system: System, projection: str, log: Path) -> Iterator[Callable[[], str]]:
    """A second worker of a projection; answers what it has logged so far."""
    with log.open("wb") as file:
        worker = subprocess.Popen(
            [sys.executable, "-m", "projectors.runtime.live", projection],
            cwd=REPOSITORY, env=system.variables, stdout=subprocess.DEVNULL, stderr=file,
        )  # fmt: skip
    try:
        yield lambda: log.read_text(errors="replace")
    finally:
        worker.terminate()
        worker.wait(20)


def test_the_command_api_killed(system: System, write: Write, whole: Callable[[Load], None]) -> None:
    """Its workers alone, and then the whole process: both come back, and soon."""
    with write() as load:
        time.sleep(1)
        for kill in range(KILLS):
            killed_at = time.monotonic()
            for pid in [*system.workers("command"), *([system.pid("command")] if kill == KILLS - 1 else [])]:
                os.kill(pid, signal.SIGKILL)
            wait_until(60, partial(_accepted_since, load, killed_at))
            time.sleep(0.5)
    whole(load)
    # A connection may end in mid-answer; every other request is answered, and nobody waits for what does not come.
    assert set(load.statuses()) <= {0, 200, 201, 202, 503}, load.summary()
    assert max(reply.milliseconds for reply in load.replies) < BACK_MILLISECONDS_MAX, load.summary()


def _accepted_since(load: Load, moment: float) -> bool:
    return any(reply.at > moment and reply.status in (200, 201, 202) for reply in load.replies[-50:])


def test_the_command_api_killed_between_commit_and_publish(
    system: System, people: list[Person], writers: list[Person], whole: Callable[[Load], None]
) -> None:
    """A frozen broker holds the write between the two for as long as it waits; there its process is killed."""
    load = Load()
    writer = Writer(system.environment.gateway_url, writers[0], load, threading.Lock())
    key, text = uuid4().hex, f"between commit and publish {uuid4().hex}"
    answers: list[httpx.Response | None] = []
    asking = threading.Thread(target=lambda: answers.append(writer.ask("POST", "posts/", {"content": text}, key)))
    with system.frozen("kafka"), psycopg.connect(system.environment.command_database_url, autocommit=True) as database:
        asking.start()
        of_writer = "select event_id from outbox where actor_id = %s and acked_at is null"
        [(post_id,)] = wait_until(10, lambda: database.execute(of_writer, [writers[0].user_id]).fetchall(), every=0.002)
        for pid in [*system.workers("command"), system.pid("command")]:
            os.kill(pid, signal.SIGKILL)
        asking.join()
        [first] = answers
        print(f"\n  the first answer: {first.status_code if first is not None else 'none'}", end="")
        assert first is None or first.status_code in (202, 503)
        again = writer.write("POST", "posts/", {"content": text}, key)
        assert (again.status_code, again.headers["Idempotency-Replayed"]) == (202, "true")
        assert UUID(again.json()["id"]) == post_id
    writer.accept(("posts", post_id), "PostPublished", text)
    whole(load)
    last = writer.write("POST", "posts/", {"content": text}, key)
    assert (last.status_code, last.headers["Idempotency-Replayed"], last.json()) == (201, "true", again.json())
    writer.close()
