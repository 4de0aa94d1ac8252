"""The one process that purges: of any number that run, one works and the others stand by to take its place.

python -m infra.purge.worker

Who works holds an advisory lock of the command database on an open connection, so its death or lost network frees it.
A job that fails is told, tried again soon, and holds up no other. GET /readyz on the port `purger` answers 200 while
every job has lately been done, or while another process does them.
"""

import json
import logging
import signal
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg

from infra.purge.jobs import JOBS, Job
from shared import clock
from shared.environment import Environment, environment

log = logging.getLogger("infra.purge")
LOCK_CLASS, LOCK_NUMBER = 7_403, 0
TICK_SECONDS = 1.0
RETRY_SECONDS = 5.0
# A job that was not done for so many of its intervals is a fault.
LATE_INTERVALS = 3
CONNECT_SECONDS = 3


class Purger:
    """Does the jobs when they are due: `run` until `stop`; `state` tells, from any thread, how it stands."""

    def __init__(self, environment: Environment, jobs: Sequence[Job] = JOBS) -> None:
        self._environment = environment
        self._jobs = jobs
        self._began = time.monotonic()
        self._stopping = threading.Event()
        self._next = dict.fromkeys((job.name for job in jobs), 0.0)
        self._done: dict[str, float] = {}
        self._counts = dict.fromkeys((job.name for job in jobs), 0)
        self._errors: dict[str, str] = {}
        self._role = "starting"

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                with _connect(self._environment.command_database_url) as connection:
                    self._work_while_leading(connection)
            except psycopg.OperationalError as error:
                self._role = "starting"
                log.warning("the command database is away: %s", error)
                self._stopping.wait(RETRY_SECONDS)

    def state(self) -> dict[str, Any]:
        """`ready` as /readyz has it, and per job how much was done since the start and what went wrong last."""
        now = time.monotonic()
        late = [job.name for job in self._jobs if self._is_late(job, now)]
        ready = self._role == "standing by" or (self._role == "leading" and not late)
        return {
            "ready": ready,
            "role": self._role,
            "late": late,
            "done": dict(self._counts),
            "errors": dict(self._errors),
        }

    def _is_late(self, job: Job, now: float) -> bool:
        # A first round may be long: it is no fault while it gets on. One that was never done and failed is.
        if job.name not in self._done and job.name in self._errors:
            return True
        return now - self._done.get(job.name, self._began) > job.seconds * LATE_INTERVALS

    def _work_while_leading(self, connection: psycopg.Connection[Any]) -> None:
        while not self._stopping.is_set():
            if self._role == "leading":
                # It shows that the connection, and so the lock, is still there.
                connection.execute("SELECT 1")
                self.do_what_is_due()
            elif _try_lock(connection):
                self._began = time.monotonic()
                self._role = "leading"
                continue
            else:
                self._role = "standing by"
            self._stopping.wait(TICK_SECONDS)

    def do_what_is_due(self) -> None:
        for job in self._jobs:
            if self._stopping.is_set() or time.monotonic() < self._next[job.name]:
                continue
            try:
                with _connect(job.url(self._environment)) as connection:
                    count = job.purge(connection, self._environment, clock.now())
            except psycopg.Error as error:
                log.warning("%s: %s", job.name, error)
                self._errors[job.name] = str(error).partition("\n")[0]
                self._next[job.name] = time.monotonic() + RETRY_SECONDS
                continue
            if count:
                log.info("%s: %d %s", job.name, count, job.unit)
            self._counts[job.name] += count
            self._errors.pop(job.name, None)
            self._done[job.name] = time.monotonic()
            self._next[job.name] = time.monotonic() + job.seconds


def _connect(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=CONNECT_SECONDS,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=10_000,
        application_name="rookery-purger",
    )


def _try_lock(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", (LOCK_CLASS, LOCK_NUMBER)).fetchone()
    return bool(row and row[0])


def serve(purger: Purger, port: int) -> ThreadingHTTPServer:
    """Answers /readyz and /healthz on loopback from a thread of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state = purger.state()
            known = self.path in ("/readyz", "/healthz")
            ok = self.path == "/healthz" or state["ready"]
            body = json.dumps(state).encode()
            self.send_response(404 if not known else 200 if ok else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass  # a question every few seconds is no news

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, name="readiness", daemon=True).start()
    return server


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    purger = Purger(environment())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: purger.stop())
    server = serve(purger, environment().ports["purger"])
    purger.run()
    server.shutdown()


if __name__ == "__main__":
    main()
