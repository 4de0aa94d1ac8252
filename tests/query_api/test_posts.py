"""Who sees which post, comment and profile over HTTP, in which shape."""

from uuid import UUID, uuid4

import pytest

from tests.query_api.serving import Serving
from tests.query_api.world import World


@pytest.mark.parametrize("visibility", ["public", "followers", "private"])
def test_visibility_matrix(serving: Serving, world: World, visibility: str) -> None:
    author, follower, former, stranger = (world.person() for _ in range(4))
    world.follow(follower, author)
    world.follow(former, author)
    world.follow(former, author, active=False)
    post = world.post(author, visibility=visibility)
    seen = {
        "author": serving.get(f"posts/{post}/", author).status_code == 200,
        "follower": serving.get(f"posts/{post}/", follower).status_code == 200,
        "former": serving.get(f"posts/{post}/", former).status_code == 200,
        "stranger": serving.get(f"posts/{post}/", stranger).status_code == 200,
        "nobody": serving.get(f"posts/{post}/").status_code == 200,
    }
    everyone = visibility == "public"
    assert seen == {
        "author": True,
        "follower": visibility != "private",
        "former": everyone,
        "stranger": everyone,
        "nobody": everyone,
    }
    # What may not be seen looks as if it did not exist, and so does what hangs on it.
    comments = serving.get(f"posts/{post}/comments/", stranger)
    assert comments.status_code == (200 if everyone else 404)
    listed = serving.get(f"users/{author}/posts/", stranger).json()["items"]
    assert [item["id"] for item in listed] == ([str(post)] if everyone else [])


def test_a_private_accounts_public_post_is_for_its_followers(serving: Serving, world: World) -> None:
    author, follower, stranger = world.person(private=True), world.person(), world.person()
    world.follow(follower, author)
    post = world.post(author)
    assert serving.get(f"posts/{post}/", follower).json()["visibility"] == "followers"
    assert serving.get(f"posts/{post}/", stranger).status_code == 404
    assert str(post) not in {item["id"] for item in serving.get("feed/global/", follower, limit=100).json()["items"]}


def test_deleted_erased_and_missing_look_the_same(serving: Serving, world: World) -> None:
    author, erased, reader = world.person(), world.person(), world.person()
    deleted, orphan = world.post(author), world.post(uuid4())
    theirs = world.post(erased)
    world.delete_post(deleted)
    world.erase(erased)
    for post in (deleted, orphan, theirs, uuid4()):
        answer = serving.get(f"posts/{post}/", reader)
        assert answer.status_code == 404
        assert answer.json()["type"] == "urn:rookery:problem:not-found"
    assert serving.get(f"users/{erased}/", reader).status_code == 404
    assert serving.get(f"users/{erased}/posts/", reader).status_code == 404


def test_the_shape_of_a_post(serving: Serving, world: World) -> None:
    author, fan, erased = world.person(display_name="Ana B."), world.person("fan1"), world.person()
    quoted = world.post(fan, "the first")
    text = f"hello <@{fan}> <@{erased}> #rookery"
    post = world.post(author, text, quote_of=quoted, mentioned_ids=[fan, erased], hashtags=["rookery"])
    world.like(fan, post, "love")
    world.like(world.person(), post)
    world.comment(post, fan)
    world.erase(erased)
    shape = serving.get(f"posts/{post}/", fan).json()
    assert shape["content"] == "hello @fan1 @deleted #rookery"
    assert shape["mentions"] == [{"id": str(fan), "username": "fan1"}]
    assert shape["author"]["display_name"] == "Ana B."
    assert shape["counts"] == {"likes": 2, "comments": 1, "shares": 0, "quotes": 0, "reactions": {"love": 1, "like": 1}}
    assert shape["viewer"] == {"liked": "love", "shared": False, "bookmarked": False}
    assert shape["hashtags"] == ["rookery"]
    assert (shape["quote_of"], shape["quoted_post"]["content"]) == (str(quoted), "the first")
    assert shape["created_at"].endswith("Z")
    assert len(shape["created_at"]) == len("2026-11-21T09:30:00.000000Z")
    assert serving.get(f"posts/{post}/").json()["viewer"]["liked"] is None
    world.delete_post(quoted)
    assert serving.get(f"posts/{post}/", fan).json()["quoted_post"] == {"id": str(quoted), "available": False}


def test_comments_flat_nested_and_by_parent(serving: Serving, world: World) -> None:
    author, erased = world.person(), world.person()
    post = world.post(author)
    first = world.comment(post, author)
    second = world.comment(post, erased)
    reply = world.comment(post, author, parent_id=first)
    below_erased = world.comment(post, author, parent_id=second)
    below_swept = world.comment(post, author, parent_id=world.tick())
    world.comment(world.post(author), author)
    world.erase(erased)

    def of(answer: list[dict[str, object]]) -> list[str]:
        return [str(each["id"]) for each in answer]

    flat = serving.get(f"posts/{post}/comments/").json()["items"]
    assert of(flat) == [str(each) for each in (first, reply, below_erased, below_swept)]
    assert flat[0]["counts"] == {"likes": 0, "replies": 1}
    assert flat[1]["parent_id"] == str(first)
    tree = serving.get(f"posts/{post}/comments/", tree=1).json()["items"]
    assert {each["id"]: [below["id"] for below in each["replies"]] for each in tree} == {
        str(first): [str(reply)],
        str(second): [str(below_erased)],
        tree[2]["id"]: [str(below_swept)],
    }
    assert [each.get("removed", False) for each in tree] == [False, True, True]
    assert of(serving.get(f"posts/{post}/comments/", parent_id=str(first)).json()["items"]) == [str(reply)]
    assert of(serving.get(f"comments/{first}/replies/").json()["items"]) == [str(reply)]
    assert serving.get(f"comments/{reply}/").json()["content"] == "yes"
    assert serving.get(f"comments/{second}/").status_code == 404
    assert serving.get(f"posts/{post}/comments/", parent_id="x").status_code == 400
    world.delete_post(post)
    assert serving.get(f"comments/{reply}/").status_code == 404


@pytest.mark.parametrize("query", [{}, {"tree": 1}])
def test_comments_page_without_repeats_or_skips_while_more_are_added(
    serving: Serving, world: World, query: dict[str, int]
) -> None:
    author = world.person()
    post = world.post(author)
    expected = [str(world.comment(post, author)) for _ in range(7)]
    answer = serving.get(f"posts/{post}/comments/", None, None, limit=3, **query)
    found = [item["id"] for item in answer.json()["items"]]
    while answer.json()["next"]:
        if len(expected) < 9:
            expected.append(str(world.comment(post, author)))
        answer = serving.follow_next(answer)
        found += [item["id"] for item in answer.json()["items"]]
    assert found == expected


def test_profiles(serving: Serving, world: World) -> None:
    ana, ben = world.person("Anna_x".lower(), display_name="Anna"), world.person()
    world.follow(ana, ben)
    world.execute("insert into graph.person_count (user_id, followers, following) values (%s, 5, 1)", ana)
    world.execute("insert into counters.person_count (user_id, posts) values (%s, 3)", ana)
    for address in ("users/anna_x/", "users/ANNA_X/", f"users/{ana}/"):
        shape = serving.get(address, ben).json()
        assert shape["id"] == str(ana)
        assert shape["counts"] == {"followers": 5, "following": 1, "posts": 3}
        assert shape["viewer"] == {
            "following": False, "requested": False, "followed_by": True, "blocking": False, "muting": False
        }  # fmt: skip
    assert serving.get("users/me/", ana).json()["username"] == "anna_x"
    assert serving.get("users/me/").status_code == 401
    assert serving.get("users/nobody_here/").status_code == 404
    assert serving.get(f"users/{UUID(int=5)}/").status_code == 404


def test_global_feed_holds_public_posts_newest_first(serving: Serving, world: World) -> None:
    author = world.person()
    shown = [world.post(author) for _ in range(3)]
    hidden = [world.post(author, visibility="followers"), world.post(author, visibility="private")]
    deleted = world.post(author)
    world.delete_post(deleted)
    answer = serving.get("feed/global/", author, limit=100)
    found = [item["id"] for item in answer.json()["items"]]
    while str(shown[0]) not in found:  # other tests' posts are newer, or older
        answer = serving.follow_next(answer, author)
        found += [item["id"] for item in answer.json()["items"]]
    assert found == sorted(found, reverse=True)
    assert [each for each in found if UUID(each) in shown] == [str(post) for post in reversed(shown)]
    assert not set(found) & {str(post) for post in (*hidden, deleted)}
    assert serving.get("posts/", author).json()["items"] == serving.get("feed/global/", author).json()["items"]


def test_users_posts_page_while_more_are_published(serving: Serving, world: World) -> None:
    author = world.person()
    expected = [str(world.post(author)) for _ in range(9)][::-1]
    answer = serving.get(f"users/{author}/posts/", limit=4)
    found = [item["id"] for item in answer.json()["items"]]
    while answer.json()["next"]:
        world.post(author)
        answer = serving.follow_next(answer)
        found += [item["id"] for item in answer.json()["items"]]
    assert found == expected
