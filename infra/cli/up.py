"""`rookery up`: when it returns, everything it names answers."""

from typing import Annotated

import typer
from rich.markup import escape

from infra.cli.output import say
from infra.local import installation as installations
from infra.local.lifecycle import Parts
from infra.local.lifecycle import up as bring_up


def up(
    servers_only: Annotated[
        bool, typer.Option(help="Only PostgreSQL, Redis, Kafka and the registry, with databases, topics and schemas.")
    ] = False,
    programs_only: Annotated[
        bool, typer.Option(help="Only our own processes and the gateway; the servers answer already.")
    ] = False,
) -> None:
    """Install what is missing, start everything, wait until it answers. Twice is as good as once."""
    if servers_only and programs_only:
        raise typer.BadParameter("--servers-only and --programs-only leave nothing to start")
    installation = installations.current()
    bring_up(installation, lambda line: say(escape(line)), Parts(not programs_only, not servers_only))
    if servers_only:
        say("servers are up; [bold]rookery status[/] shows them")
    else:
        say(f"up at [bold]{installation.environment.gateway_url}[/]")
