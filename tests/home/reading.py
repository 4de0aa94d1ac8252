"""The query API in this process, asked as its readers ask it, with something happening at every step of a refill.

Requests pass through Django's test client: bearer, cursors, views, pages, PostgreSQL and Redis are the real ones. Only
the waiting of a refill for PostgreSQL is made short, as what it waits for happens in this very thread.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

os.environ["DJANGO_SETTINGS_MODULE"] = "query_api.settings"

import django
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.test import Client

from query_api.feed import home
from shared import clock
from shared.environment import environment
from shared.feed_item import FeedItem
from shared.feed_store import Begun, FeedMembers, FeedStore
from shared.ids import datetime_of, time_of
from shared.position import Position
from tests.model.reference import Model
from tests.query_api.serving import sign_token

TOKEN_SECONDS = 24 * 3600
WAITS_MAX = 5
PAGES_MAX = 2_000
STEPS_OF_A_REFILL = 10  # before and after each call, and while PostgreSQL is waited for
Happening = Callable[[], None]


class Shown(NamedTuple):
    """What a page tells of one item, as far as it is anybody's."""

    post_id: UUID
    via: UUID | None
    at: str
    content: str
    counts: tuple[int, int, int, int]


@dataclass(frozen=True)
class Answer:
    """One page, or why there is none. `cache` is its X-Cache-Status."""

    status: int
    items: list[Shown]
    following: str | None
    ranked_at: str | None
    cache: str


class Between:
    """What happens between the steps of requests: nothing unless told."""

    def __init__(self) -> None:
        self.happening: Happening | None = None
        self.awaited: Happening | None = None  # what a refill that waits for PostgreSQL may see happen
        self.steps = 0

    def __call__(self) -> None:
        self.steps += 1
        happening, self.happening = self.happening, None  # what happens does not happen within itself
        try:
            if happening is not None:
                happening()
        finally:
            self.happening = happening

    @contextmanager
    def everywhere(self, happening: Happening) -> Iterator[None]:
        self.happening = happening
        try:
            yield
        finally:
            self.happening = None

    @contextmanager
    def once(self, step: int, happening: Happening) -> Iterator[None]:
        """At that step from now, counted from 0."""
        due = self.steps + step + 1

        def at_its_time() -> None:
            if self.steps == due:
                happening()

        with self.everywhere(at_its_time):
            yield


class Interrupted(FeedStore):
    """The store of the query API, each of whose calls has something happen before and after it."""

    between = Between()

    def members(self, user_id: UUID, before: str, limit: int) -> FeedMembers | None:
        self.between()
        return super().members(user_id, before, limit)

    def begin(self, user_id: UUID) -> Begun | None:
        self.between()
        begun = super().begin(user_id)
        self.between()
        return begun

    def join(self, user_id: UUID, nonce: str, authors: Iterable[UUID]) -> list[Position] | None:
        self.between()
        joined = super().join(user_id, nonce, authors)
        self.between()
        return joined

    def fill(self, user_id: UUID, nonce: str, floor: UUID | None, items: Any) -> bool:
        self.between()
        filled = super().fill(user_id, nonce, floor, items)
        self.between()
        return filled


class _Waiting:
    def __init__(self, seconds: float) -> None:
        self._left = WAITS_MAX

    def again(self) -> bool:
        self._left -= 1
        Interrupted.between()
        if Interrupted.between.awaited is not None:
            Interrupted.between.awaited()
        return self._left > 0


class Readers:
    """Everybody's requests. `now` is the time that the query API's clock tells, in microseconds since 1970."""

    def __init__(self) -> None:
        self.now = clock.now()
        self._key = Ed25519PrivateKey.generate()
        path = environment().verifying_key_path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        django.setup()
        self._client = Client()
        self._tokens: dict[UUID, str] = {}
        self._told_by_the_clock = clock.now
        home.AWAY_SECONDS = 0.0
        home.Waiting = _Waiting  # type: ignore[assignment,attr-defined]
        home._redis().store = Interrupted.open(environment())
        self.between = Interrupted.between

    def get(self, reader_id: UUID, sort: str, limit: int, cursor: str | None = None) -> Answer:
        if reader_id not in self._tokens:
            self._tokens[reader_id] = sign_token(self._key, reader_id, TOKEN_SECONDS)
        query: dict[str, str] = {"sort": sort, "limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        headers = {"Authorization": f"Bearer {self._tokens[reader_id]}"}
        clock.now = lambda: self.now
        try:
            answer = self._client.get("/api/v1/feed/home/", query, headers=headers)
        finally:
            clock.now = self._told_by_the_clock
        body = answer.json()
        items = [_shown(item) for item in body.get("items", ())]
        cache = answer.headers.get("X-Cache-Status", "")
        return Answer(answer.status_code, items, body.get("next"), body.get("ranked_at"), cache)


def _shown(item: dict[str, Any]) -> Shown:
    post, via = item["post"], item["via"]
    counts = post["counts"]
    return Shown(
        UUID(post["id"]), via and UUID(via["id"]), item["at"], post["content"],
        (counts["likes"], counts["comments"], counts["shares"], counts["quotes"]),
    )  # fmt: skip


def expected(model: Model, reader_id: UUID, sort: str, ranked_at: int, ranked_max: int) -> list[Shown]:
    """The whole feed, as its pages show it."""
    feeds = model.feeds
    items = feeds.ranked_home(reader_id, ranked_at, ranked_max) if sort == "ranked" else feeds.home(reader_id)
    return [
        Shown(
            post_id,
            None if item_id == post_id else model.sharers[item_id],
            moment_of(FeedItem(item_id, post_id)),
            model.texts[post_id].content or "",
            (model.likes[post_id], model.comment_counts[post_id], model.share_counts[post_id],
             model.quote_counts[post_id]),
        )
        for item_id, post_id in items
    ]  # fmt: skip


def moment_of(item: FeedItem) -> str:
    """When the item came about, as pages write it."""
    return datetime_of(time_of(item.item_id)).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
