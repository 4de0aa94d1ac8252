"""A real Redis Cluster of three primaries without replicas, on loopback, for as long as a test module needs it."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from shared.environment import Environment
from tests.runtime.workers import wait_until

PORTS_AFTER = 90  # behind those of the installation; a node talks to the others 10,000 above
PRIMARIES = 3
START_SECONDS = 30


@contextmanager
def three_primaries(servers: Environment, directories: pytest.TempPathFactory) -> Iterator[str]:
    """Its address, for FEED_REDIS_URL. Skips the test where no Redis is installed."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed here, but in a container")
    ports = [servers.ports["gateway"] + PORTS_AFTER + number for number in range(PRIMARIES)]
    processes = [_node(program, port, directories.mktemp(f"node-{port}")) for port in ports]
    try:
        wait_until(START_SECONDS, lambda: all(map(_listens, ports)))
        addresses = [f"127.0.0.1:{port}" for port in ports]
        subprocess.run(
            ["redis-cli", "--cluster", "create", *addresses, "--cluster-replicas", "0", "--cluster-yes"],
            check=True, capture_output=True, timeout=START_SECONDS,
        )  # fmt: skip
        wait_until(START_SECONDS, lambda: all(map(_is_whole, ports)))
        yield f"redis+cluster://{addresses[0]}"
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(10)


def _node(program: str, port: int, directory: Path) -> "subprocess.Popen[bytes]":
    settings = {
        "port": port, "bind": "127.0.0.1", "cluster-enabled": "yes", "cluster-node-timeout": 5000,
        "dir": directory, "save": "", "appendonly": "no", "daemonize": "no",
    }  # fmt: skip
    arguments = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    return subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _is_whole(port: int) -> bool:
    with redis.Redis(port=port, decode_responses=True) as node:
        state: dict[str, str] = node.cluster("info")
        return state["cluster_state"] == "ok" and state["cluster_known_nodes"] == str(PRIMARIES)
