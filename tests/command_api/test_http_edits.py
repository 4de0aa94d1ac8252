"""Editing, deleting and keeping, as a client gets them; beside test_http.py, whose client this uses.

Through Django's test client, on the real servers. Cannot catch: what gunicorn and the gateway add.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connections

from tests.command_api.test_http import Api, position, problem, publish, register


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


def comment(api: Api, post: dict[str, Any], content: str = "so", **fields: Any) -> dict[str, Any]:
    answer = api.post(f"posts/{post['id']}/comments/", {"content": content, **fields})
    assert answer.status_code == 201, answer.content
    body: dict[str, Any] = answer.json()
    return body


def test_a_post_is_edited(ana: Api, ben: Api) -> None:
    post = publish(ana, "first")
    name = ben.user["username"]
    path = f"posts/{post['id']}/"
    answer = ana.patch(path, {"content": f"second @{name} #One", "hashtags": ["two"]})
    body = answer.json()
    assert answer.status_code == 200 and position(answer).topic == "posts"
    assert (body["content"], body["hashtags"]) == (f"second @{name} #One", ["one", "two"])
    assert body["mentions"] == [{"id": ben.user["id"], "username": name}]
    assert body["edited_at"] > body["created_at"] == post["created_at"]
    again = ana.patch(path, {"content": f"second @{name} #One", "hashtags": ["two"]})
    assert (again.status_code, again.json()["edited_at"], position(again)) == (200, None, position(answer))
    assert again.json()["mentions"] == body["mentions"]
    back = ana.patch(path, {"content": "first"})
    assert back.json()["edited_at"] and position(back) != position(answer)


def test_an_edit_is_answered_once_for_its_key(ana: Api) -> None:
    path, key = f"posts/{publish(ana)['id']}/", {"Idempotency_Key": uuid4().hex}
    first = ana.patch(path, {"content": "edited"}, **key)
    again = ana.patch(path, {"content": "edited"}, **key)
    assert again.content == first.content and again["Idempotency-Replayed"] == "true"
    problem(ana.patch(path, {"content": "otherwise"}, **key), 422, "idempotency-key-reused")


def test_what_an_edit_may_not_be(ana: Api, ben: Api) -> None:
    post, hidden = publish(ana), publish(ana, visibility="private")
    problem(ben.patch(f"posts/{post['id']}/", {"content": "mine"}), 403, "forbidden")
    problem(ben.patch(f"posts/{hidden['id']}/", {"content": "mine"}), 404, "not-found")
    problem(ana.patch(f"posts/{uuid4()}/", {"content": "x"}), 404, "not-found")
    problem(Api().patch(f"posts/{post['id']}/", {"content": "x"}), 401, "unauthenticated")
    for body, pointer in (
        ({}, "/content"),
        ({"content": ""}, "/content"),
        ({"content": "x" * 5001}, "/content"),
        ({"content": "x", "visibility": "public"}, "/visibility"),
        ({"content": "x", "hashtags": ["two words"]}, "/hashtags/0"),
    ):
        problem(ana.patch(f"posts/{post['id']}/", body), 400, "validation", pointer)


def test_a_comment_is_edited_and_deleted_by_its_author(ana: Api, ben: Api) -> None:
    post = publish(ana)
    first = comment(ben, post)
    path = f"comments/{first['id']}/"
    reply = comment(ana, post, parent_id=first["id"])
    edited = ben.patch(path, {"content": "so, then"})
    assert edited.status_code == 200 and edited.json()["content"] == "so, then" and edited.json()["edited_at"]
    assert ben.patch(path, {"content": "so, then"}).json()["edited_at"] is None
    problem(ana.patch(path, {"content": "mine"}), 403, "forbidden")
    problem(ana.delete(path), 403, "forbidden")
    problem(ben.patch(path, {"content": "x" * 2001}), 400, "validation", "/content")
    deleted = ben.delete(path)
    assert deleted.status_code == 200 and deleted.json() == {"id": first["id"], "deleted": True}
    assert position(ben.delete(path)) == position(deleted)
    problem(ben.patch(path, {"content": "back"}), 404, "not-found")
    problem(ana.delete(path), 404, "not-found")
    problem(ana.post(f"posts/{post['id']}/comments/", {"content": "x", "parent_id": first["id"]}), 404, "not-found")
    assert ana.patch(f"comments/{reply['id']}/", {"content": "still here"}).status_code == 200
    problem(ben.delete(f"comments/{uuid4()}/"), 404, "not-found")


def test_bookmarks_are_set_and_cleared(ana: Api, ben: Api) -> None:
    post = publish(ana)
    path = f"posts/{post['id']}/bookmark/"
    first, same = ben.post(path), ben.post(path, {})
    assert [first.status_code, same.status_code] == [201, 200] and position(first) == position(same)
    assert first.json() == {"post_id": post["id"], "bookmarked": True} and position(first).topic == "engagement"
    assert ana.delete(f"posts/{post['id']}/").status_code == 200
    problem(ana.post(path), 404, "not-found")
    cleared = [ben.delete(path), ben.delete(path)]
    assert [answer.status_code for answer in cleared] == [200, 200] and not cleared[0].json()["bookmarked"]
    assert position(cleared[0]) == position(cleared[1])
    hidden = publish(ana, visibility="private")
    problem(ben.post(f"posts/{hidden['id']}/bookmark/"), 404, "not-found")
    problem(ben.delete(f"posts/{hidden['id']}/bookmark/"), 404, "not-found")


def test_shares_are_set_and_withdrawn_and_each_has_its_own_id(ana: Api, ben: Api) -> None:
    post = publish(ana)
    path = f"posts/{post['id']}/share/"
    first, same = ben.post(path), ben.post(path, {})
    assert [first.status_code, same.status_code] == [201, 200] and position(first) == position(same)
    assert first.json() == same.json() == {"post_id": post["id"], "shared": True, "share_id": first.json()["share_id"]}
    assert position(first).topic == "engagement"
    gone = [ben.delete(path), ben.delete(path)]
    assert [answer.status_code for answer in gone] == [200, 200] and position(gone[0]) == position(gone[1])
    assert gone[0].json() == {"post_id": post["id"], "shared": False, "share_id": None}
    again = ben.post(path)
    assert again.status_code == 201 and again.json()["share_id"] > first.json()["share_id"]
    assert ana.post(path).status_code == 201, "one's own post, too"
    problem(ben.post(path, {"reaction": "like"}), 400, "validation")
    problem(ben.post(path, {"content": 5}), 400, "validation")
    hidden = publish(ana, visibility="private")
    problem(ben.post(f"posts/{hidden['id']}/share/"), 404, "not-found")
    problem(ben.delete(f"posts/{hidden['id']}/share/"), 404, "not-found")
    assert ana.delete(f"posts/{post['id']}/").status_code == 200
    problem(ben.delete(path), 404, "not-found")


def test_a_share_with_a_text_is_a_quote(ana: Api, ben: Api) -> None:
    post = publish(ana)
    path = f"posts/{post['id']}/share/"
    quote = ben.post(path, {"content": "well said #rooks"})
    assert quote.status_code == 201 and position(quote).topic == "posts"
    assert quote.json()["quote_of"] == post["id"] and quote.json()["hashtags"] == ["rooks"]
    assert quote.json()["author"]["id"] == ben.user["id"]
    assert ben.post(path).status_code == 201, "a quote is no share"
    problem(ben.post(path, {"content": " "}), 400, "validation", "/content")
    problem(ben.post(path, {"content": "x" * 5_001}), 400, "validation", "/content")
    hidden = publish(ana, visibility="private")
    problem(ben.post(f"posts/{hidden['id']}/share/", {"content": "look"}), 404, "not-found")


def test_a_profile_is_edited_and_every_answer_says_so() -> None:
    cleo = register("Cleo")
    answer = cleo.patch("users/me/", {"display_name": "Cleo B.", "bio": "rooks", "language": "de"})
    assert answer.status_code == 200 and position(answer).topic == "accounts"
    assert (answer.json()["display_name"], answer.json()["bio"]) == ("Cleo B.", "rooks")
    assert cleo.patch("users/me/", {"bio": ""}).json()["display_name"] == "Cleo B."
    assert publish(cleo)["author"]["display_name"] == "Cleo B."
    unchanged = cleo.patch("users/me/", {})
    assert unchanged.status_code == 200 and unchanged.json()["bio"] == ""


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"display_name": ""}, "/display_name"),
        ({"display_name": "x" * 81}, "/display_name"),
        ({"display_name": None}, "/display_name"),
        ({"bio": "x" * 501}, "/bio"),
        ({"bio": 5}, "/bio"),
        ({"language": "e"}, "/language"),
        ({"private": "yes"}, "/private"),
        ({"avatar_media_id": str(uuid4())}, "/avatar_media_id"),
        ({"username": "other"}, "/username"),
    ],
)
def test_what_a_profile_may_not_be(ana: Api, body: dict[str, Any], pointer: str) -> None:
    problem(ana.patch("users/me/", body), 400, "validation", pointer)


def test_guards_forget_the_texts_of_an_erased_person(guards: psycopg.Connection[Any], ben: Api) -> None:
    from command_api.accounts.erasure import erase

    dan = register("Dan")
    post = publish(dan, f"@{ben.user['username']}")
    comment(dan, post, f"@{ben.user['username']}")
    statement = "select digest, mentioned_ids from {} where author_id = %s"
    user_id = UUID(dan.user["id"])
    for table in ("post", "comment"):
        digest, mentioned = guards.execute(statement.format(table).encode(), (user_id,)).fetchone() or ("", [])
        assert len(digest) == 64 and mentioned == [UUID(ben.user["id"])]
    erase(user_id)
    for table in ("post", "comment"):
        assert guards.execute(statement.format(table).encode(), (user_id,)).fetchone() == ("", [])
