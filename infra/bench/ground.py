"""An installation for one benchmark: its servers begin empty on ports of their own, and are gone afterwards.

A running installation is not disturbed, but for the processor that both share.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from infra.local.failures import LocalError
from infra.local.programs import is_configuration
from shared.environment import REPOSITORY, environment

PORTS_AFTER = 60  # behind those of the installation that was asked
Say = Callable[[str], None]


@contextmanager
def ground(say: Say, keep: bool = False) -> Iterator[Mapping[str, str]]:
    """The variables of a process that works on the benchmark's servers, databases, topics and projections."""
    here = environment()
    variables = {name: value for name, value in os.environ.items() if not is_configuration(name)}
    variables |= {
        "ROOKERY_VAR": str(here.var / "bench"),
        "ROOKERY_PORT_BASE": str(here.ports["gateway"] + PORTS_AFTER),
    }
    run(variables, "infra.cli.main", "down", "--data")
    try:
        say("starting servers for the benchmark")
        run(variables, "infra.cli.main", "up", "--servers-only")
        run(variables, "infra.local.migrations")
        run(variables, "projectors.runtime.prepare")
        yield variables
    finally:
        if not keep:
            run(variables, "infra.cli.main", "down", "--data")


def run(variables: Mapping[str, str], module: str, *arguments: str) -> str:
    """What one of our modules printed, run to its end. Raises LocalError with all it said when it failed."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LocalError(
            f"python -m {module} {' '.join(arguments)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        )
    return done.stdout


def measured(variables: Mapping[str, str], module: str, *arguments: str) -> str:
    """What a measuring module printed; what it tells meanwhile goes on to standard error."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode or not done.stdout.strip():
        raise LocalError(f"python -m {module} failed with status {done.returncode}; what it said is above")
    return done.stdout
