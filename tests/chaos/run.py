"""Kills, freezes, restarts and flushes under load, on servers of its own, and counts what that cost: nothing.

    python -m tests.chaos.run [--kills 30] [--zombies N] [--seed S] [--json] ...      (`rookery chaos` runs this)

A random history is appended at a steady rate while workers of every projection apply it and readers warm their feeds;
meanwhile one fault after the other is done to them (tests/chaos/faults.py), those of different projections at the same
time. In the end everything is compared with the reference. Exit status: 0 nothing lost, doubled or different, 3
something, 1 when it could not be told.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any

import psycopg

from projectors.runtime.log_ends import LogEnds
from schemas.catalogue import topics
from shared.environment import REPOSITORY, environment
from tests.chaos import chains
from tests.chaos.appender import Appender
from tests.chaos.communities import History
from tests.chaos.crew import Crew, kills
from tests.chaos.faults import IN_POSTGRES, NAMES, POINTS_OF, SHARED, Faults
from tests.chaos.recovery import Recovery
from tests.chaos.system import System
from tests.model.log import LogReader
from tests.runtime.workers import wait_until

OK, CANNOT_TELL, WRONG = 0, 1, 3
PORTS_AFTER = 40  # behind those of the installation it is begun beside, and of the fault tests'
WORKERS = {name: 3 if name == SHARED else 1 for name in NAMES}
STARTED_SECONDS_MAX = 300
CAUGHT_UP_SECONDS_MAX = 300
SERVER_FAULTS = ("broker", "postgres", "redis", "rebalance", "back")
KILLS_PER_SERVER_FAULT = 15
Task = Callable[[], None]


class CannotTell(Exception):
    """The run could not be made or judged; the message says why."""


@dataclass(frozen=True)
class Plan:
    """`server_faults` are kinds of SERVER_FAULTS, each done once for every 15 kills, and at least once."""

    kills: int
    zombies: int
    seed: int
    per_second: float
    server_faults: tuple[str, ...]


def rounds(plan: Plan, faults: Faults, dice: random.Random) -> list[list[Task]]:
    """What is done at the same time, one list after the other: faults of workers of different projections, or one of a
    server."""
    named = [(name, point) for name, points in POINTS_OF.items() for point in points]
    dice.shuffle(named)
    lanes: dict[str, list[Task]] = {name: [] for name in NAMES}
    for number in range(plan.kills):
        # Every point once before one comes again, and as many kills wherever the worker is.
        if number % 2 == 0:
            name, point = named[number // 2 % len(named)]
            lanes[name].append(partial(faults.kill_at, name, point))
        else:
            name = dice.choice(NAMES)
            lanes[name].append(partial(faults.kill, name))
    lanes[SHARED] += [faults.zombie] * plan.zombies
    for tasks in lanes.values():
        dice.shuffle(tasks)
    of_workers = []
    while any(lanes.values()):
        # The longest lanes first, so that all end together.
        most = sorted((tasks for tasks in lanes.values() if tasks), key=len, reverse=True)[:3]
        of_workers.append([tasks.pop() for tasks in most])
    each: dict[str, list[Task]] = {
        "broker": [faults.broker_restarted, faults.broker_killed],
        "postgres": [faults.postgres_stopped],
        "redis": [faults.redis_flushed],
        "rebalance": [faults.join_and_leave],
        "back": [faults.positions_set_back],
    }
    times = max(1, ceil(plan.kills / KILLS_PER_SERVER_FAULT))
    of_servers = [[task] for kind in plan.server_faults for task in each[kind] * times]
    mixed = of_workers + of_servers
    dice.shuffle(mixed)
    return mixed


def run(plan: Plan, system: System, say: Callable[[str], None]) -> dict[str, Any]:
    """The whole run on an installation whose servers are up. Raises CannotTell."""
    began = time.monotonic()
    folder = system.environment.var / "crew"
    shutil.rmtree(folder, ignore_errors=True)
    with psycopg.connect(system.environment.read_database_url, autocommit=True) as connection:
        chains.watch(connection)
    appender = Appender(system.environment, History(plan.seed), plan.per_second)
    recovery, dice = Recovery(system.environment), random.Random(plan.seed)
    with Crew(WORKERS, folder, system.variables) as crew, reading(system):
        faults = Faults(system, crew, appender, recovery, dice, say)
        appender.start()
        recovery.start()
        started = recovery.expect("started", NAMES, appender.ends(), time.monotonic())
        wait_until(STARTED_SECONDS_MAX, lambda: all(slot.logged("fenced") for slot in crew.slots if slot.log_size()))
        wait_until(STARTED_SECONDS_MAX, lambda: appender.ends() or appender.error)
        recovery.felt.remove(started)
        planned = rounds(plan, faults, dice)
        say(f"{len(crew.slots)} workers, {plan.per_second:.0f} events/s, seed {plan.seed}, {len(planned)} rounds")
        with ThreadPoolExecutor(max_workers=len(NAMES)) as pool:
            for tasks in planned:
                for future in [pool.submit(task) for task in tasks]:
                    future.result()
        appender.finish()
        recovery.finish()
        say(f"{len(appender.acknowledged):,} events appended; waiting until all are applied")
        ends = await_applied(system, say)
        found = judge(system, crew, appender, ends)
    lines = [entry for slot in crew.slots for entry in slot.logged("refused")]
    done = faults.done
    return {
        "kills": kills(crew.slots),
        "zombies": done["zombie"],
        "zombies_refused": faults.zombies_refused,
        "refused": len(lines),
        **found,
        "unrecovered": len(recovery.unrecovered()),
        "recovery_seconds": recovery.seconds(),
        "faults": recovery.by_fault(),
        "watchdog_ends": sum(slot.ends[75] for slot in crew.slots),
        "seed": plan.seed,
        "seconds": round(time.monotonic() - began, 1),
    }


def await_applied(system: System, say: Callable[[str], None]) -> dict[Any, int]:
    """The log's ends, once every projection is there."""
    ends = LogEnds(system.environment)
    until = ends.ends(ends.partitions(topics()))
    last = Recovery(system.environment)
    felt = last.expect("caught up", NAMES, until, time.monotonic())
    last.start()
    if not felt.over.wait(CAUGHT_UP_SECONDS_MAX):
        say(f"not everything is applied after {CAUGHT_UP_SECONDS_MAX} s: that will be counted as lost")
    last.finish()
    return until


def judge(system: System, crew: Crew, appender: Appender, ends: dict[Any, int]) -> dict[str, Any]:
    """What is in the log, in what was applied, and in the read models, against each other.

    `lost`: acknowledged events that the log has not, records that no committed batch held, and rows that the reference
    has and the store has not. `duplicated`: records that two committed batches held, and counts above the reference's.
    `differing`: values that are not the reference's.
    """
    reader = LogReader(system.environment)
    reader.read_to(ends, lambda done, total: None)
    reader.close()
    in_log = {event.event_id for event in reader.events}
    total = chains.Chains()
    with psycopg.connect(system.environment.read_database_url, autocommit=True) as connection:
        noted = chains.moves(connection)
    for name in IN_POSTGRES:
        asked = chains.steps_of(slot.steps for slot in crew.slots if slot.projection == name)
        for (projection, partition), moves in noted.items():
            if projection == name:
                chains.follow(total, partition, moves, asked, ends[partition])
    if not total.steps:
        raise CannotTell("no step was noted: the audit does not work")
    report = system.verify()
    first = report["first_differences"]
    return {
        "events": len(in_log),
        "copies": len(reader.events) - len(in_log),
        "applied_steps": total.steps,
        "set_back_records": total.set_back,
        "lost": total.lost
        + len(appender.acknowledged - in_log)
        + sum(1 for each in first if each["found"] == "absent"),
        "duplicated": total.duplicated + sum(1 for each in first if _is_more(each)),
        "differing": report["differences"],
        "compared": report["compared"],
        "first_differences": first,
    }


def _is_more(difference: dict[str, str]) -> bool:
    expected, found = difference["expected"], difference["found"]
    return expected.isdigit() and found.isdigit() and int(found) > int(expected)


@contextmanager
def reading(system: System) -> Iterator[None]:
    """Readers for as long as a block lasts."""
    log = (system.environment.var / "log" / "reader.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.reader"], cwd=REPOSITORY, env=system.variables, stdout=log, stderr=log
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)
        log.close()


@contextmanager
def installation(keep: bool, say: Callable[[str], None]) -> Iterator[System]:
    """Servers of the run's own, empty; gone in the end unless they are to be kept."""
    system = System(environment(), "chaos-run", PORTS_AFTER)
    system.rookery("down", "--data")
    steps = (
        ("-m", "infra.cli.main", "up", "--servers-only"),
        ("-m", "infra.local.migrations"),
        ("-m", "projectors.runtime.prepare"),
    )
    try:
        for step in steps:
            say(" ".join(step[1:]))
            done = system.python(*step)
            if done.returncode:
                raise CannotTell(f"{' '.join(step)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        yield system
    finally:
        if keep:
            say(f"kept in {system.environment.var}: ROOKERY_VAR={system.variables['ROOKERY_VAR']}"
                f" ROOKERY_PORT_BASE={system.variables['ROOKERY_PORT_BASE']} rookery down --data")  # fmt: skip
        else:
            system.rookery("down", "--data")
            with suppress(OSError):
                shutil.rmtree(system.environment.var)


def show(report: dict[str, Any]) -> None:
    """For people, on standard output."""
    seconds = report["recovery_seconds"]
    print(f"{report['kills']} kills, {report['zombies']} zombies ({report['zombies_refused']} refused),"
          f" {report['events']:,} events in {report['seconds']:.0f} s, seed {report['seed']}")  # fmt: skip
    for fault, felt in report["faults"].items():
        print(f"  {fault:28} {felt['n']:3}   p50 {felt['p50']:6.2f} s   max {felt['max']:6.2f} s")
    print(f"recovery p50 {seconds['p50']} s, p99 {seconds['p99']} s")
    print(f"{report['lost']} lost, {report['duplicated']} duplicated, {report['differing']} differing")
    for difference in report["first_differences"]:
        print("  " + " ".join(f"{name}={value}" for name, value in difference.items()))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="rookery chaos", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=30, help="workers killed with -9")
    parser.add_argument(
        "--zombies", type=int, help="workers frozen beyond their session; one for ten kills, at least 1"
    )
    parser.add_argument("--seed", type=int, help="of the history and of the order of faults; a new one when left out")
    parser.add_argument("--rate", type=float, default=150.0, help="events appended in a second")
    parser.add_argument("--servers", default=",".join(SERVER_FAULTS), help="which of these are also done, or nothing")
    parser.add_argument("--keep", action="store_true", help="leave the installation running, to look at it")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    return parser.parse_args()


def main() -> int:
    arguments = parse()
    began = time.monotonic()

    def say(message: str) -> None:
        print(f"{time.monotonic() - began:6.1f} {message}", file=sys.stderr, flush=True)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    zombies = max(1, arguments.kills // 10) if arguments.zombies is None else arguments.zombies
    seed = random.SystemRandom().randrange(1 << 32) if arguments.seed is None else arguments.seed
    kinds = tuple(kind for kind in arguments.servers.split(",") if kind)
    if unknown := set(kinds) - set(SERVER_FAULTS):
        print(f"--servers knows no {', '.join(unknown)}", file=sys.stderr)
        return CANNOT_TELL
    try:
        with installation(arguments.keep, say) as system:
            report = run(Plan(arguments.kills, zombies, seed, arguments.rate, kinds), system, say)
    except (CannotTell, AssertionError, TimeoutError) as error:
        say(f"could not tell: {error}")
        return CANNOT_TELL
    if arguments.json:
        json.dump(report, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        show(report)
    wrong = report["lost"] or report["duplicated"] or report["differing"] or report["unrecovered"]
    return WRONG if wrong else OK


if __name__ == "__main__":
    sys.exit(main())
