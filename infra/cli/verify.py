"""`rookery verify`: compares every read model with the reference computed from the log; changes nothing.

The reference model lies with the tests, which nothing imports, so it runs as a process of its own.
"""

import subprocess
import sys
from typing import Annotated

import typer

from infra.local.failures import LocalError
from shared.environment import REPOSITORY


def verify(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait until the projections have caught up.")] = 120.0,
) -> None:
    """Compare every read model with the log. Exit status 3 when something differs, 1 when it could not compare."""
    if not (REPOSITORY / "tests" / "model" / "verify.py").exists():
        raise LocalError("the reference model is not installed with the package: run this in a clone of the repository")
    arguments = [
        sys.executable,
        "-m",
        "tests.model.verify",
        "--timeout",
        str(timeout),
        *(["--json"] if as_json else []),
    ]
    raise typer.Exit(subprocess.run(arguments, cwd=REPOSITORY, check=False).returncode)
