"""`rookery demo`: the whole path on real data; leaves everything running."""

import sys


def demo() -> None:
    """Start everything, load a real social graph through the commands, and show feeds, a notification and figures."""
    # Imported late: the other verbs need nothing of it.
    from infra.demo.run import main

    sys.exit(main())
