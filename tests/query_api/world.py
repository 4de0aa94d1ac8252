"""A small world written straight into the read tables, as the projections would have left them."""

from collections.abc import Iterable
from typing import Any, LiteralString
from uuid import UUID, uuid5

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from shared import clock
from shared.feed_item import FeedItem
from shared.ids import datetime_of, day_of, mint, time_of

NAMESPACE = UUID("0b1c0f6e-3f5b-5d57-8a3b-2b8a4a8f3f10")
HOUR = 3_600_000_000


class World:
    """Ids are minted from a clock that starts two days ago and moves one second with every one."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._micros = clock.now() - 48 * HOUR
        self._names = 0

    def execute(self, statement: LiteralString, *parameters: Any) -> None:
        self._connection.execute(statement, parameters)

    def value(self, statement: LiteralString, *parameters: Any) -> Any:
        found = self._connection.execute(statement, parameters).fetchone()
        return None if found is None else found[0]

    def tick(self, micros: int = 1_000_000) -> UUID:
        self._micros += micros
        return mint(self._micros)

    def person(self, username: str | None = None, private: bool = False, display_name: str | None = None) -> UUID:
        user_id = self.tick()
        self._names += 1
        name = username or f"bird{self._names}{user_id.hex[-6:]}"
        self.execute(
            """insert into profiles.person (user_id, username, created_at, created_event, display_name,
                                            display_name_event,
                                            private, private_event)
               values (%s, %s, %s, %s, %s, %s, %s, %s)""",
            user_id,
            name,
            datetime_of(time_of(user_id)),
            user_id,
            display_name or name.title(),
            user_id,
            private,
            user_id,
        )
        return user_id

    def post(
        self,
        author_id: UUID,
        content: str = "hello",
        visibility: str = "public",
        reply_to: tuple[UUID, UUID] = (None, None),  # type: ignore[assignment]
        quote_of: UUID | None = None,
        mentioned_ids: Iterable[UUID] = (),
        hashtags: Iterable[str] = (),
        at: UUID | None = None,
    ) -> UUID:
        """`reply_to` is the post answered and its author."""
        post_id = at or self.tick()
        self.execute(
            """insert into posts.post (post_id, author_id, visibility, language, media_ids, reply_to_id,
                                       reply_to_author_id, quote_of_id, created_at, created_event, content, hashtags,
                                       mentioned_ids, content_event)
               values (%s, %s, %s, 'en', '{}', %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
            post_id,
            author_id,
            visibility,
            *reply_to,
            quote_of,
            datetime_of(time_of(post_id)),
            post_id,
            content,
            list(hashtags),
            list(mentioned_ids),
            post_id,
        )
        return post_id

    def comment(self, post_id: UUID, author_id: UUID, parent_id: UUID | None = None, content: str = "yes") -> UUID:
        comment_id = self.tick()
        self.execute(
            """insert into posts.comment (comment_id, post_id, author_id, parent_id, created_at, created_event, content,
                                          mentioned_ids, content_event)
               values (%s, %s, %s, %s, %s, %s, %s, '{}', %s)""",
            comment_id,
            post_id,
            author_id,
            parent_id,
            datetime_of(time_of(comment_id)),
            comment_id,
            content,
            comment_id,
        )
        self._count("comments", post_id)
        if parent_id is not None:
            self.execute(
                """insert into counters.comment_count (comment_id, replies) values (%s, 1)
                   on conflict (comment_id) do update set replies = comment_count.replies + 1""",
                parent_id,
            )
        return comment_id

    def version(self, post_id: UUID, content: str, mentioned_ids: Iterable[UUID] = (), edit: bool = True) -> UUID:
        """One version of a post's text, with `edit` the newest one, which is the post's own."""
        version_id = self.tick() if edit else post_id
        moment = datetime_of(time_of(version_id))
        self.execute(
            """insert into posts.post_version (post_id, version_id, author_id, content, hashtags, mentioned_ids,
                                               written_at, written_event)
               select post_id, %s, author_id, %s, '{}', %s, %s, %s from posts.post where post_id = %s""",
            version_id,
            content,
            list(mentioned_ids),
            moment,
            version_id,
            post_id,
        )
        if edit:
            self.execute(
                """update posts.post set content = %s, mentioned_ids = %s, edited_at = %s, content_event = %s
                    where post_id = %s""",
                content,
                list(mentioned_ids),
                moment,
                version_id,
                post_id,
            )
        return version_id

    def edit_comment(self, comment_id: UUID, content: str) -> None:
        event_id = self.tick()
        self.execute(
            "update posts.comment set content = %s, edited_at = %s, content_event = %s where comment_id = %s",
            content,
            datetime_of(time_of(event_id)),
            event_id,
            comment_id,
        )

    def delete_comment(self, comment_id: UUID) -> None:
        """As CommentDeleted leaves it: a mark, no text, and counts without it."""
        event_id = self.tick()
        self.execute(
            """update posts.comment set content = null, content_event = %s, deleted_event = %s
                where comment_id = %s""",
            event_id,
            event_id,
            comment_id,
        )
        self.execute(
            """update counters.post_count set comments = comments - 1
                where post_id = (select post_id from posts.comment where comment_id = %s)""",
            comment_id,
        )
        self.execute(
            """update counters.comment_count set replies = replies - 1
                where comment_id = (select parent_id from posts.comment where comment_id = %s)""",
            comment_id,
        )

    def bookmark(self, actor_id: UUID, post_id: UUID, active: bool = True) -> UUID:
        event_id = self.tick()
        self.execute(
            """insert into counters.bookmark (actor_id, post_id, edge_event, active, since)
               values (%s, %s, %s, %s, %s)
               on conflict (actor_id, post_id)
               do update set active = excluded.active, edge_event = excluded.edge_event""",
            actor_id,
            post_id,
            event_id,
            active,
            datetime_of(time_of(event_id)),
        )
        return event_id

    def follow(self, follower_id: UUID, followee_id: UUID, active: bool = True) -> UUID:
        event_id = self.tick()
        self.execute(
            """insert into graph.relation (from_id, to_id, follows, followed_at, follow_event)
               values (%s, %s, %s, %s, %s)
               on conflict (from_id, to_id)
               do update set follows = excluded.follows, follow_event = excluded.follow_event""",
            follower_id,
            followee_id,
            active,
            datetime_of(time_of(event_id)),
            event_id,
        )
        return event_id

    def relate(self, from_id: UUID, to_id: UUID, what: str, active: bool = True) -> UUID:
        """`what` is "block", "mute" or "request"; a block ends follows both ways and shows in the rows of both."""
        columns = {
            "block": ("blocks", "blocked_at"),
            "mute": ("mutes", "muted_at"),
            "request": ("requested", "requested_at"),
        }
        event_id = self.tick()
        flag, moment = (sql.Identifier(column) for column in columns[what])
        self._connection.execute(
            sql.SQL(
                """insert into graph.relation as t (from_id, to_id, {flag}, {moment}, {event})
                   values (%s, %s, %s, %s, %s)
                   on conflict (from_id, to_id) do update
                      set {flag} = excluded.{flag}, {moment} = excluded.{moment}, {event} = excluded.{event}"""
            ).format(flag=flag, moment=moment, event=sql.Identifier(f"{what}_event")),
            (from_id, to_id, active, datetime_of(time_of(event_id)), event_id),
        )
        if what in ("block", "mute"):
            self._silence(from_id, to_id, what, active, event_id)
        if what == "block":
            self._silence(to_id, from_id, "blocked_by", active, event_id)
            self.execute(
                """insert into graph.relation as t (from_id, to_id, blocked_by, blocked_by_event)
                   values (%s, %s, %s, %s)
                   on conflict (from_id, to_id) do update
                      set blocked_by = excluded.blocked_by, blocked_by_event = excluded.blocked_by_event""",
                to_id,
                from_id,
                active,
                event_id,
            )
            if active:
                self.execute(
                    """update graph.relation
                          set follows = false, follow_event = %s, requested = false, request_event = %s
                        where (from_id, to_id) in ((%s, %s), (%s, %s))""",
                    event_id,
                    event_id,
                    from_id,
                    to_id,
                    to_id,
                    from_id,
                )
        return event_id

    def _silence(self, recipient_id: UUID, actor_id: UUID, group: str, active: bool, event_id: UUID) -> None:
        flag = sql.Identifier({"block": "blocks", "mute": "mutes"}.get(group, group))
        self._connection.execute(
            sql.SQL(
                """insert into notifications.silence as t (recipient_id, actor_id, {flag}, {event})
                   values (%s, %s, %s, %s)
                   on conflict (recipient_id, actor_id) do update
                      set {flag} = excluded.{flag}, {event} = excluded.{event}"""
            ).format(flag=flag, event=sql.Identifier(f"{group}_event")),
            (recipient_id, actor_id, active, event_id),
        )

    def like(self, actor_id: UUID, post_id: UUID, reaction: str = "like") -> UUID:
        event_id = self.tick()
        author_id = self.value("select author_id from posts.post where post_id = %s", post_id)
        day = day_of(time_of(event_id))
        self.execute(
            """insert into counters.reaction (post_id, actor_id, edge_event, active, reaction, author_id, day)
               values (%s, %s, %s, true, %s, %s, %s)""",
            post_id,
            actor_id,
            event_id,
            reaction,
            author_id,
            day,
        )
        self._count("likes", post_id)
        self.execute(
            """insert into counters.reaction_count (post_id, reaction, n) values (%s, %s, 1)
               on conflict (post_id, reaction) do update set n = reaction_count.n + 1""",
            post_id,
            reaction,
        )
        return event_id

    def share(self, actor_id: UUID, post_id: UUID) -> FeedItem:
        """Somebody shares a post; anew, where they did before."""
        share_id = self.tick()
        author_id = self.value("select author_id from posts.post where post_id = %s", post_id)
        day = day_of(time_of(share_id))
        self.execute(
            """insert into counters.share (post_id, actor_id, edge_event, active, share_id, author_id, day)
               values (%s, %s, %s, true, %s, %s, %s)
               on conflict (post_id, actor_id)
               do update set active = true, edge_event = excluded.edge_event, share_id = excluded.share_id""",
            post_id,
            actor_id,
            share_id,
            share_id,
            author_id,
            day,
        )
        self._count("shares", post_id)
        return FeedItem(share_id, post_id)

    def unshare(self, actor_id: UUID, post_id: UUID) -> None:
        self.execute(
            """update counters.share set active = false, edge_event = %s, share_id = null
                where post_id = %s and actor_id = %s""",
            self.tick(),
            post_id,
            actor_id,
        )
        self._count("shares", post_id, -1)

    def likes(self, post_id: UUID, count: int) -> None:
        """A number of likes by people who are nobody here: scores move."""
        self._count("likes", post_id, count)

    def erase(self, user_id: UUID) -> None:
        """As UserErased leaves it before anything is swept."""
        event_id = self.tick()
        for schema in ("profiles", "graph", "posts", "counters", "notifications"):
            self._insert_into_set(schema, "erased", "user_id", user_id, event_id)

    def delete_post(self, post_id: UUID) -> None:
        """As PostDeleted leaves it before anything is swept."""
        event_id = self.tick()
        for schema in ("posts", "counters", "notifications"):
            self._insert_into_set(schema, "gone", "post_id", post_id, event_id)

    def notify(
        self,
        recipient_id: UUID,
        actor_id: UUID,
        verb: str,
        target: tuple[str, UUID],
        post_id: UUID | None = None,
        active: bool = True,
    ) -> UUID:
        """A notification's cause set or taken back, with its frame, in one transaction; answers its id."""
        cause = self.tick()
        identifier = uuid5(NAMESPACE, f"{recipient_id.hex}:{actor_id.hex}:{verb}:{target[1].hex}")
        with self._connection.transaction():
            self.execute(
                """insert into notifications.notification (recipient_id, id, actor_id, verb, target_type, target_id,
                                                           post_id, data, active, caused_at, cause_event)
                   values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
                   on conflict (recipient_id, id) do update
                      set active = excluded.active, cause_event = excluded.cause_event,
                          caused_at = excluded.caused_at""",
                recipient_id,
                identifier,
                actor_id,
                verb,
                *target,
                post_id,
                Jsonb({"reaction": "like"} if verb == "like" else {}),
                active,
                datetime_of(time_of(cause)),
                cause,
            )
            seq = self.value(
                """insert into delivery.head as h (recipient_id, seq) values (%s, 1)
                   on conflict (recipient_id) do update set seq = h.seq + 1 returning seq""",
                recipient_id,
            )
            self.execute(
                """insert into delivery.frame (recipient_id, seq, notification_id, operation, cause_event)
                   values (%s, %s, %s, %s, %s)""",
                recipient_id,
                seq,
                identifier,
                "set" if active else "remove",
                cause,
            )
        return identifier

    def advance(self, projection: str, topic: str, partition: int, next_offset: int) -> None:
        """The projection has applied everything before `next_offset`."""
        self._connection.execute(
            sql.SQL(
                """insert into {} (topic, partition, next_offset, epoch, owner) values (%s, %s, %s, 1, 'test')
                   on conflict (topic, partition) do update set next_offset = excluded.next_offset"""
            ).format(sql.Identifier(projection, "position")),
            (topic, partition, next_offset),
        )

    def _count(self, column: str, post_id: UUID, count: int = 1) -> None:
        name = sql.Identifier(column)
        self._connection.execute(
            sql.SQL(
                """insert into counters.post_count as c (post_id, {name}) values (%s, %s)
                   on conflict (post_id) do update set {name} = c.{name} + excluded.{name}"""
            ).format(name=name),
            (post_id, count),
        )

    def _insert_into_set(self, schema: str, table: str, column: str, identifier: UUID, event_id: UUID) -> None:
        self._connection.execute(
            sql.SQL("insert into {} ({}, event_id) values (%s, %s)").format(
                sql.Identifier(schema, table), sql.Identifier(column)
            ),
            (identifier, event_id),
        )
