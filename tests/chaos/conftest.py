"""One installation for all faults, begun empty and given a small social graph; each fault has writers of its own.

It is begun beside the one that other tests use, in a folder and on ports of its own, and is gone afterwards, unless
ROOKERY_TEST_KEEP says that somebody wants to look at it.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from uuid import UUID

import pytest

from shared.environment import environment
from tests.chaos.accounts import account
from tests.chaos.load import Ground, Load, Person, writing
from tests.chaos.system import System

WRITERS = 4
Write = Callable[[], AbstractContextManager[Load]]


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    made = System(environment())
    keep = bool(os.environ.get("ROOKERY_TEST_KEEP"))
    if not keep:
        made.rookery("down", "--data")
    try:
        begun = made.rookery("up")
        assert begun.returncode == 0, begun.stdout + begun.stderr
        yield made
    finally:
        if not keep:
            made.rookery("down", "--data")


@pytest.fixture(scope="session")
def people(system: System) -> list[Person]:
    """The first is followed by none of the others."""
    done = system.python("-m", "tests.chaos.people")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    return [Person(UUID(user_id), username, access) for user_id, username, access in told]


@pytest.fixture(scope="session")
def _fresh(people: list[Person]) -> Iterator[Person]:
    return iter(people[1:])


@pytest.fixture
def writers(_fresh: Iterator[Person]) -> list[Person]:
    """People whom no other test lets write."""
    return [next(_fresh) for _ in range(WRITERS)]


@pytest.fixture
def write(system: System, people: list[Person], writers: list[Person]) -> Write:
    """The test's writers at work, for as long as a block lasts."""
    environment = system.environment
    pulse_url = f"http://127.0.0.1:{environment.ports['query']}/healthz"
    ground = Ground(environment.gateway_url, pulse_url, environment.command_database_url)
    return partial(writing, ground, writers, people[0])


@pytest.fixture
def whole(system: System) -> Callable[[Load], None]:
    """Says, and demands, that every accepted write is in the log and in every read model exactly once."""

    def demand(load: Load) -> None:
        seconds = system.settle()
        found, report = account(system.environment, load), system.verify()
        print(f"\n  {load.summary()}\n  {found}; projected {seconds:.1f} s after the last write;"
              f" verify: {report['differences']} differences in {report['events']} events")  # fmt: skip
        assert (found.lost, found.doubled, found.out_of_order) == ([], [], [])
        assert report["differences"] == 0, report["first_differences"]
        assert not [reply for reply in load.replies if reply.status >= 500 and reply.retry_after is None]

    return demand
