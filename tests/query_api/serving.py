"""The query API's own processes on free ports, over a database and a Redis of the test's own; and tokens for it."""

import hashlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import redis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared import clock
from shared.environment import REPOSITORY
from shared.position import Position
from shared.tokens import consistency_token

CONSISTENCY_WAIT_SECONDS = 0.4
TOPIC_PARTITIONS = 2
SHARDS = 2


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Serving:
    """Addresses, keys and the client of one HTTP and one WebSocket process."""

    http_port: int
    websocket_port: int
    variables: dict[str, str]
    private_key: Ed25519PrivateKey
    token_secret: bytes
    redis: Any
    client: httpx.Client
    stack: ExitStack = field(default_factory=ExitStack)

    def token(self, user_id: UUID, seconds: int = 900, **claims: Any) -> str:
        return sign_token(self.private_key, user_id, seconds, **claims)

    def get(
        self, path: str, viewer: UUID | None = None, headers: Mapping[str, str] | None = None, **query: Any
    ) -> httpx.Response:
        sent = dict(headers or {})
        if viewer is not None:
            sent["Authorization"] = f"Bearer {self.token(viewer)}"
        return self.client.get(path if path.startswith("/") else f"/api/v1/{path}", params=query or None, headers=sent)

    def follow_next(self, response: httpx.Response, viewer: UUID | None = None) -> httpx.Response:
        """The page after this one, by its Link."""
        assert response.json()["next"], "there is no next page"
        return self.get(response.links["next"]["url"], viewer)

    def demand(self, topic: str, partition: int, offset: int) -> dict[str, str]:
        return {"X-Consistency-Token": consistency_token(self.token_secret, Position(topic, partition, offset))}

    def ticket(self, user_id: UUID) -> str:
        ticket = secrets.token_urlsafe(16)
        self.redis.set(f"ticket:{hashlib.sha256(ticket.encode()).hexdigest()}", user_id.hex, ex=30)
        return ticket

    def socket_url(self, **query: Any) -> str:
        return f"ws://127.0.0.1:{self.websocket_port}/ws/notifications/?{httpx.QueryParams(query)}"


def sign_token(key: Ed25519PrivateKey, user_id: UUID, seconds: int = 900, **claims: Any) -> str:
    now = clock.now() // 1_000_000
    key_id = hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()[:16]
    payload = {"iss": "rookery", "sub": str(user_id), "roles": [], "iat": now, "exp": now + seconds, "jti": uuid4().hex}
    return jwt.encode(payload | claims, key, algorithm="EdDSA", headers={"kid": key_id})


def start(query_database_url: str, redis_url: str, var: Path) -> Serving:
    """Both processes, answering. Close the answer's `stack`."""
    key = Ed25519PrivateKey.generate()
    (var / "secrets").mkdir(parents=True)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (var / "secrets" / "access_token_public.pem").write_bytes(public)
    token_secret = secrets.token_bytes(32)
    variables = {
        "ROOKERY_VAR": str(var),
        "QUERY_DATABASE_URL": query_database_url,
        "REDIS_URL": redis_url,
        "ROOKERY_TOKEN_SECRET": token_secret.hex(),
        "ROOKERY_MONITOR_URL": f"http://127.0.0.1:{free_port()}",  # where a test may listen; otherwise nobody does
        "ROOKERY_DJANGO_SECRET": secrets.token_hex(16),
        "ROOKERY_CONSISTENCY_WAIT_SECONDS": str(CONSISTENCY_WAIT_SECONDS),
        "ROOKERY_TOPIC_PARTITIONS": str(TOPIC_PARTITIONS),
        "ROOKERY_FEED_SHARDS": str(SHARDS),
        "ROOKERY_FEED_ITEMS_MAX": "60",
        "ROOKERY_RANKED_ITEMS_MAX": "40",
        "ROOKERY_RANKING_CACHE_SECONDS": "0",
        "PYTHONUNBUFFERED": "1",
    }
    http_port, websocket_port = free_port(), free_port()
    # The server closes a connection that was idle for two seconds, perhaps just when a request is on its way.
    limits = httpx.Limits(keepalive_expiry=0.5)
    client = httpx.Client(base_url=f"http://127.0.0.1:{http_port}", timeout=20, limits=limits)
    serving = Serving(http_port, websocket_port, variables, key, token_secret, redis.Redis.from_url(redis_url), client)
    gunicorn = f"gunicorn --worker-class gthread --threads 4 --bind 127.0.0.1:{http_port} query_api.wsgi:application"
    uvicorn = f"uvicorn query_api.asgi:application --host 127.0.0.1 --port {websocket_port} --ws websockets"
    for command, port in ((gunicorn, http_port), (uvicorn, websocket_port)):
        arguments = [sys.executable, "-m", *command.split()]
        log = (var / f"{arguments[2]}.log").open("wb")
        process = subprocess.Popen(arguments, cwd=REPOSITORY, env=os.environ | variables, stdout=log, stderr=log)
        serving.stack.callback(stop, process)
        wait_until_ready(port, process, Path(log.name))
    return serving


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Raises AssertionError when it did not end by itself: a connection's task was left behind."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
        raise AssertionError(f"{process.args!r} had to be killed") from None


def wait_until_ready(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"a process did not become ready:\n{log.read_text()}")
