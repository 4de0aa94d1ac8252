"""Puts a schema in the place of the live one in one transaction; workers and readers go on without a restart.

Every apply of a live worker begins with the compare-and-set on `position`. So whoever holds ACCESS EXCLUSIVE on that
table has all of them waiting, none half done; a waiting statement looks its tables' names up again when it goes on, and
finds the new schema. Held as short as can be: what the incoming schema lacks by then is applied under the lock where it
is little, else the lock is let go and taken again after catching up. Readers are not locked out at all: what they have
open stays readable under its new name.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg
from psycopg import Connection

from projectors.runtime.apply import has_gone
from projectors.runtime.projection import PostgresProjection
from projectors.runtime.set_aside import take_along
from projectors.runtime.siblings import (
    Kind,
    Phase,
    Sibling,
    connect,
    exists,
    found,
    live_comment,
    live_shape,
    offsets_of,
    write,
)
from projectors.runtime.stores.port import Partition

LOCK_TIMEOUT_SECONDS = 0.4
LAG_RECORDS_MAX = 2_000  # what is applied while the live workers wait
CATCHING_UP_SECONDS_MAX = 0.5
NEVER = float("inf")
ATTEMPTS_MAX = 60
PAUSE_SECONDS = 0.1

Offsets = Mapping[Partition, int]


class NotSwapped(Exception):
    """The swap was given up; everything is as it was. The message says why and what to do."""


@dataclass(frozen=True)
class Swapped:
    """`frozen_seconds` is how long live workers waited, `attempts` how often the lock was asked for."""

    frozen_seconds: float
    attempts: int
    old_schema: str


def swap(
    projection: PostgresProjection,
    url: str,
    incoming: str,
    positions: Callable[[], Offsets],
    advance: Callable[[Offsets, float], int],
    release: Callable[[float], None] = lambda _: None,
) -> Swapped:
    """Makes `incoming` the live schema and keeps the one that was live as `_old`.

    `advance` brings the incoming schema to given positions, and to what is parked there, over a connection of its own;
    `release` has it apply what is parked and can be applied by now. Both take a deadline, of time.monotonic, past which
    they raise TimeoutError; the next call goes on from there. Raises NotSwapped, and what the two raise without one.
    """
    why, much_is_parked = "", False
    with connect(url, lock_timeout=f"{int(LOCK_TIMEOUT_SECONDS * 1000)}ms", synchronous_commit="on") as connection:
        row = connection.execute("select clock_timestamp()::text").fetchone()
        since = row[0] if row else ""
        take_receipts(connection, projection, incoming, "-infinity")
        for attempt in range(1, ATTEMPTS_MAX + 1):
            advance(_ahead(live_positions(connection, projection), positions()), NEVER)
            if much_is_parked:
                release(NEVER)
            try:
                began = time.monotonic()
                with connection.transaction():
                    old = _exchange(connection, projection, incoming, positions, advance, release, since)
                return Swapped(time.monotonic() - began, attempt, old)
            except psycopg.errors.LockNotAvailable:
                why = "a statement held one of the tables for longer than the lock is waited for"
            except _Behind as behind:
                why, much_is_parked = str(behind), much_is_parked or behind.much_is_parked
            time.sleep(PAUSE_SECONDS)
    raise NotSwapped(f"{projection.name} was not swapped after {ATTEMPTS_MAX} attempts: {why}")


class _Behind(Exception):
    """The two were not at the same positions, or not soon enough; the lock is let go."""

    def __init__(self, why: str, much_is_parked: bool = False) -> None:
        super().__init__(why)
        self.much_is_parked = much_is_parked


def live_positions(connection: Connection[Any], projection: PostgresProjection) -> dict[Partition, int]:
    return offsets_of(connection, projection.name)


def _ahead(live: Offsets, incoming: Offsets) -> dict[Partition, int]:
    """The live positions that the incoming schema has still to reach."""
    return {each: offset for each, offset in live.items() if incoming.get(each, 0) < offset}


def _exchange(
    connection: Connection[Any],
    projection: PostgresProjection,
    incoming: str,
    positions: Callable[[], Offsets],
    advance: Callable[[Offsets, float], int],
    release: Callable[[float], None],
    since: str,
) -> str:
    live, old = projection.name, f"{projection.name}_old"
    # Live workers wait from here on. The incoming schema is locked only once it has what it lacks.
    _lock(connection, live)
    _lock_decisions(connection, live)
    deadline = time.monotonic() + CATCHING_UP_SECONDS_MAX
    at, stands = live_positions(connection, projection), positions()
    lacking = _ahead(at, stands)
    lag = sum(offset - stands.get(each, 0) for each, offset in lacking.items())
    if lag > LAG_RECORDS_MAX:
        raise _Behind(f"the live schema is {lag:,} records ahead: it grows faster than it is followed")
    # A parked record may have been taken back where the positions stand.
    _in_time(partial(advance, lacking), deadline, "catching up")
    _in_time(release, deadline, "applying what is parked", much_is_parked=True)
    _lock(connection, incoming)
    _require_equal(at, offsets_of(connection, incoming))
    take_along(connection, live, incoming)
    connection.execute(
        f"""update {incoming}.position as n set epoch = l.epoch, owner = l.owner, leader_epoch = l.leader_epoch
              from {live}.position as l where l.topic = n.topic and l.partition = n.partition""".encode()
    )
    take_receipts(connection, projection, incoming, since)
    _rename(connection, live, incoming, old)
    return old


def _in_time(step: Callable[[float], Any], deadline: float, what: str, much_is_parked: bool = False) -> None:
    """Raises _Behind where the step takes longer than live workers may be made to wait."""
    try:
        step(deadline)
    except TimeoutError:
        late = True
    else:
        late = time.monotonic() > deadline
    if late:
        raise _Behind(f"{what} took too long to have the live workers wait for it", much_is_parked)


def _lock(connection: Connection[Any], schema: str) -> None:
    connection.execute(f"lock table {schema}.position in access exclusive mode".encode())


def _lock_decisions(connection: Connection[Any], schema: str) -> None:
    """What a person decides of parked records, or of a stopped projection, waits too, and then finds the new schema."""
    for table in ("parked", "dropped", "breaker"):
        connection.execute(f"lock table {schema}.{table} in share row exclusive mode".encode())


def _require_equal(live: Offsets, incoming: Offsets) -> None:
    ahead = [each for each, offset in incoming.items() if each in live and offset > live[each]]
    if ahead:
        topic, number = ahead[0]
        raise _Behind(f"the live schema has not reached what was rebuilt in {topic}/{number}: does its worker run?")
    behind = [each for each, offset in live.items() if incoming.get(each) != offset]
    if behind:
        raise _Behind(f"{len(behind)} partitions are not at the live position")


def take_receipts(connection: Connection[Any], projection: PostgresProjection, incoming: str, since: str) -> None:
    """What the live sweeper has noted goes along: receipts are evidence, and it goes on with what still waits.

    Only entries that came or were done after `since`, or still wait, so that little is left to do under the lock.
    """
    sets = (("erased", "user_id"), *((("gone", "post_id"),) if has_gone(projection) else ()))
    for name, column in sets:
        fresh = "(l.entered_at >= %s::timestamptz or l.done_at >= %s::timestamptz or l.done_at is null)"
        connection.execute(
            f"""insert into {incoming}.{name} ({column}, event_id)
                select {column}, event_id from {projection.name}.{name} as l where {fresh}
                on conflict do nothing""".encode(),
            (since, since),
        )
        connection.execute(
            f"""update {incoming}.{name} as n
                   set entered_at = l.entered_at, log_ends = l.log_ends, rows_deleted = l.rows_deleted,
                       positions = l.positions, done_at = l.done_at
                  from {projection.name}.{name} as l
                 where l.{column} = n.{column} and n.done_at is not null and {fresh}""".encode(),
            (since, since),
        )


def older(live: str) -> str:
    """Where the old schema steps aside to in a swap."""
    return f"{live}_older"


def _rename(connection: Connection[Any], live: str, incoming: str, old: str) -> None:
    """A schema that is there under the old one's name steps aside, unless it is the one coming in: whoever swaps drops
    it once the swap has succeeded, so that there is one to go back to at any moment."""
    outgoing = f"{live}_outgoing" if incoming == old else old
    said = found(connection, incoming)
    if incoming != old and exists(connection, old):
        connection.execute(f"alter schema {old} rename to {older(live)}".encode())
    row = connection.execute(
        "select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = %s", (live,)
    ).fetchone()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    connection.execute(f"alter schema {live} rename to {outgoing}".encode())
    connection.execute(f"alter schema {incoming} rename to {live}".encode())
    connection.execute(live_comment(live, said.shape if said is not None else ""))
    if outgoing != old:
        connection.execute(f"alter schema {outgoing} rename to {old}".encode())
    shape = live_shape(row[0] if row else None)
    write(connection, Sibling(old, live, Kind.OLD, Phase.READY, began_at=now, shape=shape, ended_at=now))
