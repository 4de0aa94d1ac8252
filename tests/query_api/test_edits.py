"""What was edited, deleted, kept and liked, and who follows whom, over HTTP: who is shown what, in which order."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.query_api.serving import Serving
from tests.query_api.world import World


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [each["id"] for each in items]


def all_pages(
    serving: Serving, path: str, viewer: UUID | None = None, limit: int = 2, **query: Any
) -> list[dict[str, Any]]:
    answer = serving.get(path, viewer, None, limit=limit, **query)
    found: list[dict[str, Any]] = answer.json()["items"]
    while answer.json()["next"]:
        answer = serving.follow_next(answer, viewer)
        found += answer.json()["items"]
    return found


def test_an_edited_post_says_when_and_keeps_its_versions(serving: Serving, world: World) -> None:
    ana, ben = world.person(), world.person("ben_edits")
    post = world.post(ana, "first")
    world.version(post, "first", edit=False)
    assert serving.get(f"posts/{post}/").json()["edited_at"] is None
    second = world.version(post, f"second <@{ben}>", [ben])
    third = world.version(post, "third")
    quoting = world.post(ben, "look", quote_of=post)
    shape = serving.get(f"posts/{post}/").json()
    assert shape["content"] == "third" and shape["edited_at"] > shape["created_at"]
    assert serving.get(f"posts/{quoting}/").json()["quoted_post"]["edited_at"] == shape["edited_at"]
    history = all_pages(serving, f"posts/{post}/history/")
    assert ids(history) == [str(third), str(second), str(post)]
    assert [each["content"] for each in history] == ["third", "second @ben_edits", "first"]
    assert history[1]["mentions"] == [{"id": str(ben), "username": "ben_edits"}]
    assert history[0]["written_at"] == shape["edited_at"] and history[2]["written_at"] == shape["created_at"]


def test_a_history_is_for_who_may_read_the_post(serving: Serving, world: World) -> None:
    ana, ben = world.person(), world.person()
    post = world.post(ana, visibility="followers")
    world.version(post, "hello", edit=False)
    for path in (f"posts/{post}/history/", f"posts/{post}/likes/"):
        assert serving.get(path, ana).status_code == 200
        assert serving.get(path, ben).status_code == serving.get(path).status_code == 404
    world.follow(ben, ana)
    assert serving.get(f"posts/{post}/history/", ben).status_code == 200
    world.delete_post(post)
    assert serving.get(f"posts/{post}/history/", ana).status_code == 404
    assert serving.get(f"posts/{uuid4()}/history/").status_code == 404


def test_a_deleted_comment_shows_as_removed_above_what_answers_it_and_else_not_at_all(
    serving: Serving, world: World
) -> None:
    ana = world.person()
    post = world.post(ana)
    root = world.comment(post, ana)
    middle = world.comment(post, ana, parent_id=root)
    lower = world.comment(post, ana, parent_id=middle)
    leaf = world.comment(post, ana, parent_id=lower)
    alone = world.comment(post, ana)
    for each in (middle, lower, alone):
        world.delete_comment(each)

    def tree() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = serving.get(f"posts/{post}/comments/", tree=1).json()["items"]
        return items

    (shown,) = tree()
    assert shown["id"] == str(root) and shown["counts"]["replies"] == 0
    (removed,) = shown["replies"]
    assert (removed["id"], removed["removed"], "content" in removed) == (str(middle), True, False)
    assert ids(removed["replies"]) == [str(lower)] and ids(removed["replies"][0]["replies"]) == [str(leaf)]
    assert ids(serving.get(f"posts/{post}/comments/").json()["items"]) == [str(each) for each in (
        root, middle, lower, leaf
    )]  # fmt: skip
    assert serving.get(f"comments/{middle}/").json() == {
        "id": str(middle), "post_id": str(post), "parent_id": str(root), "removed": True
    }  # fmt: skip
    assert ids(serving.get(f"comments/{middle}/replies/").json()["items"]) == [str(lower)]
    assert serving.get(f"comments/{alone}/").status_code == 404
    assert serving.get(f"posts/{post}/").json()["counts"]["comments"] == 2
    # Nothing is left that would hang on the removed ones.
    world.delete_comment(leaf)
    assert tree()[0]["replies"] == []
    assert serving.get(f"comments/{middle}/").status_code == 404
    world.delete_comment(root)
    assert tree() == []


def test_a_deleted_root_stays_in_its_place(serving: Serving, world: World) -> None:
    ana = world.person()
    post = world.post(ana)
    roots = [world.comment(post, ana) for _ in range(3)]
    reply = world.comment(post, ana, parent_id=roots[1])
    world.delete_comment(roots[1])
    trees = all_pages(serving, f"posts/{post}/comments/", limit=1, tree=1)
    assert ids(trees) == [str(each) for each in roots]
    assert [each.get("removed", False) for each in trees] == [False, True, False]
    assert ids(trees[1]["replies"]) == [str(reply)]


def test_an_edited_comment_says_when(serving: Serving, world: World) -> None:
    ana = world.person()
    comment = world.comment(world.post(ana), ana)
    assert serving.get(f"comments/{comment}/").json()["edited_at"] is None
    world.edit_comment(comment, "mended")
    shape = serving.get(f"comments/{comment}/").json()
    assert shape["content"] == "mended" and shape["edited_at"] > shape["created_at"]


def test_bookmarks_are_ones_own_newest_first_and_say_what_is_not_available(serving: Serving, world: World) -> None:
    ana, ben, erased = world.person(), world.person(), world.person()
    posts = [world.post(ana, str(nth)) for nth in range(3)]
    deleted, hidden, lost = world.post(ana), world.post(ana, visibility="private"), world.post(erased)
    last = world.tick()  # a post that is not here yet
    for post in (*posts, deleted, hidden, lost, last):
        world.bookmark(ben, post)
    world.bookmark(ben, posts[0])  # kept anew, so that it comes first
    world.bookmark(ben, posts[1], active=False)
    world.delete_post(deleted)
    world.erase(erased)
    found = all_pages(serving, "bookmarks/", ben)
    assert ids(found) == [str(each) for each in (posts[0], last, lost, hidden, deleted, posts[2])]
    assert [each.get("available", True) for each in found] == [True, False, False, False, False, True]
    assert found[1] == {"id": str(last), "available": False}
    assert found[0]["content"] == "0" and found[0]["viewer"]["bookmarked"] is True
    assert serving.get(f"posts/{posts[0]}/", ben).json()["viewer"]["bookmarked"] is True
    assert serving.get(f"posts/{posts[1]}/", ben).json()["viewer"]["bookmarked"] is False
    assert serving.get(f"posts/{posts[0]}/", ana).json()["viewer"]["bookmarked"] is False
    assert all_pages(serving, "bookmarks/", ana) == []
    assert serving.get("bookmarks/").status_code == 401


def test_likes_are_people_with_their_reactions_newest_first(serving: Serving, world: World) -> None:
    ana, ben, cem, erased = world.person(), world.person("ben_likes"), world.person(), world.person()
    post = world.post(ana)
    for who, reaction in ((ben, "love"), (erased, "like"), (cem, "like"), (ana, "wow")):
        world.like(who, post, reaction)
    world.erase(erased)
    found = all_pages(serving, f"posts/{post}/likes/")
    assert [(each["user"]["id"], each["reaction"]) for each in found] == [
        (str(ana), "wow"), (str(cem), "like"), (str(ben), "love")
    ]  # fmt: skip
    assert found[2]["user"]["username"] == "ben_likes" and found[2]["at"] < found[1]["at"] < found[0]["at"]


def test_followers_and_following_newest_first(serving: Serving, world: World) -> None:
    ana, ben, cem, dan, erased, former = (world.person() for _ in range(6))
    for who in (ben, erased, cem, dan, former):
        world.follow(who, ana)
    world.follow(former, ana, active=False)
    world.follow(ana, ben)
    world.follow(ana, cem)
    world.erase(erased)
    found = all_pages(serving, f"users/{ana}/followers/", ana)
    assert ids(found) == [str(each) for each in (dan, cem, ben)]
    assert [each["viewer"]["following"] for each in found] == [False, True, True]
    assert ids(all_pages(serving, f"users/{ana}/following/", limit=1)) == [str(cem), str(ben)]
    assert all_pages(serving, f"users/{former}/following/") == []
    assert serving.get(f"users/{erased}/followers/").status_code == 404


@pytest.mark.parametrize("path", ["followers/", "following/"])
def test_a_cursor_of_one_list_opens_no_other(serving: Serving, world: World, path: str) -> None:
    ana, ben, cem = (world.person() for _ in range(3))
    for who, whom in ((ben, ana), (cem, ana), (ana, ben), (ana, cem)):
        world.follow(who, whom)
    cursor = serving.get(f"users/{ana}/{path}", limit=1).json()["next"]
    assert serving.get(f"users/{ana}/{path}", cursor=cursor).status_code == 200
    other = "following/" if path == "followers/" else "followers/"
    assert serving.get(f"users/{ana}/{other}", cursor=cursor).status_code == 400
    assert serving.get(f"users/{ben}/{path}", cursor=cursor).status_code == 400
