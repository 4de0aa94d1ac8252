"""The realtime process for uvicorn, `uvicorn query_api.asgi:application`: WebSockets, and its own health over HTTP."""

import os
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "query_api.settings")
# Django is set up here, before anything that reads its settings is imported.
http = get_asgi_application()

from django.urls import path, re_path  # noqa: E402

from query_api.notifications.consumer import NotificationConsumer  # noqa: E402
from query_api.notifications.resources import close_resources  # noqa: E402


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """Closed before it is accepted: HTTP 403."""
    await receive()
    await send({"type": "websocket.close"})


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            await close_resources()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "lifespan.startup.complete"})


application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": URLRouter(
            [path("ws/notifications/", NotificationConsumer.as_asgi()), re_path("", refuse)]  # type: ignore[arg-type]  # typed for views, routed by Channels
        ),
        "lifespan": lifespan,
    }
)
