"""`rookery purge`: forgets at once what has had its time, as the purger does on its schedule, or only counts it."""

from typing import Annotated

import psycopg
import typer
from rich.table import Table

from infra.cli.output import print_json, screen
from infra.local.failures import LocalError
from infra.purge.jobs import JOBS
from shared import clock
from shared.environment import environment


def purge(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would go, and change nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Forget what has had its time: old outbox hours, answers, tokens, sign-ins, frames."""
    counts: dict[str, int] = {}
    for job in JOBS:
        step = job.due if dry_run else job.purge
        try:
            with psycopg.connect(job.url(environment()), autocommit=True, connect_timeout=3) as connection:
                counts[job.name] = step(connection, environment(), clock.now())
        except psycopg.Error as error:
            raise LocalError(f"{job.name}: {str(error).strip()}") from error
    if as_json:
        jobs = [
            {"name": job.name, "database": job.database, "unit": job.unit, "count": counts[job.name]} for job in JOBS
        ]
        print_json({"dry_run": dry_run, "jobs": jobs})
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("would go" if dry_run else "done")
    table.add_column("", justify="right")
    table.add_column("")
    for job in JOBS:
        table.add_row(job.name, f"{counts[job.name]:,}", job.unit)
    screen.print(table)
