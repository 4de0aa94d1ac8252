"""Says how much memory a process and all its children hold, from /proc."""

from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Memory:
    """Bytes. `resident` counts shared pages in each process; `proportional` divides them, so that sums are true."""

    resident: int
    proportional: int

    def __add__(self, other: "Memory") -> "Memory":
        return Memory(self.resident + other.resident, self.proportional + other.proportional)


NOTHING = Memory(0, 0)


def children() -> dict[int, list[int]]:
    """Every process's children by its id."""
    found: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                # The name stands in parentheses and may hold anything, so the fields after it are counted from its end.
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            found.setdefault(parent, []).append(int(entry.name))
    return found


def of_tree(pid: int, tree: dict[int, list[int]]) -> Memory:
    """The memory of a process and everything below it."""
    total = of_process(pid)
    for child in tree.get(pid, []):
        total += of_tree(child, tree)
    return total


def of_process(pid: int) -> Memory:
    resident = _kilobytes(PROC / str(pid) / "status", "VmRSS:")
    return Memory(resident * 1024, (_kilobytes(PROC / str(pid) / "smaps_rollup", "Pss:") or resident) * 1024)


def _kilobytes(path: Path, label: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(label)), 0)
