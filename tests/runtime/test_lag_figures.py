"""Claim: what operators are told of a projection follows from what was observed, at every edge of it.

Oracle: figures worked out by hand. Pure, no server. Cannot catch: an observation that is itself wrong, which
test_lag.py looks at.
"""

import json
from dataclasses import replace

import pytest

from projectors.runtime.lag_figures import (
    RATE_WINDOW_SECONDS,
    History,
    Observation,
    PartitionFigures,
    Report,
    State,
    document,
    drain_seconds,
    figures,
    summary,
)
from projectors.runtime.stores.port import Partition

NOW = 1_760_000_000.0
STALLED_SECONDS = 10.0
AT_END = Observation("counters", Partition("posts", 3), 100, 100, epoch=2, worker=True, committed=100)
BEHIND = replace(AT_END, position=40, appended_at=NOW - 8.5, advanced_at=NOW - 3)


def of(seen: Observation, history: History | None = None, others_moved_at: float | None = None) -> PartitionFigures:
    return figures(seen, history or History(), NOW, STALLED_SECONDS, others_moved_at)


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (AT_END, State.IDLE),
        (replace(AT_END, advanced_at=NOW - 86_400), State.IDLE),
        (BEHIND, State.ADVANCING),
        (replace(BEHIND, appended_at=NOW - 900), State.ADVANCING),
        (replace(BEHIND, appended_at=NOW - 900, advanced_at=NOW - 11), State.STALLED),
        # The last advance is hours ago, but there was nothing to do until a second ago.
        (replace(BEHIND, appended_at=NOW - 1, advanced_at=NOW - 7_200), State.ADVANCING),
        (replace(BEHIND, worker=False), State.STOPPED),
        (replace(BEHIND, worker=False, appended_at=NOW - 900, advanced_at=NOW - 900), State.STOPPED),
        (replace(AT_END, worker=False), State.STOPPED),
        (replace(AT_END, worker=False, epoch=0), State.NEVER_STARTED),
        (replace(AT_END, position=101), State.AHEAD),
        (replace(AT_END, position=101, worker=False), State.AHEAD),
        # What is left was deleted: no record will ever move the position.
        (replace(BEHIND, nothing_left=True, appended_at=None, advanced_at=NOW - 900), State.IDLE),
    ],
)
def test_a_state_is_what_was_seen(seen: Observation, state: State) -> None:
    assert of(seen).state is state


def test_lag_is_zero_at_the_end_else_the_age_of_the_first_record_not_applied() -> None:
    assert (of(AT_END).lag_records, of(AT_END).lag_seconds, of(AT_END).drain_seconds) == (0, 0.0, 0.0)
    assert (of(BEHIND).lag_records, of(BEHIND).lag_seconds) == (60, 8.5)
    assert of(replace(BEHIND, appended_at=NOW + 0.2)).lag_seconds == 0.0, "clocks differ a little"
    assert of(replace(BEHIND, appended_at=NOW + 0.2)).state is State.ADVANCING, "which does not make it idle"
    assert of(replace(BEHIND, appended_at=None)).lag_seconds is None, "unknown is not zero"
    assert of(replace(BEHIND, appended_at=None, nothing_left=True)).lag_seconds == 0.0


def test_drift_is_the_position_minus_the_commit() -> None:
    assert of(replace(AT_END, committed=97)).commit_drift == 3
    assert of(replace(AT_END, committed=120)).commit_drift == -20
    assert of(replace(AT_END, committed=None)).commit_drift is None


def test_rates_and_the_time_to_drain_are_of_the_window() -> None:
    history = History()
    assert history.rates() is None
    history.add(NOW - 20, 0, 0)
    assert history.rates() is None
    history.add(NOW - 10, 100, 900)
    history.add(NOW, 600, 1_000)
    assert history.rates() == (30.0, 50.0)
    behind = replace(AT_END, position=600, end=1_000, appended_at=NOW - 1)
    assert of(behind, history).drain_seconds is None, "more is appended than applied"
    history.add(NOW + RATE_WINDOW_SECONDS - 10, 1_000, 1_100)
    assert history.rates() == (900 / 30, 200 / 30), "the first point lies before the window"


def test_a_window_forgets_what_is_older() -> None:
    history = History()
    for second in range(100):
        history.add(NOW + second, 0 if second < 50 else (second - 49) * 10, 10_000)
    rates = history.rates()
    assert rates is not None and rates[0] == pytest.approx(10.0), "the minute in which nothing moved is over"


def test_a_position_that_was_set_back_begins_anew() -> None:
    history = History()
    history.add(NOW - 2, 500, 1_000)
    history.add(NOW - 1, 100, 1_000)
    assert history.rates() is None and history.moved_at is None
    history.add(NOW, 200, 1_000)
    assert history.rates() == (100.0, 0.0) and history.moved_at == NOW


def test_draining_is_lag_over_what_the_rates_differ_by() -> None:
    assert drain_seconds(0, None, None) == 0.0
    assert drain_seconds(300, 40.0, 10.0) == 10.0
    assert drain_seconds(300, 10.0, 10.0) is None
    assert drain_seconds(300, None, None) is None


def test_a_store_that_does_not_tell_its_last_advance_is_watched() -> None:
    untold = replace(BEHIND, advanced_at=None, appended_at=NOW - 900)
    assert of(untold).state is State.STALLED
    assert of(untold, others_moved_at=NOW - 2).state is State.ADVANCING, "its worker is busy with the others"
    history = History()
    history.add(NOW - 4, 30, 100)
    history.add(NOW - 3, 40, 100)
    found = of(untold, history)
    assert (found.state, found.seconds_since_advance) == (State.ADVANCING, 3.0)


def test_a_projection_is_as_bad_as_its_worst_partition() -> None:
    stalled = of(replace(BEHIND, appended_at=NOW - 900, advanced_at=NOW - 60, parked=2, epoch=7))
    found = summary("counters", [of(AT_END), stalled, of(BEHIND)], 1)
    assert (found.state, found.worst) == (State.STALLED, stalled)
    assert (found.lag_records, found.lag_seconds, found.parked, found.rebalances) == (120, 900.0, 2, 7)
    assert found.drain_seconds is None
    assert summary("counters", [], None).state is State.UNKNOWN
    unread = of(replace(BEHIND, appended_at=None))
    assert summary("counters", [of(AT_END), unread], 1).lag_seconds is None


def test_the_document_is_json_and_says_what_is_not_known() -> None:
    report = Report(NOW, STALLED_SECONDS, (summary("counters", [of(BEHIND)], 1), summary("feed", [], None)), ("Redis",))
    told = json.loads(json.dumps(document(report), allow_nan=False))
    assert told["measured_at"] == "2025-10-09T08:53:20.000000Z"
    counters, feed = told["projections"]
    assert counters["partitions"][0]["advanced_at"] == "2025-10-09T08:53:17.000000Z"
    assert (feed["state"], feed["workers"], feed["lag_seconds"], feed["partitions"]) == ("unknown", None, None, [])
    assert told["troubles"] == ["Redis"]
