"""Everything that is forgotten in time, each with its rule; nothing goes that somebody may still ask for.

Each job can be repeated, broken off, and run by two at once. Rows go some thousand at a time, so that nobody waits long
for a lock. Tickets and ranked sessions are not listed: Redis lets them expire by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import Connection

from command_api.event_log import partitions
from shared.environment import Environment

HOUR_MICROS = 3_600_000_000
OUTBOX_HOURS = 24  # how long a key's answer, and an event's place in the log, are remembered
SIGN_IN_DAYS = 90
ROWS_AT_ONCE = 5_000
OFTEN_SECONDS, SELDOM_SECONDS = 60.0, 900.0

# (connection, environment, now in microseconds since 1970) -> how many
Step = Callable[[Connection[Any], Environment, int], int]


@dataclass(frozen=True)
class Job:
    """`due` counts what `purge` would do now; `database` names an address of the environment; `seconds` lie between."""

    name: str
    database: str
    unit: str
    seconds: float
    due: Step
    purge: Step

    def url(self, environment: Environment) -> str:
        url: str = getattr(environment, f"{self.database}_database_url")
        return url


def _create_hours(connection: Connection[Any], environment: Environment, now: int) -> int:
    return partitions.create_ahead(connection, now)


def _missing_hours(connection: Connection[Any], environment: Environment, now: int) -> int:
    return len(partitions.missing(connection, now))


def _old_hours(connection: Connection[Any], environment: Environment, now: int) -> int:
    return len(partitions.droppable(connection, now - OUTBOX_HOURS * HOUR_MICROS))


def _drop_hours(connection: Connection[Any], environment: Environment, now: int) -> int:
    return sum(
        partitions.drop(connection, one) for one in partitions.droppable(connection, now - OUTBOX_HOURS * HOUR_MICROS)
    )


def _hours_with_bytes(connection: Connection[Any], environment: Environment, now: int) -> int:
    return len(partitions.clearable(connection, now - environment.outbox_bytes_hours * HOUR_MICROS))


def _clear_hours(connection: Connection[Any], environment: Environment, now: int) -> int:
    hours = partitions.clearable(connection, now - environment.outbox_bytes_hours * HOUR_MICROS)
    for hour in hours:
        partitions.clear(connection, hour)
    return len(hours)


def _rows(name: str, database: str, table: LiteralString, condition: LiteralString, order: LiteralString) -> Job:
    """Deletes the rows of a table for which the condition holds, in an order that may be broken off anywhere."""

    def due(connection: Connection[Any], environment: Environment, now: int) -> int:
        row = connection.execute(
            f"SELECT count(*) FROM {table} AS old WHERE {condition}", _limits(environment)
        ).fetchone()
        return int(row[0]) if row else 0

    def purge(connection: Connection[Any], environment: Environment, now: int) -> int:
        deleted = 0
        statement: LiteralString = (
            f"DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT old.ctid FROM {table} AS old WHERE {condition}"
            f" ORDER BY {order} LIMIT %(rows)s))"
        )
        while rows := connection.execute(statement, _limits(environment)).rowcount:
            deleted += rows
        return deleted

    return Job(name, database, "rows", SELDOM_SECONDS, due, purge)


def _limits(environment: Environment) -> dict[str, int]:
    return {
        "rows": ROWS_AT_ONCE,
        "hours": OUTBOX_HOURS,
        "days": SIGN_IN_DAYS,
        "frame_days": environment.frames_kept_days,
        "frames": environment.frames_kept_per_person,
        "history_days": environment.history_days,
    }


JOBS = (
    Job("outbox hours to come", "command", "partitions", OFTEN_SECONDS, _missing_hours, _create_hours),
    Job("outbox hours gone by", "command", "partitions", OFTEN_SECONDS, _old_hours, _drop_hours),
    Job("outbox bytes", "command", "partitions", SELDOM_SECONDS, _hours_with_bytes, _clear_hours),
    _rows(
        "outbox rest",
        "command",
        "outbox_rest",
        "old.acked_at IS NOT NULL AND old.created_at < now() - make_interval(hours => %(hours)s)",
        "old.event_id",
    ),
    # An answer whose event is still to be published stays: a repetition must not do again what is about to happen.
    _rows(
        "idempotency answers",
        "command",
        "idempotency_answer",
        "old.created_at < now() - make_interval(hours => %(hours)s) AND NOT EXISTS"
        " (SELECT FROM outbox WHERE outbox.event_id = old.event_id AND outbox.acked_at IS NULL)",
        "old.created_at",
    ),
    # A spent token stays until it would have expired: who shows it until then is a thief, or was robbed. The hour is
    # for clocks that differ.
    _rows(
        "refresh tokens",
        "vault",
        "refresh_token",
        "old.expires_at < now() - interval '1 hour'",
        "old.expires_at",
    ),
    # A family is made together with its first token, and without any token it can never have one again.
    _rows(
        "refresh families",
        "vault",
        "refresh_family",
        "NOT EXISTS (SELECT FROM refresh_token WHERE refresh_token.family_id = old.family_id)",
        "old.created_at",
    ),
    _rows("sign-ins", "vault", "sign_in", "old.at < now() - make_interval(days => %(days)s)", "old.at"),
    # Always a recipient's first ones: a connection goes on after any frame that is there. What is not sent stays, and
    # all after it.
    _rows(
        "delivery frames",
        "read",
        "delivery.frame",
        # Materialized: else the planner asks once per frame, and who gets thousands costs thousands squared.
        "(old.recipient_id, old.seq) IN (WITH kept AS MATERIALIZED (SELECT head.recipient_id, least("
        " greatest(head.seq - %(frames)s, (SELECT coalesce(max(seq), 0) FROM delivery.frame AS late"
        " WHERE late.recipient_id = head.recipient_id"
        " AND late.written_at < now() - make_interval(days => %(frame_days)s))),"
        " (SELECT min(seq) - 1 FROM delivery.frame AS unsent"
        " WHERE unsent.recipient_id = head.recipient_id AND NOT unsent.sent)) AS last FROM delivery.head)"
        " SELECT f.recipient_id, f.seq FROM kept"
        " JOIN delivery.frame AS f ON f.recipient_id = kept.recipient_id AND f.seq <= kept.last)",
        "old.recipient_id, old.seq",
    ),
    # What a post's history shows (query_api/posts/history.py) is the same before and after: a text goes when what
    # replaced it is old, so that the newest never does. The first version, whose id is its post's, replaced none.
    _rows(
        "post versions",
        "read",
        "posts.post_version",
        "%(history_days)s > 0 AND EXISTS (SELECT FROM posts.post_version AS newer"
        " WHERE newer.post_id = old.post_id AND newer.version_id > old.version_id"
        " AND newer.version_id <> newer.post_id"
        " AND newer.written_at < now() - make_interval(days => %(history_days)s))",
        "old.post_id, old.version_id",
    ),
)
