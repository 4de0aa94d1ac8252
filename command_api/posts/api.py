"""Posts and comments over HTTP."""

from typing import Any, TypeVar
from uuid import UUID

import msgspec
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from command_api.accounts.shapes import Problem
from command_api.posts import shapes
from command_api.posts.commands.add_comment import AddComment
from command_api.posts.commands.delete_comment import DeleteComment
from command_api.posts.commands.delete_post import DeletePost
from command_api.posts.commands.edit_comment import EditComment
from command_api.posts.commands.edit_post import EditPost
from command_api.posts.commands.publish_post import PublishPost
from command_api.posts.text import mentioned_names
from command_api.relationships.standing import apart_from
from command_api.vault import people
from command_api.vault.people import Person
from command_api.web.answers import CommandView
from command_api.web.bodies import NoBody
from schemas.types import CommentAdded, CommentEdited, Event, PostEdited, PostPublished
from shared.errors import Unauthenticated

Edit = TypeVar("Edit", EditPost, EditComment)


class Posts(CommandView):
    @extend_schema(
        request=shapes.PostBody, responses={201: shapes.PostAnswer, 202: shapes.PostAnswer, 400: Problem, 404: Problem}
    )
    def post(self, request: Request) -> Response:
        """Publishes a post."""
        body = shapes.PostBody.of(request)
        author = writer(self.actor_id(request))
        command = PublishPost(
            actor_id=author.user_id,
            content=body["content"],
            visibility=body["visibility"],
            language=body["language"],
            hashtags=tuple(body["hashtags"]),
            media_ids=tuple(body["media_ids"]),
            reply_to=body["reply_to"],
            quote_of=body["quote_of"],
            people=people_named(body["content"]),
        )
        return publication(self, request, command, author)


class Post(CommandView):
    @extend_schema(
        request=shapes.PostChange,
        responses={
            200: shapes.PostEditedAnswer,
            202: shapes.PostEditedAnswer,
            400: Problem,
            403: Problem,
            404: Problem,
        },
    )
    def patch(self, request: Request, post_id: UUID) -> Response:
        """Changes the text of one's own post; the versions before stay readable."""
        body = shapes.PostChange.of(request)
        author = writer(self.actor_id(request))
        command = EditPost(
            actor_id=author.user_id,
            post_id=post_id,
            content=body["content"],
            hashtags=tuple(body["hashtags"]),
            people=people_named(body["content"]),
        )

        def respond(event: Event | None) -> tuple[int, Any]:
            assert event is None or isinstance(event, PostEdited)
            return 200, shapes.edited_post(event, as_resolved(command, event), author)

        return self.carry_out(request, command, respond)

    @extend_schema(request=None, responses={200: shapes.PostGone, 202: shapes.PostGone, 403: Problem, 404: Problem})
    def delete(self, request: Request, post_id: UUID) -> Response:
        """Deletes one's own post, for good."""
        NoBody.of(request)
        command = DeletePost(self.actor_id(request), post_id)
        return self.carry_out(request, command, lambda event: (200, {"id": str(post_id), "deleted": True}))


class Comments(CommandView):
    @extend_schema(
        request=shapes.CommentBody,
        responses={201: shapes.CommentAnswer, 202: shapes.CommentAnswer, 400: Problem, 404: Problem},
    )
    def post(self, request: Request, post_id: UUID) -> Response:
        """Adds a comment to a post, or in answer to another of its comments."""
        body = shapes.CommentBody.of(request)
        author = writer(self.actor_id(request))
        command = AddComment(
            actor_id=author.user_id,
            post_id=post_id,
            content=body["content"],
            parent_id=body["parent_id"],
            people=people_named(body["content"]),
        )

        def respond(event: Event | None) -> tuple[int, Any]:
            assert isinstance(event, CommentAdded)
            return 201, shapes.comment(event, command, author)

        return self.carry_out(request, command, respond)


class Comment(CommandView):
    @extend_schema(
        request=shapes.CommentChange,
        responses={
            200: shapes.CommentEditedAnswer,
            202: shapes.CommentEditedAnswer,
            400: Problem,
            403: Problem,
            404: Problem,
        },
    )
    def patch(self, request: Request, comment_id: UUID) -> Response:
        """Changes the text of one's own comment."""
        content = shapes.CommentChange.of(request)["content"]
        author = writer(self.actor_id(request))
        command = EditComment(
            actor_id=author.user_id, comment_id=comment_id, content=content, people=people_named(content)
        )

        def respond(event: Event | None) -> tuple[int, Any]:
            assert event is None or isinstance(event, CommentEdited)
            return 200, shapes.edited_comment(event, as_resolved(command, event), author)

        return self.carry_out(request, command, respond)

    @extend_schema(
        request=None, responses={200: shapes.CommentGone, 202: shapes.CommentGone, 403: Problem, 404: Problem}
    )
    def delete(self, request: Request, comment_id: UUID) -> Response:
        """Deletes one's own comment, for good; what answers it stays."""
        NoBody.of(request)
        command = DeleteComment(self.actor_id(request), comment_id)
        return self.carry_out(request, command, lambda event: (200, {"id": str(comment_id), "deleted": True}))


def publication(view: CommandView, request: Request, command: PublishPost, author: Person) -> Response:
    """Publishes; answers the post's own shape, 201."""

    def respond(event: Event | None) -> tuple[int, Any]:
        assert isinstance(event, PostPublished)
        return 201, shapes.post(event, command, author)

    return view.carry_out(request, command, respond)


def writer(actor_id: UUID) -> Person:
    """Who is writing. Raises Unauthenticated when the token outlived its bearer."""
    person = people.by_id(actor_id)
    if person is None:
        raise Unauthenticated("this account is not active")
    return person


def people_named(content: str) -> tuple[tuple[str, UUID], ...]:
    """Whom the names in a text stand for; whether the author may mention them is decided with the command."""
    return tuple(people.ids_of(mentioned_names(content)).items())


def as_resolved(command: Edit, event: PostEdited | CommentEdited | None) -> Edit:
    """The edit with those people alone whom the text mentions as it stands, changed by it or not."""
    named = {user_id for _, user_id in command.people}
    mentioned = event.mentioned_ids if event else named - apart_from(command.actor_id, named)
    return msgspec.structs.replace(command, people=tuple(one for one in command.people if one[1] in mentioned))
