"""Claim: what a killed supervisord left running is found and ended, and nothing else is.

Oracle: real processes in sessions of their own. Cannot catch: a program that begins a session of its own, as
PostgreSQL's backends do; those end with their parent.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local import orphans
from infra.local.installation import Installation, run_directory
from shared.environment import load

# Starts a child that ignores nothing, says its id, and waits with it.
LEADER = "import subprocess, time; print(subprocess.Popen(['sleep', '300']).pid, flush=True); time.sleep(300)"


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    found = Installation(load({"ROOKERY_VAR": str(tmp_path)}), run_directory(tmp_path, {"XDG_RUNTIME_DIR": "/tmp"}))
    found.run_directory.mkdir(parents=True, exist_ok=True)
    return found


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        finally:
            process.wait()


def family(started: list[subprocess.Popen[str]], folder: Path, *words: str) -> tuple[subprocess.Popen[str], int]:
    """A session's leader and its child."""
    command = [sys.executable, "-c", LEADER, *words]
    leader = subprocess.Popen(command, cwd=folder, start_new_session=True, stdout=subprocess.PIPE, text=True)
    started.append(leader)
    assert leader.stdout
    return leader, int(leader.stdout.readline())


def killed(leader: subprocess.Popen[str]) -> None:
    leader.kill()
    leader.wait()


def test_what_is_left_is_ended(installation: Installation, started: list[subprocess.Popen[str]]) -> None:
    leader, child = family(started, installation.var)
    installation.supervisor_pid_file.write_text(f"{leader.pid}\n")
    killed(leader)
    assert orphans.find(installation) == [child]
    assert orphans.stop(installation, 5) == 1
    assert orphans.find(installation) == []
    assert not installation.supervisor_pid_file.exists()


def test_a_supervisord_that_cannot_be_reached_goes_first(
    installation: Installation, started: list[subprocess.Popen[str]]
) -> None:
    leader, child = family(started, installation.var, "supervisord")
    installation.supervisor_pid_file.write_text(f"{leader.pid}\n")
    assert orphans.find(installation) == [leader.pid, child]
    assert orphans.stop(installation, 5) == 2
    assert leader.wait() == -signal.SIGKILL


def test_others_are_left_alone(
    installation: Installation, started: list[subprocess.Popen[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert orphans.find(installation) == [], "nothing was ever started"
    elsewhere, _ = family(started, tmp_path_factory.mktemp("elsewhere"))
    installation.supervisor_pid_file.write_text(str(elsewhere.pid))
    killed(elsewhere)
    assert orphans.find(installation) == [], "a process of another folder"
    living, _ = family(started, installation.var)
    installation.supervisor_pid_file.write_text(str(living.pid))
    assert orphans.find(installation) == [], "the id was used again, by no supervisord"
    installation.supervisor_pid_file.write_text(str(os.getsid(0)))
    assert orphans.find(installation) == [], "our own session"
