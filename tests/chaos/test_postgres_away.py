"""Claim: PostgreSQL's sudden end costs its clients nothing but a 503 that says when to come back.

Oracle: what the clients were answered, against the whole log, and `rookery verify`. A real server, stopped as
`pg_ctl stop -m immediate` does while people write and read. Cannot catch: a disk that forgets what was committed.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable

import httpx

from tests.chaos.conftest import Write
from tests.chaos.load import Load, Person
from tests.chaos.system import System

READS = ("feed/home/?sort=recent", "feed/home/?sort=ranked", "notifications/", "users/me/")


def test_postgres_stopped_immediately(
    system: System, people: list[Person], write: Write, whole: Callable[[Load], None]
) -> None:
    answers: list[httpx.Response] = []
    enough = threading.Event()

    def read() -> None:
        headers = {"Authorization": f"Bearer {people[-1].access}"}
        with httpx.Client(base_url=f"{system.environment.gateway_url}/api/v1/", headers=headers, timeout=60) as client:
            while not enough.wait(0.05):
                answers.extend(client.get(path) for path in READS)

    reader = threading.Thread(target=read)
    with write() as load:
        reader.start()
        try:
            time.sleep(2)
            for _ in range(2):
                system.stop_postgres_immediately()
                time.sleep(1)
                system.await_server("postgres")
                time.sleep(3)
        finally:
            enough.set()
            reader.join()
    whole(load)
    assert set(load.statuses()) <= {200, 201, 202, 503}, load.summary()
    assert load.statuses()[503] > 0, "nobody noticed"
    read_statuses = Counter(answer.status_code for answer in answers)
    print(f"  reads: {dict(read_statuses)}")
    assert set(read_statuses) <= {200, 503}, [answer.text for answer in answers if answer.status_code not in (200, 503)]
    assert all(answer.headers.get("Retry-After") for answer in answers if answer.status_code == 503)
    assert answers[-1].status_code == 200
