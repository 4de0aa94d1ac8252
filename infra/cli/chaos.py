"""`rookery chaos`: kills, freezes and restarts under load, on servers of its own; what is running is left alone.

The workers that die where they are told, and the reference they are compared with, lie with the tests, which nothing
imports, so it runs as a process of its own.
"""

import subprocess
import sys
from typing import Annotated

import typer

from infra.local.failures import LocalError
from shared.environment import REPOSITORY


def chaos(
    kills: Annotated[int, typer.Option(min=0, help="Workers killed with -9, at random and at named points.")] = 30,
    zombies: Annotated[int | None, typer.Option(help="Workers frozen beyond their session; one for 10 kills.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the history and of the order; a new one when left out.")] = None,
    rate: Annotated[float, typer.Option(min=1, help="Events appended in a second.")] = 150.0,
    servers: Annotated[
        str, typer.Option(help="What else is done, of broker, postgres, redis, rebalance, back; empty: nothing.")
    ] = "broker,postgres,redis,rebalance,back",
    keep: Annotated[bool, typer.Option("--keep", help="Leave its servers running, to look at what is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Show that nothing is lost or doubled. Exit status 3 when something is, 1 when it could not be told."""
    if not (REPOSITORY / "tests" / "chaos" / "run.py").exists():
        raise LocalError("the fault tests are not installed with the package: run this in a clone of the repository")
    arguments = [sys.executable, "-m", "tests.chaos.run", f"--kills={kills}", f"--rate={rate}", f"--servers={servers}"]
    arguments += [] if zombies is None else [f"--zombies={zombies}"]
    arguments += [] if seed is None else [f"--seed={seed}"]
    arguments += ["--keep"] if keep else []
    arguments += ["--json"] if as_json else []
    raise typer.Exit(subprocess.run(arguments, cwd=REPOSITORY, check=False).returncode)
