"""Relationships over HTTP: POST sets, DELETE clears; requests to follow are approved or rejected."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from command_api.accounts.shapes import USERNAME, Problem
from command_api.relationships.commands.approve_follow import ApproveFollow
from command_api.relationships.commands.block_user import BlockUser
from command_api.relationships.commands.follow_user import FollowUser
from command_api.relationships.commands.mute_user import MuteUser
from command_api.relationships.commands.reject_follow import RejectFollow
from command_api.relationships.commands.unblock_user import UnblockUser
from command_api.relationships.commands.unfollow_user import UnfollowUser
from command_api.relationships.commands.unmute_user import UnmuteUser
from command_api.relationships.standing import is_request
from command_api.vault import people
from command_api.web.answers import CommandView
from command_api.web.bodies import NoBody
from schemas.types import Event, FollowRequested
from shared.errors import NotFound


class FollowAnswer(serializers.Serializer[Any]):
    """How one stands towards a person."""

    user_id = serializers.UUIDField()
    following = serializers.BooleanField()
    requested = serializers.BooleanField()


class BlockAnswer(serializers.Serializer[Any]):
    """Whether one blocks a person."""

    user_id = serializers.UUIDField()
    blocking = serializers.BooleanField()


class MuteAnswer(serializers.Serializer[Any]):
    """Whether one mutes a person."""

    user_id = serializers.UUIDField()
    muting = serializers.BooleanField()


class RequestAnswer(serializers.Serializer[Any]):
    """How the request of a person was answered: whether they follow one now."""

    user_id = serializers.UUIDField()
    approved = serializers.BooleanField()


class UserFollow(CommandView):
    @extend_schema(
        request=None,
        responses={200: FollowAnswer, 201: FollowAnswer, 202: FollowAnswer, 404: Problem, 409: Problem},
    )
    def post(self, request: Request, person: str) -> Response:
        """Follows a person, named by username or id, or asks to where they approve their followers.

        200 when one did, or had asked, already. Where either blocks the other there is nobody to follow.
        """
        NoBody.of(request)
        followee_id = id_of(person)
        command = FollowUser(self.actor_id(request), followee_id)

        def respond(event: Event | None) -> tuple[int, Any]:
            if event is None:
                return 200, _follow(followee_id, requested=is_request(command.actor_id, followee_id))
            return 201, _follow(followee_id, requested=isinstance(event, FollowRequested))

        return self.carry_out(request, command, respond)

    @extend_schema(request=None, responses={200: FollowAnswer, 202: FollowAnswer, 404: Problem, 409: Problem})
    def delete(self, request: Request, person: str) -> Response:
        """Follows a person no longer, or withdraws the request to."""
        NoBody.of(request)
        followee_id = id_of(person)
        command = UnfollowUser(self.actor_id(request), followee_id)
        return self.carry_out(request, command, lambda event: (200, _unrelated(followee_id)))


class UserBlock(CommandView):
    @extend_schema(
        request=None, responses={200: BlockAnswer, 201: BlockAnswer, 202: BlockAnswer, 404: Problem, 409: Problem}
    )
    def post(self, request: Request, person: str) -> Response:
        """Blocks a person, named by username or id; 200 when one did already.

        Neither sees the other from now on. Follows and requests between the two end, and do not come back.
        """
        NoBody.of(request)
        blocked_id = id_of(person)
        command = BlockUser(self.actor_id(request), blocked_id)
        answer = {"user_id": str(blocked_id), "blocking": True}
        return self.carry_out(request, command, lambda event: (201 if event else 200, answer))

    @extend_schema(request=None, responses={200: BlockAnswer, 202: BlockAnswer, 404: Problem, 409: Problem})
    def delete(self, request: Request, person: str) -> Response:
        """Blocks a person no longer."""
        NoBody.of(request)
        blocked_id = id_of(person)
        command = UnblockUser(self.actor_id(request), blocked_id)
        answer = {"user_id": str(blocked_id), "blocking": False}
        return self.carry_out(request, command, lambda event: (200, answer))


class UserMute(CommandView):
    @extend_schema(
        request=None, responses={200: MuteAnswer, 201: MuteAnswer, 202: MuteAnswer, 404: Problem, 409: Problem}
    )
    def post(self, request: Request, person: str) -> Response:
        """Mutes a person, named by username or id, in one's feed and notifications; 200 when one did already."""
        NoBody.of(request)
        muted_id = id_of(person)
        command = MuteUser(self.actor_id(request), muted_id)
        answer = {"user_id": str(muted_id), "muting": True}
        return self.carry_out(request, command, lambda event: (201 if event else 200, answer))

    @extend_schema(request=None, responses={200: MuteAnswer, 202: MuteAnswer, 404: Problem, 409: Problem})
    def delete(self, request: Request, person: str) -> Response:
        """Mutes a person no longer, also where a block stands between the two."""
        NoBody.of(request)
        muted_id = id_of(person)
        command = UnmuteUser(self.actor_id(request), muted_id)
        answer = {"user_id": str(muted_id), "muting": False}
        return self.carry_out(request, command, lambda event: (200, answer))


class FollowRequestApproval(CommandView):
    @extend_schema(request=None, responses={200: RequestAnswer, 202: RequestAnswer, 404: Problem})
    def post(self, request: Request, follower_id: UUID) -> Response:
        """Lets the person with this id follow, who asked to; 404 when no request of theirs is pending."""
        NoBody.of(request)
        command = ApproveFollow(self.actor_id(request), follower_id)
        answer = {"user_id": str(follower_id), "approved": True}
        return self.carry_out(request, command, lambda event: (200, answer))


class FollowRequestRejection(CommandView):
    @extend_schema(request=None, responses={200: RequestAnswer, 202: RequestAnswer, 404: Problem})
    def post(self, request: Request, follower_id: UUID) -> Response:
        """Declines the person with this id, who asked to follow; 404 when no request of theirs is pending."""
        NoBody.of(request)
        command = RejectFollow(self.actor_id(request), follower_id)
        answer = {"user_id": str(follower_id), "approved": False}
        return self.carry_out(request, command, lambda event: (200, answer))


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


def _follow(user_id: UUID, *, requested: bool) -> dict[str, Any]:
    return {"user_id": str(user_id), "following": not requested, "requested": requested}


def _unrelated(user_id: UUID) -> dict[str, Any]:
    return {"user_id": str(user_id), "following": False, "requested": False}
