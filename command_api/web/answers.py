"""From a command to its HTTP answer: status, resource, consistency token, and the same again for the same key."""

import re
import time
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from command_api.accounts.access_tokens import Bearer
from command_api.dispatch import Outcome, Respond, dispatch
from command_api.event_log.idempotency import IdempotencyKey, fingerprint
from command_api.routing import Command
from shared.environment import environment
from shared.errors import FieldError, Unauthenticated, ValidationFailed
from shared.position import Position
from shared.tokens import consistency_token

# Visible ASCII, as a header's value can hold it.
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
TOKEN_HEADER = "X-Consistency-Token"
REPLAYED_HEADER = "Idempotency-Replayed"


class CommandView(APIView):
    """A view that carries out one command for whoever is signed in.

    What the request has taken so far counts in how long it waits for the log, so that a client's wait has a limit.
    """

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self._began = time.monotonic()

    def actor_id(self, request: Request) -> UUID:
        if not isinstance(request.user, Bearer):
            raise Unauthenticated()
        return request.user.user_id

    def carry_out(self, request: Request, command: Command, respond: Respond) -> Response:
        """Dispatches under the request's idempotency key, if it has one.

        201 or 200 as `respond` says, 202 while the log has not acknowledged; a replay has the first answer's body.
        """
        outcome = dispatch(command, idempotency=_idempotency(request), respond=respond, began=self._began)
        return answer(outcome)


def answer(outcome: Outcome) -> Response:
    """The HTTP answer to what was done."""
    if outcome.answer is None:
        raise ValueError("dispatched without a response")
    status, body = outcome.answer
    headers = {TOKEN_HEADER: token_of(outcome.position)}
    if outcome.replayed:
        headers[REPLAYED_HEADER] = "true"
    return Response(body, status if outcome.position is not None else 202, headers=headers)


def token_of(position: Position | None) -> str:
    return consistency_token(bytes.fromhex(environment().secrets["token_secret"]), position)


def _idempotency(request: Request) -> IdempotencyKey | None:
    header = next((name for name in ("Idempotency-Key", "X-Idempotency-Key") if name in request.headers), None)
    if header is None:
        return None
    key = request.headers[header]
    if not IDEMPOTENCY_KEY.fullmatch(key):
        raise ValidationFailed(
            f"{header} must be 1 to 255 visible characters",
            [FieldError("", f"the header {header} must be 1 to 255 visible ASCII characters")],
        )
    body: Any = request.data
    return IdempotencyKey(key, fingerprint(str(request.method), request.path, body))
