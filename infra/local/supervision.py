"""Runs an installation's programs under supervisord: what has died is started again, what is stopped stays stopped."""

import hashlib
import os
import resource
import shlex
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from infra.local.failures import LocalError, NotReadyError
from infra.local.installation import Installation
from infra.local.programs import Program, is_configuration
from shared.environment import REPOSITORY

PACKAGES = ("schemas", "shared", "command_api", "projectors", "query_api", "infra/purge")
CODE_SUFFIXES = (".py", ".sql", ".lua", ".avsc", ".yaml")
OPEN_FILES_MAX = 65_536
# A program that ends in its first second is begun again a second later than the time before. It is never given up: an
# outage may last for days, and what waits for its end must be there then.
START_RETRIES = 1_000_000
FAILING_SECONDS_MAX = 15  # long enough for a start that another server's slow start makes fail first
RUNNING = ("RUNNING",)
STOPPED = ("STOPPED", "EXITED", "FATAL")


def render(installation: Installation, programs: Sequence[Program]) -> str:
    """supervisord.conf: nothing starts by itself, since `up` starts servers before what needs them."""
    socket = _escaped(str(installation.supervisor_socket))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(OPEN_FILES_MAX, hard)
    sections = [
        "; Written at every `rookery up`.",
        f"[unix_http_server]\nfile={socket}\nchmod=0600",
        "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
        f"[supervisorctl]\nserverurl=unix://{socket}",
        "\n".join(
            [
                "[supervisord]",
                f"logfile={_escaped(str(installation.log_of('supervisord')))}",
                "logfile_maxbytes=10MB",
                "logfile_backups=1",
                f"pidfile={_escaped(str(installation.supervisor_pid_file))}",
                f"childlogdir={_escaped(str(installation.logs))}",
                f"directory={_escaped(str(REPOSITORY))}",
                f"minfds={files}",
                *(["user=root"] if os.geteuid() == 0 else []),
            ]
        ),
        *(_section(installation, program) for program in programs),
    ]
    return "\n\n".join(sections) + "\n"


def _section(installation: Installation, program: Program) -> str:
    lines = [
        f"[program:{program.name}]",
        f"command={_escaped(shlex.join(program.command))}",
        f"directory={_escaped('/' if program.user else str(REPOSITORY))}",
        "autostart=false",
        "autorestart=true",
        "startsecs=1",
        f"startretries={START_RETRIES}",
        f"stopsignal={program.stop_signal}",
        f"stopwaitsecs={program.stop_seconds}",
        "killasgroup=true",
        "redirect_stderr=true",
        f"stdout_logfile={_escaped(str(installation.log_of(program.name)))}",
        "stdout_logfile_maxbytes=20MB",
        "stdout_logfile_backups=2",
    ]
    if program.user:
        lines.append(f"user={program.user}")
    if program.variables:
        lines.append("environment=" + ",".join(_assignment(*item) for item in sorted(program.variables.items())))
    return "\n".join(lines)


def _assignment(name: str, value: str) -> str:
    quote = "'" if '"' in value else '"'
    if quote in value or "\n" in value or value.strip("'\"") != value:  # supervisord strips quotes at both ends
        raise LocalError(f"{name} has a line break, both kinds of quotes, or one at an end: supervisord loses those")
    return f"{name}={quote}{_escaped(value)}{quote}"


def _escaped(value: str) -> str:
    return value.replace("%", "%%")


def code_digest(packages: Iterable[str] = PACKAGES) -> str:
    """Changes with any file that a process would load, so that `up` after an update starts the processes again."""
    digest = hashlib.sha256()
    for package in packages:
        for path in sorted((REPOSITORY / package).rglob("*")):
            if path.suffix in CODE_SUFFIXES:
                digest.update(str(path.relative_to(REPOSITORY)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


class Supervisor:
    """One installation's supervisord."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._failing_since: dict[str, float] = {}

    def running(self) -> bool:
        try:
            self._call("supervisor.getState")
        except (OSError, xmlrpc.client.Error):
            return False
        return True

    def start(self, programs: Sequence[Program]) -> None:
        """Starts supervisord, or gives a running one the new configuration: what changed in it is stopped."""
        path = self._installation.supervisor_config
        path.touch(mode=0o600)
        path.write_text(render(self._installation, programs))
        if self.running():
            self._reread()
            return
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(path)]
        variables = {name: value for name, value in os.environ.items() if not is_configuration(name)}
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            env=variables,
            check=False,
        )
        if done.returncode:
            raise LocalError(f"supervisord did not start:\n{done.stdout}{done.stderr}")
        _wait_until(self.running, 10, lambda: NotReadyError("supervisord", "does not answer", self._log("supervisord")))

    def states(self) -> dict[str, dict[str, Any]]:
        """By program: `statename`, `pid`, `start`, `now`, `spawnerr`."""
        return {info["name"]: info for info in self._call("supervisor.getAllProcessInfo")}

    def pid(self) -> int:
        return int(self._call("supervisor.getPID"))

    def launch(self, names: Iterable[str]) -> None:
        """Starts those that are not running, without waiting."""
        states = self.states()
        for name in names:
            if states[name]["statename"] in STOPPED:
                self._call("supervisor.startProcess", name, False)

    def halt(self, names: Iterable[str], seconds_max: float = 75) -> None:
        """Stops the named ones at the same time and waits until they are gone."""
        states = self.states()
        stopping = [name for name in names if name in states and states[name]["statename"] not in STOPPED]
        for name in stopping:
            try:
                self._call("supervisor.stopProcess", name, False)
            except xmlrpc.client.Fault:  # it ended by itself in between
                continue

        def stopped() -> bool:
            now = self.states()
            return all(now[name]["statename"] in STOPPED for name in stopping)

        _wait_until(stopped, seconds_max, lambda: LocalError(f"{', '.join(stopping)} did not stop"))

    def require_alive(self, name: str) -> None:
        """Raises NotReadyError where supervisord has given the program up, or it only ends and ends again."""
        state = self.states()[name]["statename"]
        if state == "RUNNING":
            self._failing_since.pop(name, None)
            return
        now = time.monotonic()
        since = self._failing_since.setdefault(name, now) if state == "BACKOFF" else now
        if state == "FATAL" or now - since > FAILING_SECONDS_MAX:
            raise NotReadyError(name, "ends again and again", self._log(name))

    def shut_down(self) -> None:
        self._call("supervisor.shutdown")
        _wait_until(
            lambda: not self.running(),
            90,
            lambda: NotReadyError("supervisord", "did not stop", self._log("supervisord")),
        )

    def _reread(self) -> None:
        ((added, changed, removed),) = self._call("supervisor.reloadConfig")
        self.halt([*changed, *removed])
        for name in [*changed, *removed]:
            self._call("supervisor.removeProcessGroup", name)
        for name in [*changed, *added]:
            self._call("supervisor.addProcessGroup", name)

    def _log(self, name: str) -> Path:
        return self._installation.log_of(name)

    def _call(self, method: str, *arguments: Any) -> Any:
        # Imported late: `rookery --help` need not pay for it.
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(None, None, f"unix://{self._installation.supervisor_socket}")
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as proxy:
            return getattr(proxy, method)(*arguments)


def _wait_until(condition: Any, seconds_max: float, failure: Any, pause_seconds: float = 0.05) -> None:
    deadline = time.monotonic() + seconds_max
    while not condition():
        if time.monotonic() > deadline:
            raise failure()
        time.sleep(pause_seconds)
