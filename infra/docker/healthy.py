"""A container's health, as its exit status: whether its process answers at an address, or at least runs.

python -m infra.docker.healthy http://127.0.0.1:7401/readyz
python -m infra.docker.healthy process
"""

import sys
import urllib.request
from pathlib import Path

ANSWER_SECONDS_MAX = 4
NOT_RUNNING = {"T", "t", "Z", "X"}  # stopped, traced, ended


def answers(url: str) -> bool:
    """Whether it answers with a 2xx."""
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS_MAX):
            return True
    except OSError:  # HTTPError is one too
        return False


def runs(pid: int = 1) -> bool:
    """Whether a process is there and not frozen."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] not in NOT_RUNNING


if __name__ == "__main__":
    sys.exit(0 if (runs() if sys.argv[1] == "process" else answers(sys.argv[1])) else 1)
