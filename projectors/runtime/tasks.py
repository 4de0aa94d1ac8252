"""Runs SQL statements over several connections at once, each as soon as what it needs is done."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg

Connect = Callable[[], "psycopg.Connection[object]"]


@dataclass(frozen=True)
class Task:
    """One statement; `after` names the tasks that must be done before it."""

    name: str
    statement: str
    after: tuple[str, ...] = ()


def run_all(tasks: Sequence[Task], connect: Connect, connections: int, done: Callable[[str, float], None]) -> None:
    """Runs every task once, earlier ones first where there is a choice; `done` hears each name with its seconds.

    The first error is raised once the statements under way have ended; no other is begun then.
    """
    left, finished, errors = list(tasks), set[str](), list[BaseException]()
    changed = threading.Condition()

    def take() -> Task | None:
        with changed:
            while left and not errors:
                for task in left:
                    if finished.issuperset(task.after):
                        left.remove(task)
                        return task
                changed.wait()
            return None

    def work() -> None:
        try:
            with connect() as connection:
                while task := take():
                    began = time.monotonic()
                    connection.execute(task.statement.encode())
                    with changed:
                        finished.add(task.name)
                        done(task.name, time.monotonic() - began)
                        changed.notify_all()
        except BaseException as error:
            with changed:
                errors.append(error)
                changed.notify_all()

    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
