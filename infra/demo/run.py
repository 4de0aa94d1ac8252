"""`make demo`: when it ends well, a real social graph went from commands to feeds, and two people met over HTTP.

Figures and addresses go to standard output, progress to the other. Whatever is not as promised ends it with one message
and exit status 1; the system is left running either way, to be looked at.
"""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.markup import escape

from infra.cli.output import say
from infra.cli.up import up
from infra.demo import generate, journey, measure, report
from infra.demo.client import DemoFailure, Visitor
from infra.demo.generate import Plan
from infra.demo.progress import OtherData, SeedingFailed
from infra.demo.track import track
from infra.local.failures import LocalError
from shared import clock
from shared.environment import Environment, environment
from shared.errors import RookeryError

READERS = 500
FEED_SHOWN = 5
PRINTED_WIDTH = 120
FIGURES = "demo.json"
PEOPLE_VARIABLE = "DEMO_PEOPLE"  # not ROOKERY_…: those are the processes', and a change restarts them
PEOPLE_MIN = 40


def main(people: int | None = None) -> int:
    """The exit status. `people` is how much of the graph is used; left out, DEMO_PEOPLE or everybody."""
    try:
        count = people or _people_wanted()
        up()
        # The secrets may only just have been made.
        environment.cache_clear()
        _show(environment(), count)
    except (DemoFailure, OtherData, SeedingFailed, LocalError, RookeryError) as error:
        say(f"[bold red]the demo failed[/] {escape(str(error))}")
        return 1
    except KeyboardInterrupt:
        say("stopped; `make demo` goes on from here, `make down` stops the servers")
        return 130
    return 0


def _people_wanted() -> int:
    given = os.environ.get(PEOPLE_VARIABLE) or str(generate.PEOPLE)
    if not given.isdigit() or not PEOPLE_MIN <= int(given) <= generate.PEOPLE:
        raise DemoFailure(f"{PEOPLE_VARIABLE} must be a number from {PEOPLE_MIN} to {generate.PEOPLE}, not {given!r}")
    return int(given)


def _show(configuration: Environment, count: int) -> None:
    # Imported late: it configures Django, which reads the secrets.
    from infra.demo import seed

    path = configuration.var / FIGURES
    earlier = report.load(path)
    plan, seeding = seed.seed(configuration, count, clock.now())
    figures = earlier if seeding is None else seeding
    figures["runs"] = int(earlier.get("runs", 0)) + 1
    # Kept already now: whatever fails from here on, seeding is measured once only.
    report.save(path, figures)
    say("two newcomers over HTTP, as any client:")
    couple = journey.meet(configuration.gateway_url, lambda line: say(f"  {escape(line)}"))
    try:
        readers = _readers(plan, figures["runs"])
        tokens = [seed.access_token(user_id) for user_id in readers]
        with track("measuring over HTTP", measure.steps(len(tokens))) as advance:
            measured = measure.measure(configuration.gateway_url, tokens, couple, advance)
    finally:
        couple.close()
    figures = report.merge(figures, measured)
    report.save(path, figures)
    _print(configuration, plan, figures)


def _readers(plan: Plan, run: int) -> Sequence[UUID]:
    """Different people, and others at every run, so that their feeds are cold again."""
    with_friends = sorted({follow.follower for follow in plan.follows})
    begin = run * READERS % len(with_friends)
    return [plan.people[index].user_id for index in (with_friends * 2)[begin : begin + READERS][: len(with_friends)]]


def _print(configuration: Environment, plan: Plan, figures: dict[str, Any]) -> None:
    from infra.demo import seed

    screen = Console(highlight=False)
    if not screen.is_terminal:
        screen.width = PRINTED_WIDTH
    degrees = Counter(follow.follower for follow in plan.follows)
    reader = plan.people[degrees.most_common(1)[0][0]]
    visitor = Visitor(configuration.gateway_url, seed.access_token(reader.user_id))
    page = visitor.get("feed/home/", sort="ranked", limit=FEED_SHOWN, explain=1)
    visitor.close()
    commands = report.curl_commands(configuration.gateway_url, reader.username, seed.PASSWORD)
    report.try_commands(commands)
    report.show_feed(screen, reader.username, page)
    report.show_figures(screen, figures)
    report.show_addresses(screen, configuration.gateway_url, commands, configuration.var / FIGURES)


if __name__ == "__main__":
    sys.exit(main())
