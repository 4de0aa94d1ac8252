"""`rookery logs`: the end of one process's log or of all, and what is added to it."""

import os
from typing import Annotated

import typer

from infra.local import installation as installations
from infra.local.failures import LocalError


def logs(
    names: Annotated[list[str] | None, typer.Argument(help="Servers or processes; all when none is named.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing what is added.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many lines of each to begin with.")] = 50,
) -> None:
    """Show logs."""
    installation = installations.current()
    known = sorted(path.stem for path in installation.logs.glob("*.log"))
    for name in names or []:
        if name not in known:
            raise LocalError(f"no log of {name!r}; there are: {', '.join(known) or 'none'}")
    paths = [str(installation.log_of(name)) for name in names or known]
    if not paths:
        raise LocalError(f"nothing was logged in {installation.logs} yet")
    # -F goes on by name, so that it survives a rotation.
    os.execvp("tail", ["tail", "-n", str(lines), *(["-F"] if follow else []), "--", *paths])
