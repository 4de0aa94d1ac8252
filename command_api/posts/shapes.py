"""How a post and a comment look right after they were written, and what bodies about them hold."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from rest_framework import serializers

from command_api.accounts.shapes import author
from command_api.posts.commands import add_comment, publish_post
from command_api.posts.commands.add_comment import AddComment
from command_api.posts.commands.edit_comment import EditComment
from command_api.posts.commands.edit_post import EditPost
from command_api.posts.commands.publish_post import PublishPost
from command_api.posts.state import PUBLIC, VISIBILITIES
from command_api.posts.text import all_hashtags, as_read, with_mentions
from command_api.vault.people import Person
from command_api.web.bodies import Body, Id, Items, Language, OneOf, Text
from command_api.web.rendering import moment
from schemas.types import CommentAdded, CommentEdited, PostEdited, PostPublished
from shared.ids import time_of


class PostBody(Body):
    """A post to be published. Its rules are the command's; what costs work before that is bounded here, too."""

    content = Text(allow_blank=True, max_length=publish_post.CONTENT_CHARACTERS_MAX)
    visibility = OneOf(choices=VISIBILITIES, default=PUBLIC)
    language = Language(required=False, allow_null=True, default=None)
    media_ids = Items(child=Id(), default=list, max_length=publish_post.MEDIA_MAX)
    reply_to = Id(required=False, allow_null=True, default=None)
    quote_of = Id(required=False, allow_null=True, default=None)
    hashtags = Items(child=Text(allow_blank=True), default=list, max_length=publish_post.HASHTAGS_GIVEN_MAX)


class PostChange(Body):
    """A post's new text; `hashtags` adds to those in it, as when publishing."""

    content = Text(allow_blank=True, max_length=publish_post.CONTENT_CHARACTERS_MAX)
    hashtags = Items(child=Text(allow_blank=True), default=list, max_length=publish_post.HASHTAGS_GIVEN_MAX)


class CommentChange(Body):
    """A comment's new text."""

    content = Text(allow_blank=True, max_length=add_comment.CONTENT_CHARACTERS_MAX)


class CommentBody(Body):
    """A comment to be added."""

    content = Text(allow_blank=True, max_length=add_comment.CONTENT_CHARACTERS_MAX)
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
    """A post as its author sees it at once, which is as readers see it later."""
    names = {user_id: name for name, user_id in command.people}
    return {
        "id": str(event.post_id),
        "author": author(person),
        "content": as_read(event.content or "", names),
        "visibility": event.visibility,
        "language": event.language,
        "hashtags": (event.hashtags or "").split(),
        "mentions": mentions(event.mentioned_ids, names),
        "media": [],
        "reply_to": str(event.reply_to_id) if event.reply_to_id else None,
        "quote_of": str(event.quote_of_id) if event.quote_of_id else None,
        "edited_at": None,
        "created_at": moment(event.occurred_at),
        "counts": {"likes": 0, "comments": 0, "shares": 0, "quotes": 0, "reactions": {}},
        "viewer": {"liked": None, "shared": False, "bookmarked": False},
    }


def comment(event: CommentAdded, command: AddComment, person: Person) -> dict[str, Any]:
    """A comment as its author sees it at once, which is as readers see it later."""
    names = {user_id: name for name, user_id in command.people}
    return {
        "id": str(event.comment_id),
        "post_id": str(event.post_id),
        "parent_id": str(event.parent_id) if event.parent_id else None,
        "author": author(person),
        "content": as_read(event.content or "", names),
        "mentions": mentions(event.mentioned_ids, names),
        "created_at": moment(event.occurred_at),
        "edited_at": None,
        "counts": {"likes": 0, "replies": 0},
        "viewer": {"liked": None},
    }


def _edited(content: str, people: Iterable[tuple[str, UUID]]) -> dict[str, Any]:
    """The text as it will be read, and whom it mentions."""
    stored, mentioned_ids = with_mentions(content, dict(people))
    names = {user_id: name for name, user_id in people}
    return {"content": as_read(stored, names), "mentions": mentions(mentioned_ids, names)}


def edited_post(event: PostEdited | None, command: EditPost, person: Person) -> dict[str, Any]:
    """What an edit concerns; the rest of the post is the read side's."""
    return {
        "id": str(command.post_id),
        "author": author(person),
        **_edited(command.content, command.people),
        "hashtags": all_hashtags(command.content, command.hashtags),
        "created_at": moment(time_of(command.post_id)),
        "edited_at": moment(event.occurred_at) if event else None,
    }


def edited_comment(event: CommentEdited | None, command: EditComment, person: Person) -> dict[str, Any]:
    """What an edit concerns; the rest of the comment is the read side's."""
    return {
        "id": str(command.comment_id),
        "author": author(person),
        **_edited(command.content, command.people),
        "created_at": moment(time_of(command.comment_id)),
        "edited_at": moment(event.occurred_at) if event else None,
    }


def mentions(mentioned_ids: Iterable[UUID], names: Mapping[UUID, str]) -> list[dict[str, str]]:
    return [{"id": str(user_id), "username": names[user_id]} for user_id in mentioned_ids]
