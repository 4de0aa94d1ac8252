"""Reactions, bookmarks and shares over HTTP: POST sets, DELETE clears."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from command_api.accounts.shapes import Problem
from command_api.posts.api import people_named, publication, writer
from command_api.posts.commands.publish_post import CONTENT_CHARACTERS_MAX, PublishPost
from command_api.posts.shapes import PostAnswer
from command_api.reactions.commands.bookmark_post import BookmarkPost
from command_api.reactions.commands.like_post import LikePost
from command_api.reactions.commands.share_post import SharePost
from command_api.reactions.commands.unbookmark_post import UnbookmarkPost
from command_api.reactions.commands.unlike_post import UnlikePost
from command_api.reactions.commands.unshare_post import UnsharePost
from command_api.reactions.models import ShareGuard
from command_api.reactions.state import LIKE, REACTIONS
from command_api.web.answers import CommandView
from command_api.web.bodies import Body, NoBody, OneOf, Text
from schemas.types import Event, PostShared


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


class ShareBody(Body):
    """Without `content` the post is passed on as it is; with it, it is quoted."""

    content = Text(required=False, allow_null=True, default=None, allow_blank=True, max_length=CONTENT_CHARACTERS_MAX)


class ShareAnswer(serializers.Serializer[Any]):
    """Whether one shares a post, and the id of the share while one does."""

    post_id = serializers.UUIDField()
    shared = serializers.BooleanField()
    share_id = serializers.UUIDField(allow_null=True)


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


class PostShare(CommandView):
    @extend_schema(
        request=ShareBody,
        responses={
            200: ShareAnswer,
            (201, "application/json"): PolymorphicProxySerializer(
                component_name="ShareOrQuote", serializers=[ShareAnswer, PostAnswer], resource_type_field_name=None
            ),
            202: ShareAnswer,
            400: Problem,
            404: Problem,
        },
    )
    def post(self, request: Request, post_id: UUID) -> Response:
        """Passes a post on to one's followers, 200 when one did already; with `content` publishes a quote of it."""
        content = ShareBody.of(request)["content"]
        actor_id = self.actor_id(request)
        if content is not None:
            author = writer(actor_id)
            quote = PublishPost(actor_id=actor_id, content=content, quote_of=post_id, people=people_named(content))
            return publication(self, request, quote, author)

        def respond(event: Event | None) -> tuple[int, Any]:
            assert event is None or isinstance(event, PostShared)
            # Where nothing changed, the share that stands is read under the lock that the decision holds.
            share_id = event.share_id if event else ShareGuard.objects.get(actor_id=actor_id, post_id=post_id).share_id
            return (201 if event else 200), {"post_id": str(post_id), "shared": True, "share_id": str(share_id)}

        return self.carry_out(request, SharePost(actor_id, post_id), respond)

    @extend_schema(request=None, responses={200: ShareAnswer, 202: ShareAnswer, 404: Problem})
    def delete(self, request: Request, post_id: UUID) -> Response:
        """Withdraws one's share."""
        NoBody.of(request)
        answer = {"post_id": str(post_id), "shared": False, "share_id": None}
        return self.carry_out(request, UnsharePost(self.actor_id(request), post_id), lambda event: (200, answer))
