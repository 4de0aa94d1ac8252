"""What is refused and how: problems, tokens, cursors, limits; and how fresh an answer says it is."""

import threading
import time
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.tokens import consistency_token
from tests.query_api.serving import CONSISTENCY_WAIT_SECONDS, Serving, sign_token
from tests.query_api.world import World


def assert_problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "errors", "trace_id"}
    assert (body["type"], body["status"]) == (f"urn:rookery:problem:{kind}", status)
    return body


def test_every_refusal_is_a_problem(serving: Serving) -> None:
    assert_problem(serving.get("/nowhere"), 404, "not-found")
    assert_problem(serving.get(f"posts/{uuid4()}/"), 404, "not-found")
    answer = serving.client.post("/api/v1/feed/global/", json={})
    assert_problem(answer, 405, "method-not-allowed")
    assert "GET" in answer.headers["Allow"]
    body = assert_problem(serving.get("feed/global/", limit=0), 400, "validation")
    assert body["errors"][0]["pointer"] == "/limit"
    assert_problem(serving.get("users/nobody%00here/posts/"), 404, "not-found")
    assert_problem(serving.get("feed/global/", format="xml"), 404, "not-found")
    trace = "0af7651916cd43dd8448eb211c80319c"
    traced = serving.get("/nowhere", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    assert traced.json()["trace_id"] == trace


@pytest.mark.parametrize("query", [{"sort": "best"}, {"explain": "maybe"}, {"limit": "101"}, {"cursor": "AAAA"}])
def test_malformed_parameters(serving: Serving, world: World, query: dict[str, str]) -> None:
    assert_problem(serving.get("feed/home/", world.person(), None, **query), 400, "validation")


def test_a_cursor_of_another_reader_or_list_is_refused(serving: Serving, world: World) -> None:
    ana, ben = world.person(), world.person()
    for _ in range(3):
        world.post(ana)
    cursor = serving.get("feed/home/", ana, sort="recent", limit=1).json()["next"]
    assert serving.get("feed/home/", ana, sort="recent", cursor=cursor).status_code == 200
    assert_problem(serving.get("feed/home/", ben, sort="recent", cursor=cursor), 400, "validation")
    assert_problem(serving.get("feed/home/", ana, sort="ranked", cursor=cursor), 400, "validation")
    assert_problem(serving.get("feed/global/", ana, cursor=cursor), 400, "validation")
    forged = cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")
    assert_problem(serving.get("feed/home/", ana, sort="recent", cursor=forged), 400, "validation")


@pytest.mark.parametrize("path", ["users/me/", "feed/home/", "notifications/", "notifications/unread-count/"])
def test_ones_own_reads_need_a_token(serving: Serving, path: str) -> None:
    answer = serving.get(path)
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_tokens_that_are_not_believed(serving: Serving, world: World) -> None:
    ana = world.person()
    good = serving.token(ana)
    other_key = Ed25519PrivateKey.generate()
    head, body, signature = good.split(".")
    bad = [
        "Bearer",
        f"Basic {good}",
        "Bearer x.y.z",
        f"Bearer {serving.token(ana, seconds=-5)}",
        f"Bearer {serving.token(ana, iss='someone')}",
        f"Bearer {serving.token(ana, sub='me')}",
        f"Bearer {sign_token(other_key, ana)}",
        f"Bearer {head}.{body}.{signature[::-1]}",
    ]
    for header in bad:
        # Also where no token is needed: a token that is sent must be good.
        assert_problem(serving.get("feed/global/", headers={"Authorization": header}), 401, "unauthenticated")
    assert serving.get("feed/global/", headers={"Authorization": f"bearer {good}"}).status_code == 200


def test_a_token_outlives_an_erasure_and_its_bearer_does_not(serving: Serving, world: World) -> None:
    ana = world.person()
    assert serving.get("users/me/", ana).status_code == 200
    world.erase(ana)
    began = time.monotonic()
    for path in ("users/me/", "feed/home/", "feed/global/", "notifications/"):
        assert_problem(serving.get(path, ana), 401, "unauthenticated")
    assert time.monotonic() - began < CONSISTENCY_WAIT_SECONDS, "nobody waits for someone erased"
    assert_problem(serving.get("feed/global/", uuid4()), 401, "unauthenticated")


def test_someone_who_registered_a_moment_ago_is_waited_for(serving: Serving, world: World) -> None:
    late = world.person()
    world.execute("update profiles.person set created_event = null where user_id = %s", late)

    def arrive() -> None:
        time.sleep(0.1)
        world.execute("update profiles.person set created_event = user_id where user_id = %s", late)

    thread = threading.Thread(target=arrive)
    thread.start()
    assert serving.get("users/me/", late).status_code == 200
    thread.join()


def test_a_read_waits_for_what_it_demands(serving: Serving, world: World) -> None:
    author = world.person()
    post = world.post(author)
    world.advance("posts", "posts", 1, 100)
    world.advance("counters", "posts", 1, 100)
    fresh = serving.get(f"posts/{post}/", headers=serving.demand("posts", 1, 100))
    assert fresh.headers["X-Consistency"] == "fresh"

    began = time.monotonic()
    stale = serving.get(f"posts/{post}/", headers=serving.demand("posts", 1, 101))
    assert (stale.status_code, stale.headers["X-Consistency"]) == (200, "stale")
    assert time.monotonic() - began >= CONSISTENCY_WAIT_SECONDS

    def catch_up() -> None:
        time.sleep(0.1)
        world.advance("posts", "posts", 1, 101)
        time.sleep(0.05)
        world.advance("counters", "posts", 1, 101)

    thread = threading.Thread(target=catch_up)
    thread.start()
    began = time.monotonic()
    waited = serving.get(f"posts/{post}/", headers=serving.demand("posts", 1, 101))
    assert waited.headers["X-Consistency"] == "fresh"
    assert 0.12 < time.monotonic() - began < CONSISTENCY_WAIT_SECONDS
    thread.join()


def test_only_projections_that_the_read_uses_are_waited_for(serving: Serving, world: World) -> None:
    post = world.post(world.person())
    # `notifications` reads engagement too, but a post is not read from it.
    world.advance("counters", "engagement", 0, 7)
    answer = serving.get(f"posts/{post}/", headers=serving.demand("engagement", 0, 7))
    assert answer.headers["X-Consistency"] == "fresh"
    # Nothing of a post is read from the topic `notifications`.
    answer = serving.get(f"posts/{post}/", headers=serving.demand("notifications", 0, 10_000))
    assert answer.headers["X-Consistency"] == "fresh"


def test_a_pending_write_is_stale_and_a_forged_token_refused(serving: Serving, world: World) -> None:
    ana = world.person()
    pending = {"X-Consistency-Token": consistency_token(serving.token_secret, None)}
    assert serving.get("users/me/", ana, headers=pending).headers["X-Consistency"] == "stale"
    for token in (consistency_token(b"x" * 32, None), "!!!", "AAAA"):
        assert_problem(serving.get("users/me/", ana, headers={"X-Consistency-Token": token}), 400, "validation")


def test_a_refusal_also_says_how_fresh_it_is(serving: Serving) -> None:
    answer = serving.get(f"posts/{uuid4()}/", headers=serving.demand("posts", 0, 10_000_000))
    assert (answer.status_code, answer.headers["X-Consistency"]) == (404, "stale")


def test_an_unchanged_page_is_not_sent_again(serving: Serving, world: World) -> None:
    ana = world.person()
    post = world.post(ana)
    first = serving.get("feed/home/", ana, sort="recent")
    again = serving.get("feed/home/", ana, headers={"If-None-Match": first.headers["ETag"]}, sort="recent")
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["X-Consistency"] == "fresh"
    world.like(world.person(), post)
    changed = serving.get("feed/home/", ana, headers={"If-None-Match": first.headers["ETag"]}, sort="recent")
    assert changed.status_code == 200
    assert serving.client.head(f"/api/v1/posts/{post}/").status_code == 200


def test_what_machines_ask(serving: Serving) -> None:
    assert serving.get("/healthz").json() == {"status": "ok"}
    assert serving.get("/readyz").json()["checks"] == {"database": True, "token_key": True, "redis": True}
    assert "rookery_query_requests_total" in serving.get("/metrics").text
    schema = serving.get("query/schema/", format="json").json()
    assert schema["openapi"].startswith("3.1")
    assert {"/api/v1/feed/home/", "/api/v1/notifications/", "/api/v1/posts/{post_id}/"} <= set(schema["paths"])
    assert "/api/v1/feed/home/" in serving.get("/api/docs/").text
    assert httpx.get(f"http://127.0.0.1:{serving.websocket_port}/healthz").json() == {"status": "ok"}
