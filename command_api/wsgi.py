"""The command API as a WSGI application: gunicorn command_api.wsgi:application

What every request needs is loaded before a worker is forked, or fetched in the worker before its first request: the
addresses' views, the schemas' ids, the broker's topics.
"""

import logging
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "command_api.settings.base")
application = get_wsgi_application()
assert get_resolver().url_patterns


def learn_schemas() -> None:
    """Asks the registry, unless that was done; one that is away is asked again by the first request that needs it."""
    # Only now: these need the settings.
    from command_api.event_log import encoding
    from shared.errors import Unavailable

    try:
        encoding.codec()
    except Unavailable as error:
        logging.getLogger(__name__).warning("%s", error.detail)


def warm() -> None:
    """A server that is away now is met again by the first request that needs it."""
    from command_api.event_log.late import late_marker
    from command_api.event_log.publishing import publisher

    learn_schemas()
    publisher(late_marker())
