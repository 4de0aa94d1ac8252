"""What was committed reaches the log, whatever happened to the process that committed it, with the same bytes.

Processes are really killed. Cannot catch: a broker that dies while it acknowledges (tests/chaos).
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from command_api.event_log.relay import Relay
from command_api.relationships.commands.follow_user import FollowUser
from shared.environment import Environment
from tests.command_api.people import copies_in_log, outbox_row, people

# Dies between the commit and the publication.
DIES = """
import os, sys
import django
django.setup()
from uuid import UUID
from command_api import dispatch
from command_api.relationships.commands.follow_user import FollowUser
dispatch._publish = lambda *_, **__: os._exit(9)
dispatch.dispatch(FollowUser(UUID(sys.argv[1]), UUID(sys.argv[2])))
"""
# Writes several times, and says for each its position, and how long it took.
WRITES = """
import json, sys, time
import django
django.setup()
from uuid import UUID
from command_api.dispatch import dispatch
from command_api.relationships.commands.follow_user import FollowUser
from command_api.relationships.commands.unfollow_user import UnfollowUser
from shared.errors import Unavailable
told = []
for number in range(8):
    command = (UnfollowUser if number % 2 else FollowUser)(UUID(sys.argv[1]), UUID(sys.argv[2]))
    begun = time.monotonic()
    try:
        outcome = dispatch(command)
        told.append([str(outcome.event_id), outcome.position, time.monotonic() - begun])
    except Unavailable as error:
        told.append(["unavailable", error.retry_after_seconds, time.monotonic() - begun])
print(json.dumps(told))
"""

Guards = psycopg.Connection[Any]


def run(script: str, *arguments: UUID, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=60, check=False)


def follow_event(guards: Guards, follower_id: UUID) -> UUID:
    found = guards.execute("select last_event from follow where follower_id = %s", (follower_id,)).fetchone()
    assert found is not None
    event_id: UUID = found[0]
    return event_id


def test_a_death_between_commit_and_publication_is_made_good_once(guards: Guards) -> None:
    ana, ben = people(2)
    relay = Relay(age_seconds=0)
    relay.pass_once(guards)  # what other tests left, such as an acknowledgement that came late
    assert run(DIES, ana, ben).returncode == 9
    event_id = follow_event(guards, ana)
    before = outbox_row(guards, event_id)
    assert before[3] is None and copies_in_log(event_id, before) == []
    assert relay.pass_once(guards) == 1
    assert relay.pass_once(guards) == 0
    relay.close()
    after = outbox_row(guards, event_id)
    assert copies_in_log(event_id, after) == [before[2]] and after[3] is not None


def test_the_relay_as_a_process_publishes_and_ends_quickly(guards: Guards, repository: Path) -> None:
    ana, ben = people(2)
    assert run(DIES, ana, ben).returncode == 9
    event_id = follow_event(guards, ana)
    relay = subprocess.Popen(
        [sys.executable, "-m", "command_api.event_log.relay"], cwd=repository, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 20
        while outbox_row(guards, event_id)[3] is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(copies_in_log(event_id, outbox_row(guards, event_id))) == 1
        begun = time.monotonic()
        relay.send_signal(signal.SIGTERM)
        assert relay.wait(10) == 0
        assert time.monotonic() - begun < 5
    finally:
        relay.kill()
        relay.communicate()


def test_two_relays_at_once_publish_everything_in_order_and_nothing_twice(guards: Guards) -> None:
    ana, *others = people(7)
    for other in others:
        assert run(DIES, ana, other).returncode == 9
    rows = guards.execute("select last_event from follow where follower_id = %s order by 1", (ana,)).fetchall()
    command = [sys.executable, "-m", "command_api.event_log.relay"]
    relays = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
    try:
        deadline = time.monotonic() + 20
        while any(outbox_row(guards, row[0])[3] is None for row in rows) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        for relay in relays:
            relay.terminate()
        for relay in relays:
            relay.wait(10)
    offsets = [outbox_row(guards, row[0])[3] for row in rows]
    assert offsets == sorted(offsets)
    assert all(len(copies_in_log(row[0], outbox_row(guards, row[0]))) == 1 for row in rows)


def test_a_broker_that_is_away_costs_little_and_loses_nothing(guards: Guards) -> None:
    ana, ben = people(2)
    away = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "ROOKERY_ACK_WAIT_SECONDS": "0.25"}
    done = run(WRITES, ana, ben, **away)
    told = json.loads(done.stdout)
    assert [position for _, position, _ in told] == [None] * 8, done.stderr
    # The first waits for contact; afterwards the broker is known to be away and nobody waits for it.
    assert all(seconds < 0.2 for _, _, seconds in told[4:])
    relay = Relay(age_seconds=0)
    assert relay.pass_once(guards) == 8
    relay.close()
    offsets = [outbox_row(guards, UUID(event_id))[3] for event_id, _, _ in told]
    assert offsets == sorted(offsets)


def test_too_long_a_backlog_refuses_with_a_time_to_come_back() -> None:
    ana, ben = people(2)
    told = json.loads(run(WRITES, ana, ben, ROOKERY_OUTBOX_BACKLOG_MAX="-1").stdout)
    assert all(first == "unavailable" and seconds > 0 for first, seconds, _ in told)


def test_what_follows_an_unacknowledged_event_waits_for_it(guards: Guards, command_side: Environment) -> None:
    ana, ben = people(2)
    assert run(DIES, ana, ben).returncode == 9
    first = follow_event(guards, ana)
    told = json.loads(run(WRITES, ana, ben, ROOKERY_ACK_WAIT_SECONDS="0.1").stdout)
    # The first of them asks for the follow that is there: it is that event, not acknowledged yet.
    assert told[0][:2] == [str(first), None]
    assert [position for _, position, _ in told] == [None] * 8
    event_ids = [first, *(UUID(event_id) for event_id, _, _ in told[1:])]
    assert all(copies_in_log(event_id, outbox_row(guards, event_id)) == [] for event_id in event_ids)
    relay = Relay(age_seconds=0)
    relay.pass_once(guards)
    relay.close()
    offsets = [outbox_row(guards, event_id)[3] for event_id in event_ids]
    assert offsets == sorted(offsets) and len(set(offsets)) == 8


def test_a_command_through_the_ordinary_way_needs_no_relay(guards: Guards) -> None:
    from command_api.dispatch import dispatch

    ana, ben = people(2)
    assert outbox_row(guards, dispatch(FollowUser(ana, ben)).event_id)[3] is not None
