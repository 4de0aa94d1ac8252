"""Claim: what operations ask of the read side is for staff alone, and is what the tables say.

Oracle: positions written by hand. Over HTTP, to the process itself. Cannot catch: who is given the role, which
tests/command_api/test_administration.py looks at.
"""

import psycopg

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
