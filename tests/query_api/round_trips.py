"""Reads one address several times in this process, and prints how often its servers were asked for each answer.

    python -m tests.query_api.round_trips PATH?QUERY ACCESS_TOKEN TIMES

Its last line is a JSON list of {"status", "cache", "postgresql", "redis"}. Counted where the clients send a statement
or a command, and wait; the first answers also open connections.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

os.environ["DJANGO_SETTINGS_MODULE"] = "query_api.settings"

import django
import psycopg
import redis
from django.test import Client

SERVERS = ("postgresql", "redis")


def main(path: str, access_token: str, times: int) -> list[dict[str, Any]]:
    asked: Counter[str] = Counter()

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def calling(*args: Any, **kwargs: Any) -> Any:
            asked[name] += 1
            return call(*args, **kwargs)

        return calling

    psycopg.Cursor.execute = counted("postgresql", psycopg.Cursor.execute)  # type: ignore[method-assign]
    redis.Redis.execute_command = counted("redis", redis.Redis.execute_command)  # type: ignore[method-assign]
    client, answers = Client(headers={"Authorization": f"Bearer {access_token}"}), []
    django.setup()
    for _ in range(times):
        asked.clear()
        answer = client.get(path)
        cache = answer.headers.get("X-Cache-Status")
        answers.append({"status": answer.status_code, "cache": cache, **{each: asked[each] for each in SERVERS}})
    return answers


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
