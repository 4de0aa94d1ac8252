"""`rookery down`: when it returns, nothing that `rookery up` started is running."""

from typing import Annotated

import typer
from rich.markup import escape

from infra.cli.output import say
from infra.local import installation as installations
from infra.local.lifecycle import down as bring_down


def down(
    data: Annotated[bool, typer.Option("--data", help="Erase the data too: log, databases, secrets, logs.")] = False,
) -> None:
    """Stop everything in the reverse order of starting."""
    bring_down(installations.current(), lambda line: say(escape(line)), erase=data)
