"""How a post and a comment look right after they were written, and what bodies about them hold."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from rest_framework import serializers

from command_api.accounts.shapes import author
from command_api.posts.commands.edit_comment import EditComment
from command_api.posts.commands.edit_post import EditPost
from command_api.posts.commands.publish_post import PublishPost
from command_api.posts.state import PUBLIC, VISIBILITIES
from command_api.posts.text import all_hashtags, with_mentions
from command_api.vault.people import Person
from command_api.web.bodies import Body, Id, Language, OneOf, Text
from command_api.web.rendering import moment
from schemas.types import CommentAdded, CommentEdited, PostEdited, PostPublished
from shared.ids import time_of


class PostBody(Body):
    """A post to be published. Its rules beyond these types are the command's."""

    content = Text(allow_blank=True)
    visibility = OneOf(choices=VISIBILITIES, default=PUBLIC)
    language = Language(required=False, allow_null=True, default=None)
    media_ids = serializers.ListField(child=Id(), default=list)
    reply_to = Id(required=False, allow_null=True, default=None)
    quote_of = Id(required=False, allow_null=True, default=None)
    hashtags = serializers.ListField(child=Text(allow_blank=True), default=list)


class PostChange(Body):
    """A post's new text; `hashtags` adds to those in it, as when publishing."""

    content = Text(allow_blank=True)
    hashtags = serializers.ListField(child=Text(allow_blank=True), default=list)


class CommentChange(Body):
    """A comment's new text."""

    content = Text(allow_blank=True)


class CommentBody(Body):
    """A comment to be added."""

    content = Text(allow_blank=True)
    parent_id = Id(required=False, allow_null=True, default=None)


class Author(serializers.Serializer[Any]):
    """Who wrote it, for the OpenAPI document."""

    id = serializers.UUIDField()
    username = serializers.CharField()
    display_name = serializers.CharField()
    avatar = serializers.JSONField(allow_null=True)


class PostAnswer(serializers.Serializer[Any]):
    """A post, for the OpenAPI document."""

    id = serializers.UUIDField()
    author = Author()
    content = serializers.CharField()
    visibility = serializers.ChoiceField(choices=VISIBILITIES)
    language = serializers.CharField(allow_null=True)
    hashtags = serializers.ListField(child=serializers.CharField())
    mentions = serializers.ListField(child=serializers.DictField(child=serializers.CharField()))
    media = serializers.ListField(child=serializers.JSONField())
    reply_to = serializers.UUIDField(allow_null=True)
    quote_of = serializers.UUIDField(allow_null=True)
    edited_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    counts = serializers.JSONField()
    viewer = serializers.JSONField()


class CommentAnswer(serializers.Serializer[Any]):
    """A comment, for the OpenAPI document."""

    id = serializers.UUIDField()
    post_id = serializers.UUIDField()
    parent_id = serializers.UUIDField(allow_null=True)
    author = Author()
    content = serializers.CharField()
    mentions = serializers.ListField(child=serializers.DictField(child=serializers.CharField()))
    created_at = serializers.DateTimeField()
    edited_at = serializers.DateTimeField(allow_null=True)
    counts = serializers.JSONField()
    viewer = serializers.JSONField()


class PostEditedAnswer(serializers.Serializer[Any]):
    """The text as it is now; `edited_at` is null when it was so before."""

    id = serializers.UUIDField()
    author = Author()
    content = serializers.CharField()
    hashtags = serializers.ListField(child=serializers.CharField())
    mentions = serializers.ListField(child=serializers.DictField(child=serializers.CharField()))
    created_at = serializers.DateTimeField()
    edited_at = serializers.DateTimeField(allow_null=True)


class CommentEditedAnswer(serializers.Serializer[Any]):
    """The text as it is now; `edited_at` is null when it was so before."""

    id = serializers.UUIDField()
    author = Author()
    content = serializers.CharField()
    mentions = serializers.ListField(child=serializers.DictField(child=serializers.CharField()))
    created_at = serializers.DateTimeField()
    edited_at = serializers.DateTimeField(allow_null=True)


class CommentGone(serializers.Serializer[Any]):
    """A comment that was deleted."""

    id = serializers.UUIDField()
    deleted = serializers.BooleanField()


class PostGone(serializers.Serializer[Any]):
    """A post that was deleted."""

    id = serializers.UUIDField()
    deleted = serializers.BooleanField()


def post(event: PostPublished, command: PublishPost, person: Person) -> dict[str, Any]:
    """A post as its author sees it at once; the text is as sent, which is as it is rendered back."""
    return {
        "id": str(event.post_id),
        "author": author(person),
        "content": command.content,
        "visibility": event.visibility,
        "language": event.language,
        "hashtags": (event.hashtags or "").split(),
        "mentions": mentions(event.mentioned_ids, command.people),
        "media": [],
        "reply_to": str(event.reply_to_id) if event.reply_to_id else None,
        "quote_of": str(event.quote_of_id) if event.quote_of_id else None,
        "edited_at": None,
        "created_at": moment(event.occurred_at),
        "counts": {"likes": 0, "comments": 0, "shares": 0, "quotes": 0, "reactions": {}},
        "viewer": {"liked": None, "shared": False, "bookmarked": False},
    }


def comment(event: CommentAdded, content: str, people: Iterable[tuple[str, UUID]], person: Person) -> dict[str, Any]:
    """A comment as its author sees it at once."""
    return {
        "id": str(event.comment_id),
        "post_id": str(event.post_id),
        "parent_id": str(event.parent_id) if event.parent_id else None,
        "author": author(person),
        "content": content,
        "mentions": mentions(event.mentioned_ids, people),
        "created_at": moment(event.occurred_at),
        "edited_at": None,
        "counts": {"likes": 0, "replies": 0},
        "viewer": {"liked": None},
    }


def _mentions(event: PostEdited | CommentEdited | None, command: EditPost | EditComment) -> list[dict[str, str]]:
    mentioned_ids = event.mentioned_ids if event else with_mentions(command.content, dict(command.people))[1]
    return mentions(mentioned_ids, command.people)


def edited_post(event: PostEdited | None, command: EditPost, person: Person) -> dict[str, Any]:
    """What an edit concerns; the rest of the post is the read side's."""
    return {
        "id": str(command.post_id),
        "author": author(person),
        "content": command.content,
        "hashtags": all_hashtags(command.content, command.hashtags),
        "mentions": _mentions(event, command),
        "created_at": moment(time_of(command.post_id)),
        "edited_at": moment(event.occurred_at) if event else None,
    }


def edited_comment(event: CommentEdited | None, command: EditComment, person: Person) -> dict[str, Any]:
    """What an edit concerns; the rest of the comment is the read side's."""
    return {
        "id": str(command.comment_id),
        "author": author(person),
        "content": command.content,
        "mentions": _mentions(event, command),
        "created_at": moment(time_of(command.comment_id)),
        "edited_at": moment(event.occurred_at) if event else None,
    }


def mentions(mentioned_ids: Iterable[UUID], people: Iterable[tuple[str, UUID]]) -> list[dict[str, str]]:
    names = {user_id: name for name, user_id in people}
    return [{"id": str(user_id), "username": names[user_id]} for user_id in mentioned_ids]
