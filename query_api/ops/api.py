"""What operators and machines ask a process: is it alive, can it answer, what has it done, what does it offer."""

import html
from typing import Any

import redis
from django.http import HttpRequest, HttpResponse, JsonResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.views import SpectacularAPIView
from psycopg import Error as DatabaseError

from query_api import database
from query_api.access_tokens import token_reader
from query_api.ops.metrics import CONTENT_TYPE, REQUESTS
from shared.environment import environment

METHODS = ("get", "post", "put", "patch", "delete")
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Rookery API</title>
<style>body{{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}}
td{{padding:.15rem .8rem .15rem 0;vertical-align:top}}</style>
<h1>Rookery API</h1>
<p>OpenAPI 3.1: <a href="/api/v1/query/schema/?format=json">reads</a>,
<a href="/api/v1/command/schema/?format=json">writes</a>. Load either into any OpenAPI viewer.</p>
<h2>Reads</h2><table>{rows}</table></html>"""


class SchemaView(SpectacularAPIView):
    """The OpenAPI schema, as YAML or with ?format=json as JSON."""

    renderer_classes = [OpenApiYamlRenderer, OpenApiJsonRenderer]


def healthz(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """503 while a page could not be answered. Redis is told about but not needed: PostgreSQL answers without it."""
    checks = {"database": _database(), "token_key": _token_key(), "redis": _redis()}
    ready = checks["database"] and checks["token_key"]
    return JsonResponse({"status": "ok" if ready else "unavailable", "checks": checks}, status=200 if ready else 503)


def metrics(request: HttpRequest) -> HttpResponse:
    return HttpResponse(REQUESTS.text(), content_type=CONTENT_TYPE)


def docs(request: HttpRequest) -> HttpResponse:
    """A page that needs nothing from elsewhere: every read with its address and parameters, and both schemas."""
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    rows = [
        f"<tr><td><code>{html.escape(path)}</code></td><td>{html.escape(_summary(operation))}</td></tr>"
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]
    return HttpResponse(PAGE.format(rows="".join(rows)))


def _summary(operation: dict[str, Any]) -> str:
    names = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
    return " ".join(filter(None, (operation.get("description", ""), f"({', '.join(names)})" if names else "")))


def _database() -> bool:
    try:
        return database.row("select 1 as one from profiles.position limit 0", {}) is None
    except DatabaseError:
        return False


def _token_key() -> bool:
    try:
        token_reader()
    except FileNotFoundError:
        return False
    return True


def _redis() -> bool:
    try:
        with redis.Redis.from_url(environment().redis_url, socket_connect_timeout=0.5, socket_timeout=0.5) as client:
            return bool(client.ping())
    except (redis.RedisError, OSError):
        return False
