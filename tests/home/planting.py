"""Bugs that the histories must find, each planted into the code that runs."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

from projectors.feed import fold as feed_fold
from projectors.runtime.projection import RedisProjection
from query_api.feed import home, pages, queries, rules, standings
from query_api.feed.candidates import followees, home_candidates
from schemas.types import Event, UserFollowed
from shared.environment import environment
from shared.feed_store import FeedStore

# Bugs in the functions in Redis: what is replaced there by what.
IN_LUA = {
    # A feed says that it is complete below its floor too.
    "floor": ("call('HSET', warm, 'floor', floor)\n  local size", "call('HSET', warm, 'floor', '')\n  local size"),
    # What a turn of a walk has not reached is forgotten.
    "continuation": ("if turn.following ~= '0' then", "if false then"),
}


def plant(name: str, folder: Path) -> RedisProjection:
    """The feed's projection, with the bug in it or in the query API of this process."""
    if name in IN_LUA:
        text = feed_fold.PROJECTION.functions_lua.read_text()
        before, after = IN_LUA[name]
        assert text.count(before) == 1, f"{before!r} must be in the functions once"
        path = folder / "functions.lua"
        path.write_text(text.replace(before, after))
        return dataclasses.replace(feed_fold.PROJECTION, functions_lua=path)
    return IN_PYTHON[name]()


def _mute() -> RedisProjection:
    """Whom the reader mutes is shown where others share them."""
    shown_to = rules.shown_to

    class Unmuted:
        muted = False

        def __init__(self, post: Any) -> None:
            self._post = post

        def __getattr__(self, name: str) -> Any:
            return getattr(self._post, name)

    def deaf(post: Any, viewer_id: Any) -> rules.Shown:
        return shown_to(Unmuted(post), viewer_id)

    rules.shown_to = deaf
    standings.shown_to = deaf  # type: ignore[attr-defined]
    return feed_fold.PROJECTION


def _follow() -> RedisProjection:
    """A follow leaves the feed as it is."""

    def forgetful(events: Iterable[Event]) -> feed_fold.FeedChanges:
        return feed_fold.fold([event for event in events if not isinstance(event, UserFollowed)])

    return dataclasses.replace(feed_fold.PROJECTION, fold=forgetful)


def _too_early() -> RedisProjection:
    """A refill reads the items before it joins the audiences."""

    def hasty(store: FeedStore, viewer_id: UUID) -> bool:
        begun = store.begin(viewer_id)
        if begun is None:
            return True
        limit = environment().feed_items_max
        items = home_candidates(viewer_id, None, limit)
        if store.join(viewer_id, begun.nonce, followees(viewer_id)) is None:
            return False
        return store.fill(viewer_id, begun.nonce, items[-1].item_id if len(items) == limit else None, items)

    home.fill = hasty
    return feed_fold.PROJECTION


def _repeat() -> RedisProjection:
    """What is older than the ranked items is not kept from what was ranked."""
    beyond = pages._beyond

    def careless(
        viewer_id: UUID, place: Any, limit: int, explain: bool, ranked: frozenset[str], asked: pages.Asked
    ) -> Any:
        return beyond(viewer_id, dataclasses.replace(place, after=None), limit, explain, frozenset(), asked)

    pages._beyond = careless
    return feed_fold.PROJECTION


def _own_share() -> RedisProjection:
    """A post stands at itself, whoever shared it since."""

    def unshared(post: Any, viewer_id: Any, share_id: Any) -> Any:
        return rules.standing_item(post, viewer_id, None)

    queries.standing_item = unshared  # type: ignore[attr-defined]
    return feed_fold.PROJECTION


IN_PYTHON: dict[str, Callable[[], RedisProjection]] = {
    "mute": _mute,
    "follow": _follow,
    "too early": _too_early,
    "repeat": _repeat,
    "share": _own_share,
}
BUGS = (*IN_LUA, *IN_PYTHON)
