"""`rookery bench`: measures the shipped code on servers of its own; each prints one object with --json."""

import json
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from infra.bench.ground import ground, measured
from infra.cli.output import print_json, say, screen

application = typer.Typer(
    help="Measure on servers of its own, begun empty. Figures are for comparing: machines differ.", no_args_is_help=True
)
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def show(found: dict[str, Any], as_json: bool) -> None:
    """The figures by their names."""
    if as_json:
        print_json(found)
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in found.items():
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int | float) else str(value))
    screen.print(table)


@application.command()
def projection(
    events: Annotated[int, typer.Option(min=200_000, help="How many likes, and how many of the mix.")] = 2_000_000,
    seconds: Annotated[int, typer.Option(min=1, help="How long single events are offered for the latency.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Kafka, Faust, fold, PostgreSQL: what one worker applies a second, beside stock Faust that only decodes."""
    with ground(lambda line: say(escape(line))) as variables:
        module = "infra.bench.projection"
        likes = json.loads(measured(variables, module, "likes", str(events)))
        mix = json.loads(measured(variables, module, "mix", str(events)))
        single = json.loads(measured(variables, module, "latency", str(seconds)))
    counters, stock = likes["counters"], likes["stock"]
    found = {
        "likes_per_second": counters["per_second"],
        "events_per_second": mix["counters"]["per_second"],
        "stock_faust_events_per_second": stock["per_second"],
        "ratio": round(counters["per_second"] / stock["per_second"], 2),
        "memory_mb": counters["memory_mb"],
        "single_event_ms": single["ms"],
        "likes": counters,
        "mix": mix,
    }
    if as_json:
        print_json(found)
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("one worker of", "events", "a second", "memory", "processor a record"):
        table.add_column(heading, justify="left" if heading == "one worker of" else "right")
    for name, each in (("counters, likes alone", counters), *mix.items()):
        used = ", ".join(f"{who} {micros} µs" for who, micros in each["processor_us_per_event"].items())
        table.add_row(name, f"{each['events']:,}", f"{each['per_second']:,}", f"{each['memory_mb']} MB", used)
    table.add_row("stock Faust, decoding", f"{stock['events']:,}", f"{stock['per_second']:,}", "", "")
    screen.print(table)
    screen.print(f"likes against stock Faust: {found['ratio']} times")
    screen.print(f"one event at a time, committed after p50 {single['ms']['p50']} ms, p99 {single['ms']['p99']} ms")


@application.command()
def rebuild(
    events: Annotated[int, typer.Option(min=10_000, help="How many events the log holds.")] = 5_000_000,
    as_json: AsJson = False,
) -> None:
    """How fast the counters are rebuilt from the log: reading, folding, copying, merging, indexes."""
    with ground(lambda line: say(escape(line))) as variables:
        found = json.loads(measured(variables, "infra.bench.rebuild", str(events)))
    show(found, as_json)


@application.command()
def feed(
    requests: Annotated[int, typer.Option(min=1_000, help="How many pages of warm feeds are read.")] = 20_000,
    as_json: AsJson = False,
) -> None:
    """Ranked home pages of the demo's people by one web worker: warm, cold, of many followed, among many posts."""
    with ground(lambda line: say(escape(line))) as variables:
        found = json.loads(measured(variables, "infra.bench.feed", str(requests)))
    show(found, as_json)


@application.command()
def fanout(
    posts: Annotated[int, typer.Option(min=1_000, help="How many posts, of a thousand readers each.")] = 4_000,
    celebrity_readers: Annotated[int, typer.Option(min=1_000, help="Warm readers of one author.")] = 200_000,
    seconds: Annotated[int, typer.Option(min=1, help="How long posts are sent over HTTP and looked for.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Kafka, Faust, Redis: how many items a second reach readers' feeds, what one great audience holds up, and how long
    a post takes from its sending to a follower's page."""
    with ground(lambda line: say(escape(line))) as variables:
        found = json.loads(measured(variables, "infra.bench.fanout", str(posts), str(celebrity_readers)))
        # Commands that this process gives know the topics' prefix from the beginning.
        apart = {**variables, "ROOKERY_TOPIC_PREFIX": "visible."}
        visible = json.loads(measured(apart, "infra.bench.visible", str(seconds)))
    found |= {"visible_ms": visible["visible_ms"], "visible": visible}
    if as_json:
        print_json(found)
        return
    pushed, celebrity, memory = found["fanout"], found["celebrity"], found["memory_bytes"]
    screen.print(
        f"{pushed['deliveries']:,} deliveries in {pushed['seconds']} s: {found['deliveries_per_second']:,} a second;"
        f" pipelined ZADDs from Python {found['pipelined_zadd_per_second']:,}: {found['ratio']} times",
        soft_wrap=True,
    )
    screen.print(
        f"{celebrity['posts']} posts to {celebrity['readers']:,} readers in {celebrity['seconds']} s; others' posts"
        f" meanwhile seen after p50 {celebrity['others_ms']['p50']} ms, p99 {celebrity['others_ms']['p99']} ms",
        soft_wrap=True,
    )
    screen.print(
        f"{visible['posts']:,} posts over HTTP, {visible['posts_per_second']} a second: in a follower's page after"
        f" p50 {visible['visible_ms']['p50']} ms, p99 {visible['visible_ms']['p99']} ms",
        soft_wrap=True,
    )
    screen.print(
        f"a warm reader takes {memory['warm_reader']:,} bytes ({memory['of_it_an_item']} an item),"
        f" one in an audience {memory['audience_entry']}"
    )
