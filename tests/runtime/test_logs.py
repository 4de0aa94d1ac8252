"""Claim: what a library repeats is told ten times a minute, and everything else is told.

Oracle: the lines that come out. Cannot catch: a library that words each message differently.
"""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from projectors.runtime import logs

AWAY = "Unable connect to node with id %s: %s"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    logs.configure()
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def events(told: io.StringIO) -> list[str]:
    return [json.loads(line)["event"] for line in told.getvalue().splitlines()]


def test_a_broker_that_is_away_does_not_fill_the_log(told: io.StringIO) -> None:
    library = logging.getLogger("a.client")
    for attempt in range(1_000):
        library.error(AWAY, attempt % 3, "refused")
        if attempt % 500 == 0:
            library.warning("another matter")
    found = events(told)
    assert len(found) == logs.REPEATED_MAX + 2
    assert found.count("another matter") == 2
    assert found[-2].endswith("(not told again in this minute)")


def test_the_next_minute_it_is_told_again(told: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    library = logging.getLogger("a.client")
    for _ in range(20):
        library.error(AWAY, 1, "refused")
    monkeypatch.setattr(logs, "MINUTE_SECONDS", -1.0)
    library.error(AWAY, 1, "refused")
    assert len(events(told)) == logs.REPEATED_MAX + 1
