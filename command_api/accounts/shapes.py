"""How a person looks in answers, and what bodies about accounts hold; as the contract's examples have it."""

import re
from typing import Any
from uuid import UUID

from rest_framework import serializers

from command_api.accounts import access_tokens
from command_api.accounts.commands.edit_profile import BIO_CHARACTERS_MAX, DISPLAY_NAME_CHARACTERS_MAX
from command_api.vault.people import Person
from command_api.web.bodies import Body, Flag, Id, Language, Text
from command_api.web.rendering import moment
from shared.ids import micros_of

USERNAME = re.compile(r"[a-z0-9_]{3,30}")
PASSWORD_CHARACTERS_MIN = 10


class Username(Text):
    """3 to 30 of a-z, 0-9 and _; capitals are folded."""

    def to_internal_value(self, data: Any) -> str:
        folded = super().to_internal_value(data).lower()
        if not USERNAME.fullmatch(folded):
            raise serializers.ValidationError("must be 3 to 30 of a-z, 0-9 and _")
        return folded


class Registration(Body):
    """What a new person says about themselves; `display_name` is the username when left out."""

    username = Username()
    email = serializers.EmailField(max_length=254)
    password = Text(min_length=PASSWORD_CHARACTERS_MIN, write_only=True)
    password_confirm = Text(required=False, write_only=True)
    display_name = Text(required=False, max_length=DISPLAY_NAME_CHARACTERS_MAX)


class ProfileBody(Body):
    """What changes in one's profile; what is left out stays."""

    display_name = Text(required=False, allow_blank=True, max_length=DISPLAY_NAME_CHARACTERS_MAX)
    bio = Text(required=False, allow_blank=True, max_length=BIO_CHARACTERS_MAX)
    language = Language(required=False)
    avatar_media_id = Id(required=False, allow_null=True)
    private = Flag(required=False)


class Login(Body):
    """The username or the e-mail address, in either field, and the password."""

    username = Text(required=False, max_length=254)
    email = Text(required=False, max_length=254)
    password = Text(write_only=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("username" in attrs) == ("email" in attrs):
            raise serializers.ValidationError("either username or email")
        return attrs


class Refresh(Body):
    """A refresh token."""

    refresh = Text(max_length=200)


class Profile(serializers.Serializer[Any]):
    """A person as the write side knows them, which does not count: GET users/me/ has `counts` too."""

    id = serializers.UUIDField()
    username = serializers.CharField()
    display_name = serializers.CharField()
    bio = serializers.CharField()
    avatar = serializers.JSONField(allow_null=True)
    private = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    viewer = serializers.DictField(child=serializers.BooleanField())


class Tokens(serializers.Serializer[Any]):
    """An access token and the refresh token that gets the next one."""

    access = serializers.CharField()
    refresh = serializers.CharField()
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField()


class SignedInAnswer(Tokens):
    """Tokens, and whose they are; who signs in finds their `counts` at GET users/me/."""

    user = Profile()


class Ticket(serializers.Serializer[Any]):
    """A ticket for one WebSocket."""

    ticket = serializers.CharField()
    expires_in = serializers.IntegerField()


class Problem(serializers.Serializer[Any]):
    """RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    errors = serializers.ListField(child=serializers.DictField(child=serializers.CharField()))  # type: ignore[assignment]
    trace_id = serializers.CharField()


def profile(person: Person, *, private: bool) -> dict[str, Any]:
    """What the command side knows of a person, as a profile without the counts, which the read side has."""
    return {
        "id": str(person.user_id),
        "username": person.username,
        "display_name": person.display_name,
        "bio": person.bio,
        "avatar": None,
        "private": private,
        "created_at": moment(micros_of(person.created_at)),
        "viewer": {
            "following": False,
            "requested": False,
            "followed_by": False,
            "blocking": False,
            "muting": False,
        },
    }


def author(person: Person) -> dict[str, Any]:
    """A person as the author of something."""
    return {
        "id": str(person.user_id),
        "username": person.username,
        "display_name": person.display_name,
        "avatar": None,
    }


def tokens(user_id: UUID, roles: tuple[str, ...], refresh: str, now: int) -> dict[str, Any]:
    return {
        "access": access_tokens.issue(user_id, roles, now),
        "refresh": refresh,
        "token_type": "Bearer",
        "expires_in": access_tokens.LIFETIME_SECONDS,
    }
