"""Every error leaves as a problem document (RFC 9457), whoever raised it; unexpected ones are logged."""

import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import django.db
import orjson
import psycopg
import redis
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework.exceptions import APIException, ValidationError

from shared.errors import (
    FieldError,
    Forbidden,
    NotFound,
    RookeryError,
    Unauthenticated,
    Unavailable,
    ValidationFailed,
)

log = logging.getLogger(__name__)
AWAY = (
    django.db.OperationalError,
    django.db.InterfaceError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    redis.ConnectionError,
    redis.TimeoutError,  # no ConnectionError in redis-py
)
TRACEPARENT = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$")
# What the framework refuses, beside what shared.errors names.
FRAMEWORK_KINDS = {
    405: ("method-not-allowed", "This method is not allowed here"),
    413: ("too-large", "The request is too large"),
    415: ("unsupported-media-type", "The body must be application/json"),
}


def exception_handler(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """Django REST framework's hook: whatever a view raised."""
    return problem(error, context["request"])


def problem(error: Exception, request: Any) -> HttpResponse:
    """The answer to an error."""
    trace_id = _trace_id(request)
    if isinstance(error, APIException) and error.status_code in FRAMEWORK_KINDS:
        kind, title = FRAMEWORK_KINDS[error.status_code]
        response = _document(error.status_code, f"urn:rookery:problem:{kind}", title, str(error.detail), (), trace_id)
        if error.status_code == 405:
            response["Allow"] = ", ".join(_allowed(request))
        return response
    known = _known(error, trace_id)
    response = _document(known.status, known.type, known.title, known.detail, known.errors, trace_id)
    if isinstance(known, Unavailable):
        response["Retry-After"] = str(known.retry_after_seconds)
    if isinstance(known, Unauthenticated):
        response["WWW-Authenticate"] = "Bearer"
    return response


def no_such_page(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return problem(NotFound("there is nothing at this address"), request)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return problem(ValidationFailed("the request is not valid"), request)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's hook for what a plain view raised; it is called while that is being handled."""
    error = sys.exception()
    return problem(error if isinstance(error, Exception) else RookeryError(), request)


def field_errors(detail: Any, pointer: str = "") -> list[FieldError]:
    """A serializer's errors, nested as the body is, as JSON pointers."""
    if isinstance(detail, Mapping):
        found = []
        for name, inner in detail.items():
            below = pointer if name == "non_field_errors" else f"{pointer}/{escaped(str(name))}"
            found += field_errors(inner, below)
        return found
    if isinstance(detail, Sequence) and not isinstance(detail, str):
        return [error for inner in detail for error in field_errors(inner, pointer)]
    return [FieldError(pointer, str(detail))]


def escaped(name: str) -> str:
    """A name as a JSON pointer's part (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def _known(error: Exception, trace_id: str) -> RookeryError:
    """The error of our tree that stands for this one."""
    match error:
        case RookeryError():
            return error
        case ValidationError():
            errors = field_errors(error.detail)
            return ValidationFailed(errors[0].detail if errors else "", errors)
        case Http404():
            return NotFound()
        case PermissionDenied():
            return Forbidden()
        case APIException() if error.status_code in (401, 403):
            return Unauthenticated("this needs an access token")
        case APIException() if error.status_code < 500:
            return ValidationFailed(str(error.detail))
    if isinstance(error, AWAY):
        log.error("a server is away: %s (trace %s)", error, trace_id)
        return Unavailable("a server that this needs is away")
    log.error("unexpected (trace %s)", trace_id, exc_info=error)
    return RookeryError()


def _document(
    status: int, kind: str, title: str, detail: str, errors: Sequence[FieldError], trace_id: str
) -> HttpResponse:
    body = {
        "type": kind,
        "title": title,
        "status": status,
        "detail": detail,
        "errors": [{"pointer": error.pointer, "detail": error.detail} for error in errors],
        "trace_id": trace_id,
    }
    return HttpResponse(orjson.dumps(body), status=status, content_type="application/problem+json")


def _trace_id(request: Any) -> str:
    """That of the caller's trace (W3C traceparent), or a new one."""
    found = TRACEPARENT.match(request.headers.get("traceparent", ""))
    return found[1] if found else os.urandom(16).hex()


def _allowed(request: Any) -> list[str]:
    view = request.parser_context.get("view") if hasattr(request, "parser_context") else None
    return list(view.allowed_methods) if view is not None else []
