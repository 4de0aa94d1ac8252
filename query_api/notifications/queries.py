"""Notifications as their recipient sees them: present while their cause is, unread while newer than every read mark.

The list, the unread count and the WebSocket share one definition of which notifications are there, so they cannot
disagree. Whoever the recipient has muted, or blocks or is blocked by, is not heard: neither is there anything about a
post by somebody blocked either way. The same goes for whoever is away, and for what moderators keep from the recipient.
Who is blocked is asked of the notifications projection itself, which writes the frames that an unblock brings together
with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from query_api import database
from query_api.profiles.standing import away
from shared.ids import LAST_ID

# Which notifications are there; `n` is the notification, `actor` whoever caused it. None tells of a post that its
# recipient may not see: posts/rules.py says who may, here it is SQL because the unread count reads no rows.
ACTOR_PRESENT_SQL: LiteralString = (
    """
       not exists (select from notifications.erased e where e.user_id = n.actor_id)
   and not exists (select from profiles.erased e where e.user_id = n.actor_id)
   and not exists (select from notifications.silence s
                    where s.recipient_id = n.recipient_id and s.actor_id = n.actor_id and s.counted)
   and not exists (select from profiles.person b where b.user_id = n.actor_id and """
    + away("b")
    + ")"
)

POST_STANDS_SQL: LiteralString = """
       not exists (select from notifications.gone g where g.post_id = n.post_id)
   and not exists (select from posts.gone g where g.post_id = n.post_id)
   and not exists (select from posts.post h where h.post_id = n.post_id and h.moderation in ('held', 'removed'))"""

# Nobody is told of a comment that moderators keep from all but, perhaps, its author.
COMMENT_STANDS_SQL: LiteralString = """
       not exists (select from posts.comment k where k.comment_id = n.target_id and k.moderation is not null)"""


def _no_post_that(condition: LiteralString) -> LiteralString:
    """That the post is unknown, the recipient's own, or not as the condition says of the post `p` by the author `w`."""
    return f"""
       not exists (
        select from posts.post p
          join profiles.person w on w.user_id = p.author_id and w.created_event is not null
         where p.post_id = n.post_id and p.created_event is not null and p.author_id <> n.recipient_id
           and ({condition}))"""


_HIDDEN_SQL: LiteralString = (
    """
                p.visibility not in ('public', 'followers') or p.moderation = 'hidden' or """
    + away("w")
    + """
                or exists (select from posts.erased e where e.user_id = p.author_id)
                or exists (select from profiles.erased e where e.user_id = p.author_id)
                or exists (select from notifications.silence s
                            where s.recipient_id = n.recipient_id and s.actor_id = p.author_id
                              and (s.blocks or s.blocked_by))"""
)

# A post for followers, or by a private account: whether the recipient follows is for the graph to say.
_UNFOLLOWED_SQL: LiteralString = """
                (p.visibility = 'followers' or coalesce(w.private, false))
                and not exists (select from graph.relation f
                                 where f.from_id = n.recipient_id and f.to_id = p.author_id and f.counted)"""

POST_FOLLOWED_SQL = _no_post_that(_UNFOLLOWED_SQL)
POST_PRESENT_SQL = POST_STANDS_SQL + " and " + _no_post_that(_HIDDEN_SQL + " or " + _UNFOLLOWED_SQL)

_CAUSED_SQL = "n.active and n.cause_event is not null and " + ACTOR_PRESENT_SQL + " and " + COMMENT_STANDS_SQL + " and "
PRESENT_SQL = _CAUSED_SQL + POST_PRESENT_SQL
# Present, but for a follow that may not have come yet.
THERE_SQL = _CAUSED_SQL + POST_STANDS_SQL + " and " + _no_post_that(_HIDDEN_SQL)

# What another projection has not brought yet: the actor's name, the post it is about and that post's author.
ACTOR_RESOLVED_SQL: LiteralString = """
       exists (select from profiles.person a where a.user_id = n.actor_id and a.created_event is not null)"""

POST_RESOLVED_SQL: LiteralString = """
       (n.post_id is null
        or exists (select from posts.post p
                     join profiles.person w on w.user_id = p.author_id and w.created_event is not null
                    where p.post_id = n.post_id and p.created_event is not null))"""

RESOLVED_SQL: LiteralString = ACTOR_RESOLVED_SQL + " and " + POST_RESOLVED_SQL

UNREAD_SQL: LiteralString = """
       n.cause_event > coalesce(n.read_event, %(nil)s)
   and n.cause_event > coalesce(
        (select m.mark_event from notifications.read_mark m where m.recipient_id = %(recipient)s), %(nil)s)"""

COLUMNS_SQL: LiteralString = (
    """
select n.id, n.cause_event, n.verb, n.actor_id, actor.username, actor.display_name, actor.avatar_media_id,
       n.target_type, n.target_id, n.data, not ("""
    + UNREAD_SQL
    + """) as read, n.caused_at"""
)

NEWEST_SQL: LiteralString = """
select n.cause_event from notifications.notification n
 where n.recipient_id = %(recipient)s and n.active and n.cause_event < coalesce(%(before)s::uuid, %(last)s::uuid)
 order by n.cause_event desc limit %(limit)s"""

NEWEST_UNREAD_SQL: LiteralString = (
    """
select n.cause_event from notifications.notification n
 where n.recipient_id = %(recipient)s and n.active and n.cause_event < coalesce(%(before)s::uuid, %(last)s::uuid)
   and """
    + UNREAD_SQL
    + """
 order by n.cause_event desc limit %(limit)s"""
)

# A recipient's frames are read once for the whole page, since only (recipient, seq) is indexed.
HYDRATE_SQL: LiteralString = (
    """
with asked as (
    select n.* from notifications.notification n
     where n.recipient_id = %(recipient)s and n.active and n.cause_event = any(%(causes)s::uuid[])),
announced as (
    select f.notification_id, max(f.seq) as seq from delivery.frame f
     where f.recipient_id = %(recipient)s and f.notification_id in (select id from asked) and f.operation = 'set'
     group by f.notification_id)"""
    + COLUMNS_SQL
    + """, announced.seq
  from asked n
  join profiles.person actor on actor.user_id = n.actor_id and actor.created_event is not null
  left join announced on announced.notification_id = n.id
 where """
    + PRESENT_SQL
    + " and "
    + RESOLVED_SQL
)

# Thousands unread are about far fewer posts and by fewer people, so each of those is asked about once.
UNREAD_COUNT_SQL: LiteralString = (
    """
with unread as materialized (
    select n.recipient_id, n.actor_id, n.target_id, n.post_id from notifications.notification n
     where n.recipient_id = %(recipient)s and n.active and """
    + UNREAD_SQL
    + """),
actors as materialized (
    select n.actor_id from (select distinct recipient_id, actor_id from unread) n where """
    + ACTOR_PRESENT_SQL
    + " and "
    + ACTOR_RESOLVED_SQL
    + """),
posts as materialized (
    select n.post_id from (select distinct recipient_id, post_id from unread where post_id is not null) n where """
    + POST_PRESENT_SQL
    + " and "
    + POST_RESOLVED_SQL
    + """)
select count(*) as unread from unread n
 where n.actor_id in (select actor_id from actors)
   and (n.post_id is null or n.post_id in (select post_id from posts)) and """
    + COMMENT_STANDS_SQL
)

NIL = UUID(int=0)


@dataclass(frozen=True, slots=True)
class NotificationRow:
    """A notification with all that its shape needs. `seq` is the newest frame that announced it, None if none did."""

    id: UUID
    cause_event: UUID
    verb: str
    actor_id: UUID
    username: str
    display_name: str | None
    avatar_media_id: UUID | None
    target_type: str
    target_id: UUID
    data: dict[str, Any] | None
    read: bool
    caused_at: Any
    seq: int | None


def newest_causes(recipient_id: UUID, unread_only: bool, before: UUID | None, limit: int) -> list[UUID]:
    """The newest causes, newest first; one event is the cause of at most one notification of a recipient."""
    found = database.rows(
        NEWEST_UNREAD_SQL if unread_only else NEWEST_SQL,
        {"recipient": recipient_id, "before": before, "last": LAST_ID, "limit": limit, "nil": NIL},
    )
    return [row.cause_event for row in found]


def hydrate(recipient_id: UUID, causes: Sequence[UUID]) -> dict[UUID, NotificationRow]:
    """The notifications that are there, by cause."""
    found = database.rows(HYDRATE_SQL, {"recipient": recipient_id, "causes": list(causes), "nil": NIL})
    return {row.cause_event: NotificationRow(*row) for row in found}


def unread_count(recipient_id: UUID) -> int:
    """The length of the unread list."""
    found = database.row(UNREAD_COUNT_SQL, {"recipient": recipient_id, "nil": NIL})
    return 0 if found is None else int(found.unread)
