"""Reads from the `read` database under a role that can only SELECT: one pool a process, opened when first needed.

The pools open after gunicorn has forked, since a connection must not be shared by two processes.
"""

import re
import threading
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, LiteralString

import orjson
from psycopg import AsyncConnection, Connection, OperationalError, RawCursor
from psycopg.rows import namedtuple_row
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from shared.environment import environment

set_json_loads(orjson.loads)

# Compiling a plan costs more than any of these statements takes; one that hangs must not hold a worker's thread.
SESSION_OPTIONS = "-c jit=off -c timezone=UTC -c default_transaction_read_only=on -c statement_timeout=10000"
CONNECTIONS_MAX = 16
STATEMENTS_MAX = 512
PLACEHOLDER = re.compile(r"%%|%\((\w+)\)s")
CHECKOUT_SECONDS_MAX = 5.0
Parameters = Mapping[str, Any]

_opening = threading.Lock()


@lru_cache(maxsize=1)
def _opened_pool() -> ConnectionPool[Connection[Any]]:
    return ConnectionPool(
        environment().query_database_url,
        kwargs={
            "autocommit": True,
            "options": SESSION_OPTIONS,
            "row_factory": namedtuple_row,
            "cursor_factory": RawCursor,
        },
        min_size=1,
        max_size=CONNECTIONS_MAX,
        timeout=CHECKOUT_SECONDS_MAX,
        open=True,
        name="query",
    )


def pool() -> ConnectionPool[Connection[Any]]:
    """This process's pool; opened by the first thread that asks."""
    with _opening:
        return _opened_pool()


def rows(statement: LiteralString, parameters: Parameters, prepare: bool | None = None) -> list[Any]:
    """All rows of one statement, as named tuples. A connection that the server has closed is replaced once.

    With `prepare` False it is planned anew each time, for a statement whose best plan depends on the parameters.
    """
    try:
        return _run(statement, parameters, prepare)
    except PoolTimeout:
        raise
    except OperationalError as error:
        if error.sqlstate is not None and not error.sqlstate.startswith("57P"):
            raise
    pool().check()
    return _run(statement, parameters, prepare)


def row(statement: LiteralString, parameters: Parameters) -> Any | None:
    """The first row, or None."""
    found = rows(statement, parameters)
    return found[0] if found else None


def array(ids: Iterable[str]) -> str:
    """An array parameter of ids by their digits, to be cast in the statement: hundreds of them cost next to nothing."""
    return "{" + ",".join(ids) + "}"


def _run(statement: LiteralString, parameters: Parameters, prepare: bool | None) -> list[Any]:
    text, names = _numbered(statement)
    with pool().connection() as connection:
        values = [parameters[name] for name in names]
        return connection.execute(text, values, prepare=prepare, binary=True).fetchall()


@lru_cache(maxsize=STATEMENTS_MAX)
def _numbered(statement: LiteralString) -> tuple[bytes, list[str]]:
    """The statement with PostgreSQL's own placeholders, and the parameters' names in their order.

    psycopg would read it for placeholders on every execution, as soon as it is longer than 4,096 characters.
    """
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    return PLACEHOLDER.sub(number, statement).encode(), names


def new_async_pool() -> AsyncConnectionPool[AsyncConnection[Any]]:
    """A pool for an event loop; not open yet."""
    return AsyncConnectionPool(
        environment().query_database_url,
        kwargs={"autocommit": True, "options": SESSION_OPTIONS, "row_factory": namedtuple_row},
        min_size=1,
        max_size=CONNECTIONS_MAX,
        timeout=CHECKOUT_SECONDS_MAX,
        open=False,
        name="realtime",
    )
