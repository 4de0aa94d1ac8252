"""How gunicorn runs the command API: code is loaded once, and each worker meets its servers before its first request.

A worker that replaces one that has died is a copy of the process that forks them, and serves in a fraction of the time
that importing takes. So nothing that lives in a thread or a connection may begin before the fork.
"""

from typing import Any

preload_app = True


def on_starting(server: Any) -> None:
    """gunicorn's hook, called before any worker: what these learn here, those that replace them know without asking."""
    from command_api.wsgi import learn_schemas

    learn_schemas()


def post_worker_init(worker: Any) -> None:
    """gunicorn's hook, called in each new worker."""
    from command_api.wsgi import warm

    warm()
