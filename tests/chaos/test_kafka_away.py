"""Claim: without Kafka, writes are accepted as fast as ever; once it is back, each is in the log once, in order.

Oracle: what the clients were answered, against the whole log, and `rookery verify`. A real broker, frozen and killed.
Cannot catch: what needs several brokers, or a disk that forgets what it acknowledged.
"""

import time
from collections.abc import Callable

from tests.chaos.conftest import Write
from tests.chaos.load import Load
from tests.chaos.system import System

FROZEN_SECONDS = 30
ANSWER_MILLISECONDS_MAX = 300
BACK_SECONDS_MAX = 150  # two to five seconds of work for a machine that has nothing else to do


def test_kafka_frozen_for_half_a_minute(system: System, write: Write, whole: Callable[[Load], None]) -> None:
    with write() as load:
        time.sleep(2)
        with system.frozen("kafka"):
            time.sleep(FROZEN_SECONDS)
        time.sleep(2)
    whole(load)
    assert set(load.statuses()) <= {200, 201, 202}
    assert load.statuses()[202] > 50
    assert not load.beyond(202, ANSWER_MILLISECONDS_MAX), load.summary()


def test_kafka_killed(system: System, write: Write, whole: Callable[[Load], None]) -> None:
    with write() as load:
        time.sleep(2)
        system.kill("kafka")
        time.sleep(1)
        back = system.await_server("kafka", BACK_SECONDS_MAX)
        print(f"\n  Kafka was back after {back:.1f} s", end="")
    whole(load)
    assert set(load.statuses()) <= {200, 201, 202}
    assert load.statuses()[202] > 0
