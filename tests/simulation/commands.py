"""The command side's two servers, whose clocks differ, deciding about the same rows: guards and log agree in the end.

Real: decide, evolve, minted and the ids (command_api/decision.py, shared/ids.py). Stood in for: the guard tables, which
are rows of the simulated database under its locks, and dispatch.py's few lines that call them in their order. The
oracle: for every reaction the guard row, the newest id and the last commit are one and the same, and the counters'
fold over the events, in any order of arrival, counts what the guards say.
"""

import asyncio
from typing import Any
from uuid import UUID

import psycopg

from command_api.accounts.state import ACTIVE, Account
from command_api.decision import State, Unchanged, evolve, minted
from command_api.posts.state import PUBLIC, Post
from command_api.reactions.commands import like_post, unlike_post
from command_api.reactions.commands.like_post import LikePost
from command_api.reactions.commands.unlike_post import UnlikePost
from projectors.counters.fold import PROJECTION as COUNTERS
from schemas.types import Event
from shared.ids import mint
from tests.properties.histories import BEGIN
from tests.properties.interpretation import fold_in_batches
from tests.simulation.chance import Chance
from tests.simulation.database import Database, Transaction
from tests.simulation.loop import SimulatedLoop

SERVERS = 2
COMMANDS = 12
SKEW_MICROS = 150_000
TURNS_MAX = 100_000
AUTHOR, *ACTORS = (mint(BEGIN + index, random=bytes(8)) for index in range(3))
POST_ID = mint(BEGIN + 1_000, random=bytes(8))


class CommandsRun:
    """One seed."""

    def __init__(self, seed: int) -> None:
        self.loop = SimulatedLoop()  # type: ignore[abstract]
        self.chance = Chance(seed)
        self.database = Database(self.loop, self.chance, ["account", "post", "reaction"], async_commit=False)
        self.database.committed = self._committed
        self.log: list[Event] = []  # in the order of the commits, which is each row's order of publication
        self._done = 0
        self._skew = [self.chance.number(-SKEW_MICROS, SKEW_MICROS) for _ in range(SERVERS)]
        rows = self.database.rows
        rows["account"] = {each: Account(each, ACTIVE, each) for each in (AUTHOR, *ACTORS)}
        rows["post"] = {POST_ID: Post(POST_ID, AUTHOR, PUBLIC, False, POST_ID)}

    def run(self) -> None:
        """Raises AssertionError where the guards and what the events mean are two things."""
        for _ in range(COMMANDS):
            self.loop.start(self._request(), None).add_done_callback(self._ended)
        try:
            self.loop.run(lambda: self._done == COMMANDS, TURNS_MAX)
            self._compare()
        finally:
            self.loop.end()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        error = task.exception()
        if error is not None:
            self.loop.fail(error)
        self._done += 1

    def clock(self, server: int) -> int:
        return BEGIN + 10_000_000 + int(self.loop.time() * 1e6) + self._skew[server]

    async def _request(self) -> None:
        await asyncio.sleep(self.chance.seconds(0.0, 0.3))
        actor_id, kind = self.chance.random.choice(ACTORS), self.chance.random.choice([LikePost, UnlikePost])
        server = self.chance.number(0, SERVERS - 1)

        async def body(transaction: Transaction) -> None:
            await self._decide(transaction, server, kind(actor_id=actor_id, post_id=POST_ID))

        while True:
            try:
                await self.database.run(body)
                return
            except psycopg.OperationalError:  # as dispatch.py: nothing was committed
                await asyncio.sleep(self.chance.seconds(0.0, 0.05))

    async def _decide(self, transaction: Transaction, server: int, command: LikePost | UnlikePost) -> None:
        """What dispatch.py does in its transaction: locks, rows, decision, and only then the id."""
        state = await self._load(transaction, command)
        self._conclude(transaction, state, command, self.clock(server), seen=True)

    async def _load(self, transaction: Transaction, command: LikePost | UnlikePost) -> State:
        await transaction.lock("account", command.actor_id)
        state, rows = State(), transaction.database.rows
        state.accounts.update(rows["account"])
        state.posts.update(rows["post"])
        state.reactions.update(rows["reaction"])
        return state

    def _conclude(
        self, transaction: Transaction, state: State, command: LikePost | UnlikePost, now: int, seen: bool
    ) -> None:
        decide: Any = like_post.decide if isinstance(command, LikePost) else unlike_post.decide
        decision = decide(command, state)
        if isinstance(decision, Unchanged):
            return
        noise = self.chance.random.randbytes(8)
        event = minted(decision, mint(now, state.seen if seen else (), noise))
        evolve(state, event)
        for key in sorted(state.reactions.changed):
            transaction.write("reaction", key, state.reactions[key])
        transaction.purpose = event

    def _committed(self, transaction: Transaction) -> None:
        self.log.append(transaction.purpose)

    def _compare(self) -> None:
        guards = self.database.rows["reaction"]
        for (_, actor_id), guard in guards.items():
            events: list[Any] = [event for event in self.log if event.subject_id == actor_id]
            newest: UUID = max(event.event_id for event in events)
            assert newest == events[-1].event_id == guard.last_event, f"{actor_id}: an older id was committed last"
        shuffled = self.chance.random.sample(self.log, len(self.log))
        tables = fold_in_batches(COUNTERS.tables, [COUNTERS.fold([event]) for event in shuffled])
        likes = tables.counts().get("post_count", {}).get((POST_ID,), {"likes": 0})["likes"]
        active = sum(guard.active for guard in guards.values())
        assert likes == active, f"{likes} likes are counted, the guards have {active}"


class MintedBeforeTheLock(CommandsRun):
    """The id is made when the request comes in, by its server's own clock."""

    async def _decide(self, transaction: Transaction, server: int, command: LikePost | UnlikePost) -> None:
        now = self.clock(server)
        state = await self._load(transaction, command)
        self._conclude(transaction, state, command, now, seen=False)


class MintedAfterTheLockByTheOwnClock(CommandsRun):
    """The id is made under the lock, but not after the ids found there."""

    async def _decide(self, transaction: Transaction, server: int, command: LikePost | UnlikePost) -> None:
        state = await self._load(transaction, command)
        self._conclude(transaction, state, command, self.clock(server), seen=False)
