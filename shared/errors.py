"""Every error a client can be shown, each with its problem type (RFC 9457) and status.

RookeryError
├── Rejected                 the command or query cannot be carried out as asked
│   ├── ValidationFailed     400  validation: a field is missing, unknown or malformed
│   ├── Unauthenticated      401  unauthenticated: no valid token
│   ├── Forbidden            403  forbidden: may be seen but not done
│   ├── NotFound             404  not-found: does not exist, or may not be seen
│   ├── Conflict             409  conflict: clashes with what is already there, or in flight
│   ├── Gone                 410  gone: a paging session is over; begin again
│   └── KeyReused            422  idempotency-key-reused: same key, another request
└── Unavailable              503  unavailable: try again after Retry-After seconds
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field: a JSON pointer (RFC 6901) into the body, and a sentence."""

    pointer: str
    detail: str


class RookeryError(Exception):
    """The root of the tree; `detail` is a sentence for people."""

    status = 500
    kind = "internal"
    title = "Something went wrong on our side"

    def __init__(self, detail: str = "", errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = tuple(errors)

    @property
    def type(self) -> str:
        return f"urn:rookery:problem:{self.kind}"


class Rejected(RookeryError):
    """Cannot be carried out as asked."""


class ValidationFailed(Rejected):
    status, kind, title = 400, "validation", "The request is not valid"


class Unauthenticated(Rejected):
    status, kind, title = 401, "unauthenticated", "No valid access token"


class Forbidden(Rejected):
    status, kind, title = 403, "forbidden", "You may not do this"


class NotFound(Rejected):
    status, kind, title = 404, "not-found", "There is no such thing here"


class Conflict(Rejected):
    status, kind, title = 409, "conflict", "This clashes with what is already there"


class Gone(Rejected):
    status, kind, title = 410, "gone", "This paging session is over; begin again"


class KeyReused(Rejected):
    status, kind, title = 422, "idempotency-key-reused", "This idempotency key was used for another request"


class Unavailable(RookeryError):
    """Refused on purpose; `retry_after_seconds` goes to the Retry-After header."""

    status, kind, title = 503, "unavailable", "The service cannot take this now"

    def __init__(self, detail: str = "", retry_after_seconds: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds
