"""An ordinary user of the HTTP interface: whatever is not answered as expected ends the demo with what was answered."""

import json
import queue
import threading
import time
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

REQUEST_SECONDS_MAX = 15
FRAME_SECONDS_MAX = 15


class DemoFailure(Exception):
    """The system did not do what it promises; the message says what was expected and what came."""


class Answer(NamedTuple):
    status: int
    body: Any
    headers: httpx.Headers
    milliseconds: float  # from sending the request until its whole answer was read

    @property
    def consistency_token(self) -> str:
        return str(self.headers["X-Consistency-Token"])

    @property
    def pending(self) -> bool:
        """The write is durably queued but the log has not acknowledged it yet."""
        return self.status == 202


class Visitor:
    """Talks to the gateway as one person, or as nobody before signing in; keeps its connection."""

    def __init__(self, gateway_url: str, access: str | None = None) -> None:
        self._gateway_url = gateway_url
        self._client = httpx.Client(base_url=f"{gateway_url}/api/v1/", timeout=REQUEST_SECONDS_MAX)
        if access:
            self.use(access)

    def use(self, access: str) -> None:
        self._client.headers["Authorization"] = f"Bearer {access}"

    def close(self) -> None:
        self._client.close()

    def get(self, path: str, after: Answer | None = None, **parameters: str | int) -> Answer:
        """`after` is a write that this read must see."""
        headers = {"X-Consistency-Token": after.consistency_token} if after else {}
        answer = self._send("GET", path, (200,), params=parameters, headers=headers)
        if after and not after.pending:
            expect(answer.headers.get("X-Consistency"), "fresh", f"X-Consistency of GET {path} after a write")
        return answer

    def post(self, path: str, body: Any = None, statuses: Iterable[int] = (200, 201, 202)) -> Answer:
        return self._send("POST", path, statuses, json={} if body is None else body)

    def _send(self, method: str, path: str, statuses: Iterable[int], **arguments: Any) -> Answer:
        started = time.perf_counter()
        try:
            response = self._client.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise DemoFailure(f"{method} {self._client.base_url}{path}: {type(error).__name__} {error}") from error
        milliseconds = (time.perf_counter() - started) * 1000
        if response.status_code not in statuses:
            raise DemoFailure(
                f"{method} {response.url} answered {response.status_code}, not {' or '.join(map(str, statuses))}:"
                f" {response.text[:1000]}"
            )
        try:
            body = response.json() if response.content else None
        except json.JSONDecodeError as error:
            raise DemoFailure(f"{method} {response.url} did not answer JSON: {response.text[:1000]}") from error
        return Answer(response.status_code, body, response.headers, milliseconds)

    def listen(self) -> "Frames":
        """Opens the notifications' WebSocket with a one-time ticket."""
        ticket = self.post("ws-tickets/").body["ticket"]
        return Frames(f"ws://{urlsplit(self._gateway_url).netloc}/ws/notifications/?ticket={ticket}")


class Frame(NamedTuple):
    at: float  # time.perf_counter() of its arrival
    body: dict[str, Any]


class Frames:
    """An open WebSocket, read by a thread of its own: a frame's arrival is timed while a request is under way."""

    def __init__(self, url: str) -> None:
        self._closed = "normally"
        self._socket = connect(url, open_timeout=REQUEST_SECONDS_MAX)
        self._arrived: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.hello = self.next("hello").body

    def next(self, kind: str, seconds_max: float = FRAME_SECONDS_MAX) -> Frame:
        """The next frame of this type; those of other types before it are passed over."""
        deadline = time.monotonic() + seconds_max
        while True:
            try:
                frame = self._arrived.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise DemoFailure(f"no {kind} frame on the WebSocket within {seconds_max:.0f} s") from None
            if frame is None:
                raise DemoFailure(f"the WebSocket was closed ({self._closed}) while a {kind} frame was awaited")
            if frame.body["type"] == kind:
                return frame

    def close(self) -> None:
        self._socket.close()
        self._thread.join(5)

    def _read(self) -> None:
        try:
            for message in self._socket:
                self._arrived.put(Frame(time.perf_counter(), json.loads(message)))
        except ConnectionClosed as closed:
            self._closed = str(closed)  # for whoever still waits; a close of our own is nobody's concern
        finally:
            self._arrived.put(None)


def expect(found: Any, wanted: Any, what: str) -> None:
    """Raises DemoFailure unless they are equal. Not an assert: it must hold under `python -O` too."""
    if found != wanted:
        raise DemoFailure(f"{what}: expected {wanted!r}, got {found!r}")


def expect_that(truth: bool, what: str, found: Any) -> None:
    if not truth:
        raise DemoFailure(f"{what}; got {json.dumps(found, default=str)[:1000]}")
