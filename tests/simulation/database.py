"""A database as PostgreSQL is one at READ COMMITTED: row locks held to the commit, snapshots, deadlocks, crashes.

What a transaction writes is seen by others once it is committed, all at once. A lock is waited for in turn; who waits
too long is told so, and of those who wait for each other in a circle one is. A crash aborts whatever is open, and where
commits are not durable at once it takes the newest of them along.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import psycopg

from tests.simulation.chance import Chance
from tests.simulation.loop import SimulatedLoop

Where = tuple[str, Any]  # table and key
LOCK_SECONDS = 10.0  # the lock timeout of runtime/stores/postgres.py's connections
CONNECT_SECONDS = 0.3


class Transaction:
    """One statement, or several in one transaction; its methods raise psycopg.OperationalError once it is aborted."""

    def __init__(self, database: "Database", lock_seconds: float, durable: bool, quick: bool) -> None:
        self.database, self.lock_seconds, self.durable, self.quick = database, lock_seconds, durable, quick
        self.writes: dict[Where, Any] = {}
        self.purpose: Any = None  # what the oracle should know of it
        self.locked: list[Where] = []
        self.waits_for: Where | None = None
        self.is_aborted = False

    async def lock(self, table: str, key: Any) -> None:
        """Waits for the row, whether or not it is there yet."""
        if not self.quick:
            await self.database.chance.pause_in_statement()
        self._assert_alive()
        await self.database.take_lock(self, (table, key))
        self._assert_alive()

    def read(self, table: str, key: Any) -> Any:
        """The newest version, as whoever holds the row's lock sees it; None where there is no row."""
        where = (table, key)
        return self.writes[where] if where in self.writes else self.database.rows[table].get(key)

    def write(self, table: str, key: Any, value: Any) -> None:
        """The row is this from the commit on; None deletes it."""
        self._assert_alive()
        self.writes[table, key] = value

    def abort(self) -> None:
        self.is_aborted = True
        self.writes.clear()

    def _assert_alive(self) -> None:
        if self.is_aborted:
            raise psycopg.OperationalError("the server closed the connection unexpectedly")


Body = Callable[[Transaction], Awaitable[Any]]


class Database:
    """Tables of immutable rows, and the server that runs transactions on them."""

    def __init__(self, loop: SimulatedLoop, chance: Chance, tables: Iterable[str], async_commit: bool) -> None:
        self.loop, self.chance, self.async_commit = loop, chance, async_commit
        self.rows: dict[str, dict[Any, Any]] = {name: {} for name in tables}
        self.committed: Callable[[Transaction], None] = lambda transaction: None
        self.went_back: Callable[[int], None] = lambda commits: None
        self.away_until = 0.0
        self._holders: dict[Where, Transaction] = {}
        self._queues: dict[Where, deque[tuple[Transaction, asyncio.Future[None]]]] = {}
        self._open: dict[int, Transaction] = {}
        self._undo: list[dict[Where, Any]] = []  # of the commits that a crash would take along

    async def ask(
        self, body: Body, lock_seconds: float = LOCK_SECONDS, durable: bool = False, quick: bool = False
    ) -> Any:
        """What a client on a network is answered. The answer may be lost, or the connection before the statement.

        A `quick` statement waits for nothing but locks.
        """
        answer = self.loop.create_future()

        def tell(result: Any, error: BaseException | None) -> None:
            if not answer.done():
                if error is None:
                    answer.set_result(result)
                else:
                    answer.set_exception(error)

        async def serve() -> None:
            if not quick:
                await self.chance.pause()
            try:
                result = await self.run(body, lock_seconds, durable, quick)
            except psycopg.Error as error:
                tell(None, error)
            except BaseException as error:
                self.loop.fail(error)
            else:
                await self.chance.pause()
                tell(result, None)

        self.loop.start(serve(), None)
        if self.chance.happens("connection lost"):
            lost = psycopg.OperationalError("connection lost")
            self.loop.call_later(self.chance.seconds(0.0, 0.4), tell, None, lost)
        return await answer

    async def run(
        self, body: Body, lock_seconds: float = LOCK_SECONDS, durable: bool = False, quick: bool = False
    ) -> Any:
        """Begins, runs and commits. Raises psycopg.OperationalError."""
        if self.loop.time() < self.away_until:
            await asyncio.sleep(min(CONNECT_SECONDS, self.away_until - self.loop.time()))
            raise psycopg.OperationalError("connection refused")
        transaction = Transaction(self, lock_seconds, durable, quick)
        self._open[id(transaction)] = transaction
        try:
            answer = await body(transaction)
            if not quick:
                await self.chance.pause()
            transaction._assert_alive()
            self._commit(transaction)
            return answer
        finally:
            transaction.abort()
            del self._open[id(transaction)]
            self._release(transaction)

    def crash(self, away_seconds: float) -> int:
        """Stops at once and is back after a while; answers how many commits it lost."""
        self.away_until = self.loop.time() + away_seconds
        for transaction in list(self._open.values()):
            transaction.abort()
            if transaction.waits_for is not None:
                self._refuse(transaction, psycopg.OperationalError("terminating connection"))
        lost = self.chance.number(0, len(self._undo)) if self.async_commit else 0
        for _ in range(lost):
            for (table, key), old in self._undo.pop().items():
                self._set(table, key, old)
        self._undo.clear()
        if lost:
            self.went_back(lost)
        return lost

    async def take_lock(self, transaction: Transaction, where: Where) -> None:
        holder = self._holders.get(where)
        if holder is transaction:
            return
        if holder is None:
            self._hold(transaction, where)
            return
        if self._is_circle(transaction, holder):
            self.chance.note("deadlock")
            raise psycopg.errors.DeadlockDetected("deadlock detected")
        turn: asyncio.Future[None] = self.loop.create_future()
        self._queues.setdefault(where, deque()).append((transaction, turn))
        transaction.waits_for = where
        self.chance.note("waited for a row")
        too_long = psycopg.errors.LockNotAvailable("canceling statement due to lock timeout")
        timer = self.loop.call_later(transaction.lock_seconds, self._refuse, transaction, too_long)
        try:
            await turn
        finally:
            timer.cancel()
            transaction.waits_for = None

    def _is_circle(self, transaction: Transaction, holder: Transaction | None) -> bool:
        while holder is not None and holder.waits_for is not None:
            holder = self._holders.get(holder.waits_for)
            if holder is transaction:
                return True
        return False

    def _refuse(self, transaction: Transaction, error: psycopg.Error) -> None:
        if transaction.waits_for is None:
            return
        queue = self._queues[transaction.waits_for]
        for waiting, turn in list(queue):
            if waiting is transaction:
                queue.remove((waiting, turn))
                if not turn.done():
                    turn.set_exception(error)

    def _hold(self, transaction: Transaction, where: Where) -> None:
        self._holders[where] = transaction
        transaction.locked.append(where)

    def _release(self, transaction: Transaction) -> None:
        for where in transaction.locked:
            del self._holders[where]
            queue = self._queues.get(where)
            while queue:
                following, turn = queue.popleft()
                if not turn.done():
                    self._hold(following, where)
                    following.waits_for = None
                    turn.set_result(None)
                    break

    def _commit(self, transaction: Transaction) -> None:
        if not transaction.writes:
            return
        undo = {(table, key): self.rows[table].get(key) for table, key in transaction.writes}
        for (table, key), value in transaction.writes.items():
            self._set(table, key, value)
        # Whatever was committed before a durable commit is durable with it: it stands before it in the one log.
        self._undo = [] if transaction.durable else [*self._undo, undo] if self.async_commit else []
        try:
            self.committed(transaction)
        except AssertionError as error:
            self.loop.fail(error)

    def _set(self, table: str, key: Any, value: Any) -> None:
        if value is None:
            self.rows[table].pop(key, None)
        else:
            self.rows[table][key] = value
