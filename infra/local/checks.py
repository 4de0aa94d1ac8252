"""One thing that was looked at, and what to do where it is not well."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """`remedy` is a command or an advice, for what is not well."""

    name: str
    ok: bool
    detail: str
    remedy: str | None = None


def judged(name: str, faults: list[str], well: str, remedy: str) -> Check:
    """Well where there are no faults; otherwise they are told, with what to do."""
    return Check(name, not faults, "; ".join(faults) or well, remedy if faults else None)
