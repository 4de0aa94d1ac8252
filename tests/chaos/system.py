"""An installation of the fault tests' own: what is killed, frozen and stopped is its own, never another's."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import redis
from confluent_kafka import KafkaException

from infra.local import readiness
from infra.local.installation import Installation, run_directory
from infra.local.memory import children
from infra.local.programs import PROJECTIONS, is_configuration
from infra.local.supervision import Supervisor
from projectors.runtime.lag import wait_until_caught_up
from shared.environment import REPOSITORY, Environment, load
from tests.runtime.workers import wait_until

# Behind the ports of the installation that the other tests use.
PORTS_AFTER = 20
PROJECTED_SECONDS_MAX = 120
PROJECTORS = tuple(f"projector-{name}" for name in PROJECTIONS)


class System:
    """One whole installation. Programs are named as `rookery status` names them."""

    def __init__(self, beside: Environment, name: str = "chaos", ports_after: int = PORTS_AFTER) -> None:
        kept = {name: value for name, value in os.environ.items() if not is_configuration(name)}
        self.variables = kept | {
            "ROOKERY_VAR": str(beside.var / name),
            "ROOKERY_PORT_BASE": str(beside.ports["gateway"] + ports_after),
        }
        self._supervisor: Supervisor | None = None

    @property
    def environment(self) -> Environment:
        return load(self.variables)

    @property
    def installation(self) -> Installation:
        environment = self.environment
        return Installation(environment, run_directory(environment.var))

    @property
    def supervisor(self) -> Supervisor:
        self._supervisor = self._supervisor or Supervisor(self.installation)
        return self._supervisor

    def rookery(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "infra.cli.main", *arguments)

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A Python process of this installation's, to its end."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=REPOSITORY,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    # What is done to it

    def pid(self, program: str) -> int:
        return int(self.supervisor.states()[program]["pid"])

    def workers(self, program: str) -> list[int]:
        """The processes that a program has begun, such as gunicorn's workers."""
        return children().get(self.pid(program), [])

    def kill(self, program: str) -> None:
        os.kill(self.pid(program), signal.SIGKILL)

    @contextmanager
    def frozen(self, program: str) -> Iterator[None]:
        """The program does not run, and its connections stay open."""
        pid = self.pid(program)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @contextmanager
    def stopped(self, *programs: str) -> Iterator[None]:
        """The programs are not there; whoever asks for them is refused at once. Afterwards they answer again."""
        self.supervisor.halt(programs)
        try:
            yield
        finally:
            self.supervisor.launch(programs)
            for program in programs:
                self.await_server(program)

    def restart(self, *programs: str) -> None:
        self.supervisor.halt(programs)
        self.supervisor.launch(programs)

    def stop_postgres_immediately(self) -> None:
        """As `pg_ctl stop -m immediate` does: no checkpoint, every session cut off; the supervisor starts it again."""
        os.kill(self.pid("postgres"), signal.SIGQUIT)

    def flush_redis(self) -> None:
        with redis.Redis.from_url(self.environment.redis_url) as client:
            client.flushall()

    # What is asked of it

    def await_server(self, program: str, seconds: float = 90) -> float:
        """Until it answers a real question; the seconds that took."""
        began = time.monotonic()
        if program in readiness.QUESTIONS:
            wait_until(seconds, lambda: readiness.ask(program, self.environment).ok, every=0.1)
        return time.monotonic() - began

    def ready(self, program: str) -> readiness.Answer:
        return readiness.ask_http(f"http://127.0.0.1:{self.environment.ports[program]}/readyz")

    def await_running(self, programs: Sequence[str], seconds: float = 60) -> None:
        def running() -> bool:
            states = self.supervisor.states()
            return all(states[name]["statename"] == "RUNNING" for name in programs)

        wait_until(seconds, running)

    def unacknowledged(self) -> int:
        """How many committed events the log has not acknowledged."""
        with psycopg.connect(self.environment.command_database_url) as connection:
            row = connection.execute("select count(*) from outbox where acked_at is null").fetchone()
            return int(row[0]) if row else 0

    def settle(self, seconds: float = PROJECTED_SECONDS_MAX) -> float:
        """Until the log has every committed event and every projection has applied it; the seconds that took."""
        began = time.monotonic()
        wait_until(seconds, lambda: not self.unacknowledged(), every=0.1)

        def caught_up() -> bool:
            try:
                return asyncio.run(wait_until_caught_up(self.environment, 5))
            except KafkaException:  # a broker that has only just come back has no leaders yet
                return False

        left = began + seconds - time.monotonic()
        try:
            wait_until(left, caught_up)
        except AssertionError:
            raise AssertionError(f"not projected in {seconds} s: {self.tails(PROJECTORS)}") from None
        return time.monotonic() - began

    def verify(self) -> dict[str, Any]:
        """The report of `rookery verify`; fails where it could not compare."""
        done = self.rookery("verify", "--json", "--timeout", "60")
        assert done.returncode in (0, 3), done.stderr[-4000:]
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def tails(self, programs: Sequence[str], characters: int = 1500) -> str:
        """The ends of programs' logs, for a failing test's message."""
        return "\n".join(f"{name}: {self.log(name)[-characters:]}" for name in programs)

    def log(self, program: str) -> str:
        path: Path = self.installation.log_of(program)
        return path.read_text(errors="replace") if path.exists() else ""

    def logged_since(self, program: str) -> Callable[[str], int]:
        """A question to ask later: how often these words have come into the program's log from now on."""
        before = len(self.log(program))
        return lambda words: self.log(program)[before:].count(words)
