"""Claim: workers killed at named points and anywhere, one frozen beyond its session, PostgreSQL cut off, Redis flushed
and positions set back by hand leave nothing lost, doubled or different.

Oracle: the reference model, and each batch as its worker wrote it down before it asked for it. `rookery chaos`, small,
on servers of its own. Cannot catch: what only many faults bring about; the command does as many as one likes.
"""

import json

from shared.environment import Environment, environment
from tests.chaos.run import PORTS_AFTER
from tests.chaos.system import System

KILLS, ZOMBIES = 3, 1


def test_a_small_run() -> None:
    beside: Environment = environment()
    options = (f"--kills={KILLS}", f"--zombies={ZOMBIES}", "--servers=postgres,redis,back", "--rate=80", "--json")
    # The command begins its own installation beside the one whose environment it is given.
    done = System(beside, "", 0).python("-m", "infra.cli.main", "chaos", *options)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    report = json.loads(done.stdout)
    print(f"\n  {report['kills']} kills, {report['events']} events, recovery {report['recovery_seconds']}", end="")
    assert report["kills"] >= KILLS
    assert (report["zombies"], report["zombies_refused"]) == (ZOMBIES, ZOMBIES), done.stderr[-4000:]
    assert report["refused"] >= ZOMBIES
    assert (report["lost"], report["duplicated"], report["differing"], report["unrecovered"]) == (0, 0, 0, 0)
    assert report["set_back_records"] > 0 and report["compared"]["feed.warm"] > 0
    assert not System(beside, "chaos-run", PORTS_AFTER).environment.var.exists(), "it leaves nothing behind"
