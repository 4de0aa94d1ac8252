"""One place for printing: tables for people, one JSON object for machines, progress always on standard error."""

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console

progress = Console(stderr=True, highlight=False, soft_wrap=True)
screen = Console(highlight=False)

_started = time.monotonic()


def say(message: str) -> None:
    """A line of progress, after the seconds since the command began."""
    progress.print(f"[dim]{time.monotonic() - _started:6.1f}[/] {message}")


def print_json(value: Mapping[str, Any]) -> None:
    """One object on standard output."""
    json.dump(value, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")


def megabytes(size: int) -> str:
    return f"{size / 1_048_576:,.0f} MB"


def duration(seconds: float) -> str:
    """As people read it: 45 s, 12 min, 3 h 10 min, 2 d 4 h."""
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86_400)
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{seconds:.0f} s"
