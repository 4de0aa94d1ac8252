"""Reactions and bookmarks over HTTP: POST sets, DELETE clears."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from command_api.accounts.shapes import Problem
from command_api.reactions.commands.bookmark_post import BookmarkPost
from command_api.reactions.commands.like_post import LikePost
from command_api.reactions.commands.unbookmark_post import UnbookmarkPost
from command_api.reactions.commands.unlike_post import UnlikePost
from command_api.reactions.state import LIKE, REACTIONS
from command_api.web.answers import CommandView
from command_api.web.bodies import Body, NoBody, OneOf


class ReactionBody(Body):
    """Which reaction."""

    reaction = OneOf(choices=REACTIONS, default=LIKE)


class ReactionAnswer(serializers.Serializer[Any]):
    """One's own reaction to a post, null for none."""

    post_id = serializers.UUIDField()
    reaction = serializers.ChoiceField(choices=REACTIONS, allow_null=True)


class BookmarkAnswer(serializers.Serializer[Any]):
    """Whether one keeps a post."""

    post_id = serializers.UUIDField()
    bookmarked = serializers.BooleanField()


class PostReaction(CommandView):
    @extend_schema(
        request=ReactionBody,
        responses={200: ReactionAnswer, 201: ReactionAnswer, 202: ReactionAnswer, 404: Problem},
    )
    def post(self, request: Request, post_id: UUID) -> Response:
        """Reacts to a post; 200 when this was one's reaction already."""
        reaction = ReactionBody.of(request)["reaction"]
        answer = {"post_id": str(post_id), "reaction": reaction}
        command = LikePost(self.actor_id(request), post_id, reaction)
        return self.carry_out(request, command, lambda event: (201 if event else 200, answer))

    @extend_schema(request=None, responses={200: ReactionAnswer, 202: ReactionAnswer, 404: Problem})
    def delete(self, request: Request, post_id: UUID) -> Response:
        """Withdraws one's reaction."""
        NoBody.of(request)
        answer = {"post_id": str(post_id), "reaction": None}
        return self.carry_out(request, UnlikePost(self.actor_id(request), post_id), lambda event: (200, answer))


class PostBookmark(CommandView):
    @extend_schema(
        request=None, responses={200: BookmarkAnswer, 201: BookmarkAnswer, 202: BookmarkAnswer, 404: Problem}
    )
    def post(self, request: Request, post_id: UUID) -> Response:
        """Keeps a post for oneself; 200 when one did already."""
        NoBody.of(request)
        answer = {"post_id": str(post_id), "bookmarked": True}
        command = BookmarkPost(self.actor_id(request), post_id)
        return self.carry_out(request, command, lambda event: (201 if event else 200, answer))

    @extend_schema(request=None, responses={200: BookmarkAnswer, 202: BookmarkAnswer, 404: Problem})
    def delete(self, request: Request, post_id: UUID) -> Response:
        """Keeps a post no longer, whatever has become of it."""
        NoBody.of(request)
        answer = {"post_id": str(post_id), "bookmarked": False}
        return self.carry_out(request, UnbookmarkPost(self.actor_id(request), post_id), lambda event: (200, answer))
