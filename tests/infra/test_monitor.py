"""Claim: what Prometheus and people are shown is the report, all of it, and nothing that is not known.

Oracle: prometheus_client's own parser over a report made by hand; the page's text. No server. Cannot catch: a report
that is wrong (tests/runtime/test_lag.py), or how a browser draws the page (tests/integration/test_ops_page.py).
"""

import re
import time
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.monitor import page
from infra.monitor.exposition import GAUGES, PREFIX, exposition, registry_of
from infra.monitor.serve import OLD_SECONDS, Monitor
from projectors.runtime.lag_figures import History, Observation, PartitionFigures, Report, State, figures, summary
from projectors.runtime.stores.port import Partition
from shared.environment import load

NOW = 1_760_000_000.0
SEEN = Observation("counters", Partition("posts", 3), 40, 100, 2, "host:1", NOW - 60, 5, 33, True, NOW - 42)
HOSTILE = 'a"b\\c\n<script>alert(1)</script>'


def partition(seen: Observation, moved: int = 20) -> PartitionFigures:
    history = History()
    history.add(NOW - 10, seen.position - moved, seen.end - 10)
    history.add(NOW, seen.position, seen.end)
    return figures(seen, history, NOW, 10.0)


def report_of(*seen: Observation, troubles: tuple[str, ...] = (), moved: int = 20) -> Report:
    return Report(NOW, 10.0, (summary("counters", [partition(each, moved) for each in seen], 1),), troubles)


def samples(report: Report | None) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = exposition(registry_of(lambda: report, lambda: NOW)).decode()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families), "each family stands once"
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


def test_each_figure_is_a_metric_of_its_own() -> None:
    labels = frozenset({"projection": "counters", "topic": "posts", "partition": "3"}.items())
    found = samples(report_of(replace(SEEN, advanced_at=NOW - 6)))
    told = {name.removeprefix(PREFIX): value for (name, of), value in found.items() if of == labels}
    assert told == {
        "position": 40, "end": 100, "lag_records": 60, "lag_seconds": 42, "rate": 2, "append_rate": 1,
        "drain_seconds": 60, "seconds_since_advance": 0, "parked": 5, "commit_drift": 7, "rebalances_total": 2,
    }  # fmt: skip
    assert set(told) == set(GAUGES) | {"rebalances_total"}
    assert found["rookery_projection_state", labels | {("state", "advancing")}] == 1
    assert found["rookery_projection_workers", frozenset({("projection", "counters")})] == 1
    assert found["rookery_monitor_troubles", frozenset()] == 0


def test_what_is_not_known_has_no_sample() -> None:
    unknown = replace(SEEN, appended_at=None, committed=None)
    names = {name for name, _ in samples(report_of(unknown))}
    assert not {"rookery_projection_lag_seconds", "rookery_projection_commit_drift"} & names
    nothing = samples(None)
    assert {name for name, _ in nothing} == {"rookery_monitor_troubles", "rookery_monitor_last_look_timestamp_seconds"}
    assert nothing["rookery_monitor_troubles", frozenset()] == 1, "old figures are a trouble, and are not told"


def test_labels_are_escaped() -> None:
    hostile = replace(SEEN, partition=Partition(HOSTILE, 3))
    topics = {value for _, labels in samples(report_of(hostile)) for key, value in labels if key == "topic"}
    assert topics == {HOSTILE}


def test_figures_of_long_ago_are_told_to_nobody() -> None:
    monitor = Monitor(load({}))
    monitor._remember(replace(report_of(SEEN), at=time.time()))
    assert monitor.newest() is not None and monitor.readiness()["status"] == "ok"
    monitor._remember(replace(report_of(SEEN), at=time.time() - OLD_SECONDS - 1))
    assert monitor.newest() is None and monitor.readiness()["status"] == "unavailable"
    monitor._remember(replace(report_of(SEEN, troubles=("Redis: away",)), at=time.time()))
    assert monitor.readiness() == {"status": "unavailable", "troubles": ["Redis: away"]}


class Balanced(HTMLParser):
    """Fails on a tag that is closed in the wrong place."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_escapes_what_it_shows() -> None:
    report = report_of(replace(SEEN, partition=Partition(HOSTILE, 3), owner=HOSTILE), troubles=(HOSTILE,))
    text = page.page(report, [(NOW - 60, {"counters": 3.0}), (NOW, {"counters": None})], NOW)
    assert HOSTILE not in text and "alert(1)" in text
    parser = Balanced()
    parser.feed(text)
    assert parser.open == ["html"] or not parser.open
    assert not re.search(r"(?:src|href)=.https?:", text), "nothing is fetched from elsewhere"
    assert " style=" not in text, "the security policy allows the one style sheet alone"


@pytest.mark.parametrize("state", list(State))
def test_each_state_has_a_colour_a_shape_and_a_word(state: State) -> None:
    assert f".{state} {{ --tone:" in page.STYLE
    assert page.SHAPES[state] and page.word_of(state)
    assert len(set(page.SHAPES.values())) == len(State)


def test_the_verdict_names_what_somebody_must_look_at() -> None:
    assert "Stalled: counters" in page.fragment(report_of(SEEN, moved=0), [], NOW)
    at_end = replace(SEEN, position=100, end=100, appended_at=None, parked=0)
    assert "All at the end of the log" in page.fragment(report_of(at_end), [], NOW)
    assert "5 parked" in page.fragment(report_of(replace(at_end, parked=5)), [], NOW)
    assert "Not everything answers" in page.fragment(report_of(at_end, troubles=("Kafka: away",)), [], NOW)
    assert "missing or old" in page.fragment(None, [], NOW)


def test_durations_read_as_people_say_them() -> None:
    told = [page.duration(each) for each in (None, 0.0, 0.04, 9.96, 59.4, 61, 3_600, 200_000)]
    assert told == ["?", "0 s", "0.1 s", "10.0 s", "59 s", "1 min 1 s", "1 h 0 min", "2 d 7 h"]
