"""What a block and a private account hide, for every command about posts and comments.

Oracle: the same command before the block, or by a follower, is carried out. Cannot catch: what the guards fail to load
(tests/command_api/test_http_relationships.py).
"""

import pytest

from command_api.decision import Unchanged
from command_api.posts.commands.add_comment import AddComment
from command_api.posts.commands.delete_comment import DeleteComment
from command_api.posts.commands.delete_post import DeletePost
from command_api.posts.commands.edit_comment import EditComment
from command_api.posts.commands.edit_post import EditPost
from command_api.posts.commands.publish_post import PublishPost
from command_api.reactions.commands.bookmark_post import BookmarkPost
from command_api.reactions.commands.like_post import LikePost
from command_api.reactions.commands.share_post import SharePost
from command_api.reactions.commands.unbookmark_post import UnbookmarkPost
from command_api.reactions.commands.unlike_post import UnlikePost
from command_api.reactions.commands.unshare_post import UnsharePost
from command_api.routing import Command
from schemas.types import Event
from shared.errors import Forbidden, NotFound
from tests.specs.command_cases import (
    ANA,
    BEN,
    CLEO,
    blocked,
    bookmarked,
    commented,
    decided,
    followed,
    liked,
    made_private,
    published,
    refused,
    then,
    unblocked,
    unchanged,
)

POST = published(ANA)
ID = POST.post_id
BLOCKS = pytest.mark.parametrize(
    "block", [blocked(ANA, BEN), blocked(BEN, ANA)], ids=["by the author", "of the author"]
)
BY_BEN: dict[str, Command] = {
    "like": LikePost(BEN, ID),
    "unlike": UnlikePost(BEN, ID),
    "bookmark": BookmarkPost(BEN, ID),
    "unbookmark": UnbookmarkPost(BEN, ID),
    "share": SharePost(BEN, ID),
    "unshare": UnsharePost(BEN, ID),
    "comment": AddComment(actor_id=BEN, post_id=ID, content="so"),
    "reply": PublishPost(actor_id=BEN, content="so", reply_to=ID),
    "quote": PublishPost(actor_id=BEN, content="so", quote_of=ID),
}
COMMANDS = pytest.mark.parametrize("command", BY_BEN.values(), ids=BY_BEN)


def carried_out(given: list[Event], command: Command) -> None:
    """It is not refused; there is nothing to withdraw."""
    assert isinstance(decided(given, command), Unchanged) == isinstance(
        command, UnlikePost | UnbookmarkPost | UnsharePost
    )


@COMMANDS
@BLOCKS
def test_a_blocked_author_s_post_is_not_there(command: Command, block: Event) -> None:
    carried_out([POST], command)
    refused([POST, block], command, NotFound)
    refused([POST, followed(BEN, ANA), block], command, NotFound)
    refused([published(ANA, "followers"), followed(BEN, ANA), block], command, NotFound)


@COMMANDS
def test_after_the_block_it_is_there_again(command: Command) -> None:
    carried_out([POST, blocked(ANA, BEN), unblocked(ANA, BEN)], command)
    refused([POST, blocked(ANA, BEN), blocked(BEN, ANA, number=231), unblocked(ANA, BEN)], command, NotFound)


@COMMANDS
def test_the_blocks_of_others_hide_nothing(command: Command) -> None:
    carried_out([POST, blocked(ANA, CLEO), blocked(CLEO, BEN, number=231)], command)


@COMMANDS
def test_a_private_account_s_posts_are_for_followers_at_most(command: Command) -> None:
    private = made_private(ANA)
    refused([POST, private], command, NotFound)
    refused([POST, private, followed(ANA, BEN)], command, NotFound)
    refused([published(ANA, "private"), private, followed(BEN, ANA)], command, NotFound)
    carried_out([POST, private, followed(BEN, ANA)], command)
    carried_out([POST, private, made_private(ANA, False, 151)], command)


def test_what_is_one_s_own_stays_one_s_own() -> None:
    then([made_private(ANA), POST], LikePost(ANA, ID))
    then([made_private(BEN), POST], LikePost(BEN, ID))


@BLOCKS
def test_others_posts_are_not_even_forbidden(block: Event) -> None:
    for command in (DeletePost(BEN, ID), EditPost(actor_id=BEN, post_id=ID, content="mine")):
        refused([POST], command, Forbidden)
        refused([POST, block], command, NotFound)


@BLOCKS
def test_an_own_like_and_bookmark_can_be_withdrawn(block: Event) -> None:
    then([POST, liked(BEN, POST), block], UnlikePost(BEN, ID), post_id=ID, post_author_id=ANA)
    then([POST, bookmarked(BEN, POST), block], UnbookmarkPost(BEN, ID), post_id=ID, post_author_id=ANA)


@BLOCKS
def test_an_own_comment_can_be_deleted_but_not_edited(block: Event) -> None:
    comment = commented(BEN, POST)
    then([POST, comment, block], DeleteComment(BEN, comment.comment_id))
    edit = EditComment(actor_id=BEN, comment_id=comment.comment_id, content="other")
    then([POST, comment], edit)
    refused([POST, comment, block], edit, NotFound)


@BLOCKS
def test_a_blocked_author_s_comment_is_not_there(block: Event) -> None:
    post = published(CLEO, number=310)
    comment = commented(ANA, post)
    answer = AddComment(actor_id=BEN, post_id=post.post_id, content="so", parent_id=comment.comment_id)
    then([post, comment], answer, parent_author_id=ANA)
    refused([post, comment, block], answer, NotFound)
    delete = DeleteComment(BEN, comment.comment_id)
    refused([post, comment], delete, Forbidden)
    refused([post, comment, block], delete, NotFound)
    then([post, comment, block], AddComment(actor_id=BEN, post_id=post.post_id, content="so"))


@BLOCKS
def test_names_of_a_blocked_pair_stay_text(block: Event) -> None:
    people = (("ana", ANA), ("cleo", CLEO))
    stored = {"content": f"@Ana <@{CLEO}>", "mentioned_ids": (CLEO,)}
    then([block], PublishPost(actor_id=BEN, content="@Ana @Cleo", people=people), **stored)
    post = published(CLEO, number=310)
    comment = AddComment(actor_id=BEN, post_id=post.post_id, content="@Ana @Cleo", people=people)
    then([post, block], comment, **stored)
    own, said = published(BEN, number=320), commented(BEN, post, number=420)
    edit = EditPost(actor_id=BEN, post_id=own.post_id, content="@Ana @Cleo", people=people)
    draft = then([own, block], edit, **stored)
    assert isinstance(decided([own, block, draft], edit), Unchanged)
    mend = EditComment(actor_id=BEN, comment_id=said.comment_id, content="@Ana @Cleo", people=people)
    then([post, said, block], mend, **stored)


def test_a_mention_of_oneself_or_across_no_block_is_resolved() -> None:
    people = (("ana", ANA), ("ben", BEN))
    command = PublishPost(actor_id=BEN, content="@ana @ben", people=people)
    then([blocked(ANA, BEN), unblocked(ANA, BEN)], command, mentioned_ids=(ANA, BEN))
    then([made_private(ANA)], command, mentioned_ids=(ANA, BEN))


def test_nothing_to_withdraw_says_since_when_where_the_post_is_seen() -> None:
    unchanged([POST, made_private(ANA), followed(BEN, ANA)], UnlikePost(BEN, ID), since=POST)
