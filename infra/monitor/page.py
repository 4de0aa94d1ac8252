"""The page at `/ops/` shows every projection at a glance, by colour, shape and word, with nothing from elsewhere.

All that is shown stands in the first answer. With scripts, the figures are replaced in place every two seconds;
without, the page reloads itself. Pure: what it shows is passed in.
"""

import base64
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from itertools import groupby
from pathlib import Path

from projectors.runtime.lag_figures import WORST_LAST, PartitionFigures, ProjectionFigures, Report, State

FOLDER = Path(__file__).resolve().parent
STYLE = (FOLDER / "page.css").read_text()
SCRIPT = (FOLDER / "page.js").read_text()


def _source(text: str) -> str:
    """What a Content-Security-Policy calls this very text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src {_source(STYLE)}; script-src {_source(SCRIPT)};"
    " connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
WORDS = {State.NEVER_STARTED: "never started", State.STOPPED: "no worker", State.AHEAD: "log lost its tail"}
SENTENCES = {State.ADVANCING: "catching up"}
SHAPES = {
    State.IDLE: '<circle cx="6" cy="6" r="5"/>',
    State.ADVANCING: '<path d="M2 1l9 5-9 5z"/>',
    State.NEVER_STARTED: '<circle cx="6" cy="6" r="4" fill="none" stroke-width="2"/>',
    State.STOPPED: '<path d="M2 2l8 8M10 2l-8 8" stroke-width="2.6"/>',
    State.STALLED: '<path d="M1 1h10v10H1z"/>',
    State.AHEAD: '<path d="M6 1l5 10H1z"/>',
    State.UNKNOWN: '<path d="M1 6h10" stroke-width="2.6"/>',
}
WELL = (State.IDLE, State.ADVANCING)
# What the lag of each projection was, oldest first: (unix seconds, seconds by projection; None where not known).
Trail = Sequence[tuple[float, Mapping[str, float | None]]]
TRAIL_SECONDS = 600.0
SPARK = (240, 40)
BAR_WIDTH, BAR_STEP, BAR_HEIGHT = 6, 8, 28
FULL_BAR_SECONDS = 300.0


def page(report: Report | None, trail: Trail, now: float) -> str:
    """The whole page; `now` in unix seconds. `report` is None while there are no figures of now."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Rookery: projections</title><link rel="icon" href="data:,">
<noscript><meta http-equiv="refresh" content="3"></noscript><style>{STYLE}</style></head>
<body><h1>Rookery projections</h1>
<p id="away" class="trouble" role="alert">The monitor does not answer; what is shown is old.</p>
<main id="board">{fragment(report, trail, now)}</main><script>{SCRIPT}</script></body></html>
"""


def fragment(report: Report | None, trail: Trail, now: float) -> str:
    """What changes from one look to the next."""
    if report is None:
        return f'{_verdict(State.UNKNOWN, "No figures yet", "")}<p class="trouble">The last look is missing or old.</p>'
    rows = "".join(_row(each, trail, now) for each in report.projections)
    details = "".join(_details(each) for each in report.projections)
    troubles = "".join(f'<p class="trouble" role="alert">{escape(each)}</p>' for each in report.troubles)
    heads = "".join(f'<th role="columnheader" scope="col">{each}</th>' for each in (
        "Projection", "Behind", "Last 10 minutes", "Partitions", "Applied", "To drain", "Parked", "Workers",
    ))  # fmt: skip
    return f"""{_verdict(*_worst(report), _clock(report.at))}{troubles}
<table class="board" role="table"><caption class="hidden">How far each projection is behind the log</caption>
<thead role="rowgroup"><tr role="row">{heads}</tr></thead><tbody role="rowgroup">{rows}</tbody></table>
<h2>Every partition</h2>{details}"""


def duration(seconds: float | None, unknown: str = "?") -> str:
    """Two units at most, the smaller one in full: 0 s, 1.4 s, 3 min 12 s, 5 h 2 min."""
    if seconds is None:
        return unknown
    if seconds < 10:
        return f"{max(seconds, 0.1):.1f} s" if seconds else "0 s"  # only nothing is shown as 0
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    hours = whole // 3600
    return f"{hours} h {whole % 3600 // 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def word_of(state: State) -> str:
    return WORDS.get(state, state.value)


def _verdict(state: State, text: str, clock: str) -> str:
    return (
        f'<p class="verdict {state}" data-verdict="{state}">{_shape(state)}<span>{escape(text)}</span>'
        f"<small>{escape(clock)}</small></p>"
    )


def _worst(report: Report) -> tuple[State, str]:
    """One sentence for the whole."""
    state = max((each.state for each in report.projections), key=WORST_LAST.index, default=State.UNKNOWN)
    parked = sum(each.parked or 0 for each in report.projections)
    told = ["All at the end of the log"] if state is State.IDLE else []
    if report.troubles:
        state, told = State.UNKNOWN, ["Not everything answers"]
    for other in reversed(WORST_LAST):
        those = [each.projection for each in report.projections if each.state is other]
        if those and (other not in WELL or other is state is State.ADVANCING):
            told.append(f"{SENTENCES.get(other, word_of(other)).capitalize()}: {', '.join(those)}")
    return state, " · ".join([*told, *([f"{parked:,} parked"] if parked else [])])


def _row(found: ProjectionFigures, trail: Trail, now: float) -> str:
    well = "well" if found.state in WELL else "bad"
    lag = re.sub(r" ([a-z]+)", r"<i> \1</i>", duration(found.lag_seconds))
    worst = found.worst
    where = f'<span class="sub">{escape(worst.topic)} {worst.partition}</span>' if worst and well == "bad" else ""
    workers = "?" if found.workers is None else str(found.workers)
    advance = found.seconds_since_advance
    parked = f'<span class="parked">{found.parked:,}</span>' if found.parked else "?" if found.parked is None else "0"
    moving = "" if found.append_rate is None else f'<span class="sub">{found.append_rate:,.0f} /s appended</span>'
    drain = "never" if found.drain_seconds is None and found.rate is not None else duration(found.drain_seconds)
    advanced = "" if advance is None else f'<span class="sub">advanced {duration(advance)} ago</span>'
    takeovers = f"{found.rebalances:,} takeover{'' if found.rebalances == 1 else 's'}"
    records = f"{found.lag_records:,} record{'' if found.lag_records == 1 else 's'}"
    # Roles are said, since a table that is laid out as cards on a narrow screen would lose its own.
    return f"""<tr role="row" class="{found.state} {well}" data-projection="{escape(found.projection)}" \
data-state="{found.state}"><th role="rowheader" scope="row" class="half"><span class="name">{escape(found.projection)}\
</span>{_state(found.state)}{where}</th>
<td role="cell" class="lag" data-lag="{found.lag_seconds}">{lag}<span class="sub">{records}</span></td>
<td role="cell" class="wide">{_sparkline(found.projection, trail, now)}</td>
<td role="cell" class="wide">{_topics(found.partitions)}</td>
<td role="cell" class="figure" data-label="Applied">{_rate(found.rate)}{moving}</td>
<td role="cell" class="figure" data-label="To drain">{drain}{advanced}</td>
<td role="cell" class="figure" data-label="Parked">{parked}</td>
<td role="cell" class="figure" data-label="Workers">{workers}<span class="sub">{takeovers}</span></td></tr>
"""


def _shape(state: State) -> str:
    return f'<svg class="shape" viewBox="0 0 12 12" aria-hidden="true">{SHAPES[state]}</svg>'


def _state(state: State) -> str:
    return f'<span class="state {state}">{_shape(state)}{word_of(state)}</span>'


def _rate(rate: float | None) -> str:
    return "?" if rate is None else f"{rate:,.0f} /s"


def _sparkline(projection: str, trail: Trail, now: float) -> str:
    """The lag over the last ten minutes. Its scale is its own peak, a second at least: nothing is no hill."""
    width, height = SPARK
    points = [(at, lags.get(projection)) for at, lags in trail if now - at <= TRAIL_SECONDS]
    peak = max((lag for _, lag in points if lag is not None), default=0.0)
    drawn = []
    for known, run in groupby(points, key=lambda point: point[1] is not None):
        if known:
            drawn.append(
                [
                    (width * (1 - (now - at) / TRAIL_SECONDS), height - 2 - (height - 4) * (lag or 0) / max(peak, 1.0))
                    for at, lag in run
                ]
            )
    lines, areas = "", ""
    for run_drawn in drawn:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in run_drawn)
        lines += f'<polyline class="line" points="{path}"/>'
        areas += (
            f'<polygon class="area" points="{run_drawn[0][0]:.1f},{height} {path} {run_drawn[-1][0]:.1f},{height}"/>'
        )
    text = f"peak {duration(peak)}"
    return (
        f'<svg class="spark" viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img"'
        f' aria-label="Lag of the last 10 minutes: {text}"><path class="floor" d="M0 {height - 1}H{width}"/>'
        f'{areas}{lines}</svg><span class="sub">{text}</span>'
    )


def _topics(partitions: Sequence[PartitionFigures]) -> str:
    """A small grid of bars for each topic: as high as the partition is behind, on a scale of orders of magnitude."""
    figures = ""
    for topic, group in groupby(partitions, key=lambda each: each.topic):
        those = list(group)
        states = [each.state for each in those]
        told = ", ".join(f"{states.count(state)} {word_of(state)}" for state in WORST_LAST if state in states)
        bars = "".join(_bar(index, each) for index, each in enumerate(those))
        size = f'viewBox="0 0 {len(those) * BAR_STEP - BAR_STEP + BAR_WIDTH} {BAR_HEIGHT}"'
        figures += (
            f'<figure class="topic"><svg class="bars" {size} role="img"'
            f' aria-label="{escape(topic)}: {told}">{bars}</svg>'
            f"<figcaption>{escape(topic)}</figcaption></figure>"
        )
    return f'<div class="topics">{figures}</div>'


def _bar(index: int, each: PartitionFigures) -> str:
    behind = FULL_BAR_SECONDS if each.lag_seconds is None else each.lag_seconds
    share = min(1.0, math.log1p(behind) / math.log1p(FULL_BAR_SECONDS))
    height = max(3.0, BAR_HEIGHT * share)
    word = word_of(each.state)
    title = f"{each.topic} {each.partition}: {word}, {duration(each.lag_seconds)}, {each.lag_records:,} records"
    x = index * BAR_STEP
    # Whoever does not see the colour sees a mark above the partition that needs somebody.
    mark = "" if each.state in WELL else f'<path class="cut" d="M{x} 0h{BAR_WIDTH}l-{BAR_WIDTH // 2} 5z"/>'
    return (
        f'<g class="{each.state}"><title>{escape(title)}</title><rect class="track" x="{x}" width="{BAR_WIDTH}"'
        f' height="{BAR_HEIGHT}" rx="1.5"/><rect class="bar" x="{x}" y="{BAR_HEIGHT - height:.1f}" width="{BAR_WIDTH}"'
        f' height="{height:.1f}" rx="1.5"/>{mark}</g>'
    )


def _details(found: ProjectionFigures) -> str:
    if not found.partitions:
        return ""
    heads = "".join(f'<th scope="col">{each}</th>' for each in (
        "Partition", "State", "Behind", "Records", "Position", "End", "Applied", "To drain", "Advanced", "Parked",
        "Takeovers", "Drift", "Owner",
    ))  # fmt: skip
    rows = "".join(_detail(each) for each in found.partitions)
    name = escape(found.projection)
    return (
        f'<details id="all-{name}"><summary id="open-{name}">{name} <small>{len(found.partitions)} partitions</small>'
        f'</summary><div class="scroll"><table class="all"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
        "</div></details>"
    )


def _detail(each: PartitionFigures) -> str:
    drain = "never" if each.drain_seconds is None and each.rate is not None else duration(each.drain_seconds)
    ago = "" if each.seconds_since_advance is None else f"{duration(each.seconds_since_advance)} ago"
    drift = "" if each.commit_drift is None else f"{each.commit_drift:,}"
    parked = "?" if each.parked is None else f"{each.parked:,}"
    cells = "".join(f"<td>{cell}</td>" for cell in (
        _state(each.state), duration(each.lag_seconds), f"{each.lag_records:,}", f"{each.position:,}", f"{each.end:,}",
        _rate(each.rate), drain, ago, parked, f"{each.rebalances:,}", drift, escape(each.owner or ""),
    ))  # fmt: skip
    return f'<tr><th scope="row">{escape(each.topic)} {each.partition}</th>{cells}</tr>'


def _clock(at: float) -> str:
    return f"measured at {datetime.fromtimestamp(at, UTC):%H:%M:%S} UTC"
