"""The contract's answers, as a client gets them: shapes, statuses, tokens, problems.

Through Django's test client, on the real servers. Cannot catch: what gunicorn and the gateway add.
"""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import jwt
import psycopg
import pytest
import redis
from django.db import connections
from django.test import Client

from shared.environment import Environment, environment
from shared.tokens import read_consistency_token
from tests.command_api.people import PASSWORD, username

API = "/api/v1/"


class Api:
    """A client of the API, for one person or for nobody."""

    def __init__(self, access: str | None = None) -> None:
        self.client = Client(SERVER_NAME="localhost", raise_request_exception=False)
        self.headers = {"Authorization": f"Bearer {access}"} if access else {}
        self.user: dict[str, Any] = {}
        self.refresh = ""

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        address = path if path.startswith("/") else API + path
        sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        content_type = sent.pop("Content-Type", "application/json")
        return self.client.generic(method, address, data, content_type=content_type, headers=sent)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.send("POST", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.send("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self.send("DELETE", path, **headers)


def register(display_name: str = "Somebody") -> Api:
    name = username()
    body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD, "display_name": display_name}
    answer = Api().post("auth/register/", body)
    assert answer.status_code == 201, answer.content
    api = Api(answer.json()["access"])
    api.user, api.refresh = answer.json()["user"], answer.json()["refresh"]
    return api


@pytest.fixture(scope="module")
def ana() -> Api:
    return register("Ana")


@pytest.fixture(scope="module")
def ben() -> Api:
    return register("Ben")


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    yield
    connections.close_all()


def problem(answer: Any, status: int, kind: str, pointer: str | None = None) -> dict[str, Any]:
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "errors", "trace_id"}
    assert body["type"] == f"urn:rookery:problem:{kind}" and body["status"] == status
    if pointer is not None:
        assert pointer in [error["pointer"] for error in body["errors"]], body
    return body


def position(answer: Any) -> Any:
    return read_consistency_token(bytes.fromhex(environment().secrets["token_secret"]), answer["X-Consistency-Token"])


def publish(api: Api, content: str = "hello", **fields: Any) -> dict[str, Any]:
    answer = api.post("posts/", {"content": content, **fields})
    assert answer.status_code == 201, answer.content
    body: dict[str, Any] = answer.json()
    return body


# Accounts


def test_registering_answers_tokens_and_a_profile(ana: Api) -> None:
    assert set(ana.user) == {*("id", "username", "display_name", "bio", "avatar", "private", "created_at", "viewer")}
    assert ana.user["display_name"] == "Ana"


def test_the_write_side_tells_no_counts_that_it_does_not_know(ben: Api) -> None:
    """They would be 0 whatever is so: GET users/me/ has them."""
    follower = register("Follower")
    assert follower.post(f"users/{ben.user['id']}/follow/").status_code == 201
    body = {"username": follower.user["username"], "password": PASSWORD}
    signed_in = Api().post("auth/login/", body).json()["user"]
    edited = follower.patch("users/me/", {"bio": "counts follows"}).json()
    assert "counts" not in signed_in and "counts" not in edited and "counts" not in follower.user


def test_names_and_addresses_are_taken_once_whatever_their_case() -> None:
    name = username()
    body = {"username": name.upper(), "email": f"{name}@Example.org", "password": PASSWORD}
    assert Api().post("auth/register/", body).json()["user"]["username"] == name
    problem(Api().post("auth/register/", {**body, "email": "other@example.org"}), 409, "conflict", "/username")
    other = {**body, "username": username(), "email": f"{name}@EXAMPLE.ORG"}
    problem(Api().post("auth/register/", other), 409, "conflict", "/email")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"username": "ab"}, "/username"),
        ({"username": "a b c"}, "/username"),
        ({"username": 12345}, "/username"),
        ({"email": "nobody"}, "/email"),
        ({"password": "short"}, "/password"),
        ({"password": "password123"}, "/password"),
        ({"password_confirm": "something else"}, "/password_confirm"),
        ({"display_name": "x" * 81}, "/display_name"),
        ({"is_staff": True}, "/is_staff"),
        ({"a/b~c": 1}, "/a~1b~0c"),
    ],
)
def test_what_a_registration_may_not_be(change: dict[str, Any], pointer: str) -> None:
    name = username()
    body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD, **change}
    problem(Api().post("auth/register/", body), 400, "validation", pointer)


def test_a_registration_cut_short_is_finished_by_registering_or_signing_in_again() -> None:
    from command_api.accounts.passwords import hash_password
    from command_api.vault import people
    from command_api.vault.people import Credentials
    from shared import clock, ids

    for way in ("auth/register/", "auth/login/"):
        name, now = username(), clock.now()
        person = Credentials(ids.mint(now), name, f"{name}@example.org", name, hash_password(PASSWORD), now)
        people.add(person)  # the process dies here
        body = {"username": name, "password": PASSWORD}
        if way == "auth/register/":
            body["email"] = person.email
            problem(Api().post(way, {**body, "password": PASSWORD + "!"}), 409, "conflict")
        answer = Api().post(way, body)
        assert answer.status_code in (200, 201), answer.content
        assert answer.json()["user"]["id"] == str(person.user_id) and position(answer)
        assert Api(answer.json()["access"]).post("posts/", {"content": "here"}).status_code == 201


def test_signing_in_by_name_and_by_address(ana: Api) -> None:
    name = ana.user["username"]
    for body in ({"username": name.upper()}, {"username": f"{name}@example.org"}, {"email": f"{name}@example.org"}):
        for path in ("auth/login/", "auth/token/"):
            answer = Api().post(path, {**body, "password": PASSWORD})
            assert answer.status_code == 200 and answer.json()["user"]["id"] == ana.user["id"]
            assert answer.json()["token_type"] == "Bearer" and answer.json()["expires_in"] == 900


def test_who_does_not_know_the_password_learns_nothing(ana: Api) -> None:
    wrong = Api().post("auth/login/", {"username": ana.user["username"], "password": "not the password"})
    nobody = Api().post("auth/login/", {"username": username(), "password": "not the password"})
    bodies = [problem(answer, 401, "unauthenticated") for answer in (wrong, nobody)]
    assert bodies[0]["detail"] == bodies[1]["detail"] and wrong["WWW-Authenticate"] == "Bearer"


def test_access_tokens_verify_with_the_published_key(ana: Api) -> None:
    keys = jwt.PyJWKSet.from_dict(Api().send("GET", "/.well-known/jwks.json").json())
    access = ana.headers["Authorization"].partition(" ")[2]
    key = next(key for key in keys.keys if key.key_id == jwt.get_unverified_header(access)["kid"])
    claims = jwt.decode(access, key.key, algorithms=["EdDSA"], issuer="rookery")
    assert claims["sub"] == ana.user["id"] and claims["exp"] - claims["iat"] == 900 and claims["roles"] == []


def test_a_refresh_token_is_spent_once_and_its_reuse_ends_the_family() -> None:
    first = register().refresh
    second = Api().post("auth/refresh/", {"refresh": first})
    assert second.status_code == 200 and second.json()["refresh"] != first
    third = Api().post("auth/token/refresh/", {"refresh": second.json()["refresh"]}).json()["refresh"]
    problem(Api().post("auth/refresh/", {"refresh": first}), 401, "unauthenticated")
    problem(Api().post("auth/refresh/", {"refresh": third}), 401, "unauthenticated")


def test_of_two_exchanges_at_once_one_is_the_second() -> None:
    refresh = register().refresh

    def exchange(_: int) -> int:
        try:
            return int(Api().post("auth/refresh/", {"refresh": refresh}).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(exchange, range(6))) == [200, 401, 401, 401, 401, 401]


def test_signing_out_ends_the_family() -> None:
    refresh = register().refresh
    assert Api().post("auth/logout/", {"refresh": refresh}).status_code == 204
    assert Api().post("auth/logout/", {"refresh": "nobody's"}).status_code == 204
    problem(Api().post("auth/refresh/", {"refresh": refresh}), 401, "unauthenticated")


def test_a_ticket_stands_for_a_person_for_half_a_minute(ana: Api, command_side: Environment) -> None:
    import hashlib

    answer = ana.post("ws-tickets/")
    assert answer.status_code == 201 and answer.json()["expires_in"] == 30
    key = f"ticket:{hashlib.sha256(answer.json()['ticket'].encode()).hexdigest()}"
    with redis.Redis.from_url(command_side.redis_url) as client:
        assert 0 < client.ttl(key) <= 30
        assert client.getdel(key) == UUID(ana.user["id"]).hex.encode()


def test_nobody_and_the_erased_get_no_ticket(ana: Api) -> None:
    from command_api.accounts.erasure import erase

    gone = register()
    erase(UUID(gone.user["id"]))
    for api in (gone, Api(_token(ana, sub=str(uuid4())))):
        problem(api.post("ws-tickets/"), 401, "unauthenticated")


# Writing


def test_a_post_has_the_contract_s_shape_and_its_position(ana: Api, ben: Api) -> None:
    content = f"hello @{ben.user['username']} #Rookery\n"
    answer = ana.post("posts/", {"content": content, "language": "en", "hashtags": ["Kafka"]})
    assert answer.status_code == 201
    body = answer.json()
    fields = {name: ana.user[name] for name in ("id", "username", "display_name", "avatar")}
    assert body["author"] == fields and body["content"] == content and body["hashtags"] == ["rookery", "kafka"]
    assert body["mentions"] == [{"id": ben.user["id"], "username": ben.user["username"]}]
    assert body["counts"] == {"likes": 0, "comments": 0, "shares": 0, "quotes": 0, "reactions": {}}
    assert body["viewer"] == {"liked": None, "shared": False, "bookmarked": False}
    assert (body["media"], body["reply_to"], body["quote_of"], body["edited_at"]) == ([], None, None, None)
    assert position(answer).topic == "posts"


def test_a_comment_and_an_answer_to_it(ana: Api, ben: Api) -> None:
    post = publish(ana)
    comment = ben.post(f"posts/{post['id']}/comments/", {"content": "so"})
    assert comment.status_code == 201 and comment.json()["post_id"] == post["id"]
    answer = ana.post(f"posts/{post['id'].upper()}/comments/", {"content": "and", "parent_id": comment.json()["id"]})
    assert answer.json()["parent_id"] == comment.json()["id"]
    assert set(answer.json()) == {
        *("id", "post_id", "parent_id", "author", "content", "mentions", "created_at", "edited_at", "counts", "viewer")
    }


def test_texts_are_answered_as_they_will_be_read(ana: Api, ben: Api) -> None:
    name = ben.user["username"]
    sent, read = {"content": f"@{name.upper()}, @NOBODY_IS_THIS"}, f"@{name}, @NOBODY_IS_THIS"
    post = ana.post("posts/", sent).json()
    assert post["content"] == read
    assert ana.post(f"posts/{post['id']}/comments/", sent).json()["content"] == read


def test_reactions_are_set_and_cleared(ana: Api, ben: Api) -> None:
    path = f"posts/{publish(ana)['id']}/like/"
    first, same, other = ben.post(path), ben.post(path, {}), ben.post(path, {"reaction": "love"})
    assert [answer.status_code for answer in (first, same, other)] == [201, 200, 201]
    assert position(same) == position(first) != position(other)
    assert other.json()["reaction"] == "love"
    cleared = [ben.delete(path), ben.delete(path)]
    assert [answer.status_code for answer in cleared] == [200, 200] and cleared[0].json()["reaction"] is None
    assert position(cleared[0]) == position(cleared[1])


def test_follows_by_name_and_by_id(ana: Api, ben: Api) -> None:
    by_name, by_id = f"users/{ben.user['username']}/follow/", f"users/{ben.user['id']}/follow/"
    assert [ana.post(by_name).status_code, ana.post(by_id).status_code] == [201, 200]
    assert ana.post(by_name).json() == {"user_id": ben.user["id"], "following": True, "requested": False}
    assert ana.delete(by_id).status_code == 200
    problem(ana.post(f"users/{ana.user['username']}/follow/"), 409, "conflict")
    problem(ana.post("users/nobody_has_this_name/follow/"), 404, "not-found")
    problem(ana.post(f"users/{uuid4()}/follow/"), 404, "not-found")


def test_notifications_are_read(ana: Api) -> None:
    one = ana.post(f"notifications/{uuid4()}/read/")
    everything = ana.post("notifications/read-all/")
    assert [one.status_code, everything.status_code] == [200, 200]
    assert position(everything).topic == "notifications" and UUID(everything.json()["up_to"]).version == 7


def test_deleting(ana: Api, ben: Api) -> None:
    post, hidden = publish(ana), publish(ana, visibility="private")
    problem(ben.delete(f"posts/{post['id']}/"), 403, "forbidden")
    problem(ben.delete(f"posts/{hidden['id']}/"), 404, "not-found")
    assert ana.delete(f"posts/{post['id']}/").status_code == 200
    problem(ben.post(f"posts/{post['id']}/comments/", {"content": "so"}), 404, "not-found")
    problem(ben.post(f"posts/{post['id']}/like/"), 404, "not-found")
    problem(ana.post("posts/", {"content": "so", "quote_of": post["id"]}), 404, "not-found")


# Idempotency


@pytest.mark.parametrize("header", ["Idempotency_Key", "X_Idempotency_Key"])
def test_the_same_request_again_gets_the_same_bytes(ana: Api, header: str) -> None:
    key = {header: uuid4().hex}
    first = ana.post("posts/", {"content": "once", "visibility": "public"}, **key)
    again = ana.post("posts/", b'{"visibility":"public",   "content":"once"}', **key)
    assert (again.status_code, again.content) == (201, first.content)
    assert "Idempotency-Replayed" not in first and again["Idempotency-Replayed"] == "true"
    assert position(again) == position(first)
    problem(ana.post("posts/", {"content": "twice"}, **key), 422, "idempotency-key-reused")
    problem(ana.post(f"posts/{first.json()['id']}/like/", {}, **key), 422, "idempotency-key-reused")


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "ü"])
def test_what_a_key_may_not_be(ana: Api, key: str) -> None:
    problem(ana.post("posts/", {"content": "x"}, Idempotency_Key=key), 400, "validation")


# Refusals


@pytest.mark.parametrize(
    "body", [b"{", b"", b"[]", b'"text"', b"null", b'{"content": NaN}', b'{"content": "\\ud800"}', b"\xff"]
)
def test_bodies_that_are_not_an_object(ana: Api, body: bytes) -> None:
    problem(ana.post("posts/", body), 400, "validation")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/content"),
        ({"content": None}, "/content"),
        ({"content": 5}, "/content"),
        ({"content": True}, "/content"),
        ({"content": ["x"]}, "/content"),
        ({"content": " \n"}, "/content"),
        ({"content": "x" * 5001}, "/content"),
        ({"content": "a\x00b"}, "/content"),
        ({"content": f"<@{uuid4()}>"}, "/content"),
        ({"content": "x", "visibility": "secret"}, "/visibility"),
        ({"content": "x", "visibility": 1}, "/visibility"),
        ({"content": "x", "language": "e"}, "/language"),
        ({"content": "x", "reply_to": 7}, "/reply_to"),
        ({"content": "x", "reply_to": "7"}, "/reply_to"),
        ({"content": "x", "media_ids": "x"}, "/media_ids"),
        ({"content": "x", "media_ids": ["x"]}, "/media_ids/0"),
        ({"content": "x", "media_ids": [str(uuid4())]}, "/media_ids/0"),
        ({"content": "x", "hashtags": ["two words"]}, "/hashtags/0"),
        ({"content": "x", "author_id": str(uuid4())}, "/author_id"),
    ],
)
def test_fields_that_are_wrong_are_pointed_at(ana: Api, body: dict[str, Any], pointer: str) -> None:
    problem(ana.post("posts/", body), 400, "validation", pointer)


def test_a_deep_or_a_large_body_is_no_accident(ana: Api) -> None:
    problem(ana.post("posts/", b'{"content":' + b"[" * 3_000 + b"]" * 3_000 + b"}"), 400, "validation")
    problem(ana.post("posts/", b'{"content":"' + b"x" * 1_100_000 + b'"}'), 413, "too-large")


@pytest.mark.parametrize("field", ["media_ids", "hashtags"])
def test_long_lists_are_measured_before_their_items(ana: Api, field: str) -> None:
    body = b'{"content":"x","%s":[%s]}' % (field.encode(), b",".join([b"0"] * 300_000))
    begun = time.monotonic()
    refused = problem(ana.post("posts/", body), 400, "validation", f"/{field}")
    assert len(refused["errors"]) == 1 and time.monotonic() - begun < 2


def test_an_answer_names_some_of_many_errors(ana: Api) -> None:
    answer = ana.post("posts/", {"content": "x", **{f"unknown{number}": 0 for number in range(10_000)}})
    assert len(problem(answer, 400, "validation")["errors"]) == 50


def test_names_that_nobody_can_have(ana: Api) -> None:
    for name in ("%00", "a%00b", "%ff", "%F0%9F%90%A6", "x" * 3_000):
        problem(ana.post(f"users/{name}/follow/"), 404, "not-found")


def test_addresses_methods_and_types_that_there_are_not(ana: Api) -> None:
    problem(ana.send("GET", "nothing/"), 404, "not-found")
    problem(ana.post("posts/not-an-id/like/"), 404, "not-found")
    refused = ana.send("PUT", "posts/", {})
    problem(refused, 405, "method-not-allowed")
    assert "POST" in refused["Allow"]
    problem(
        ana.post("posts/", b"content=x", Content_Type="application/x-www-form-urlencoded"),
        415,
        "unsupported-media-type",
    )
    assert ana.post("posts/", {"content": "x"}, Content_Type="application/json; charset=utf-8").status_code == 201


def test_the_caller_s_trace_is_named(ana: Api) -> None:
    trace = uuid4().hex
    answer = ana.send("GET", "nothing/", traceparent=f"00-{trace}-{'1' * 16}-01")
    assert answer.json()["trace_id"] == trace


def _token(ana: Api, **changes: Any) -> str:
    from command_api.accounts.access_tokens import _keys

    claims = jwt.decode(ana.headers["Authorization"].partition(" ")[2], options={"verify_signature": False}) | changes
    return jwt.encode(claims, _keys().private, "EdDSA")


def test_tokens_that_are_missing_over_or_not_ours(ana: Api) -> None:
    body = {"content": "x"}
    assert Api(_token(ana)).post("posts/", body).status_code == 201
    over = Api(_token(ana, exp=int(time.time()) - 1)).post("posts/", body)
    assert "over" in problem(over, 401, "unauthenticated")["detail"]
    for api in (Api(), Api("nonsense"), Api(_token(ana, iss="somebody")), Api(_token(ana, sub="not an id"))):
        assert problem(api.post("posts/", body), 401, "unauthenticated") and over["WWW-Authenticate"] == "Bearer"
    unsigned = jwt.encode({"sub": ana.user["id"]}, "", "none")
    problem(Api(unsigned).post("posts/", body), 401, "unauthenticated")
    problem(Api(_token(ana, sub=str(uuid4()))).post("posts/", body), 401, "unauthenticated")
    problem(Api().send("POST", "posts/", body, Authorization="Basic YTpi"), 401, "unauthenticated")


def test_the_schema_lists_every_address() -> None:
    schema = Api().send("GET", "command/schema/").json()
    assert schema["openapi"].startswith("3.1")
    assert {f"{API}posts/", f"{API}auth/login/", f"{API}users/{{person}}/follow/"} <= set(schema["paths"])


def test_a_server_that_does_not_answer_is_no_accident() -> None:
    from django.test import RequestFactory

    from command_api.web.problems import problem as document
    from command_api.web.problems import server_error

    request = RequestFactory().get("/metrics")
    for error in (redis.TimeoutError(), psycopg.InterfaceError(), psycopg.OperationalError()):
        answer = document(error, request)
        assert answer.status_code == 503 and answer["Retry-After"] == "1"
        try:
            raise error
        except type(error):
            assert server_error(request).status_code == 503
    assert server_error(request).status_code == 500


def test_operators_questions() -> None:
    assert Api().send("GET", "/healthz").json() == {"status": "ok"}
    assert Api().send("GET", "/readyz").status_code == 200
    assert b"rookery_outbox_unacknowledged" in Api().send("GET", "/metrics").content
