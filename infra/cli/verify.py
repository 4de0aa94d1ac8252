"""`rookery verify`: compares every read model, or readers' pages, with the reference computed from the log; changes
nothing.

The reference model lies with the tests, which nothing imports, so it runs as a process of its own.
"""

import subprocess
import sys
from enum import StrEnum
from typing import Annotated

import typer

from infra.local.failures import LocalError
from shared.environment import REPOSITORY


class What(StrEnum):
    """What is compared when not everything is."""

    FEED = "feed"


def verify(
    what: Annotated[What | None, typer.Argument(help="`feed`: pages of home feeds, over HTTP.")] = None,
    readers: Annotated[int, typer.Option(min=1, help="Of `feed`: how many people's feeds are read.")] = 500,
    seed: Annotated[int, typer.Option(help="Of `feed`: which people, besides the remarkable ones.")] = 1,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Of `feed`: items a page.")] = 100,
    connections: Annotated[int, typer.Option(min=1, help="Of `feed`: how many are asked for at once.")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait until the projections have caught up.")] = 120.0,
) -> None:
    """Compare every read model with the log, or with `feed` all pages of people's home feeds, by recency and ranked.

    Exit status 3 when something differs, 1 when it could not compare.
    """
    if not (REPOSITORY / "tests" / "model" / "verify.py").exists():
        raise LocalError("the reference model is not installed with the package: run this in a clone of the repository")
    options = {"timeout": timeout}
    module = "tests.model.verify"
    if what is What.FEED:
        module = "tests.model.verify_feed"
        options |= {"readers": readers, "seed": seed, "limit": limit, "connections": connections}
    arguments = [sys.executable, "-m", module]
    for name, value in options.items():
        arguments += [f"--{name}", str(value)]
    if as_json:
        arguments.append("--json")
    raise typer.Exit(subprocess.run(arguments, cwd=REPOSITORY, check=False).returncode)
