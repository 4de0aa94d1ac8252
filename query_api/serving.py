"""How gunicorn runs the query API: `gunicorn --config python:query_api.serving`."""

import gc
from typing import Any

COLLECT_AFTER = 50_000  # objects more than there were; a page makes thousands and leaves none in cycles


def post_worker_init(worker: Any) -> None:
    """gunicorn's hook, called in each new worker once its code is loaded, none of which will ever be garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
