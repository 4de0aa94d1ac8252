"""Who reads and writes counters while they are swapped, and what of it they notice: failed reads, waits, steps back."""

import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection

from schemas.types import Event, PostLiked, PostPublished
from shared.ids import time_of
from tests.runtime.engine import Engine, Ids, Log
from tests.runtime.history import Town

NEW_EVENTS_SECONDS = 30.0


class Watching(threading.Thread, ABC):
    """Goes on until it is told to stop; what ended it before its time is in `error`."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(daemon=True)
        self.engine = engine
        self.error: BaseException | None = None
        self._stopping = threading.Event()

    def run(self) -> None:
        try:
            with psycopg.connect(
                self.engine.environment.query_database_url, autocommit=True, prepare_threshold=1
            ) as connection:
                while not self._stopping.is_set():
                    self.step(connection)
        except BaseException as error:
            self.error = error

    @abstractmethod
    def step(self, connection: Connection[Any]) -> None:
        """One reading."""

    def stop(self) -> None:
        """Raises what ended it, if anything did."""
        self._stopping.set()
        self.join()
        if self.error is not None:
            raise self.error


class Reader(Watching):
    """Reads as a reader does, by statements that the server keeps prepared, without pause.

    `went_back` are the places in the log that a read showed after a later one: what was lost to a reader in between.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.reads, self.failed, self.slowest_seconds = 0, list[str](), 0.0
        self.went_back = list[tuple[int, int]]()
        self._reached = 0

    def step(self, connection: Connection[Any]) -> None:
        began = time.monotonic()
        try:
            connection.execute(
                """select sum(c.likes) from counters.post_count as c
                    where exists (select from counters.reaction as r where r.post_id = c.post_id)"""
            ).fetchone()
            row = connection.execute("select sum(next_offset)::bigint from counters.position").fetchone()
        except psycopg.Error as error:
            self.failed.append(f"{type(error).__name__}: {error}")
            return
        self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)
        self.reads += 1
        reached = row[0] if row is not None and row[0] is not None else 0
        if reached < self._reached:
            self.went_back.append((self._reached, reached))
        self._reached = reached


class Writer(threading.Thread):
    """Appends what people of a town do, some hundred events a second, until it is told to stop."""

    def __init__(self, engine: Engine, town: Town, events: list[Event]) -> None:
        super().__init__(daemon=True)
        self._log, self._town, self._events = Log(engine.environment), town, events
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.is_set():
            some = list(self._town.events(20))
            self._log.append(some)
            self._events.extend(some)
            self._stopping.wait(0.02)

    def stop(self) -> None:
        self._stopping.set()
        self.join()


@dataclass(frozen=True)
class Live:
    """One swap as seen by somebody who writes and reads: the moment it was seen, and when a like that was appended
    after that moment could be read, in seconds from it."""

    seen_at: float
    again_seconds: float


class Prober(Watching):
    """Appends one like at a time to a post of its own, and looks for it every few milliseconds.

    `slowest_seconds` is the longest that any of them took to be seen; `swaps` has a line for each schema that came in.
    """

    def __init__(self, engine: Engine, seed: int, events: list[Event]) -> None:
        super().__init__(engine)
        self._log, self._ids, self._events = Log(engine.environment), Ids(seed), events
        self._author, post_id = self._ids(), self._ids()
        self._post = PostPublished(
            event_id=post_id, occurred_at=time_of(post_id), subject_id=self._author, post_id=post_id, content="text",
            hashtags="", visibility="public",
        )  # fmt: skip
        self._append(self._post)
        self.likes, self.slowest_seconds = 0, 0.0
        self.swaps = list[Live]()
        self._schema = 0
        self._swapped_at = 0.0

    def _append(self, event: Event) -> None:
        self._log.append([event])
        self._events.append(event)

    def step(self, connection: Connection[Any]) -> None:
        actor, event_id = self._ids(), self._ids()
        after_swap_at = self._swapped_at
        self._append(
            PostLiked(
                event_id=event_id, occurred_at=time_of(event_id), subject_id=actor, post_id=self._post.post_id,
                post_author_id=self._author, reaction="like",
            )
        )  # fmt: skip
        appended_at = time.monotonic()
        while not self._seen(connection, actor):
            assert time.monotonic() - appended_at < NEW_EVENTS_SECONDS, "an appended like is not seen"
            time.sleep(0.003)
        seen_at = time.monotonic()
        self.likes += 1
        self.slowest_seconds = max(self.slowest_seconds, seen_at - appended_at)
        if after_swap_at:
            # The swap was seen before this like was appended: a live worker has applied it to what came in.
            self.swaps.append(Live(after_swap_at, seen_at - after_swap_at))
            if self._swapped_at == after_swap_at:
                self._swapped_at = 0.0

    def _seen(self, connection: Connection[Any], actor: Any) -> bool:
        row = connection.execute(
            """select 'counters.reaction'::regclass::oid::bigint,
                      exists (select from counters.reaction where (post_id, actor_id) = (%s, %s))""",
            (self._post.post_id, actor),
        ).fetchone()
        assert row is not None
        schema, found = row
        if self._schema and schema != self._schema:
            self._swapped_at = time.monotonic()
        self._schema = schema
        return bool(found)
