"""Runs the simulation: one seed with its trace, or as many as time allows; exit status 1 when something failed.

python -m tests.simulation --seed 17 --trace
python -m tests.simulation --minutes 30
python -m tests.simulation --seeds 50000 --from 100000
python -m tests.simulation --seed 17 --planted "an epoch not checked"
"""

import argparse
import sys
import time
import traceback
from itertools import count

from tests.simulation.planted import PLANTED
from tests.simulation.runs import Tally, many, one, replay

PROGRESS_SECONDS = 10.0
SEEDS = 20_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--trace", action="store_true", help="show what happens in it, line by line")
    parser.add_argument("--planted", choices=sorted(PLANTED), help="with this bug")
    parser.add_argument("--seeds", type=int, help=f"how many (default {SEEDS:,}, or as many as --minutes allows)")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first of them")
    parser.add_argument("--minutes", type=float, help="how long at most")
    given = parser.parse_args()
    if given.seed is not None:
        return single(given.seed, given.trace, given.planted)
    seeds = given.seeds if given.seeds is not None else SEEDS if given.minutes is None else None
    return batch(given.first, seeds, given.minutes)


def single(seed: int, trace: bool, planted: str | None) -> int:
    """One seed, and how it ended."""
    try:
        if planted is not None:
            PLANTED[planted](seed).run()
        else:
            one(seed, tell=print if trace else None)
    except Exception as error:
        traceback.print_exception(error)
        print(f"seed {seed} fails: {error}")
        return 1
    print(f"seed {seed} holds")
    return 0


def batch(first: int, seeds: int | None, minutes: float | None) -> int:
    """Many seeds, with a line of progress every ten seconds, and what was injected at the end."""
    began = shown = time.monotonic()
    deadline = None if minutes is None else began + minutes * 60
    shown_failures, tally = 0, Tally()
    for tally in many(count(first) if seeds is None else range(first, first + seeds)):
        now = time.monotonic()
        for seed, why in list(tally.failures.items())[shown_failures:]:
            print(f"seed {seed} fails: {why}\n  {replay(seed)}", flush=True)
        shown_failures = len(tally.failures)
        if now - shown > PROGRESS_SECONDS:
            shown = now
            rate = tally.seeds / (now - began)
            left = "" if seeds is None else f", {(seeds - tally.seeds) / rate:.0f} s left"
            print(f"{tally.seeds:,} seeds, {rate:.0f}/s, {shown_failures} failed{left}", flush=True)
        if deadline is not None and now > deadline:
            break
    seconds = time.monotonic() - began
    print(
        f"seeds {first} to {first + tally.seeds - 1}: {tally.seeds:,} in {seconds:.0f} s, {tally.steps:,} steps applied"
    )
    print("injected: " + ", ".join(f"{name} {times:,}" for name, times in sorted(tally.injected.items())))
    if tally.seeds >= 1_000 and tally.missing():
        print(f"never injected: {', '.join(tally.missing())}")
        return 1
    print(f"{len(tally.failures)} failed")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
