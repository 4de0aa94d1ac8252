"""Relationships over HTTP: POST sets, DELETE clears."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from command_api.accounts.shapes import USERNAME, Problem
from command_api.relationships.commands.follow_user import FollowUser
from command_api.relationships.commands.unfollow_user import UnfollowUser
from command_api.vault import people
from command_api.web.answers import CommandView
from command_api.web.bodies import NoBody
from shared.errors import NotFound


class FollowAnswer(serializers.Serializer[Any]):
    """How one stands towards a person."""

    user_id = serializers.UUIDField()
    following = serializers.BooleanField()
    requested = serializers.BooleanField()


class UserFollow(CommandView):
    @extend_schema(
        request=None,
        responses={200: FollowAnswer, 201: FollowAnswer, 202: FollowAnswer, 404: Problem, 409: Problem},
    )
    def post(self, request: Request, person: str) -> Response:
        """Follows a person, named by username or id; 200 when one did already."""
        NoBody.of(request)
        followee_id = id_of(person)
        command = FollowUser(self.actor_id(request), followee_id)
        return self.carry_out(request, command, lambda event: (201 if event else 200, _answer(followee_id, True)))

    @extend_schema(request=None, responses={200: FollowAnswer, 202: FollowAnswer, 404: Problem, 409: Problem})
    def delete(self, request: Request, person: str) -> Response:
        """Follows a person no longer."""
        NoBody.of(request)
        followee_id = id_of(person)
        command = UnfollowUser(self.actor_id(request), followee_id)
        return self.carry_out(request, command, lambda event: (200, _answer(followee_id, False)))


def id_of(person: str) -> UUID:
    """The id behind a username, or that was given. Raises NotFound."""
    try:
        return UUID(person)
    except ValueError:
        # What nobody can be called is not asked for: a database does not take every character.
        found = people.by_username(person) if USERNAME.fullmatch(person.lower()) else None
    if found is None:
        raise NotFound("there is no such person")
    return found.user_id


def _answer(user_id: UUID, following: bool) -> dict[str, Any]:
    return {"user_id": str(user_id), "following": following, "requested": False}
