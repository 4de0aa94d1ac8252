"""The one way from a command to a fact: guards and outbox in one transaction, then the log.

Everything is done for a batch, of which a single command is the smallest. What is committed is durably queued: it
reaches the log even if this process dies at once, through the relay, with the same bytes. So an answer is never
"failed" after the commit; at worst it is "not acknowledged yet", and its position is None.
"""

import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from uuid import UUID

import orjson
import psycopg
from django.db import DatabaseError, connections, transaction
from psycopg import errors

from command_api import guards
from command_api.decision import ENDINGS, State, Unchanged, evolve, minted
from command_api.event_log import encoding, outbox
from command_api.event_log.idempotency import IdempotencyKey, Remembered, claim
from command_api.event_log.late import late_marker
from command_api.event_log.outbox import Answer, Entry, Record
from command_api.event_log.publishing import publisher
from command_api.routing import HANDLERS, Command
from schemas.types import Event, UserErased
from shared import clock
from shared.environment import environment
from shared.errors import Rejected, Unavailable
from shared.ids import NIL, mint
from shared.position import Position

log = logging.getLogger(__name__)

BATCH_COMMANDS = 1_000
BATCH_ACK_SECONDS = 10.0  # a little longer than the producer tries
# What is left of a request's time when deciding has used it up: a hundred times what an acknowledgement takes.
ACK_SECONDS_MIN = 0.03
ATTEMPTS_MAX = 6
POLL_SECONDS = 0.004
BACKLOG_CHECK_SECONDS = 1.0
# A position that every reader has passed: for events that the outbox has forgotten.
LONG_PAST = Position("accounts", 0, 0)

# The answer to a client, status and body, from the event; None when nothing changed.
Respond = Callable[[Event | None], tuple[int, Any]]
# Each command's microseconds since 1970, or a clock: it is asked when the locks are held, so that what waited for a
# lock is also newer than what held it.
Times = Sequence[int] | clock.Clock


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command.

    `event` is None when nothing changed, or when an earlier answer is given again. `event_id` is the event's, or of the
    event since which it has been so. `position` is None while the log has not acknowledged it. `rejection` is set only
    in batches; a single command raises it. `answer` is the status and the JSON that `respond` made, now or before.
    """

    event: Event | None
    event_id: UUID
    position: Position | None
    rejection: Rejected | None = None
    answer: tuple[int, bytes] | None = None
    replayed: bool = False

    @property
    def changed(self) -> bool:
        return self.event is not None


@dataclass(slots=True)
class _Decided:
    """One command's way through the transaction; `depends_on` are the last events of the rows it looked at."""

    event_id: UUID = NIL
    event: Event | None = None
    depends_on: list[UUID] = field(default_factory=list)
    rejection: Rejected | None = None
    answer: tuple[int, bytes] | None = None
    remembered: Remembered | None = None


@dataclass(slots=True)
class _Committed:
    """A batch after its transaction. `known` is where the events stand that it depends on or repeats."""

    decided: list[_Decided]
    records: list[Record]
    known: dict[UUID, Entry]


def dispatch(
    command: Command,
    *,
    now: int | None = None,
    idempotency: IdempotencyKey | None = None,
    respond: Respond | None = None,
    began: float | None = None,
) -> Outcome:
    """Carries out one command; `now` in microseconds since 1970, left out the clock's once all locks are held.

    Waits for the broker until the environment's ack_wait_seconds have passed since `began` (time.monotonic(), left out
    now), and for ACK_SECONDS_MIN at least. Raises a Rejected, or Unavailable when the outbox is too full or the
    database away. `respond` makes the answer inside the transaction, so that it can be remembered for the idempotency
    key.
    """
    deadline = (time.monotonic() if began is None else began) + environment().ack_wait_seconds
    _refuse_when_full()
    _load_keys([command])
    committed = _attempt([command], clock.now if now is None else [now], idempotency, respond)
    decided = committed.decided[0]
    if decided.rejection is not None:
        raise decided.rejection
    _publish(committed, max(deadline, time.monotonic() + ACK_SECONDS_MIN), wait_when_away=False)
    return _outcome(decided, committed.known)


def dispatch_batch(commands: Iterable[Command], times: Iterable[int] | clock.Clock | None = None) -> list[Outcome]:
    """Carries out many commands in order, a thousand to a transaction, and answers their outcomes in order.

    `times` are the microseconds since 1970 of each command, or a clock to ask for each; left out, the clock's. A clock
    is asked once all locks are held. Refused commands have their `rejection`. Raises Unavailable as `dispatch` does;
    what was committed before stays.
    """
    given: Iterator[int] | None = None if times is None or callable(times) else iter(times)
    asked = times if callable(times) else clock.now
    outcomes: list[Outcome] = []
    remaining = iter(commands)
    while batch := list(islice(remaining, BATCH_COMMANDS)):
        _refuse_when_full()
        _load_keys(batch)
        committed = _attempt(batch, asked if given is None else list(islice(given, len(batch))), None, None)
        _publish(committed, time.monotonic() + BATCH_ACK_SECONDS, wait_when_away=True)
        outcomes.extend(_outcome(decided, committed.known) for decided in committed.decided)
    return outcomes


def position_of(event_id: UUID) -> Position | None:
    """Where an event stands in the log; None while it is not acknowledged."""
    entry = _find(psycopg.Cursor(_connection()), [event_id]).get(event_id)
    return LONG_PAST if entry is None else entry.position


# Deciding and committing


def _attempt(
    commands: Sequence[Command], times: Times, asked: IdempotencyKey | None, respond: Respond | None
) -> _Committed:
    """The transaction, again after a deadlock or a lost connection: nothing was committed then."""
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            return _transact(commands, times, asked, respond)
        except (errors.DeadlockDetected, errors.SerializationFailure, psycopg.OperationalError) as error:
            # What psycopg raises comes from before the commit; the commit itself is Django's and raises DatabaseError.
            if attempt == ATTEMPTS_MAX or isinstance(error, errors.LockNotAvailable | errors.QueryCanceled):
                log.error("gave up after %d attempts: %s", attempt, error)
                raise Unavailable("the database cannot take this now") from error
            log.info("attempt %d: %s", attempt, error)
            time.sleep(random.uniform(0, 0.01 * 2**attempt))
        except DatabaseError as error:
            log.exception("a commit did not answer")
            raise Unavailable("it is not known whether this was done; repeat it with the same key") from error
    raise AssertionError("unreachable")


def _transact(
    commands: Sequence[Command], times: Times, asked: IdempotencyKey | None, respond: Respond | None
) -> _Committed:
    with transaction.atomic(durable=True):
        cursor = psycopg.Cursor(_connection())
        if asked is not None:
            remembered = claim(cursor, commands[0].actor_id, asked)
            if remembered is not None:
                return _again(remembered)
        decided, state = _decide(cursor, commands, times)
        guards.save(cursor, state)
        changed = [one for one in decided if one.event is not None]
        records = encoding.records([one.event for one in changed if one.event is not None])
        if respond is not None and decided[0].rejection is None:
            status, body = respond(decided[0].event)
            decided[0].answer = (status, orjson.dumps(body))
        _write(cursor, decided, records, asked, commands[0].actor_id)
        for one in changed:
            if isinstance(one.event, UserErased):
                outbox.withdraw(cursor, one.event.subject_id, keep=one.event_id)
                guards.forget(cursor, one.event.subject_id)
        elsewhere = {event_id for one in decided for event_id in one.depends_on} - {NIL}
        elsewhere.difference_update(one.event_id for one in changed)
        return _Committed(decided, records, _find(cursor, elsewhere) if elsewhere else {})


def _decide(cursor: psycopg.Cursor[Any], commands: Sequence[Command], times: Times) -> tuple[list[_Decided], State]:
    handlers = [HANDLERS[type(command)] for command in commands]
    state = guards.load(cursor, [handler.reads(command) for handler, command in zip(handlers, commands, strict=True)])
    decided = []
    newest: UUID | None = None
    moments = [times() for _ in commands] if callable(times) else times
    for handler, command, now in zip(handlers, commands, moments, strict=True):
        state.seen = []
        try:
            decision = handler.decide(command, state)
        except Rejected as rejection:
            decided.append(_Decided(rejection=rejection))
            continue
        if isinstance(decision, Unchanged):
            decided.append(_Decided(decision.last_event, depends_on=[decision.last_event]))
            continue
        after = state.seen
        if isinstance(decision, ENDINGS):
            newest = newest or outbox.newest(cursor)
            after = [*after, newest, *(one.event_id for one in decided)]
        event = minted(decision, mint(now, after))
        evolve(state, event)
        decided.append(_Decided(event.event_id, event, state.seen))
    return decided, state


def _write(
    cursor: psycopg.Cursor[Any],
    decided: list[_Decided],
    records: list[Record],
    asked: IdempotencyKey | None,
    actor_id: UUID,
) -> None:
    """The outbox's rows, with the answer to the key where one was given."""
    first = decided[0]
    answer = Answer(*asked, *first.answer) if asked is not None and first.answer is not None else None
    if len(records) > 1:
        outbox.insert_many(cursor, records)
    elif records:
        outbox.insert(cursor, records[0], answer)
    elif answer is not None:
        outbox.insert_answer(cursor, actor_id, answer, first.event_id)


def _again(remembered: Remembered) -> _Committed:
    one = _Decided(remembered.event_id, answer=(remembered.status, remembered.response), remembered=remembered)
    return _Committed([one], [], _with_unmarked({remembered.event_id: remembered.entry} if remembered.entry else {}))


# Publishing


def _publish(committed: _Committed, deadline: float, *, wait_when_away: bool) -> None:
    """Appends what was committed, after what it depends on, and notes in `known` what was acknowledged in time."""
    producer = publisher(late_marker())
    waiting = {event_id for event_id, entry in committed.known.items() if entry.offset is None}
    if waiting and (wait_when_away or not producer.away):
        waiting = _wait_for_others(committed.known, waiting, deadline)
    sent = _sendable(committed, waiting)
    committed.known.update((r.event_id, Entry(r.topic, r.partition, None)) for r in committed.records)
    if not sent or not (wait_when_away or producer.may_send()):
        return
    delivery = producer.send(sent)
    offsets = delivery.wait(max(0.0, deadline - time.monotonic()) if wait_when_away or not producer.away else 0.0)
    for record in sent:
        if record.event_id in offsets:
            committed.known[record.event_id] = Entry(record.topic, record.partition, offsets[record.event_id])
    late_marker()(offsets)


def _sendable(committed: _Committed, waiting: set[UUID]) -> list[Record]:
    """The records all of whose predecessors are in the log; the others are the relay's, in id order."""
    if not waiting:
        return committed.records
    held = set(waiting)
    for one in committed.decided:
        if one.event is not None and any(event_id in held for event_id in one.depends_on):
            held.add(one.event_id)
    return [record for record in committed.records if record.event_id not in held]


def _wait_for_others(known: dict[UUID, Entry], waiting: set[UUID], deadline: float) -> set[UUID]:
    """Waits until other requests' or processes' events are acknowledged; answers those that are not in time."""
    pause = POLL_SECONDS
    while waiting and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
        try:
            found = _find(psycopg.Cursor(_connection()), waiting)
        except psycopg.OperationalError as error:
            log.warning("what was committed is left to the relay: %s", error)
            return waiting
        for event_id in list(waiting):
            entry = found.get(event_id)
            if entry is None or entry.offset is not None:  # withdrawn by an erasure, or acknowledged
                waiting.discard(event_id)
                known[event_id] = entry or Entry(LONG_PAST.topic, LONG_PAST.partition, LONG_PAST.offset - 1)
    return waiting


def _outcome(decided: _Decided, known: dict[UUID, Entry]) -> Outcome:
    if decided.rejection is not None:
        return Outcome(None, NIL, None, decided.rejection)
    # What the outbox does not know any more was acknowledged long ago.
    entry = known.get(decided.event_id)
    position = entry.position if entry else LONG_PAST
    return Outcome(
        decided.event,
        decided.event_id,
        position,
        answer=decided.answer,
        replayed=decided.remembered is not None,
    )


def _find(cursor: psycopg.Cursor[Any], event_ids: Iterable[UUID]) -> dict[UUID, Entry]:
    return _with_unmarked(outbox.find(cursor, event_ids))


def _with_unmarked(found: dict[UUID, Entry]) -> dict[UUID, Entry]:
    """With the acknowledgements that this process has and the outbox is about to get."""
    unmarked = late_marker().unmarked([event_id for event_id, entry in found.items() if entry.offset is None])
    found.update((event_id, found[event_id]._replace(offset=offset)) for event_id, offset in unmarked.items())
    return found


# What goes before


_backlog_checked = (0.0, False)


def _refuse_when_full() -> None:
    """Raises Unavailable when too much waits for the broker; looked at once a second."""
    global _backlog_checked
    checked_at, full = _backlog_checked
    if time.monotonic() - checked_at >= BACKLOG_CHECK_SECONDS:
        rows_max = environment().outbox_backlog_max
        try:
            full = outbox.backlog(psycopg.Cursor(_connection()), rows_max) > rows_max
        except psycopg.OperationalError as error:
            connections["default"].close()
            raise Unavailable("the database cannot take this now") from error
        _backlog_checked = (time.monotonic(), full)
    if full:
        raise Unavailable("too many writes wait for the log", retry_after_seconds=5)


def _load_keys(commands: Sequence[Command]) -> None:
    encoding.codec()
    personal = {command.actor_id for command in commands if HANDLERS[type(command)].personal}
    if personal:
        encoding.load_keys(personal)


def _connection() -> psycopg.Connection[Any]:
    """This thread's psycopg connection under Django's, used directly: cursors that bind and prepare on the server."""
    wrapper = connections["default"]
    wrapper.close_if_health_check_failed()  # once a request, as Django's own cursors do
    wrapper.ensure_connection()
    connection: psycopg.Connection[Any] = wrapper.connection
    return connection
