"""The command API as a WSGI application: gunicorn command_api.wsgi:application

What every request needs is fetched before the first one: the addresses' views, the schemas' ids, the broker's topics.
"""

import logging
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "command_api.settings.base")
application = get_wsgi_application()


def warm() -> None:
    """A server that is away now is met again by the first request that needs it."""
    # Only now: these need the settings.
    from django.urls import get_resolver

    from command_api.event_log import encoding
    from command_api.event_log.late import late_marker
    from command_api.event_log.publishing import publisher
    from shared.errors import Unavailable

    assert get_resolver().url_patterns
    try:
        encoding.codec()
    except Unavailable as error:
        logging.getLogger(__name__).warning("%s", error.detail)
    publisher(late_marker())


warm()
