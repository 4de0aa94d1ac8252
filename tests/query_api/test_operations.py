"""Claim: what operations ask of the read side is for staff alone, and is what the tables say.

Oracle: positions written by hand, and a monitor's own server with a report made by hand. Over HTTP, to the process
itself. Cannot catch: who is given the role (tests/command_api/test_administration.py), or a wrong report.
"""

import threading
import time
from urllib.parse import urlsplit

import psycopg

from infra.monitor.serve import Monitor, Server
from projectors.runtime.lag_figures import History, Observation, Report, figures, moment, summary
from projectors.runtime.stores.port import Partition
from query_api.shapes import ProjectionPosition
from shared.environment import load
from tests.query_api.serving import Serving
from tests.query_api.world import World

PATH = "/api/v1/ops/projections/"


def bearer(serving: Serving, world: World, *roles: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {serving.token(world.person(), roles=list(roles))}"}


def test_positions_are_those_of_every_projection_in_the_read_database(
    serving: Serving, world: World, connection: psycopg.Connection[object]
) -> None:
    connection.execute(
        "insert into counters.position (topic, partition, next_offset, epoch, owner)"
        " values ('engagement', 77, 4711, 1, 'test')"
    )
    try:
        answer = serving.client.get(PATH, headers=bearer(serving, world, "admin"))
        assert answer.status_code == 200
        items = answer.json()["items"]
        found = [item for item in items if item["partition"] == 77]
        assert [(item["projection"], item["topic"], item["position"]) for item in found] == [
            ("counters", "engagement", 4711)
        ]
        assert found[0]["advanced_at"].endswith("Z")
        places = [(item["projection"], item["topic"], item["partition"]) for item in items]
        assert places == sorted(places)
    finally:
        connection.execute("delete from counters.position where partition = 77")


def test_figures_are_those_of_the_monitor(serving: Serving, world: World) -> None:
    now = time.time()
    feed = Observation(
        "feed", Partition("posts", 1), 40, 100, epoch=2, worker=True, committed=33, appended_at=now - 4.5
    )
    report = Report(now, 10.0, (summary("feed", [figures(feed, History(), now, 10.0)], 1),))
    monitor = Monitor(load({}))
    monitor._remember(report)
    server = Server(urlsplit(serving.variables["ROOKERY_MONITOR_URL"]).netloc, monitor)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        told = serving.client.get(PATH, headers=bearer(serving, world, "admin")).json()
    finally:
        server.shutdown()
        server.server_close()
    assert told["measured_at"] == moment(now)
    (found,) = [item for item in told["items"] if item["projection"] == "feed"]
    assert found == {
        "projection": "feed", "topic": "posts", "partition": 1, "state": "advancing", "position": 40, "end": 100,
        "lag_records": 60, "lag_seconds": 4.5, "rate": None, "append_rate": None, "drain_seconds": None,
        "advanced_at": None, "seconds_since_advance": None, "parked": 0, "rebalances": 2, "committed": 33,
        "commit_drift": 7, "owner": None,
    }  # fmt: skip
    fields = set(ProjectionPosition().fields)
    assert all(set(item) == fields for item in told["items"]), "one shape, with the monitor and without"


def test_without_the_monitor_the_database_tells_what_it_knows(
    serving: Serving, world: World, connection: psycopg.Connection[object]
) -> None:
    connection.execute(
        "insert into posts.position (topic, partition, next_offset, epoch, owner) values ('posts', 76, 12, 1, 'test')"
    )
    try:
        told = serving.client.get(PATH, headers=bearer(serving, world, "admin")).json()
    finally:
        connection.execute("delete from posts.position where partition = 76")
    assert told["measured_at"] is None
    (found,) = [item for item in told["items"] if item["partition"] == 76]
    assert (found["position"], found["state"], found["lag_seconds"]) == (12, "unknown", None)


def test_they_are_for_administrators_alone(serving: Serving, world: World) -> None:
    nobody = serving.client.get(PATH)
    assert (nobody.status_code, nobody.json()["type"]) == (401, "urn:rookery:problem:unauthenticated")
    for roles in ((), ("moderator",), ("administrator",)):
        refused = serving.client.get(PATH, headers=bearer(serving, world, *roles))
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:rookery:problem:forbidden"), roles
    assert serving.client.get(PATH, headers=bearer(serving, world, "admin", "moderator")).status_code == 200


def test_an_erased_administrator_is_nobody(serving: Serving, world: World) -> None:
    admin = world.person()
    world.erase(admin)
    headers = {"Authorization": f"Bearer {serving.token(admin, roles=['admin'])}"}
    assert serving.client.get(PATH, headers=headers).status_code == 401
