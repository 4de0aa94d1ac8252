"""Who is asking: the bearer of a valid access token, or nobody."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from command_api.accounts.access_tokens import Bearer, verify
from shared.errors import Unauthenticated


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer …` (RFC 6750); `request.user` is the token's Bearer."""

    def authenticate(self, request: Request) -> tuple[Bearer, None] | None:
        header = request.headers.get("Authorization", "")
        if not header:
            return None
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthenticated("the Authorization header is not `Bearer` and a token")
        return verify(token.strip()), None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class SignedIn(BasePermission):
    """Whoever has shown a valid token; whether their account is still active is decided with the command."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.user, Bearer)


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document names it."""

    target_class = BearerAuthentication
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
