"""Delivery frames as an open connection sends them: in the order of their sequence, each once, from PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from query_api.notifications.present import present_notification
from query_api.notifications.queries import (
    COLUMNS_SQL,
    NIL,
    POST_FOLLOWED_SQL,
    RESOLVED_SQL,
    THERE_SQL,
    UNREAD_COUNT_SQL,
    NotificationRow,
)
from query_api.profiles.standing import away

FRAMES_AT_ONCE = 200
# A frame is so young that the graph may still bring the follow by which its post is seen. All frames behind it wait
# too, and who is mentioned in a post for others' followers has nothing to wait for: it is short.
FOLLOW_SECONDS_MAX = 2.0

FRAMES_SQL: LiteralString = (
    COLUMNS_SQL
    + """, f.seq, f.operation, f.notification_id,
       n.cause_event is not distinct from f.cause_event and """
    + THERE_SQL
    + """ as there, """
    + POST_FOLLOWED_SQL
    + """ as followed, f.written_at > now() - make_interval(secs => %(follow_seconds)s) as young,
       n.id is not null and """
    + RESOLVED_SQL
    + """ as resolved
  from delivery.frame f
  left join notifications.notification n on n.recipient_id = f.recipient_id and n.id = f.notification_id
  left join profiles.person actor on actor.user_id = n.actor_id
 where f.recipient_id = %(recipient)s and f.seq > %(after)s
 order by f.seq limit %(limit)s"""
)

# `kept` is the oldest frame there still is; `known` and `shut_out` are the bearer's state, as in consistency.py.
STATE_SQL: LiteralString = (
    """
select coalesce((select seq from delivery.head where recipient_id = %(recipient)s), 0) as head,
       (select min(seq) from delivery.frame where recipient_id = %(recipient)s) as kept,
       exists (select from profiles.person where user_id = %(recipient)s and created_event is not null) as known,
       exists (select from profiles.erased where user_id = %(recipient)s)
           or exists (select from profiles.person b where b.user_id = %(recipient)s and """
    + away("b")
    + ") as shut_out"
)

Pool = AsyncConnectionPool[AsyncConnection[Any]]


@dataclass(frozen=True)
class State:
    """Where a recipient's sequence stands, and whether they are still there, neither erased nor away."""

    head: int
    kept: int | None
    known: bool
    shut_out: bool

    def has_all_after(self, seq: int) -> bool:
        """Whether every frame after `seq` can still be sent."""
        if seq > self.head or seq < 0:
            return False
        return seq == self.head or (self.kept is not None and seq >= self.kept - 1)


@dataclass(frozen=True)
class Frame:
    """One frame. `message` is None where nothing is to be sent: what it announced is gone, or a later one announces it.

    `resolved` is False while another projection has not brought what the message needs.
    """

    seq: int
    message: dict[str, Any] | None
    resolved: bool = True


async def state_of(pool: Pool, recipient_id: UUID) -> State:
    async with pool.connection() as connection:
        cursor = await connection.execute(STATE_SQL, {"recipient": recipient_id}, binary=True)
        row = await cursor.fetchone()
    return State(*row)  # type: ignore[misc]  # a statement without a table always has a row


async def unread_count_of(pool: Pool, recipient_id: UUID) -> int:
    async with pool.connection() as connection:
        cursor = await connection.execute(UNREAD_COUNT_SQL, {"recipient": recipient_id, "nil": NIL}, binary=True)
        row = await cursor.fetchone()
    return 0 if row is None else int(row.unread)


async def frames_after(pool: Pool, recipient_id: UUID, seq: int) -> Sequence[Frame]:
    """The next frames, at most FRAMES_AT_ONCE."""
    parameters = {
        "recipient": recipient_id,
        "after": seq,
        "limit": FRAMES_AT_ONCE,
        "nil": NIL,
        "follow_seconds": FOLLOW_SECONDS_MAX,
    }
    async with pool.connection() as connection:
        cursor = await connection.execute(FRAMES_SQL, parameters, binary=True)
        return [frame_of(row) for row in await cursor.fetchall()]


def frame_of(row: Any) -> Frame:
    """Pure: what one row of FRAMES_SQL tells the client."""
    if row.operation == "remove":
        return Frame(row.seq, {"type": "removed", "seq": row.seq, "data": {"id": str(row.notification_id)}})
    if not row.there:
        return Frame(row.seq, None)
    if not row.resolved:
        return Frame(row.seq, None, resolved=False)
    if not row.followed:
        return Frame(row.seq, None, resolved=not row.young)
    notification = NotificationRow(*row[:13])
    message = {"type": "notification", "seq": row.seq, "data": present_notification(notification, row.seq)}
    return Frame(row.seq, message)
