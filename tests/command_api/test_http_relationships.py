"""Blocks, mutes, private accounts and requests to follow, as a client gets them; with test_http.py's client.

Through Django's test client, on the real servers. Cannot catch: what gunicorn and the gateway add; what readers are
shown (tests/query_api).
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connections

from tests.command_api.test_http import Api, position, problem, publish, register
from tests.command_api.test_http_edits import comment


@pytest.fixture(scope="module")
def ana() -> Api:
    return register("Ana")


@pytest.fixture
def ben() -> Api:
    """Somebody new each time: what stands between two people outlasts a test."""
    return register("Ben")


@pytest.fixture
def cleo() -> Api:
    """Somebody new whose account is private."""
    cleo = register("Cleo")
    assert cleo.patch("users/me/", {"private": True}).json()["private"] is True
    return cleo


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    yield
    connections.close_all()


def path(person: Api, what: str, by: str = "id") -> str:
    return f"users/{person.user[by]}/{what}/"


def block(one: Api, other: Api) -> None:
    assert one.post(path(other, "block")).status_code == 201


# Sets


@pytest.mark.parametrize(("what", "field"), [("block", "blocking"), ("mute", "muting")])
def test_blocks_and_mutes_are_set_and_cleared_by_name_and_by_id(ana: Api, ben: Api, what: str, field: str) -> None:
    by_name, by_id = path(ben, what, "username"), path(ben, what)
    first, again = ana.post(by_name), ana.post(by_id, {})
    assert [first.status_code, again.status_code] == [201, 200]
    assert first.json() == again.json() == {"user_id": ben.user["id"], field: True}
    assert position(first) == position(again) and position(first).topic == "graph"
    cleared = [ana.delete(by_name), ana.delete(by_id)]
    assert [answer.status_code for answer in cleared] == [200, 200]
    assert cleared[0].json() == {"user_id": ben.user["id"], field: False}
    assert position(cleared[0]) == position(cleared[1]) != position(first)
    assert ana.post(by_name).status_code == 201


@pytest.mark.parametrize("what", ["block", "mute"])
def test_what_cannot_be_blocked_or_muted(ana: Api, ben: Api, what: str) -> None:
    for send in (ana.post, ana.delete):
        problem(send(path(ana, what)), 409, "conflict")
        problem(send(path(ana, what, "username")), 409, "conflict")
        for nobody in (uuid4(), "nobody_has_this_name", "not-an-id", "%00", "x" * 200):
            problem(send(f"users/{nobody}/{what}/"), 404, "not-found")
    problem(ana.post(path(ben, what), {"until": "tomorrow"}), 400, "validation", "/until")
    problem(ana.post(path(ben, what), b"[]"), 400, "validation")
    problem(Api().post(path(ben, what)), 401, "unauthenticated")
    problem(Api().delete(path(ben, what)), 401, "unauthenticated")
    problem(ana.send("PUT", path(ben, what), {}), 405, "method-not-allowed")


def test_an_erased_person_is_not_there(ana: Api, ben: Api) -> None:
    from command_api.accounts.erasure import erase

    block(ana, ben)
    erase(UUID(ben.user["id"]))
    for what in ("block", "mute", "follow"):
        problem(ana.post(path(ben, what)), 404, "not-found")
        problem(ana.delete(path(ben, what)), 404, "not-found")
    problem(ben.post(path(ana, "block")), 401, "unauthenticated")


def test_the_same_key_blocks_once(ana: Api, ben: Api) -> None:
    key = {"Idempotency_Key": uuid4().hex}
    first = ana.post(path(ben, "block"), **key)
    assert ana.delete(path(ben, "block")).status_code == 200
    again = ana.post(path(ben, "block"), **key)
    assert (again.status_code, again.content, again["Idempotency-Replayed"]) == (201, first.content, "true")
    assert ana.post(path(ben, "block")).status_code == 201, "the replay has blocked nobody"


# What a block does


@pytest.mark.parametrize("by_author", [True, False], ids=["by the author", "of the author"])
def test_a_blocked_author_s_post_is_not_there(ana: Api, ben: Api, by_author: bool) -> None:
    post = publish(ana)
    said = comment(ana, post)
    liked, kept, passed_on = publish(ana), publish(ana), publish(ana)
    own = comment(ben, liked)
    assert ben.post(f"posts/{liked['id']}/like/").status_code == 201
    assert ben.post(f"posts/{kept['id']}/bookmark/").status_code == 201
    assert ben.post(f"posts/{passed_on['id']}/share/").status_code == 201
    block(*((ana, ben) if by_author else (ben, ana)))
    here = f"posts/{post['id']}/"
    for refused in (
        ben.post(f"{here}like/"),
        ben.delete(f"{here}like/"),
        ben.post(f"{here}bookmark/"),
        ben.delete(f"{here}bookmark/"),
        ben.post(f"{here}share/"),
        ben.post(f"{here}share/", {"content": "so"}),
        ben.delete(f"{here}share/"),
        ben.post(f"{here}comments/", {"content": "so"}),
        ben.post(f"{here}comments/", {"content": "so", "parent_id": said["id"]}),
        ben.post("posts/", {"content": "so", "quote_of": post["id"]}),
        ben.post("posts/", {"content": "so", "reply_to": post["id"]}),
        ben.patch(here, {"content": "so"}),
        ben.delete(here),
        ben.delete(f"comments/{said['id']}/"),
        ben.patch(f"comments/{own['id']}/", {"content": "other"}),
        ben.post(path(ana, "follow")),
        ben.delete(path(ana, "follow")),
        ben.post(path(ana, "mute")),
        ana.post(path(ben, "follow", "username")),
        ana.post(path(ben, "mute")),
    ):
        problem(refused, 404, "not-found")
    for withdrawn in (
        f"posts/{liked['id']}/like/",
        f"posts/{kept['id']}/bookmark/",
        f"posts/{passed_on['id']}/share/",
        f"comments/{own['id']}/",
    ):
        assert ben.delete(withdrawn).status_code == 200
    assert ben.delete(path(ana, "mute")).status_code == 200
    (ana if by_author else ben).delete(path(ben if by_author else ana, "block"))
    assert ben.post(f"{here}like/").status_code == 201


def test_under_others_posts_a_blocked_person_s_comment_is_not_answered(ana: Api, ben: Api) -> None:
    post = publish(register("Dan"))
    said = comment(ana, post)
    answer = comment(ben, post, parent_id=said["id"])
    block(ana, ben)
    problem(ben.post(f"posts/{post['id']}/comments/", {"content": "x", "parent_id": said["id"]}), 404, "not-found")
    problem(ana.post(f"posts/{post['id']}/comments/", {"content": "x", "parent_id": answer["id"]}), 404, "not-found")
    problem(ana.patch(f"comments/{answer['id']}/", {"content": "x"}), 404, "not-found")
    comment(ben, post)


def test_a_block_ends_follows_and_brings_none_back(ana: Api, ben: Api, guards: psycopg.Connection[Any]) -> None:
    assert [ana.post(path(ben, "follow")).status_code, ben.post(path(ana, "follow")).status_code] == [201, 201]
    hidden = publish(ana, visibility="followers")
    assert ben.post(f"posts/{hidden['id']}/like/").status_code == 201
    block(ana, ben)
    assert ana.delete(path(ben, "block")).status_code == 200
    problem(ben.post(f"posts/{hidden['id']}/bookmark/"), 404, "not-found")
    ids = (UUID(ana.user["id"]), UUID(ben.user["id"]))
    follows = "select active, requested from follow where follower_id = any(%s) and followee_id = any(%s)"
    assert guards.execute(follows, ([*ids], [*ids])).fetchall() == [(False, False)] * 2
    assert ben.post(path(ana, "follow")).json() == {"user_id": ana.user["id"], "following": True, "requested": False}


def test_one_who_is_blocked_may_block_in_turn_and_learns_of_no_mute(ana: Api, ben: Api) -> None:
    assert ana.post(path(ben, "mute")).status_code == 201
    assert ben.post(path(ana, "follow")).status_code == 201
    block(ana, ben)
    block(ben, ana)
    assert ana.delete(path(ben, "block")).status_code == 200
    problem(ana.post(path(ben, "follow")), 404, "not-found")
    assert ana.delete(path(ben, "mute")).status_code == 200, "a block does not hold a mute"


def test_names_of_a_blocked_pair_stay_as_they_were_written(ana: Api, ben: Api) -> None:
    block(ana, ben)
    text = f"@{ben.user['username'].upper()} @{ana.user['username'].upper()}"
    read = f"@{ben.user['username'].upper()} @{ana.user['username']}"
    mentions = [{"id": ana.user["id"], "username": ana.user["username"]}]
    post = publish(ana, text)
    said = comment(ana, post, text)
    assert (post["content"], post["mentions"]) == (said["content"], said["mentions"]) == (read, mentions)
    for where in (f"posts/{post['id']}/", f"comments/{said['id']}/"):
        unchanged = ana.patch(where, {"content": text}).json()
        assert (unchanged["edited_at"], unchanged["content"], unchanged["mentions"]) == (None, read, mentions)
        edited = ana.patch(where, {"content": text + "!"}).json()
        assert edited["edited_at"] and (edited["content"], edited["mentions"]) == (read + "!", mentions)
    assert ana.delete(path(ben, "block")).status_code == 200
    assert len(ana.patch(f"posts/{post['id']}/", {"content": text}).json()["mentions"]) == 2


# Private accounts


def test_a_private_account_says_so_wherever_its_owner_is_told(cleo: Api) -> None:
    from tests.command_api.people import PASSWORD

    signed_in = Api().post("auth/login/", {"username": cleo.user["username"], "password": PASSWORD}).json()
    assert signed_in["user"]["private"] is True and cleo.user["private"] is False
    same = cleo.patch("users/me/", {"private": True})
    assert same.json()["private"] is True and position(same) == position(cleo.patch("users/me/", {}))
    assert cleo.patch("users/me/", {"bio": "quiet"}).json()["private"] is True
    assert cleo.patch("users/me/", {"private": False}).json()["private"] is False


def test_following_a_private_account_asks_and_is_answered(ben: Api, cleo: Api) -> None:
    post, mine = publish(cleo), path(cleo, "follow")
    asked, again = ben.post(mine), ben.post(mine)
    assert [asked.status_code, again.status_code] == [201, 200] and position(asked) == position(again)
    waiting = {"user_id": cleo.user["id"], "following": False, "requested": True}
    assert asked.json() == again.json() == waiting
    problem(ben.post(f"posts/{post['id']}/like/"), 404, "not-found")
    request = f"follow-requests/{ben.user['id']}/"
    rejected = cleo.post(f"{request}reject/")
    assert (rejected.status_code, rejected.json()) == (200, {"user_id": ben.user["id"], "approved": False})
    problem(cleo.post(f"{request}approve/"), 404, "not-found")
    assert ben.post(mine).json() == waiting
    approved = cleo.post(f"{request}approve/", {})
    assert (approved.status_code, approved.json()) == (200, {"user_id": ben.user["id"], "approved": True})
    assert position(approved).topic == "graph"
    assert ben.post(mine).json() == {"user_id": cleo.user["id"], "following": True, "requested": False}
    assert ben.post(f"posts/{post['id']}/like/").status_code == 201
    for answer in ("approve", "reject"):
        problem(cleo.post(f"{request}{answer}/"), 404, "not-found")


def test_a_request_is_withdrawn_overtaken_or_ended(ben: Api, cleo: Api) -> None:
    mine, approve = path(cleo, "follow"), f"follow-requests/{ben.user['id']}/approve/"
    assert ben.post(mine).status_code == 201 and ben.delete(mine).json()["requested"] is False
    problem(cleo.post(approve), 404, "not-found")
    assert ben.post(mine).json()["requested"] is True
    block(cleo, ben)
    assert cleo.delete(path(ben, "block")).status_code == 200
    problem(cleo.post(approve), 404, "not-found")
    assert ben.post(mine).json()["requested"] is True
    assert cleo.patch("users/me/", {"private": False}).status_code == 200
    at_once = ben.post(mine)
    assert (at_once.status_code, at_once.json()["following"], at_once.json()["requested"]) == (201, True, False)


def test_what_a_private_account_hides(ana: Api, ben: Api, cleo: Api) -> None:
    """Also from a batch of one that reads the account only as the author of a comment's post."""
    assert cleo.patch("users/me/", {"private": False}).status_code == 200
    post = publish(cleo)
    said, own = comment(cleo, post), comment(ben, post)
    assert ana.post(path(cleo, "follow")).status_code == 201
    assert cleo.patch("users/me/", {"private": True}).status_code == 200
    here = f"posts/{post['id']}/"
    for refused in (
        ben.post(f"{here}like/"),
        ben.post(f"{here}bookmark/"),
        ben.post(f"{here}share/"),
        ben.post(f"{here}comments/", {"content": "so", "parent_id": said["id"]}),
        ben.post("posts/", {"content": "so", "quote_of": post["id"]}),
        ben.delete(f"comments/{said['id']}/"),
        ben.patch(f"comments/{own['id']}/", {"content": "other"}),
    ):
        problem(refused, 404, "not-found")
    assert ana.post(f"{here}like/").status_code == 201, "who followed before follows still"
    problem(ana.delete(f"comments/{said['id']}/"), 403, "forbidden")
    assert ben.delete(f"comments/{own['id']}/").status_code == 200


@pytest.mark.parametrize("answer", ["approve", "reject"])
def test_requests_that_there_are_not(ben: Api, cleo: Api, answer: str) -> None:
    for who in (uuid4(), cleo.user["id"], ben.user["id"], ben.user["username"], "not-an-id"):
        problem(cleo.post(f"follow-requests/{who}/{answer}/"), 404, "not-found")
    assert ben.post(path(cleo, "follow")).status_code == 201
    problem(ben.post(f"follow-requests/{ben.user['id']}/{answer}/"), 404, "not-found")
    problem(ben.post(f"follow-requests/{cleo.user['id']}/{answer}/"), 404, "not-found")
    request = f"follow-requests/{ben.user['id']}/{answer}/"
    problem(cleo.post(request, {"because": "x"}), 400, "validation", "/because")
    problem(Api().post(request), 401, "unauthenticated")
    problem(cleo.delete(request), 405, "method-not-allowed")
    assert cleo.post(request).status_code == 200


def test_the_addresses_are_described() -> None:
    paths = Api().send("GET", "command/schema/").json()["paths"]
    found = {name.removeprefix("/api/v1/"): set(what) & {"post", "delete"} for name, what in paths.items()}
    assert found["users/{person}/block/"] == found["users/{person}/mute/"] == {"post", "delete"}
    assert found["follow-requests/{follower_id}/approve/"] == found["follow-requests/{follower_id}/reject/"] == {"post"}
    described = paths["/api/v1/follow-requests/{follower_id}/approve/"]["post"]
    assert set(described["responses"]) == {"200", "202", "404"} and "pending" in described["description"]
