"""The notifications WebSocket: nobody misses a frame, nobody sees one twice.

What is sent comes from delivery.frame, in order and after the last one sent; hints through Channels only say that it
is time to look, so a hint that is lost costs until the next heartbeat. The connection joins its group before it reads
its backlog: a frame written in between is found by one or the other.

A client that comes with `after=SEQ` gets every frame since. Where that is not possible any more it gets `resync`, and
reads the list.
"""

import asyncio
import contextlib
import hashlib
import logging
import time
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import orjson
from channels.generic.websocket import AsyncWebsocketConsumer
from psycopg import OperationalError
from redis.exceptions import RedisError

from query_api.access_tokens import bearer_of
from query_api.notifications.frames import State, frames_after, state_of, unread_count_of
from query_api.notifications.resources import Resources, resources
from shared.environment import environment
from shared.errors import Unauthenticated

log = logging.getLogger(__name__)

UNAUTHENTICATED, FORBIDDEN, TOO_SLOW, TRY_AGAIN = 4401, 4403, 4429, 1013
HEARTBEAT_SECONDS = 10.0
PRESENCE_SECONDS = 30
PRESENCE_KEY = "online"
SEND_SECONDS_MAX = 10.0  # uvicorn's buffer is full for so long: the client does not read
UNRESOLVED_PAUSE_SECONDS = 0.05
UNRESOLVED_SECONDS_MAX = 10.0
TROUBLE_PAUSE_SECONDS = 1.0


class TooSlow(Exception):
    """The client does not read what it is sent."""


class NotificationConsumer(AsyncWebsocketConsumer):
    """One connection. A single task sends its frames; hints and the clock only wake it."""

    async def connect(self) -> None:
        # A refusal is told by a close code, which a client only sees on a connection that was accepted.
        await self.accept()
        self._pump_task: asyncio.Task[None] | None = None
        self._group: str | None = None
        self._woken = asyncio.Event()
        self._is_open = True
        self._unresolved: tuple[int, float] | None = None
        self._resources: Resources = await resources()
        query = parse_qs(self.scope["query_string"].decode("latin-1"))
        try:
            recipient_id = await self._recipient(query)
            if recipient_id is None:
                await self.close(UNAUTHENTICATED)
                return
            await self._begin(recipient_id, _after(query))
        except (RedisError, OSError, OperationalError) as trouble:
            log.warning("a connection could not begin: %s", trouble)
            await self.close(TRY_AGAIN)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Only pings are understood; anything else is ignored, so that clients may say more in a later version."""
        try:
            message = orjson.loads(text_data or "")
        except orjson.JSONDecodeError:
            return
        if isinstance(message, dict) and message.get("type") == "ping":
            with contextlib.suppress(TooSlow):
                await self._say({"type": "pong"})

    async def delivery_hint(self, message: dict[str, Any]) -> None:
        self._woken.set()

    async def disconnect(self, code: int) -> None:
        self._is_open = False
        if self._pump_task is not None:
            self._pump_task.cancel()
        if self._group is not None:
            with contextlib.suppress(RedisError, OSError):
                await self.channel_layer.group_discard(self._group, self.channel_name)

    async def _recipient(self, query: dict[str, list[str]]) -> UUID | None:
        """Whose ticket this is; a ticket is good once. A token in the address only where the setting allows it."""
        ticket = query.get("ticket", [""])[0]
        if ticket:
            key = f"ticket:{hashlib.sha256(ticket.encode()).hexdigest()}"
            holder = await self._resources.redis.getdel(key)
            return UUID(holder) if holder else None
        token = query.get("token", [""])[0]
        if token and environment().websocket_query_token:
            try:
                bearer = bearer_of(f"Bearer {token}")
            except Unauthenticated:
                return None
            return bearer.user_id if bearer is not None else None
        return None

    async def _begin(self, recipient_id: UUID, after: int | str | None) -> None:
        self._recipient_id = recipient_id
        state = await self._known_state()
        if state is None:
            await self.close(FORBIDDEN)
            return
        self._group = f"user.{recipient_id.hex}"
        await self._be_found()
        # Read anew: what was written since the group was joined is announced by hints.
        state = await state_of(self._resources.pool, recipient_id)
        unread = await unread_count_of(self._resources.pool, recipient_id)
        self._last = state.head
        try:
            await self._say({"type": "hello", "seq": state.head, "unread": unread})
            if isinstance(after, int) and state.has_all_after(after):
                self._last = after
            elif after is not None:
                await self._say({"type": "resync"})
        except TooSlow:
            return
        self._pump_task = asyncio.create_task(self._pump())

    async def _known_state(self) -> State | None:
        """The recipient's state, waited for after a registration; None for someone erased, away or unknown."""
        deadline = time.monotonic() + environment().consistency_wait_seconds
        while True:
            state = await state_of(self._resources.pool, self._recipient_id)
            if state.shut_out:
                return None
            if state.known:
                return state
            if time.monotonic() > deadline:
                return None
            await asyncio.sleep(UNRESOLVED_PAUSE_SECONDS)

    async def _pump(self) -> None:
        """Sends what there is, then sleeps until a hint or the next heartbeat."""
        beat_at = time.monotonic() + HEARTBEAT_SECONDS
        with contextlib.suppress(TooSlow):
            # A cancellation can be lost in the Redis client (see settings.py), so the task also looks for itself.
            while self._is_open:
                try:
                    self._woken.clear()
                    settled = await self._drain()
                    if time.monotonic() >= beat_at:
                        beat_at = time.monotonic() + HEARTBEAT_SECONDS
                        if not await self._beat():
                            return
                except (OperationalError, RedisError) as trouble:
                    log.warning("frames wait: %s", trouble)
                    await asyncio.sleep(TROUBLE_PAUSE_SECONDS)
                    continue
                except OSError:
                    return  # the client is gone, and `disconnect` is on its way
                except Exception:
                    log.exception("a connection's frames could not be sent")
                    await self.close(1011)
                    return
                pause = beat_at - time.monotonic() if settled else UNRESOLVED_PAUSE_SECONDS
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, pause)):
                        await self._woken.wait()

    async def _drain(self) -> bool:
        """Sends every frame after the last one; False when one waits for another projection."""
        while True:
            frames = await frames_after(self._resources.pool, self._recipient_id, self._last)
            for frame in frames:
                if not frame.resolved and self._worth_waiting(frame.seq):
                    return False
                if frame.message is not None:
                    await self._say(frame.message)
                self._last = frame.seq
            if not frames:
                return True

    def _worth_waiting(self, seq: int) -> bool:
        """Whether the frame may still become complete; one that never does must not hold up the others."""
        now = time.monotonic()
        if self._unresolved is None or self._unresolved[0] != seq:
            self._unresolved = (seq, now)
        if now - self._unresolved[1] < UNRESOLVED_SECONDS_MAX:
            return True
        log.warning("frame %d of %s is left out: its actor or post did not come", seq, self._recipient_id)
        return False

    async def _beat(self) -> bool:
        """Says where the sequence stands; False, and closed, when the recipient was erased or is away."""
        state = await state_of(self._resources.pool, self._recipient_id)
        if state.shut_out:
            await self.close(FORBIDDEN)
            return False
        try:
            await self._be_found()
        except (RedisError, OSError) as trouble:
            log.warning("hints may not find a connection: %s", trouble)
        await self._say({"type": "heartbeat", "seq": self._last})
        return True

    async def _be_found(self) -> None:
        """Joins the group, and shows presence: the sender hints only those who are shown, for a lost heartbeat or two.

        Said again with every heartbeat, since Redis may have lost both, and Channels ends a membership after a day.
        """
        await self.channel_layer.group_add(self._group, self.channel_name)
        expires_at = time.time() + PRESENCE_SECONDS
        await self._resources.redis.zadd(PRESENCE_KEY, {self._recipient_id.hex: expires_at}, gt=True)

    async def _say(self, message: dict[str, Any]) -> None:
        """Raises TooSlow, the connection being closed, when the client does not take it in time."""
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await self.send(text_data=orjson.dumps(message).decode())
        except TimeoutError:
            await self.close(TOO_SLOW)
            raise TooSlow from None


def _after(query: dict[str, list[str]]) -> int | str | None:
    """The sequence to go on after; text that is no number is passed on as it is, and answered with a resync."""
    given = query.get("after", [None])[0]
    if given is None or given == "":
        return None
    return int(given) if given.isascii() and given.isdecimal() and len(given) <= 18 else given
