"""Nobody reads with the token of somebody dead or away; a read that demands a position waits, or says it could not.

Both questions are one statement, so that a read costs one round trip for them. The statement is asked again, every 5 ms
growing to 25, until the projections that the endpoint uses have passed the demanded position. A record that one of them
has set aside, or that was dropped, is passed and yet not there: such a read is stale at once.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import LiteralString
from uuid import UUID

from query_api import database
from query_api.profiles.standing import away
from schemas.catalogue import topics
from shared.environment import environment
from shared.errors import FieldError, Unauthenticated, ValidationFailed
from shared.position import Position
from shared.tokens import InvalidToken, read_consistency_token

HEADER = "X-Consistency-Token"
POLL_SECONDS_MIN = 0.005
POLL_SECONDS_MAX = 0.025
FRESH, STALE = "fresh", "stale"
NOTHING = Position("", 0, 0)

# A statement in which a position is demanded of some projections, see _statement.
KNOWN_SQL: LiteralString = """
       exists (select from profiles.person where user_id = %(viewer)s::uuid and created_event is not null)"""
ERASED_SQL: LiteralString = """
       exists (select from profiles.erased where user_id = %(viewer)s::uuid)"""
AWAY_SQL: LiteralString = (
    """
       exists (select from profiles.person b where b.user_id = %(viewer)s::uuid and """
    + away("b")
    + ")"
)
BEARER_SQL: LiteralString = (
    "select %(viewer)s::uuid is null or"
    + KNOWN_SQL
    + " as known,"
    + ERASED_SQL
    + " as erased,"
    + AWAY_SQL
    + """ as away,
       {reached} as reached,
       {parked} as parked"""
)
REACHED_SQL: LiteralString = """coalesce((select next_offset from {projection}.position
    where topic = %(topic)s and partition = %(partition)s), 0) >= %(offset)s"""

PARKED_SQL: LiteralString = """exists (select from {projection}.parked where topic = %(topic)s
    and partition = %(partition)s and record_offset = %(offset)s - 1)
    or exists (select from {projection}.dropped where topic = %(topic)s
    and partition = %(partition)s and record_offset = %(offset)s - 1)"""
IS_PARKED_SQL: LiteralString = "select " + PARKED_SQL + " as parked"
IN_REDIS = ("feed", "trends")


@dataclass(frozen=True)
class Demand:
    """What a read asked for. `position` is None for a write the log had not acknowledged: nothing can be promised."""

    position: Position | None

    @property
    def satisfiable(self) -> bool:
        return self.position is not None


def demand_of(token: str | None) -> Demand:
    """What an X-Consistency-Token demands; nothing without one. Raises ValidationFailed for a token not signed here."""
    if not token:
        return Demand(NOTHING)
    try:
        return Demand(read_consistency_token(token_secret(), token))
    except InvalidToken:
        raise ValidationFailed(
            f"`{HEADER}` is not a token of this service",
            [FieldError(f"/{HEADER}", "must be a token that a write answered")],
        ) from None


@lru_cache(maxsize=1)
def token_secret() -> bytes:
    """The key of consistency tokens and cursors."""
    return bytes.fromhex(environment().secrets["token_secret"])


def admit(viewer_id: UUID | None, demand: Demand, projections: Sequence[str]) -> str:
    """FRESH once the projections have what is demanded, STALE when that took too long, or one has set it aside.

    Raises Unauthenticated when the viewer is erased, away, or nobody. Someone who registered a moment ago is waited
    for, and someone who says, by demanding it, that they came back.
    """
    position = demand.position or NOTHING
    readers = tuple(name for name in projections if reads(name, position.topic))
    if viewer_id is None and not readers:
        return FRESH if demand.satisfiable else STALE
    parameters = {
        "viewer": viewer_id, "topic": position.topic, "partition": position.partition, "offset": position.offset
    }  # fmt: skip
    waiting = Waiting(environment().consistency_wait_seconds)
    while True:
        state = database.row(_statement(readers), parameters)
        if state is None or state.erased:
            raise Unauthenticated("The bearer of this token is not here any more")
        if state.away and not state.reached and waiting.again():
            continue
        if state.away:
            raise Unauthenticated("The account of this token's bearer is deactivated, suspended or about to be erased")
        if state.known and state.parked:
            return STALE
        if state.known and state.reached:
            return FRESH if demand.satisfiable else STALE
        if not waiting.again():
            break
    if not state.known:
        raise Unauthenticated("The bearer of this token is not known here")
    return STALE


def reads(projection: str, topic: str) -> bool:
    """Whether a projection in PostgreSQL reads a topic; for the others see feed/home.py and trends/queries.py."""
    return projection not in IN_REDIS and projection in topics().get(topic, {}).get("readers", ())


def parked_in_feed(position: Position) -> bool:
    """Whether the record before the position is one that the warm feeds do not have."""
    return _parked_in("feed", position)


def parked_in_trends(position: Position) -> bool:
    """Whether the record before the position is one that the trends do not have."""
    return _parked_in("trends", position)


def _parked_in(projection: LiteralString, position: Position) -> bool:
    parameters = {"topic": position.topic, "partition": position.partition, "offset": position.offset}
    found = database.row(IS_PARKED_SQL.format(projection=projection), parameters)
    return found is not None and bool(found.parked)


class Waiting:
    """Sleeps a little longer each time, until the time that a read may wait is over."""

    def __init__(self, seconds: float) -> None:
        self._pause = POLL_SECONDS_MIN
        self._deadline = time.monotonic() + seconds

    def again(self) -> bool:
        """Sleeps, and answers True; False when the time is over."""
        if time.monotonic() >= self._deadline:
            return False
        time.sleep(self._pause)
        self._pause = min(POLL_SECONDS_MAX, self._pause * 1.5)
        return True


@lru_cache(maxsize=256)
def _statement(readers: tuple[str, ...]) -> LiteralString:
    # The names come from topics.yaml and the views, never from a request.
    reached = " and ".join(REACHED_SQL.format(projection=name) for name in readers) or "true"
    parked = " or ".join(PARKED_SQL.format(projection=name) for name in readers) or "false"
    return BEARER_SQL.format(reached=reached, parked=parked)
