"""`rookery status`: what runs, what really answers, and what it costs in memory; asks and changes nothing."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from infra.cli.output import duration, megabytes, print_json, screen
from infra.local import installation as installations
from infra.local import memory, programs, readiness
from infra.local.installation import Installation
from infra.local.supervision import Supervisor

FIXED_WIDTH = 68  # of the table's other columns
SERVER_NAMES = ("postgres", "redis", "kafka", "registry")


@dataclass(frozen=True)
class Line:
    """One server or process. `ready` is None for what cannot be asked; memory is in bytes, with all children."""

    name: str
    state: str
    ready: bool | None
    detail: str
    pid: int | None
    seconds: int
    memory_proportional: int
    memory_resident: int


def status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Show each server and process, whether it answers, and its memory. Exit status 1 when something does not."""
    installation = installations.current()
    lines = look(installation)
    total = sum((memory.Memory(line.memory_resident, line.memory_proportional) for line in lines), memory.NOTHING)
    healthy = bool(lines) and all(line.ready is not False and line.state in ("RUNNING", "GIVEN") for line in lines)
    if as_json:
        print_json(_document(installation, lines, total, healthy))
    else:
        _show(installation, lines, total)
    raise typer.Exit(0 if healthy else 1)


def look(installation: Installation) -> list[Line]:
    """Every server and process in the order of starting, and supervisord itself; empty when nothing was started."""
    supervisor = Supervisor(installation)
    states = supervisor.states() if supervisor.running() else {}
    tree = memory.children()
    ready_paths = {program.name: program.ready_path for program in programs.processes(installation)}
    order = [*SERVER_NAMES, "gateway", *ready_paths]
    lines = []
    for name in order:
        info = states.get(name)
        if info or name in SERVER_NAMES:
            lines.append(_line(installation, name, info, ready_paths.get(name), tree))
    if states:
        pid = int(supervisor.pid())
        used = memory.of_process(pid)
        lines.append(Line("supervisord", "RUNNING", None, "", pid, 0, used.proportional, used.resident))
    return lines


def _line(
    installation: Installation,
    name: str,
    info: dict[str, Any] | None,
    ready_path: str | None,
    tree: dict[int, list[int]],
) -> Line:
    environment = installation.environment
    state = info["statename"] if info else ("STOPPED" if getattr(environment, f"own_{name}") else "GIVEN")
    running = state in ("RUNNING", "GIVEN")
    answer = None
    if running and name in SERVER_NAMES:
        answer = readiness.ask(name, environment)
    elif running and name == "gateway":
        answer = readiness.ask_http(f"{environment.gateway_url}/healthz")
    elif running and ready_path:
        answer = readiness.ask_http(f"http://127.0.0.1:{environment.ports[name]}{ready_path}")
    pid = int(info["pid"]) if info and info["pid"] else None
    used = memory.of_tree(pid, tree) if pid else memory.NOTHING
    seconds = info["now"] - info["start"] if info and pid else 0
    detail = answer.text if answer else (info["spawnerr"] if info else "")
    ready = answer.ok if answer else None
    return Line(name, state, ready, detail, pid, seconds, used.proportional, used.resident)


def _document(installation: Installation, lines: list[Line], total: memory.Memory, healthy: bool) -> dict[str, Any]:
    return {
        "healthy": healthy,
        "gateway_url": installation.environment.gateway_url,
        "var": str(installation.var),
        "memory_proportional": total.proportional,
        "memory_resident": total.resident,
        "programs": [asdict(line) for line in lines],
    }


def _show(installation: Installation, lines: list[Line], total: memory.Memory) -> None:
    table = Table(title=f"Rookery in {installation.var}", title_justify="left", box=None, pad_edge=False)
    for heading in ("", "state", "answers", "up", "memory", "resident"):
        numeric = heading in ("up", "memory", "resident")
        table.add_column(heading, justify="right" if numeric else "left", no_wrap=True)
    detail_width = max(12, screen.width - FIXED_WIDTH)
    table.add_column("", no_wrap=True, max_width=detail_width)
    for line in lines:
        answers = {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[line.ready]
        colour = "green" if line.state in ("RUNNING", "GIVEN") else "red"
        table.add_row(
            line.name,
            f"[{colour}]{line.state.lower()}[/]",
            answers,
            duration(line.seconds) if line.seconds else "",
            megabytes(line.memory_proportional) if line.pid else "",
            megabytes(line.memory_resident) if line.pid else "",
            escape(line.detail.splitlines()[0][:detail_width]) if line.detail else "",
        )
    table.add_row("total", "", "", "", megabytes(total.proportional), megabytes(total.resident), "")
    screen.print(table)
