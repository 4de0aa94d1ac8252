"""Claim: whatever a small society does, in whatever batches workers apply it, die, repeat it and are flushed, and
whoever is pushed or pulled meanwhile, every page of its readers, by either sort, is what docs/semantics.md says; and no
session repeats a post while all that goes on.

Oracle: the reference model (tests/model/home.py), which knows nothing of feeds that are kept. The stores, the functions
in Redis and the query API are the real ones, with few shards, small feeds and short ranked orders; and bugs planted
among them are found. ROOKERY_HOME_HISTORIES says how many histories are lived through, ROOKERY_HOME_SEED from which on.
Cannot catch: what depends on two requests or workers running truly at once (test_feed_interleavings.py has every order
of a refill's steps); rules that model and product both misread; the gateway and the event log (`rookery verify feed`).
"""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shared.environment import REPOSITORY, Environment
from tests.home import DIFFERENT
from tests.home.planting import BUGS

HISTORIES = int(os.environ.get("ROOKERY_HOME_HISTORIES") or 12)
SEED = int(os.environ.get("ROOKERY_HOME_SEED") or 1)
HISTORIES_UNTIL_FOUND = 40
REDIS_DATABASE = 11  # of the sixteen that a Redis has

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def live(servers: Environment, scratch_database: str, tmp_path: Path) -> Run:
    variables = os.environ | {
        "ROOKERY_VAR": str(tmp_path),
        "READ_DATABASE_URL": scratch_database,
        "QUERY_DATABASE_URL": scratch_database,
        "REDIS_URL": servers.redis_url.rpartition("/")[0] + f"/{REDIS_DATABASE}",
        "KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap_servers,
        "ROOKERY_TOKEN_SECRET": secrets.token_hex(32),
        "ROOKERY_TOPIC_PARTITIONS": "2",
        "ROOKERY_FEED_SHARDS": "2",
        "ROOKERY_FEED_ITEMS_MAX": "5",
        "ROOKERY_RANKED_ITEMS_MAX": "8",
        "ROOKERY_RANKING_CACHE_SECONDS": "0",
        "ROOKERY_CONSISTENCY_WAIT_SECONDS": "0",
    }

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "tests.home.run", *arguments]
        return subprocess.run(command, cwd=REPOSITORY, env=variables, capture_output=True, text=True, check=False)

    return run


def test_every_page_is_what_the_model_says(live: Run) -> None:
    done = live("--seed", str(SEED), "--histories", str(HISTORIES))
    assert done.returncode == 0, done.stderr[-4_000:]
    did: dict[str, Any] = json.loads(done.stdout)
    sys.stdout.write(done.stdout + "\n")
    assert did["histories"] == HISTORIES
    unseen = {
        "hit", "miss", "bypass", "below the floor", "beyond the ranked", "owed at rest", "pulled", "pushed",
        "flushed in a refill", "died among shards", "restarted", "swept", "pages meanwhile", "refused", "renewed",
        "stayed",
    } - {name for name, count in did.items() if count}  # fmt: skip
    assert not unseen or HISTORIES < 12, f"these histories have nothing to say of {unseen}"


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(live: Run, bug: str) -> None:
    done = live("--seed", str(SEED), "--histories", str(HISTORIES_UNTIL_FOUND), "--plant", bug)
    assert done.returncode == DIFFERENT, done.stdout[-4_000:] + done.stderr[-4_000:]
    assert "differs" in done.stderr
