"""`rookery doctor`: says what this machine lacks, and the command that brings it; changes nothing."""

import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from rich.markup import escape
from rich.table import Table

from infra.cli.output import megabytes, print_json, screen
from infra.local import installation as installations
from infra.local import lifecycle, packages
from infra.local.checks import Check
from infra.local.failures import LocalError
from infra.local.installation import Installation
from infra.local.production import examine as examine_production
from infra.local.supervision import Supervisor

PYTHON_MIN = (3, 11)
# What the whole demo takes: 3 GB of data beside 0.6 GB of tools, and 1.8 GB of memory beside the page cache.
DISK_BYTES_MIN = 4 * 1024**3
MEMORY_BYTES_MIN = 5 * 1024**3 // 2
EXTENSIONS = ("pg_trgm",)
EXTENSIONS_SQL = "select name from pg_available_extensions where name = any(%s)"


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
    production: Annotated[
        bool, typer.Option("--production", help="Whether this configuration may serve the public, instead.")
    ] = False,
) -> None:
    """Check programs, ports, disk and memory. Exit status 1 when something is missing."""
    installation = installations.current()
    checks = examine_production(installation) if production else examine(installation)
    healthy = all(check.ok for check in checks)
    if as_json:
        print_json({"healthy": healthy, "checks": [asdict(check) for check in checks]})
    else:
        table = Table(box=None, pad_edge=False, show_header=False)
        for check in checks:
            table.add_row("[green]ok[/]" if check.ok else "[red]no[/]", check.name, escape(check.detail))
        screen.print(table)
        for check in checks:
            if check.remedy:
                screen.print(f"{check.name}: [bold]{escape(check.remedy)}[/]", soft_wrap=True)
    raise typer.Exit(0 if healthy else 1)


def examine(installation: Installation) -> list[Check]:
    """Every check, the machine's first."""
    return [
        _python(),
        *_packages(installation),
        _disk(installation),
        _memory(),
        _ports(installation),
        _extensions(installation),
    ]


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    ok = sys.version_info[:2] >= PYTHON_MIN
    return Check("python", ok, f"{version} ({sys.executable})", None if ok else "install Python 3.11 or later")


def _packages(installation: Installation) -> list[Check]:
    checks = []
    for requirement in packages.requirements(installation.environment):
        found = packages.found(requirement)
        remedy = None if found else packages.install_command([requirement])
        checks.append(Check(requirement.name, found is not None, found or "not installed", remedy))
    return checks


def _extensions(installation: Installation) -> Check:
    """What the server can make; of one that does not run nothing is known yet."""
    name = "postgresql extensions"
    try:
        with psycopg.connect(installation.environment.admin_database_url, connect_timeout=3) as connection:
            found = connection.execute(EXTENSIONS_SQL, [list(EXTENSIONS)]).fetchall()
    except psycopg.OperationalError:
        return Check(name, True, "not looked at: PostgreSQL does not answer")
    missing = sorted(set(EXTENSIONS) - {extension for (extension,) in found})
    remedy = "install PostgreSQL's contrib package (postgresql-contrib) on its server" if missing else None
    return Check(name, not missing, f"lacks {', '.join(missing)}" if missing else ", ".join(EXTENSIONS), remedy)


def _disk(installation: Installation) -> Check:
    free = shutil.disk_usage(installation.var).free
    ok = free >= DISK_BYTES_MIN
    remedy = None if ok else f"free {megabytes(DISK_BYTES_MIN)} there, or set ROOKERY_VAR to another disk"
    return Check("disk", ok, f"{megabytes(free)} free in {installation.var}", remedy)


def _memory() -> Check:
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(lines["MemAvailable"].split()[0]) * 1024
    ok = available >= MEMORY_BYTES_MIN
    detail = f"{megabytes(available)} available, {os.cpu_count()} cores"
    return Check("memory", ok, detail, None if ok else f"{megabytes(MEMORY_BYTES_MIN)} are needed at most")


def _ports(installation: Installation) -> Check:
    first = installation.environment.ports["gateway"]
    if Supervisor(installation).running():
        return Check("ports", True, f"in use by this installation, from {first}")
    try:
        used = lifecycle.ports_in_use(installation)
    except LocalError as error:  # without Java or PostgreSQL nothing is known of what would be started
        return Check("ports", True, f"not looked at: {error}")
    if not used:
        return Check("ports", True, f"free, from {first}")
    listed = ", ".join(f"{port} ({name})" for name, port in used.items())
    return Check("ports", False, f"something else listens on {listed}", "set ROOKERY_PORT_BASE to other ports")
