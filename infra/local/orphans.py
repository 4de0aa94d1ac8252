"""Stops what a killed supervisord left running, so that `up` and `down` begin from a known state.

A process stays in its session when its parent dies, and supervisord leads one of its own; what it left is therefore
told by the process id in its pid file. Ids are used again in time, so a process must also work in this installation's
folders to be taken for one of ours.
"""

import os
import signal
import time
from pathlib import Path

from infra.local.failures import LocalError
from infra.local.installation import Installation
from infra.local.memory import PROC
from infra.local.postgres import outside_directory
from shared.environment import REPOSITORY

STOP_SECONDS_MAX = 60.0  # as long as supervisord would give the slowest
KILL_SECONDS_MAX = 5.0


def find(installation: Installation) -> list[int]:
    """Process ids of what is left, supervisord's own first where it lives but cannot be reached."""
    try:
        leader = int(installation.supervisor_pid_file.read_text())
    except (OSError, ValueError):
        return []
    if leader == os.getsid(0) or (_lives(leader) and "supervisord" not in _command(leader)):
        return []  # the id was used again
    folders = [REPOSITORY, installation.var.resolve(), outside_directory(installation)]
    left = [pid for pid in _processes() if _session(pid) == leader and _works_in(pid, folders)]
    return sorted(left, key=lambda pid: (pid != leader, pid))


def stop(installation: Installation, seconds_max: float = STOP_SECONDS_MAX) -> int:
    """Ends what is left, as gently as supervisord would, and answers how many there were.

    Raises LocalError when something does not even end by SIGKILL.
    """
    left = find(installation)
    for pid in left:
        _signal(pid, _ending(pid))
    if not _gone(left, seconds_max):
        for pid in find(installation):
            _signal(pid, signal.SIGKILL)
        if not _gone(left, KILL_SECONDS_MAX):
            raise LocalError(f"processes of an earlier start do not end: {find(installation)}")
    if left:
        installation.supervisor_pid_file.unlink(missing_ok=True)
    return len(left)


def _ending(pid: int) -> signal.Signals:
    if "supervisord" in _command(pid):
        return signal.SIGKILL  # it would start again what is ended below
    return signal.SIGINT if _command(pid).split("\0")[0].endswith("/postgres") else signal.SIGTERM


def _gone(pids: list[int], seconds_max: float) -> bool:
    deadline = time.monotonic() + seconds_max
    while any(map(_lives, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _processes() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _works_in(pid: int, folders: list[Path]) -> bool:
    try:
        place = (PROC / str(pid) / "cwd").readlink()
    except OSError:
        return False
    return any(place.is_relative_to(folder) for folder in folders)


def _command(pid: int) -> str:
    try:
        return (PROC / str(pid) / "cmdline").read_text(errors="replace")
    except OSError:
        return ""


def _lives(pid: int) -> bool:
    """A zombie does not: whoever adopted it has only not looked yet."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
