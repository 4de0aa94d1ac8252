"""Guard rows, loaded under their locks and written back for a whole batch at once: a fixed number of statements.

Order of locks: accounts by id, then posts, then comments. The actors' accounts are locked FOR NO KEY UPDATE, which
makes one person's writes follow one another; accounts, posts and comments that are only looked at, FOR KEY SHARE, which
waits for nobody but a deletion, an erasure or a change of `private` (FOR UPDATE). Follows, mutes, reactions, bookmarks,
shares and read marks are written under their actor's account lock alone, so that it covers rows that are not there yet,
too. A block, and whatever a followee decides of somebody's follow, takes both people's locks (`counterparts`): each of
the two can then rely on what it read under its own.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Cursor

from command_api.accounts.state import REGISTERING, Account
from command_api.decision import Pair, Reads, Rows, State
from command_api.notifications.state import ReadMark
from command_api.posts.state import FOLLOWERS, PUBLIC, Comment, Post
from command_api.reactions.state import Bookmark, Reaction, Share
from command_api.relationships.state import Block, Follow, Mute
from shared.ids import NIL


def array(values: Iterable[UUID]) -> str:
    """Ids as PostgreSQL's array literal, which costs a tenth of adapting them one by one."""
    return "{" + ",".join([value.hex for value in values]) + "}"


def load(cursor: Cursor[Any], reads: Sequence[Reads]) -> State:
    """All rows that these commands may look at, locked, as they are now."""
    state = State()
    new = sorted({read.actor_id for read in reads if read.new_account})
    if new:
        cursor.execute(
            "INSERT INTO account (user_id, state, last_event, private) SELECT user_id, %s, %s::uuid, false"
            " FROM unnest(%s::uuid[]) AS user_id ON CONFLICT DO NOTHING",
            (REGISTERING, NIL, array(new)),
        )
    exclusive_posts = {post_id for read in reads for post_id in read.posts_exclusive}
    exclusive_comments = {comment_id for read in reads for comment_id in read.comments_exclusive}
    comments = {comment_id for read in reads for comment_id in read.comments} | exclusive_comments
    posts = {post_id for read in reads for post_id in read.posts} | exclusive_posts | _posts_of(cursor, comments)
    _load_accounts(cursor, state, reads, _authors(cursor, posts, comments))
    _load_posts(cursor, state, exclusive_posts, "FOR UPDATE")
    _load_posts(cursor, state, posts - exclusive_posts, "FOR KEY SHARE")
    _load_comments(cursor, state, exclusive_comments, "FOR UPDATE")
    _load_comments(cursor, state, comments - exclusive_comments, "FOR KEY SHARE")
    pairs = _pairs(state, reads)
    _load_blocks(cursor, state, pairs.people)
    _load_pairs(cursor, state.follows, Follow, pairs.follows)
    _load_pairs(cursor, state.mutes, Mute, (pair for read in reads for pair in read.mutes))
    _load_pairs(cursor, state.reactions, Reaction, (pair for read in reads for pair in read.reactions))
    _load_pairs(cursor, state.bookmarks, Bookmark, (pair for read in reads for pair in read.bookmarks))
    _load_pairs(cursor, state.shares, Share, (pair for read in reads for pair in read.shares))
    _load_read_marks(cursor, state, {read.actor_id for read in reads if read.read_mark})
    return state


def _posts_of(cursor: Cursor[Any], comments: set[UUID]) -> set[UUID]:
    """The posts that these comments stand under: that never changes, so it can be read before anything is locked."""
    if not comments:
        return set()
    cursor.execute("SELECT post_id FROM comment WHERE comment_id = ANY(%s::uuid[])", (array(comments),))
    return {post_id for (post_id,) in cursor.fetchall()}


def _authors(cursor: Cursor[Any], posts: set[UUID], comments: set[UUID]) -> set[UUID]:
    """Who wrote these: that never changes, so it can be read before anything is locked."""
    if not posts and not comments:
        return set()
    cursor.execute(
        "SELECT author_id FROM post WHERE post_id = ANY(%s::uuid[])"
        " UNION SELECT author_id FROM comment WHERE comment_id = ANY(%s::uuid[])",
        (array(posts), array(comments)),
    )
    return {author_id for (author_id,) in cursor.fetchall()}


def _load_accounts(cursor: Cursor[Any], state: State, reads: Sequence[Reads], authors: set[UUID]) -> None:
    exclusive = {read.actor_id for read in reads if read.exclusive}
    actors = {user_id for read in reads for user_id in (read.actor_id, *read.counterparts)} - exclusive
    others = (authors | {user_id for read in reads for user_id in read.accounts}) - actors - exclusive
    for user_ids, lock in ((exclusive, "FOR UPDATE"), (actors, "FOR NO KEY UPDATE"), (others, "FOR KEY SHARE")):
        if user_ids:
            cursor.execute(
                "SELECT user_id, state, last_event, private, roles FROM account"
                f" WHERE user_id = ANY(%s::uuid[]) ORDER BY user_id {lock}",
                (array(user_ids),),
            )
            state.accounts.update((row[0], Account(*row)) for row in cursor.fetchall())


def _load_posts(cursor: Cursor[Any], state: State, post_ids: set[UUID], lock: str) -> None:
    if post_ids:
        cursor.execute(
            "SELECT post_id, author_id, visibility, deleted, last_event, digest, mentioned_ids FROM post"
            f" WHERE post_id = ANY(%s::uuid[]) ORDER BY post_id {lock}",
            (array(post_ids),),
        )
        state.posts.update((row[0], Post(*row)) for row in cursor.fetchall())


def _load_comments(cursor: Cursor[Any], state: State, comment_ids: set[UUID], lock: str) -> None:
    if comment_ids:
        cursor.execute(
            "SELECT comment_id, post_id, author_id, deleted, last_event, parent_id, parent_author_id, digest,"
            f" mentioned_ids FROM comment WHERE comment_id = ANY(%s::uuid[]) ORDER BY comment_id {lock}",
            (array(comment_ids),),
        )
        state.comments.update((row[0], Comment(*row)) for row in cursor.fetchall())


class _Pairs(NamedTuple):
    """The pairs that commands depend on: whose follow of whom, and who must not be blocked either way."""

    follows: set[Pair]
    people: set[Pair]


def _pairs(state: State, reads: Sequence[Reads]) -> _Pairs:
    follows = {pair for read in reads for pair in read.follows}
    people: set[Pair] = set()
    changing = {read.actor_id for read in reads if read.exclusive}  # they may become private within the batch
    for read in reads:
        actor_id = read.actor_id
        for user_id in read.accounts + read.counterparts:
            people.add((actor_id, user_id))
        post_ids = read.posts + read.posts_exclusive
        for comment_id in read.comments + read.comments_exclusive:
            comment = state.comments.get(comment_id)
            if comment is not None:
                people.add((actor_id, comment.author_id))
                post_ids += (comment.post_id,)
        for post_id in post_ids:
            post = state.posts.get(post_id)
            if post is None:
                continue
            pair = (actor_id, post.author_id)
            people.add(pair)
            if post.visibility == FOLLOWERS or (post.visibility == PUBLIC and _is_private(state, post, changing)):
                follows.add(pair)
    return _Pairs(follows, people)


def _is_private(state: State, post: Post, changing: set[UUID]) -> bool:
    author = state.accounts.get(post.author_id)
    return post.author_id in changing or (author is not None and author.private)


def _load_blocks(cursor: Cursor[Any], state: State, pairs: set[Pair]) -> None:
    """The blocks of these pairs, either way."""
    if pairs:
        cursor.execute(
            "SELECT from_id, to_id, active, last_event FROM unnest(%s::uuid[], %s::uuid[]) AS wanted (one, other)"
            " CROSS JOIN LATERAL (VALUES (one, other), (other, one)) AS pair (from_id, to_id)"
            " JOIN block USING (from_id, to_id)",
            _columns(pairs),
        )
        state.blocks.update(((row[0], row[1]), Block(*row)) for row in cursor.fetchall())


def _load_pairs(cursor: Cursor[Any], rows: Rows[Pair, Any], kind: type[Any], pairs: Iterable[Pair]) -> None:
    """The rows of these pairs: the table is named like its struct, and a pair is its first two columns."""
    wanted = set(pairs)
    if wanted:
        columns = kind.__struct_fields__
        pair = ", ".join(columns[:2])
        cursor.execute(
            f"SELECT {', '.join(columns)} FROM {kind.__name__.lower()}"
            f" JOIN unnest(%s::uuid[], %s::uuid[]) AS wanted ({pair}) USING ({pair})",
            _columns(wanted),
        )
        rows.update(((row[0], row[1]), kind(*row)) for row in cursor.fetchall())


def _load_read_marks(cursor: Cursor[Any], state: State, user_ids: set[UUID]) -> None:
    if user_ids:
        cursor.execute(
            "SELECT user_id, up_to, last_event FROM read_mark WHERE user_id = ANY(%s::uuid[])", (array(user_ids),)
        )
        state.read_marks.update((row[0], ReadMark(*row)) for row in cursor.fetchall())


def save(cursor: Cursor[Any], state: State) -> None:
    """Writes back the rows that changed, one statement a table."""
    _save(
        cursor,
        "account (user_id, state, last_event, private, roles)",
        ("uuid", "text", "uuid", "bool", "text"),
        "(user_id) DO UPDATE SET state = excluded.state, last_event = excluded.last_event,"
        " private = excluded.private, roles = excluded.roles",
        state.accounts,
    )
    _save(
        cursor,
        "post (post_id, author_id, visibility, deleted, last_event, digest, mentioned_ids)",
        ("uuid", "uuid", "text", "bool", "uuid", "text", "uuid[]"),
        "(post_id) DO UPDATE SET deleted = excluded.deleted, last_event = excluded.last_event,"
        " digest = excluded.digest, mentioned_ids = excluded.mentioned_ids",
        state.posts,
    )
    _save(
        cursor,
        "comment (comment_id, post_id, author_id, deleted, last_event, parent_id, parent_author_id, digest,"
        " mentioned_ids)",
        ("uuid", "uuid", "uuid", "bool", "uuid", "uuid", "uuid", "text", "uuid[]"),
        "(comment_id) DO UPDATE SET deleted = excluded.deleted, last_event = excluded.last_event,"
        " digest = excluded.digest, mentioned_ids = excluded.mentioned_ids",
        state.comments,
    )
    _save_relationships(cursor, state)
    _save(
        cursor,
        "reaction (post_id, actor_id, active, reaction, last_event)",
        ("uuid", "uuid", "bool", "text", "uuid"),
        "(actor_id, post_id) DO UPDATE SET active = excluded.active, reaction = excluded.reaction,"
        " last_event = excluded.last_event",
        state.reactions,
    )
    _save(
        cursor,
        "bookmark (post_id, actor_id, active, last_event)",
        ("uuid", "uuid", "bool", "uuid"),
        "(actor_id, post_id) DO UPDATE SET active = excluded.active, last_event = excluded.last_event",
        state.bookmarks,
    )
    _save(
        cursor,
        "share (post_id, actor_id, active, share_id, last_event)",
        ("uuid", "uuid", "bool", "uuid", "uuid"),
        "(actor_id, post_id) DO UPDATE SET active = excluded.active, share_id = excluded.share_id,"
        " last_event = excluded.last_event",
        state.shares,
    )
    _save(
        cursor,
        "read_mark (user_id, up_to, last_event)",
        ("uuid", "uuid", "uuid"),
        "(user_id) DO UPDATE SET up_to = excluded.up_to, last_event = excluded.last_event",
        state.read_marks,
    )


def _save_relationships(cursor: Cursor[Any], state: State) -> None:
    _save(
        cursor,
        "follow (follower_id, followee_id, active, last_event, requested)",
        ("uuid", "uuid", "bool", "uuid", "bool"),
        "(follower_id, followee_id) DO UPDATE SET active = excluded.active, last_event = excluded.last_event,"
        " requested = excluded.requested",
        state.follows,
    )
    for table, rows in (("block", state.blocks), ("mute", state.mutes)):
        _save(
            cursor,
            f"{table} (from_id, to_id, active, last_event)",
            ("uuid", "uuid", "bool", "uuid"),
            "(from_id, to_id) DO UPDATE SET active = excluded.active, last_event = excluded.last_event",
            rows,
        )


def _save(cursor: Cursor[Any], table: str, types: tuple[str, ...], on_conflict: str, given: Rows[Any, Any]) -> None:
    rows = [given[key] for key in given.changed]
    if not rows:
        return
    columns = []
    for name, kind in zip(type(rows[0]).__struct_fields__, types, strict=True):
        values = [getattr(row, name) for row in rows]
        # Texts here are our own words (states, roles, visibilities, digests), never a person's: no quoting is needed.
        columns.append("{" + ",".join([_literal(value, kind) for value in values]) + "}")
    # An array of arrays would be unnested to its leaves, so that arrays come as text.
    arguments = ", ".join("%s::text[]" if kind == "uuid[]" else f"%s::{kind}[]" for kind in types)
    names = [f"c{number}" for number in range(len(types))]
    selected = ", ".join(f"{name}::{kind}" for name, kind in zip(names, types, strict=True))
    cursor.execute(
        f"INSERT INTO {table} SELECT {selected} FROM unnest({arguments}) AS given ({', '.join(names)})"
        f" ON CONFLICT {on_conflict}",
        columns,
    )


def forget(cursor: Cursor[Any], user_id: UUID) -> None:
    """Takes out what guard rows keep of the texts of a person who is erased."""
    for table in ("post", "comment"):
        cursor.execute(f"UPDATE {table} SET digest = '', mentioned_ids = '{{}}' WHERE author_id = %s", (user_id,))


def _literal(value: Any, kind: str) -> str:
    match kind:
        case "uuid":
            return "NULL" if value is None else str(value.hex)
        case "uuid[]":
            return f'"{array(value)}"'
        case "bool":
            return "t" if value else "f"
    return value or '""'


def _columns(pairs: set[Pair]) -> tuple[str, str]:
    ordered = list(pairs)
    return array(first for first, _ in ordered), array(second for _, second in ordered)
