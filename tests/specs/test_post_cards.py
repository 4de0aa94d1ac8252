"""Claim: a rendered card says what the post's shape says, of every version of it, whatever was rendered before.

Oracle: `present_post`. Pure, no server. Cannot catch: a part of a version that the statement does not read
(tests/query_api/test_edits.py).
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from query_api.posts.cards import post_card
from query_api.posts.present import present_post
from query_api.posts.queries import PostRow

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
FRIEND = UUID(int=77)
TEXTS = ["", "words", f"hello <@{FRIEND}>", 'quotes " and \\ and \u2028']


def row(number: int = 1, event: int = 1) -> PostRow:
    """A post; what was written is told by the event that wrote it."""
    content = TEXTS[event % len(TEXTS)]
    return PostRow(
        post_id=UUID(int=number), author_id=UUID(int=5), username="ana", display_name=None, avatar_media_id=None,
        content=content, language="en", hashtags=["a"] * (event % 3), media_ids=None,
        mentioned_ids=[FRIEND] if "@" in content else None, quote_of_id=None, created_at=BEGAN,
        edited_at=BEGAN + timedelta(days=event) if event > 1 else None, content_event=UUID(int=event),
        mentioned={str(FRIEND): "bob"} if "@" in content else None, likes=0, comments=0, shares=0, quotes=0,
        reactions=None, liked=None, bookmarked=False, shared=False, visibility="public", author_private=False,
        reply_to_id=None, reply_to_author_id=None, follows_author=False, hidden=False, muted=False,
        follows_replied_to=False, moderation=None, moderation_score=0, author_away=False,
    )  # fmt: skip


VERSIONS = st.builds(
    lambda number, event, names, private, counts, viewer, mentioned: replace(
        row(number, event),
        username=names[0], display_name=names[1], avatar_media_id=names[2], author_private=private,
        likes=counts[0], comments=counts[1], shares=counts[2], quotes=counts[3],
        reactions={"like": counts[0]} if counts[0] else None,
        liked="like" if viewer[0] else None, bookmarked=viewer[1], shared=viewer[2],
        mentioned=row(number, event).mentioned and ({str(FRIEND): mentioned} if mentioned else None),
    ),
    st.integers(1, 3), st.integers(1, 6),
    st.tuples(st.sampled_from(["ana", "anna"]), st.sampled_from([None, "Ana"]), st.sampled_from([None, UUID(int=9)])),
    st.booleans(), st.tuples(*[st.integers(0, 3)] * 4), st.tuples(*[st.booleans()] * 3),
    st.sampled_from([None, "bob", "bobby"]),
)  # fmt: skip
QUOTING = st.builds(
    lambda post, quoted: replace(post, quote_of_id=UUID(int=8), quoted=quoted), VERSIONS, st.none() | VERSIONS
)


@given(st.lists(VERSIONS | QUOTING, min_size=1, max_size=12))
def test_a_card_is_the_shape_of_the_post(rows: list[PostRow]) -> None:
    for each in rows:
        # A post never begins or ceases to quote; these do, under numbers of their own.
        quoting = replace(each, post_id=UUID(int=each.post_id.int + 100)) if each.quote_of_id else each
        assert orjson.loads(orjson.dumps(post_card(quoting))) == orjson.loads(orjson.dumps(present_post(quoting)))
