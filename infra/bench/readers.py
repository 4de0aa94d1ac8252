"""Reads addresses over HTTP through a fixed number of connections, as fast as they answer; prints one JSON object.

    python -m infra.bench.readers <<< '{"url", "tokens", "connections", "requests"}'

Request number n bears token n modulo their number. It is a process of its own, so that the server's is no less.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any

import aiohttp


async def read(url: str, tokens: list[str], connections: int, requests: int) -> dict[str, Any]:
    """Milliseconds of each request in the order in which they were sent, and what they were answered."""
    took = [0.0] * requests
    statuses: Counter[str] = Counter()
    caches: Counter[str] = Counter()
    items = 0
    numbers = iter(range(requests))

    async def visitor(session: aiohttp.ClientSession) -> None:
        nonlocal items
        for number in numbers:
            began = time.perf_counter()
            headers = {"Authorization": f"Bearer {tokens[number % len(tokens)]}"}
            async with session.get(url, headers=headers) as answer:
                body = await answer.read()
            took[number] = (time.perf_counter() - began) * 1000
            statuses[str(answer.status)] += 1
            caches[answer.headers.get("X-Cache-Status", "none")] += 1
            items += body.count(b'"via":')

    connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=60)
    async with aiohttp.ClientSession(connector=connector) as session:
        began = time.perf_counter()
        await asyncio.gather(*(visitor(session) for _ in range(connections)))
        seconds = time.perf_counter() - began
    return {"seconds": seconds, "ms": took, "statuses": statuses, "caches": caches, "items": items}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(read(**json.load(sys.stdin)))))
