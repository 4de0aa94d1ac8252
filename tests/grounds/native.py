"""The servers as `rookery up` runs them on this machine."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from infra.local import readiness
from infra.local.installation import Installation, run_directory
from infra.local.supervision import Supervisor
from shared.environment import REPOSITORY
from tests.grounds.port import Ground, Server, environment_of, process_variables

ANSWER_SECONDS_MAX = 90


class NativeGround:
    """An installation of its own, without our own processes, in a folder and on 15 ports that nobody else uses."""

    def __init__(self, var: Path, port_base: int) -> None:
        self._variables = {"ROOKERY_VAR": str(var), "ROOKERY_PORT_BASE": str(port_base)}

    @property
    def variables(self) -> Mapping[str, str]:
        return self._variables

    def start(self) -> None:
        rookery(self, "up", "--servers-only")

    def stop(self) -> None:
        rookery(self, "down", "--data")

    def start_server(self, server: Server) -> None:
        installation = self._installation()
        Supervisor(installation).launch([server])
        readiness.wait(
            installation,
            server,
            lambda: readiness.ask(server, installation.environment),
            ANSWER_SECONDS_MAX,
            lambda: Supervisor(installation).require_alive(server),
        )

    def stop_server(self, server: Server) -> None:
        Supervisor(self._installation()).halt([server])

    def _installation(self) -> Installation:
        environment = environment_of(self)
        return Installation(environment, run_directory(environment.var))


def rookery(ground: Ground, *arguments: str) -> None:
    """Runs the command on a ground. Raises RuntimeError with what it said, when it failed."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli.main", *arguments],
        cwd=REPOSITORY,
        env=process_variables(ground),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"rookery {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
