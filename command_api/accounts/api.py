"""Accounts over HTTP: registering, signing in and out, tokens.

The endpoints under auth/ ignore an idempotency key: their answers hold secrets, which are not kept to be told again.
Registering twice with the same name and password is a conflict, or finishes what was cut short.
"""

import ipaddress
from uuid import UUID

from django.http import JsonResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from command_api.accounts import access_tokens, refresh_tokens, registration, tickets
from command_api.accounts.commands.edit_profile import EditProfile
from command_api.accounts.models import AccountGuard
from command_api.accounts.passwords import is_password, require_acceptable
from command_api.accounts.shapes import (
    Login,
    Problem,
    Profile,
    ProfileBody,
    Refresh,
    Registration,
    SignedInAnswer,
    Ticket,
    Tokens,
    profile,
    tokens,
)
from command_api.accounts.state import ACTIVE
from command_api.vault import people
from command_api.vault.people import Person
from command_api.web.answers import TOKEN_HEADER, CommandView, token_of
from command_api.web.bodies import NoBody
from schemas.types import Event
from shared import clock
from shared.errors import Conflict, Unauthenticated

WRONG = "the name or the password is wrong"


class OpenView(APIView):
    """For everyone, with or without a token."""

    authentication_classes = ()
    permission_classes = ()


class Register(OpenView):
    @extend_schema(request=Registration, responses={201: SignedInAnswer, 202: SignedInAnswer, 409: Problem})
    def post(self, request: Request) -> Response:
        """A new account, signed in at once."""
        body = Registration.of(request)
        require_acceptable(body["password"], body.get("password_confirm", body["password"]))
        now = clock.now()
        display_name = body.get("display_name", "").strip() or body["username"]
        person, outcome = registration.register(body["username"], body["email"], display_name, body["password"], now)
        headers = {TOKEN_HEADER: token_of(outcome.position)}
        return Response(_signed_in(request, person, now), 201 if outcome.position else 202, headers=headers)


class SignIn(OpenView):
    @extend_schema(request=Login, responses={200: SignedInAnswer, 401: Problem})
    def post(self, request: Request) -> Response:
        """Signs in by username or e-mail address."""
        body = Login.of(request)
        name = body.get("email") or body.get("username") or ""
        person = people.by_email(name) if "@" in name else people.by_username(name)
        if not is_password(body["password"], person.password if person else None) or person is None:
            raise Unauthenticated(WRONG)
        headers = _complete(person)
        return Response(_signed_in(request, person, clock.now()), headers=headers)


class RefreshTokens(OpenView):
    @extend_schema(request=Refresh, responses={200: Tokens, 401: Problem})
    def post(self, request: Request) -> Response:
        """A new pair of tokens for a refresh token, which is spent by this."""
        now = clock.now()
        user_id, refresh = refresh_tokens.exchange(Refresh.of(request)["refresh"], now)
        return Response(tokens(user_id, _roles_of(user_id), refresh, now))


class SignOut(OpenView):
    @extend_schema(request=Refresh, responses={204: None})
    def post(self, request: Request) -> Response:
        """Ends the session that this refresh token belongs to."""
        refresh_tokens.revoke(Refresh.of(request)["refresh"], clock.now())
        return Response(status=204)


class Me(CommandView):
    @extend_schema(request=ProfileBody, responses={200: Profile, 202: Profile, 400: Problem})
    def patch(self, request: Request) -> Response:
        """Changes one's own profile; what is left out stays."""
        command = EditProfile(actor_id=self.actor_id(request), **ProfileBody.of(request))

        def respond(event: Event | None) -> tuple[int, object]:
            # Still under the account's lock, so that the vault takes one person's edits in the order of the log.
            if event is not None:
                people.change_profile(command.actor_id, command.display_name, command.bio)
            person = people.by_id(command.actor_id)
            if person is None:
                raise Unauthenticated("this account is not active")
            return 200, profile(person, private=_is_private(command.actor_id))

        return self.carry_out(request, command, respond)


class WebSocketTickets(CommandView):
    @extend_schema(request=None, responses={201: Ticket, 401: Problem})
    def post(self, request: Request) -> Response:
        """A ticket that opens one WebSocket within 30 seconds."""
        NoBody.of(request)
        actor_id = self.actor_id(request)
        if not _is_active(actor_id):
            raise Unauthenticated("this account is not active")
        ticket = tickets.issue(actor_id)
        return Response({"ticket": ticket, "expires_in": tickets.LIFETIME_SECONDS}, 201)


def key_set(request: object) -> JsonResponse:
    """GET /.well-known/jwks.json"""
    return JsonResponse(access_tokens.key_set(), headers={"Cache-Control": "public, max-age=300"})


def _is_active(user_id: UUID) -> bool:
    return AccountGuard.objects.filter(user_id=user_id, state=ACTIVE).exists()


def _is_private(user_id: UUID) -> bool:
    return AccountGuard.objects.filter(user_id=user_id, private=True).exists()


def _roles_of(user_id: UUID) -> tuple[str, ...]:
    """What an access token says that its bearer may do, as it is now: a role taken away ends with the token at last."""
    found = AccountGuard.objects.filter(user_id=user_id, state=ACTIVE).values_list("roles", flat=True).first()
    return tuple((found or "").split())


def _complete(person: Person) -> dict[str, str]:
    """Finishes a registration that was cut short; the headers that tell of it."""
    if _is_active(person.user_id):
        return {}
    try:
        outcome = registration.complete(person)
    except Conflict:
        raise Unauthenticated(WRONG) from None  # erased a moment ago
    return {TOKEN_HEADER: token_of(outcome.position)}


def _signed_in(request: Request, person: Person, now: int) -> dict[str, object]:
    people.note_sign_in(person.user_id, client_address(request), now)
    refresh = refresh_tokens.begin_family(person.user_id, now)
    access = tokens(person.user_id, _roles_of(person.user_id), refresh, now)
    return {**access, "user": profile(person, private=_is_private(person.user_id))}


def client_address(request: Request) -> str | None:
    """Where a request came from; a forwarded address is believed only from the gateway, which is on loopback."""
    direct = str(request.META.get("REMOTE_ADDR", ""))
    forwarded = str(request.META.get("HTTP_X_FORWARDED_FOR", "")).rpartition(",")[2].strip()
    for candidate in (forwarded if _is_loopback(direct) else "", direct):
        if _is_address(candidate):
            return candidate
    return None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_loopback(text: str) -> bool:
    return _is_address(text) and ipaddress.ip_address(text).is_loopback
