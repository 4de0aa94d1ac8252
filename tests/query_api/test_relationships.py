"""Blocked pairs see nothing of each other, a muted author leaves the muter's feed alone, and one's own lists.

Claim: whoever of the two blocks, neither finds the other's profile, posts, comments, reactions, follows or quotes by
any read, and everybody else sees what they saw; muting takes posts out of the muter's home feed and nothing else;
blocks, mutes and requests are listed for oneself alone, newest first.
Oracle: what this test wrote into the tables, and docs/semantics.md.
Cannot catch: relations that the projection leaves otherwise than `World.relate` does (tests/model/test_verify.py can).
"""

from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.query_api.serving import Serving
from tests.query_api.warm import Shards
from tests.query_api.world import World

BOTH_WAYS = pytest.mark.parametrize("blocker", ["reader", "author"])


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [each.get("post", each)["id"] for each in answer.json()["items"]]


def pair(world: World) -> tuple[UUID, UUID]:
    """A reader who follows an author, and the author the reader, before either blocks the other."""
    reader, author = world.person(), world.person()
    world.follow(reader, author)
    world.follow(author, reader)
    return reader, author


def block(world: World, blocker: str, reader: UUID, author: UUID, active: bool = True) -> None:
    one, other = (reader, author) if blocker == "reader" else (author, reader)
    world.relate(one, other, "block", active)


@BOTH_WAYS
def test_nothing_of_a_blocked_person_can_be_found(serving: Serving, world: World, blocker: str) -> None:
    reader, author = pair(world)
    third = world.person()
    post = world.post(author)
    world.version(post, "hello", edit=False)
    comment = world.comment(post, third)
    name = world.value("select username from profiles.person where user_id = %s", author)
    paths = [f"users/{each}/{rest}" for each in (author, name) for rest in ("", "posts/", "followers/", "following/")]
    paths += [f"posts/{post}/{rest}" for rest in ("", "history/", "likes/", "comments/")]
    paths += [f"comments/{comment}/", f"comments/{comment}/replies/"]
    assert {serving.get(path, reader).status_code for path in paths} == {200}
    block(world, blocker, reader, author)
    for path in paths:
        answer = serving.get(path, reader)
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:rookery:problem:not-found"), path
    assert {serving.get(path, third).status_code for path in paths} == {200}
    assert {serving.get(path).status_code for path in paths} == {200}
    assert {serving.get(path, author).status_code for path in paths} == {200}


@BOTH_WAYS
def test_feeds_leave_a_blocked_person_out(serving: Serving, world: World, blocker: str) -> None:
    reader, author = pair(world)
    post = world.post(author)
    recent = {"sort": "recent"}
    feeds = [("feed/home/", recent), ("feed/home/", {}), ("posts/following/", {}), ("feed/global/", {}), ("posts/", {})]
    for path, query in feeds:
        assert str(post) in ids(serving.get(path, reader, None, **query)), path
    block(world, blocker, reader, author)
    for path, query in feeds:
        assert str(post) not in ids(serving.get(path, reader, None, **query)), path
    assert str(post) in ids(serving.get("feed/global/", world.person()))
    assert str(post) in ids(serving.get("feed/global/"))
    # An edge of a blocked pair does not count, whatever its id.
    world.follow(reader, author)
    assert ids(serving.get("feed/home/", reader)) == []
    block(world, blocker, reader, author, active=False)
    assert str(post) in ids(serving.get("feed/home/", reader))


@BOTH_WAYS
def test_an_unblock_shows_everything_again_and_restores_no_follow(serving: Serving, world: World, blocker: str) -> None:
    reader, author = pair(world)
    public, narrow = world.post(author), world.post(author, visibility="followers")
    block(world, blocker, reader, author)
    block(world, blocker, reader, author, active=False)
    assert serving.get(f"posts/{public}/", reader).status_code == 200
    assert serving.get(f"posts/{narrow}/", reader).status_code == 404
    shape = serving.get(f"users/{author}/", reader).json()
    assert shape["viewer"] == {
        "following": False, "requested": False, "followed_by": False, "blocking": False, "muting": False
    }  # fmt: skip
    assert ids(serving.get("feed/home/", reader)) == []


@BOTH_WAYS
def test_quotes_and_bookmarks_of_a_blocked_person_are_not_available(
    serving: Serving, world: World, blocker: str
) -> None:
    reader, author = pair(world)
    third = world.person()
    post = world.post(author)
    quoting = world.post(third, f"look <@{author}>", quote_of=post, mentioned_ids=[author])
    world.bookmark(reader, post)
    block(world, blocker, reader, author)
    shape = serving.get(f"posts/{quoting}/", reader).json()
    assert shape["quoted_post"] == {"id": str(post), "available": False}
    name = world.value("select username from profiles.person where user_id = %s", author)
    assert shape["content"] == f"look @{name}", "a mention stays text"
    assert serving.get("bookmarks/", reader).json()["items"] == [{"id": str(post), "available": False}]
    assert serving.get(f"posts/{quoting}/", third).json()["quoted_post"]["available"] is True


@BOTH_WAYS
def test_lists_of_people_leave_out_a_blocked_person_and_counts_do_not(
    serving: Serving, world: World, blocker: str
) -> None:
    reader, author = pair(world)
    third = world.person()
    for who, whom in ((reader, third), (author, third), (third, reader), (third, author)):
        world.follow(who, whom)
    world.execute("insert into graph.person_count (user_id, followers, following) values (%s, 2, 2)", third)
    post = world.post(third)
    for who in (reader, author, third):
        world.like(who, post)
        world.share(who, post)
    block(world, blocker, reader, author)

    def people(path: str, viewer: UUID | None, **query: int) -> list[str]:
        return [each.get("user", each)["id"] for each in serving.get(path, viewer, None, **query).json()["items"]]

    for viewer, seen in ((reader, reader), (author, author)):
        assert people(f"users/{third}/followers/", viewer) == [str(seen)]
        assert people(f"users/{third}/following/", viewer) == [str(seen)]
        assert people(f"posts/{post}/likes/", viewer) == [str(third), str(seen)]
        assert people(f"posts/{post}/likes/", viewer, limit=1) == [str(third)]
        assert people(f"posts/{post}/shares/", viewer) == [str(third), str(seen)]
        assert serving.get(f"posts/{post}/", viewer).json()["counts"]["likes"] == 3
        assert serving.get(f"users/{third}/", viewer).json()["counts"]["followers"] == 2
    for other in (third, None):
        assert people(f"users/{third}/followers/", other) == [str(author), str(reader)]
        assert people(f"posts/{post}/likes/", other) == [str(third), str(author), str(reader)]
        assert people(f"posts/{post}/shares/", other) == [str(third), str(author), str(reader)]


@BOTH_WAYS
def test_a_blocked_persons_comment_is_a_placeholder_above_what_is_read_and_else_not_there(
    serving: Serving, world: World, blocker: str
) -> None:
    reader, author = pair(world)
    third = world.person()
    post = world.post(third)
    root = world.comment(post, author)
    middle = world.comment(post, author, parent_id=root)
    leaf = world.comment(post, third, parent_id=middle)
    alone = world.comment(post, author)
    below_alone = world.comment(post, author, parent_id=alone)
    deleted = world.comment(post, third)
    hidden_below = world.comment(post, author, parent_id=deleted)
    world.delete_comment(deleted)
    mine = world.comment(post, reader)
    theirs_below_mine = world.comment(post, author, parent_id=mine)
    block(world, blocker, reader, author)

    def flat(viewer: UUID | None) -> dict[str, bool]:
        items = serving.get(f"posts/{post}/comments/", viewer).json()["items"]
        return {each["id"]: each.get("removed", False) for each in items}

    def nested(items: list[dict[str, Any]]) -> dict[str, Any]:
        return {each["id"]: nested(each["replies"]) for each in items}

    assert flat(reader) == {str(root): True, str(middle): True, str(leaf): False, str(mine): False}
    everything = (root, middle, leaf, alone, below_alone, deleted, hidden_below, mine, theirs_below_mine)
    assert flat(None) == flat(third) == {str(each): each == deleted for each in everything}
    tree = serving.get(f"posts/{post}/comments/", reader, tree=1).json()["items"]
    assert nested(tree) == {str(root): {str(middle): {str(leaf): {}}}, str(mine): {}}
    placeholder = {"id": str(root), "post_id": str(post), "parent_id": None, "removed": True}
    assert serving.get(f"comments/{root}/", reader).json() == placeholder
    assert ids(serving.get(f"comments/{middle}/replies/", reader)) == [str(leaf)]
    assert ids(serving.get(f"comments/{mine}/replies/", reader)) == []
    assert ids(serving.get(f"posts/{post}/comments/", reader, parent_id=str(mine))) == []
    for each in (alone, below_alone, deleted, hidden_below, theirs_below_mine):
        assert serving.get(f"comments/{each}/", reader).status_code == 404
        assert serving.get(f"comments/{each}/replies/", reader).status_code == 404
        assert serving.get(f"comments/{each}/", third).status_code == 200
    assert serving.get(f"posts/{post}/", reader).json()["counts"]["comments"] == 8
    # The author in turn reads nothing of the reader's, but what they themselves wrote below it.
    assert flat(author) == {str(each): each in (deleted, mine) for each in everything}
    # Nothing is read any more below the hidden ones.
    world.delete_comment(leaf)
    assert flat(reader) == {str(mine): False}


def test_a_block_shows_at_once_in_a_warm_feed_and_in_a_ranked_session(
    serving: Serving, world: World, shards: Shards
) -> None:
    reader, author = pair(world)
    other = world.person()
    world.follow(reader, other)
    posts = [world.post((author, other)[nth % 2]) for nth in range(8)]
    begun = serving.get("feed/home/", reader, limit=2)
    assert len(ids(begun)) == 2
    assert serving.get("feed/home/", reader, sort="recent").headers["X-Cache-Status"] == "hit"
    world.relate(reader, author, "block")  # and no projector has cooled the feed
    warm = serving.get("feed/home/", reader, sort="recent")
    assert warm.headers["X-Cache-Status"] == "hit"
    assert ids(warm) == [str(post) for post in reversed(posts[1::2])]
    rest = serving.follow_next(begun, reader)
    assert set(ids(rest)) <= {str(post) for post in posts[1::2]}


def test_muting_takes_posts_out_of_the_muters_home_feed_and_nothing_else(serving: Serving, world: World) -> None:
    muter, muted, friend = world.person(), world.person(), world.person()
    for whom in (muted, friend):
        world.follow(muter, whom)
    world.follow(muted, muter)
    post, mine = world.post(muted), world.post(muter)
    answer = world.post(friend, reply_to=(post, muted))
    world.comment(mine, muted)
    world.like(muted, mine)
    world.relate(muter, muted, "mute")
    for query in ({"sort": "recent"}, {}):
        assert set(ids(serving.get("feed/home/", muter, None, **query))) == {str(mine), str(answer)}
    assert serving.get(f"posts/{post}/", muter).status_code == 200
    assert str(post) in ids(serving.get("feed/global/", muter))
    assert ids(serving.get(f"users/{muted}/posts/", muter)) == [str(post)]
    assert len(serving.get(f"posts/{mine}/comments/", muter).json()["items"]) == 1
    assert len(serving.get(f"posts/{mine}/likes/", muter).json()["items"]) == 1
    assert serving.get(f"users/{muted}/", muter).json()["viewer"] == {
        "following": True, "requested": False, "followed_by": True, "blocking": False, "muting": True
    }  # fmt: skip
    # Nobody else learns of it.
    assert serving.get(f"users/{muter}/", muted).json()["viewer"]["muting"] is False
    assert str(mine) in ids(serving.get("feed/home/", muted))
    world.relate(muter, muted, "mute", active=False)
    assert str(post) in ids(serving.get("feed/home/", muter))


def test_a_muted_author_is_left_out_of_a_feed_that_is_still_warm(
    serving: Serving, world: World, shards: Shards
) -> None:
    reader, author = pair(world)
    post, mine = world.post(author), world.post(reader)
    assert ids(serving.get("feed/home/", reader, sort="recent")) == [str(mine), str(post)]
    world.relate(reader, author, "mute")
    answer = serving.get("feed/home/", reader, sort="recent")
    assert (answer.headers["X-Cache-Status"], ids(answer)) == ("hit", [str(mine)])


def test_a_request_shows_in_the_profile_and_gives_nothing_to_see(serving: Serving, world: World) -> None:
    private, asker = world.person(private=True), world.person()
    post = world.post(private)
    world.relate(asker, private, "request")
    viewer = serving.get(f"users/{private}/", asker).json()["viewer"]
    assert (viewer["requested"], viewer["following"]) == (True, False)
    assert serving.get(f"users/{asker}/", private).json()["viewer"]["requested"] is False
    assert serving.get(f"posts/{post}/", asker).status_code == 404
    world.relate(asker, private, "request", active=False)
    world.follow(asker, private)
    viewer = serving.get(f"users/{private}/", asker).json()["viewer"]
    assert (viewer["requested"], viewer["following"]) == (False, True)
    assert serving.get(f"posts/{post}/", asker).json()["visibility"] == "followers"


LISTS = [
    ("blocks", "block", "blocked_at"),
    ("mutes", "mute", "muted_at"),
    ("follow-requests", "request", "requested_at"),
]


@pytest.mark.parametrize(("path", "what", "moment"), LISTS)
def test_ones_own_lists_are_newest_first(serving: Serving, world: World, path: str, what: str, moment: str) -> None:
    me, erased = world.person(), world.person()
    people = [world.person() for _ in range(5)]

    def relate(other: UUID, active: bool = True) -> None:
        one, to = (other, me) if what == "request" else (me, other)
        world.relate(one, to, what, active)

    for each in (*people, erased):
        relate(each)
    relate(people[1], active=False)
    relate(people[0])  # anew, so that it comes first
    world.erase(erased)
    answer = serving.get(f"users/me/{path}/", me, limit=3)
    found = answer.json()["items"]
    while answer.json()["next"]:
        answer = serving.follow_next(answer, me)
        found += answer.json()["items"]
    assert [each["user"]["id"] for each in found] == [str(people[nth]) for nth in (0, 4, 3, 2)]
    moments = [each[moment] for each in found]
    assert moments == sorted(moments, reverse=True) and all(each.endswith("Z") for each in moments)
    card = {"id", "username", "display_name", "avatar"}
    shape = {"user", moment} | ({"id"} if what == "request" else set())
    assert all(set(each) == shape and set(each["user"]) == card for each in found)
    if what == "request":
        assert all(each["id"] == each["user"]["id"] for each in found)
    # Nobody else's, and no cursor of another's or of another list.
    assert serving.get(f"users/me/{path}/", people[0]).json() == {"items": [], "next": None}
    assert serving.get(f"users/me/{path}/").status_code == 401
    cursor = serving.get(f"users/me/{path}/", me, limit=1).json()["next"]
    assert serving.get(f"users/me/{path}/", people[0], cursor=cursor).status_code == 400
    for other, _, _ in LISTS:
        assert serving.get(f"users/me/{other}/", me, cursor=cursor).status_code == (200 if other == path else 400)


def test_of_a_blocked_pair_only_the_block_is_listed(serving: Serving, world: World) -> None:
    me, other = world.person(), world.person()
    world.relate(me, other, "mute")
    world.relate(other, me, "block")
    world.relate(other, me, "request")

    def listed(path: str, viewer: UUID) -> list[str]:
        return [each["user"]["id"] for each in serving.get(f"users/me/{path}/", viewer).json()["items"]]

    assert listed("mutes", me) == listed("follow-requests", me) == listed("blocks", me) == []
    assert listed("blocks", other) == [str(me)]
    world.relate(me, other, "block")
    assert listed("blocks", me) == [str(other)] and listed("blocks", other) == [str(me)]
    world.relate(other, me, "block", active=False)
    world.relate(me, other, "block", active=False)
    assert listed("mutes", me) == [str(other)], "a block does not end a mute"
