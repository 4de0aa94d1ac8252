"""`rookery demo`: the whole path on real data; leaves everything running."""

import sys
from importlib import import_module

from infra.cli.up import up


def demo() -> None:
    """Start everything, load a real social graph through the commands, and show feeds, a notification and figures."""
    up()
    # Imported late: the other verbs need nothing of it.
    result = import_module("infra.demo.run").main()
    if isinstance(result, int):
        sys.exit(result)
