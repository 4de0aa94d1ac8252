"""The `rookery` command: answers go to standard output, progress and errors to the other."""

import sys

import typer
from rich.markup import escape

from infra.cli import (
    admin,
    bench,
    chaos,
    demo,
    doctor,
    down,
    events,
    lag,
    logs,
    parked,
    purge,
    rebuild,
    repair,
    repair_log,
    schemas,
    status,
    tls,
    topics,
    up,
    verify,
)
from infra.cli.output import say
from infra.local.failures import LocalError

application = typer.Typer(
    name="rookery",
    help="Runs Rookery on this machine and looks into it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    up.up,
    down.down,
    status.status,
    doctor.doctor,
    lag.lag,
    logs.logs,
    tls.tls,
    demo.demo,
    verify.verify,
    purge.purge,
    topics.topics,
    chaos.chaos,
    repair.repair,
    repair_log.repair_log,
    rebuild.rebuild,
    rebuild.rollback,
    rebuild.query,
):
    application.command()(command)
application.add_typer(admin.application, name="admin")
application.add_typer(bench.application, name="bench")
application.add_typer(events.application, name="events")
application.add_typer(parked.application, name="parked")
application.add_typer(schemas.application, name="schemas")


def main() -> None:
    """The entry point. An error that an operator can act on is one message and exit status 1."""
    try:
        application()
    except (LocalError, ValueError) as error:
        say(f"[bold red]error[/] {escape(str(error))}")
        sys.exit(1)


if __name__ == "__main__":
    main()
