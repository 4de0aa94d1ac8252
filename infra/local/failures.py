"""Every way in which starting, preparing or stopping an installation can fail, with what a person can do about it.

LocalError
├── MissingError      a program or package is not on this machine
├── NotReadyError     a server or process was started and does not answer
└── StepError         a preparing step failed
"""

from pathlib import Path


class LocalError(Exception):
    """Shown to the operator as it is, without a traceback."""


class MissingError(LocalError):
    """A program is not installed and cannot be installed here without the operator."""


class NotReadyError(LocalError):
    """A server or process does not answer; the message ends with its log's last lines."""

    def __init__(self, name: str, reason: str, log: Path) -> None:
        self.reason = reason
        super().__init__(f"{name} {reason}. Its log is {log}:\n{_tail(log)}")


class StepError(LocalError):
    """A preparing step ended with an error."""


def _tail(log: Path, lines: int = 15) -> str:
    try:
        kept = log.read_text(errors="replace").splitlines()[-lines:]
    except OSError:
        return "  (nothing was logged)"
    return "\n".join(f"  {line}" for line in kept) or "  (nothing was logged)"
