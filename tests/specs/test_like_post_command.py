"""LikePost: one reaction each, on posts that may be seen."""

import pytest

from command_api.reactions.commands.like_post import LikePost
from shared.errors import NotFound, Unauthenticated, ValidationFailed
from tests.specs.command_cases import (
    ANA,
    BEN,
    NOBODY,
    erased,
    followed,
    liked,
    post_deleted,
    published,
    refused,
    then,
    unchanged,
    unfollowed,
    unliked,
)

POST = published(ANA)


def test_a_visible_post_is_liked() -> None:
    then([POST], LikePost(BEN, POST.post_id), subject_id=BEN, post_author_id=ANA, reaction="like")


def test_the_same_again_changes_nothing() -> None:
    unchanged([POST, liked(BEN, POST)], LikePost(BEN, POST.post_id), since=liked(BEN, POST))


def test_another_reaction_takes_its_place() -> None:
    then([POST, liked(BEN, POST)], LikePost(BEN, POST.post_id, "love"), reaction="love")


def test_after_withdrawing_it_is_a_new_reaction() -> None:
    then([POST, liked(BEN, POST), unliked(BEN, POST)], LikePost(BEN, POST.post_id))


def test_ones_own_post_may_be_liked() -> None:
    post = published(ANA, "private")
    then([post], LikePost(ANA, post.post_id))


@pytest.mark.parametrize(
    "given",
    [
        [],
        [post_deleted(POST)],
        [erased(ANA)],
    ],
    ids=["never was", "deleted", "author erased"],
)
def test_what_is_not_there_is_not_found(given: list[object]) -> None:
    refused([POST, *given] if given else [], LikePost(BEN, POST.post_id), NotFound)  # type: ignore[list-item]


def test_a_private_post_does_not_exist_for_others() -> None:
    post = published(ANA, "private")
    refused([post, followed(BEN, ANA)], LikePost(BEN, post.post_id), NotFound)


def test_a_post_for_followers_exists_for_them_alone() -> None:
    post = published(ANA, "followers")
    refused([post], LikePost(BEN, post.post_id), NotFound)
    then([post, followed(BEN, ANA)], LikePost(BEN, post.post_id))
    refused([post, followed(BEN, ANA), unfollowed(BEN, ANA)], LikePost(BEN, post.post_id), NotFound)
    refused([post, followed(ANA, BEN)], LikePost(BEN, post.post_id), NotFound)


def test_unknown_reactions_and_actors() -> None:
    refused([POST], LikePost(BEN, POST.post_id, "meh"), ValidationFailed, "/reaction")
    refused([POST], LikePost(NOBODY, POST.post_id), Unauthenticated)
