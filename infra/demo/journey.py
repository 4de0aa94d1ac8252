"""Two new people meet over HTTP: each step's answer is checked, so that reaching the end means the path is whole."""

import json
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

from infra.demo.client import Answer, Frames, Visitor, expect, expect_that

PASSWORD = "a-demo-password-of-their-own"


class Couple(NamedTuple):
    """An author with an open WebSocket, and a follower; both signed in."""

    author: Visitor
    author_name: str
    follower: Visitor
    follower_name: str
    frames: Frames

    def close(self) -> None:
        self.frames.close()
        self.author.close()
        self.follower.close()


def meet(gateway_url: str, tell: Callable[[str], None]) -> Couple:
    """Registers both, follows, publishes, reads, likes, comments, hears of it live, shares. Raises DemoFailure."""
    suffix = secrets.token_hex(4)
    author, author_name = _newcomer(gateway_url, f"wren_{suffix}", "Wren", tell)
    follower, follower_name = _newcomer(gateway_url, f"robin_{suffix}", "Robin", tell)
    _follow(follower, author, author_name, follower_name, tell)
    post = _publish(author, author_name, follower_name, tell)
    _find_in_feed(follower, post, author_name, tell)
    frames = author.listen()
    tell(f"@{author_name} opened a WebSocket: hello at {frames.hello['seq']}, {frames.hello['unread']} unread")
    couple = Couple(author, author_name, follower, follower_name, frames)
    expect(frames.hello["unread"], 1, "unread in the hello frame")
    _like(couple, post.body["id"], tell)
    _comment(couple, post.body["id"], tell)
    _share(couple, tell)
    return couple


def _newcomer(gateway_url: str, username: str, display_name: str, tell: Callable[[str], None]) -> tuple[Visitor, str]:
    visitor = Visitor(gateway_url)
    account = {
        "username": username,
        "email": f"{username}@rookery.example",
        "password": PASSWORD,
        "display_name": display_name,
    }
    registered = visitor.post("auth/register/", account, statuses=(201, 202))
    expect(registered.body["user"]["username"], username, "the registered username")
    session = visitor.post("auth/login/", {"username": username, "password": PASSWORD}, statuses=(200,)).body
    expect(session["token_type"], "Bearer", "token_type at login")
    expect(session["user"]["id"], registered.body["user"]["id"], "the id at login")
    visitor.use(session["access"])
    me = visitor.get("users/me/", after=registered).body
    expect((me["username"], me["display_name"]), (username, display_name), "users/me/")
    tell(f"@{username} registered and logged in")
    return visitor, username


def _follow(
    follower: Visitor, author: Visitor, author_name: str, follower_name: str, tell: Callable[[str], None]
) -> None:
    followed = follower.post(f"users/{author_name}/follow/")
    profile = follower.get(f"users/{author_name}/", after=followed).body
    expect(profile["viewer"]["following"], True, "viewer.following after a follow")
    expect(profile["counts"]["followers"], 1, "counts.followers after the first follow")
    told = author.get("notifications/", after=followed, unread=1).body["items"]
    expect([(one["verb"], one["actor"]["username"]) for one in told], [("follow", follower_name)], "the author's news")
    tell(f"@{follower_name} follows @{author_name}, who was told and has 1 follower")


def _publish(author: Visitor, author_name: str, follower_name: str, tell: Callable[[str], None]) -> Answer:
    text = f"Hello @{follower_name}, the rooks are back! #rookery"
    post = author.post("posts/", {"content": text, "visibility": "public"}, statuses=(201, 202))
    read = author.get(f"posts/{post.body['id']}/", after=post).body
    for body, where in ((post.body, "the new post"), (read, "the post as read")):
        expect(body["content"], text, f"content of {where}")
        expect(body["hashtags"], ["rookery"], f"hashtags of {where}")
        expect(body["author"]["username"], author_name, f"author of {where}")
        expect([one["username"] for one in body["mentions"]], [follower_name], f"mentions of {where}")
    tell(f"@{author_name} published {text!r}")
    return post


def _find_in_feed(follower: Visitor, post: Answer, author_name: str, tell: Callable[[str], None]) -> None:
    for sort in ("recent", "ranked"):
        page = follower.get("feed/home/", after=post, sort=sort, limit=5, explain=1).body
        ids = [item["post"]["id"] for item in page["items"]]
        expect(ids, [post.body["id"]], f"the follower's {sort} home feed")
        expect(page["items"][0]["post"]["author"]["username"], author_name, f"the author in the {sort} feed")
    tell("the follower found it in their home feed, recent and ranked")


def _like(couple: Couple, post_id: str, tell: Callable[[str], None]) -> None:
    liked = couple.follower.post(f"posts/{post_id}/like/", {"reaction": "love"})
    frame = couple.frames.next("notification").body
    _expect_notification(frame, "like", couple.follower_name, {"type": "post", "id": post_id})
    expect(frame["data"]["data"], {"reaction": "love"}, "the notification's data")
    expect_that(frame["seq"] > couple.frames.hello["seq"], "the frame's seq comes after hello's", frame)
    post = couple.follower.get(f"posts/{post_id}/", after=liked).body
    expect(post["counts"]["likes"], 1, "counts.likes")
    expect(post["counts"]["reactions"], {"love": 1}, "counts.reactions")
    expect(post["viewer"]["liked"], "love", "viewer.liked")
    listed = couple.author.get("notifications/", after=liked, unread=1).body["items"]
    expect(sorted(one["verb"] for one in listed), ["follow", "like"], "the author's unread notifications")
    count = couple.author.get("notifications/unread-count/", after=liked).body
    expect_that(2 in count.values(), "the author has 2 unread notifications", count)
    tell(f"@{couple.follower_name} liked it, and this came to @{couple.author_name}: {json.dumps(frame)}")


def _comment(couple: Couple, post_id: str, tell: Callable[[str], None]) -> None:
    text = "Welcome home!"
    made = couple.follower.post(f"posts/{post_id}/comments/", {"content": text}, statuses=(201, 202))
    frame = couple.frames.next("notification").body
    _expect_notification(frame, "comment", couple.follower_name, {"type": "comment", "id": made.body["id"]})
    comments = couple.author.get(f"posts/{post_id}/comments/", after=made).body["items"]
    expect([one["content"] for one in comments], [text], "the post's comments")
    tell(f"@{couple.follower_name} commented {text!r}, and that arrived too")


def _share(couple: Couple, tell: Callable[[str], None]) -> None:
    text = "Rooks fly home at dusk."
    post = couple.follower.post("posts/", {"content": text}, statuses=(201, 202))
    shared = couple.author.post(f"posts/{post.body['id']}/share/")
    expect(shared.body["shared"], True, "shared in the answer to a share")
    page = couple.follower.get("feed/home/", after=shared, sort="recent", limit=5).body
    found = [(item["post"]["id"], item["via"] and item["via"]["username"]) for item in page["items"]]
    expect(found[:1], [(post.body["id"], couple.author_name)], "the follower's feed after a share, with its sharer")
    expect(page["items"][0]["post"]["counts"]["shares"], 1, "counts.shares")
    told = couple.follower.get("notifications/", after=shared, unread=1).body["items"]
    expect_that("share" in [one["verb"] for one in told], "the follower was told of the share", told)
    tell(f"@{couple.author_name} shared {text!r} by @{couple.follower_name}, and their feed says via whom")


def _expect_notification(frame: dict[str, Any], verb: str, actor: str, target: dict[str, str]) -> None:
    data = frame["data"]
    expect(data["verb"], verb, "the notification's verb")
    expect(data["actor"]["username"], actor, "the notification's actor")
    expect({key: data["target"][key] for key in target}, target, "the notification's target")
