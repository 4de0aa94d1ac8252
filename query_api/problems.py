"""Every refusal is application/problem+json (RFC 9457), whether a view, a route or the framework refused."""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import psycopg
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework import exceptions

from shared.errors import FieldError, NotFound, RookeryError, Unauthenticated, Unavailable

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
KINDS = {405: "method-not-allowed", 406: "not-acceptable", 415: "unsupported-media-type", 429: "too-many-requests"}


def problem_response(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """DRF's exception handler. What nobody foresaw is logged with its trace and shown as a 500 without detail."""
    request = context["request"]._request
    if isinstance(error, psycopg.OperationalError):
        log.warning("the read database did not answer: %s", error)
        error = Unavailable("The read database does not answer now")
    if isinstance(error, Http404):  # DRF's own for a `?format=` that it cannot render
        error = NotFound("There is no such form of this")
    if isinstance(error, RookeryError):
        return of_error(request, error)
    if isinstance(error, exceptions.APIException):
        kind = KINDS.get(error.status_code, "request")
        response = problem(request, error.status_code, kind, str(error.default_detail), str(error.detail))
        for name, value in getattr(error, "headers", {}).items():
            response[name] = value
        return response
    log.exception("unexpected error on %s", request.path, exc_info=error)
    return of_error(request, RookeryError())


def of_error(request: HttpRequest, error: RookeryError) -> HttpResponse:
    response = problem(request, error.status, error.kind, error.title, error.detail, error.errors)
    if isinstance(error, Unavailable):
        response["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, Unauthenticated):
        response["WWW-Authenticate"] = 'Bearer realm="rookery"'
    return response


def problem(
    request: HttpRequest, status: int, kind: str, title: str, detail: str, errors: Sequence[FieldError] = ()
) -> HttpResponse:
    body = {
        "type": f"urn:rookery:problem:{kind}",
        "title": title,
        "status": status,
        "detail": detail,
        "errors": [{"pointer": error.pointer, "detail": error.detail} for error in errors],
        "trace_id": trace_id(request),
    }
    return HttpResponse(orjson.dumps(body), status=status, content_type=MEDIA_TYPE)


def trace_id(request: HttpRequest) -> str:
    """The trace of a W3C traceparent header, or a new one."""
    parts = request.headers.get("traceparent", "").split("-")
    if len(parts) >= 4 and len(parts[1]) == 32 and all(each in "0123456789abcdef" for each in parts[1]):
        return parts[1]
    return os.urandom(16).hex()


def route_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return of_error(request, NotFound("There is no such address here"))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem(request, 400, "request", "The request is not valid", "The request could not be read")


def server_error(request: HttpRequest) -> HttpResponse:
    return of_error(request, RookeryError())
