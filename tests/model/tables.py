"""What each table of each projection must hold, said from the reference model, and the comparison with what was found.

A row takes part when all it names is there: rows of erased people, of deleted posts, and rows whose person or post is
missing are left out on both sides, since every read leaves them out and the sweeper deletes them in its own time. A
count at zero equals no row. `ANYTHING` marks a column that says nothing while its edge is off.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from schemas.types import (
    AccountDeactivated,
    CommentAdded,
    CommentDeleted,
    CommentEdited,
    ContentHeld,
    ContentHidden,
    ContentRemoved,
    ContentRestored,
    ErasureRequested,
    Event,
    PostBookmarked,
    PostEdited,
    PostShared,
    UserSuspended,
)
from shared.ids import datetime_of
from tests.model.causes import Cause
from tests.model.home import MICROS_PER_DAY
from tests.model.reference import Model, Said
from tests.model.sets import NIL
from tests.model.versions import kept

Key = tuple[Any, ...]
Row = tuple[Any, ...]
ANYTHING = object()


@dataclass(frozen=True)
class Expected:
    """One table: its key and compared columns, the rows it must hold, and which found rows take part."""

    name: str  # "counters.reaction"
    key: tuple[str, ...]
    columns: tuple[str, ...]
    rows: Callable[[Model], dict[Key, Row]]
    takes_part: Callable[[Model, Mapping[str, Any]], bool]
    is_count: bool = False


@dataclass(frozen=True)
class Difference:
    """One value that is not what the model says; `column` is "row" where the whole row is missing or should not be."""

    table: str
    key: str
    column: str
    expected: str
    found: str


def compare(
    table: Expected, model: Model, found: Iterable[tuple[Key, Row]], shown_max: int = 20
) -> tuple[int, int, list[Difference]]:
    """Rows compared, how many values differ, and the first differences, in the order of their keys."""
    missing = table.rows(model)
    compared = len(missing)
    count, differences = 0, []
    for key, row in found:
        named = dict(zip((*table.key, *table.columns), (*key, *row), strict=True))
        if (table.is_count and not any(row)) or not table.takes_part(model, named):
            continue
        expected = missing.pop(key, None)
        if expected is None:
            compared, count = compared + 1, count + 1
            differences.append(Difference(table.name, shown(key), "row", "absent", shown(row)))
            continue
        if row == expected:
            continue
        for column, wanted, value in zip(table.columns, expected, row, strict=True):
            if wanted is not ANYTHING and wanted != value:
                count += 1
                differences.append(Difference(table.name, shown(key), column, shown(wanted), shown(value)))
    count += len(missing)
    differences += [Difference(table.name, shown(key), "row", shown(row), "absent") for key, row in missing.items()]
    return compared, count, sorted(differences, key=lambda difference: (difference.key, difference.column))[:shown_max]


def shown(value: Any) -> str:
    """A value as a reader of a difference wants it."""
    if isinstance(value, tuple | list):
        return "(" + ", ".join(shown(item) for item in value) + ")"
    return "anything" if value is ANYTHING else str(value)


def _flat(*said: Said | None) -> Row:
    """Each value and the event that set it."""
    return tuple(part for one in said for part in ((one.value, one.event_id) if one else (None, None)))


def _persons(model: Model) -> dict[Key, Row]:
    return {
        (user_id,): (
            person.registered.username, datetime_of(person.registered.occurred_at), person.registered.event_id,
            *_flat(person.display_name, person.bio, person.avatar_media_id, person.language, person.private),
            *_away(model, user_id),
        )
        for user_id, person in model.persons.items()
    }  # fmt: skip


def _away(model: Model, user_id: UUID) -> Row:
    """Whether they are deactivated and suspended, when they may be erased, and by which events."""
    deactivation, suspension = model.deactivations.get(user_id), model.suspensions.get(user_id)
    request = model.erasure_requests.get(user_id)
    return (
        *((isinstance(deactivation, AccountDeactivated), deactivation.event_id) if deactivation else (None, None)),
        *((isinstance(suspension, UserSuspended), suspension.event_id) if suspension else (None, None)),
        datetime_of(request.erase_after) if isinstance(request, ErasureRequested) else None,
        request.event_id if request else None,
    )


def _moderation(model: Model, content_id: UUID) -> Row:
    """What moderators made of a post or comment, and by which event."""
    word = model.moderation.get(content_id)
    made = {ContentHeld: "held", ContentHidden: "hidden", ContentRemoved: "removed", ContentRestored: None}
    return (None, None) if word is None else (made[type(word)], word.event_id)


def _relations(model: Model) -> dict[Key, Row]:
    """Every pair of which anything was ever said, with the last word of each kind."""

    def word(found: tuple[Event, bool] | None) -> Row:
        return (None, None, None) if found is None else (found[1], datetime_of(found[0].occurred_at), found[0].event_id)

    blocks = model.block_words
    pairs = {*model.follow_words, *model.request_words, *model.mute_words, *blocks, *((b, a) for a, b in blocks)}
    return {
        (one, other): (
            *word(model.follow_words.get((one, other))), *word(model.request_words.get((one, other))),
            *word(blocks.get((one, other))), *word(blocks.get((other, one)))[::2],
            *word(model.mute_words.get((one, other))),
        )
        for one, other in pairs
        if one in model.persons and other in model.persons
    }  # fmt: skip


def _graph_counts(model: Model) -> dict[Key, Row]:
    return {
        (user_id,): (model.follower_counts[user_id], model.following_counts[user_id])
        for user_id in model.follower_counts.keys() | model.following_counts.keys()
        if user_id in model.persons
    }


def _posts(model: Model) -> dict[Key, Row]:
    return {
        (post_id,): (
            max(text.event_id, moderated[1] or NIL, scored.event_id if scored else NIL), post.subject_id,
            post.visibility, post.language, post.media_ids, post.reply_to_id, post.reply_to_author_id,
            post.quote_of_id, post.quote_of_author_id, datetime_of(post.occurred_at), post.event_id,
            text.content, tuple((text.hashtags or "").split()), text.mentioned_ids,
            datetime_of(text.occurred_at) if isinstance(text, PostEdited) else None, text.event_id,
            *moderated, *((scored.score, scored.event_id) if scored else (None, None)),
        )
        for post_id, post in model.posts.items()
        for text, moderated, scored in [
            (model.texts[post_id], _moderation(model, post_id), model.scores.get(post_id))
        ]
    }  # fmt: skip


def _post_versions(model: Model) -> dict[Key, Row]:
    return {
        (post_id, text.event_id): (
            text.subject_id, text.content, tuple((text.hashtags or "").split()), text.mentioned_ids,
            datetime_of(text.occurred_at), text.event_id,
        )
        for post_id, versions in model.versions.items()
        for text in kept(versions, model.forgotten_before)
    }  # fmt: skip


def _comments(model: Model) -> dict[Key, Row]:
    return {
        (comment_id,): (
            max(said.event_id, moderated[1] or NIL), comment.post_id, comment.subject_id, comment.parent_id,
            comment.parent_author_id, datetime_of(comment.occurred_at), comment.event_id,
            *_comment_text(said), said.event_id, *moderated,
            max((event.event_id for event in said_of if isinstance(event, CommentDeleted)), default=None),
        )
        for comment_id, comment in model.comments.items()
        for said_of in [model.comment_events[comment_id]]
        for said in [max(said_of, key=lambda event: event.event_id)]
        for moderated in [_moderation(model, comment_id)]
    }  # fmt: skip


def _comment_text(said: CommentAdded | CommentEdited | CommentDeleted) -> Row:
    """What is left of the text by what was said last: nothing of a deleted comment's."""
    if isinstance(said, CommentDeleted):
        return (None, (), None)
    return (
        said.content,
        said.mentioned_ids,
        datetime_of(said.occurred_at) if isinstance(said, CommentEdited) else None,
    )


def _counted_posts(model: Model) -> dict[Key, Row]:
    return {
        (post_id,): (post.subject_id, post.quote_of_id, post.event_id, None) for post_id, post in model.posts.items()
    }


def _reactions(model: Model) -> dict[Key, Row]:
    active = {
        pair: (True, event.reaction, event.post_author_id, event.occurred_at // MICROS_PER_DAY, event.event_id)
        for pair, event in model.reactions.items()
        if pair[1] in model.persons
    }
    withdrawn = {
        pair: (False, ANYTHING, ANYTHING, ANYTHING, event_id)
        for pair, event_id in model.withdrawn_reactions.items()
        if pair[1] in model.persons
    }
    return active | withdrawn


def _counted_comments(model: Model) -> dict[Key, Row]:
    return {
        (comment_id,): (
            max((comment.event_id, *deletions, moderated.event_id if moderated else NIL)),
            comment.post_id, comment.subject_id, comment.post_author_id,
            comment.parent_id, comment.occurred_at // MICROS_PER_DAY, comment.event_id,
            isinstance(moderated, ContentRemoved) if moderated else None, moderated.event_id if moderated else None,
            max(deletions, default=None),
        )
        for comment_id, comment in model.comments.items()
        for deletions in [
            [event.event_id for event in model.comment_events[comment_id] if isinstance(event, CommentDeleted)]
        ]
        for moderated in [model.moderation.get(comment_id)]
    }  # fmt: skip


def _bookmarks(model: Model) -> dict[Key, Row]:
    return {
        pair: (isinstance(event, PostBookmarked), datetime_of(event.occurred_at), event.event_id)
        for pair, event in model.bookmarks.items()
        if pair[0] in model.persons
    }


def _shares(model: Model) -> dict[Key, Row]:
    return {
        pair: (True, event.share_id, event.post_author_id, event.occurred_at // MICROS_PER_DAY, event.event_id)
        if isinstance(event, PostShared)
        else (False, ANYTHING, ANYTHING, ANYTHING, event.event_id)
        for pair, event in model.share_words.items()
        if pair[0] in model.posts and pair[1] in model.persons
    }


def _post_counts(model: Model) -> dict[Key, Row]:
    counted = model.likes.keys() | model.comment_counts.keys() | model.share_counts.keys() | model.quote_counts.keys()
    return {
        (post_id,): (
            model.likes[post_id],
            model.comment_counts[post_id],
            model.share_counts[post_id],
            model.quote_counts[post_id],
        )
        for post_id in counted
        if post_id in model.posts
    }


def _notifications(model: Model) -> dict[Key, Row]:
    def third_person(cause: Cause) -> UUID | None:
        author_id = None if cause.post_id is None else model.posts[cause.post_id].subject_id
        return None if author_id in (cause.recipient_id, cause.actor_id) else author_id

    return {
        (cause.recipient_id, notification_id): (
            cause.actor_id, cause.verb, cause.target_type, cause.target_id, cause.post_id,
            third_person(cause), cause.data, True, datetime_of(cause.occurred_at), cause.event_id, read_event,
        )
        for notification_id, cause, read_event, _ in model.notifications.values()
    }  # fmt: skip


def _silences(model: Model) -> dict[Key, Row]:
    """Of each (recipient, actor): whether the one blocks, is blocked by, and mutes the other, and who said so last."""

    def word(found: tuple[Event, bool] | None) -> Row:
        return (None, None) if found is None else (found[1], found[0].event_id)

    blocks, mutes = model.block_words, model.mute_words
    return {
        (one, other): (
            *word(blocks.get((one, other))), *word(blocks.get((other, one))), *word(mutes.get((one, other))),
        )
        for one, other in {*blocks, *((other, one) for one, other in blocks), *mutes}
        if one in model.persons and other in model.persons
    }  # fmt: skip


def _present(*columns: str) -> Callable[[Model, Mapping[str, Any]], bool]:
    """Whether the row was created and the persons and posts that these columns name are there; null names nothing."""

    def takes_part(model: Model, row: Mapping[str, Any]) -> bool:
        if row.get("created_event", True) is None or row.get("cause_event", True) is None:
            return False
        return all(_is_there(model, column, row[column]) for column in columns if row[column] is not None)

    return takes_part


def _is_there(model: Model, column: str, identifier: UUID) -> bool:
    if column == "comment_id":
        return identifier in model.comments
    return identifier in (model.posts if column == "post_id" else model.persons)


def _not_erased(model: Model, row: Mapping[str, Any]) -> bool:
    return row["created_event"] is not None and row["user_id"] not in model.erased


def _version_kept(model: Model, row: Mapping[str, Any]) -> bool:
    """A version that is forgotten may be there until the purger comes."""
    versions = model.versions.get(row["post_id"], set())
    forgotten = {version.event_id for version in versions - kept(versions, model.forgotten_before)}
    return _present("author_id", "post_id")(model, row) and row["version_id"] not in forgotten


def _author_there(model: Model, row: Mapping[str, Any]) -> bool:
    return (
        row["created_event"] is not None and row["author_id"] in model.persons and row["post_id"] not in model.deleted
    )


def _notification_there(model: Model, row: Mapping[str, Any]) -> bool:
    return bool(row["active"]) and _present("recipient_id", "actor_id", "post_id")(model, row)


TABLES: tuple[Expected, ...] = (
    Expected(
        "profiles.person", ("user_id",),
        ("username", "created_at", "created_event", "display_name", "display_name_event", "bio", "bio_event",
         "avatar_media_id", "avatar_event", "language", "language_event", "private", "private_event", "deactivated",
         "deactivation_event", "suspended", "suspension_event", "erase_after", "erasure_request_event"),
        _persons, _not_erased,
    ),
    Expected(
        "graph.relation", ("from_id", "to_id"),
        ("follows", "followed_at", "follow_event", "requested", "requested_at", "request_event", "blocks",
         "blocked_at", "block_event", "blocked_by", "blocked_by_event", "mutes", "muted_at", "mute_event"),
        _relations, _present("from_id", "to_id"),
    ),
    Expected(
        "graph.person_count", ("user_id",), ("followers", "following"),
        _graph_counts, _present("user_id"), is_count=True,
    ),
    Expected(
        "posts.post", ("post_id",),
        ("place_event", "author_id", "visibility", "language", "media_ids", "reply_to_id", "reply_to_author_id",
         "quote_of_id", "quote_of_author_id", "created_at", "created_event", "content", "hashtags", "mentioned_ids",
         "edited_at", "content_event", "moderation", "moderation_event", "moderation_score", "score_event"),
        _posts, _author_there,
    ),
    Expected(
        "posts.post_version", ("post_id", "version_id"),
        ("author_id", "content", "hashtags", "mentioned_ids", "written_at", "written_event"),
        _post_versions, _version_kept,
    ),
    Expected(
        "posts.comment", ("comment_id",),
        ("place_event", "post_id", "author_id", "parent_id", "parent_author_id", "created_at", "created_event",
         "content", "mentioned_ids", "edited_at", "content_event", "moderation", "moderation_event", "deleted_event"),
        _comments, _present("author_id", "post_id"),
    ),
    Expected(
        "counters.post", ("post_id",), ("author_id", "quote_of_id", "created_event", "deleted_event"),
        _counted_posts, _author_there,
    ),
    Expected(
        "counters.reaction", ("post_id", "actor_id"), ("active", "reaction", "author_id", "day", "edge_event"),
        _reactions, _present("post_id", "actor_id"),
    ),
    Expected(
        "counters.comment", ("comment_id",),
        ("place_event", "post_id", "author_id", "post_author_id", "parent_id", "day", "created_event", "removed",
         "moderation_event", "deleted_event"),
        _counted_comments, _present("post_id", "author_id"),
    ),
    Expected(
        "counters.bookmark", ("actor_id", "post_id"), ("active", "since", "edge_event"),
        _bookmarks, _present("actor_id"),
    ),
    Expected(
        "counters.share", ("post_id", "actor_id"), ("active", "share_id", "author_id", "day", "edge_event"),
        _shares, _present("post_id", "actor_id"),
    ),
    Expected(
        "counters.post_count", ("post_id",), ("likes", "comments", "shares", "quotes"),
        _post_counts, _present("post_id"), is_count=True,
    ),
    Expected(
        "counters.comment_count", ("comment_id",), ("likes", "replies"),
        lambda model: {(key,): (0, count) for key, count in model.reply_counts.items() if key in model.comments},
        _present("comment_id"), is_count=True,
    ),
    Expected(
        "counters.person_count", ("user_id",), ("posts",),
        lambda model: {(key,): (count,) for key, count in model.post_counts.items() if key in model.persons},
        _present("user_id"), is_count=True,
    ),
    Expected(
        "counters.reaction_count", ("post_id", "reaction"), ("n",),
        lambda model: {key: (count,) for key, count in model.likes_by_reaction.items()},
        _present("post_id"), is_count=True,
    ),
    Expected(
        "notifications.notification", ("recipient_id", "id"),
        ("actor_id", "verb", "target_type", "target_id", "post_id", "post_author_id", "data", "active", "caused_at",
         "cause_event", "read_event"),
        _notifications, _notification_there,
    ),
    Expected(
        "notifications.read_mark", ("recipient_id",), ("mark_event",),
        lambda model: {(key,): (mark,) for key, mark in model.read_marks.items() if key in model.persons},
        _present("recipient_id"),
    ),
    Expected(
        "notifications.silence", ("recipient_id", "actor_id"),
        ("blocks", "block_event", "blocked_by", "blocked_by_event", "mutes", "mute_event"),
        _silences, _present("recipient_id", "actor_id"),
    ),
)  # fmt: skip

# Derived by the database itself; no fold answers rows of them.
VIEWS: tuple[Expected, ...] = (
    Expected(
        "counters.affinity", ("viewer_id", "author_id", "day"), ("weight",),
        lambda model: {
            key: (weight,) for key, weight in model.affinity_weights.items()
            if key[0] in model.persons and key[1] in model.persons
        },
        _present("viewer_id", "author_id"), is_count=True,
    ),
)  # fmt: skip
