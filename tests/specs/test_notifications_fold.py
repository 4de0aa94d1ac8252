"""Given what people did to each other, then who is told what, once. Cannot catch: what SQL makes of the changes."""

from typing import Any
from uuid import NAMESPACE_DNS, UUID, uuid5

import pytest

from projectors.notifications.fold import NAMESPACE, NOTIFICATION, READ_MARK, SILENCE, fold, notification_id
from projectors.runtime.changes import Changes
from schemas.types import Event, NotificationsRead, PostBookmarked, PostUnbookmarked, ProfileEdited, UserRegistered
from tests.specs.fold_cases import (
    ANA,
    BEN,
    CLEO,
    DAN,
    approved,
    at,
    blocked,
    comment_deleted,
    comment_edited,
    commented,
    deleted,
    delivered,
    edited,
    erased,
    followed,
    identifier,
    liked,
    moment,
    muted,
    one_of_each_kind,
    published,
    rejected,
    requested,
    shared,
    unblocked,
    unfollowed,
    unliked,
    unmuted,
    unshared,
)

POST = published(1, ANA)
ERIN = identifier(70)


def told(changes: Changes) -> set[tuple[UUID, UUID, str, str, UUID, UUID | None, bool]]:
    """Of each notification: recipient, actor, verb, kind of target, target, post, whether its cause stands."""
    found = set()
    for (recipient_id, identifier_), groups in changes.rows.get("notification", {}).items():
        _, (actor_id, verb, target_type, target_id, post_id, _, _, active, _) = groups["cause"]
        assert identifier_ == notification_id(recipient_id, actor_id, verb, target_id)
        found.add((recipient_id, actor_id, verb, target_type, target_id, post_id, active))
    return found


def test_the_id_is_that_of_recipient_actor_verb_and_target() -> None:
    expected = uuid5(NAMESPACE, f"{ANA.hex}:{BEN.hex}:like:{POST.post_id.hex}")
    assert notification_id(ANA, BEN, "like", POST.post_id) == expected
    assert NAMESPACE != NAMESPACE_DNS


def test_a_like_carries_its_reaction_and_names_its_post() -> None:
    changes = delivered(fold, liked(2, BEN, POST, "love"))
    key = (ANA, notification_id(ANA, BEN, "like", POST.post_id))
    values = (BEN, "like", "post", POST.post_id, POST.post_id, None, {"reaction": "love"}, True, moment(2))
    assert changes.rows == {"notification": {key: {"cause": (identifier(2), values)}}}


def test_an_undone_like_takes_its_notification_away_and_another_brings_it_back() -> None:
    undone: list[Event] = [liked(2, BEN, POST), unliked(3, BEN, POST)]
    assert told(delivered(fold, *undone)) == {(ANA, BEN, "like", "post", POST.post_id, POST.post_id, False)}
    again: list[Event] = [*undone, liked(4, BEN, POST)]
    assert told(delivered(fold, *again)) == {(ANA, BEN, "like", "post", POST.post_id, POST.post_id, True)}


FOLLOW = (ANA, BEN, "follow", "user", ANA, None)
REQUEST = (ANA, BEN, "follow_request", "user", ANA, None)
APPROVAL = (BEN, ANA, "follow_approved", "user", ANA, None)


def standing(*events: Event) -> set[tuple[UUID, UUID, str, str, UUID, UUID | None]]:
    """What is told and not taken back."""
    return {each[:-1] for each in told(delivered(fold, *events)) if each[-1]}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([followed(2, BEN, ANA)], {FOLLOW}, id="follow"),
        pytest.param([followed(2, BEN, ANA), unfollowed(3, BEN, ANA)], set(), id="undone"),
        pytest.param([followed(2, BEN, ANA), unfollowed(3, BEN, ANA), followed(4, BEN, ANA)], {FOLLOW}, id="again"),
        pytest.param([followed(2, BEN, ANA), blocked(3, BEN, ANA, BEN)], set(), id="follower blocks"),
        pytest.param([followed(2, BEN, ANA), blocked(3, ANA, BEN, BEN)], set(), id="followee blocks"),
        pytest.param([followed(2, BEN, ANA), blocked(3, ANA, BEN, BEN), unblocked(4, ANA, BEN)], set(), id="unblocked"),
        pytest.param([blocked(2, ANA, BEN), followed(3, BEN, ANA)], {FOLLOW}, id="newer than the block"),
        pytest.param([requested(2, BEN, ANA)], {REQUEST}, id="request"),
        pytest.param([requested(2, BEN, ANA), rejected(3, ANA, BEN)], set(), id="declined"),
        pytest.param([requested(2, BEN, ANA), unfollowed(3, BEN, ANA)], set(), id="withdrawn"),
        pytest.param([requested(2, BEN, ANA), blocked(3, BEN, ANA, BEN)], set(), id="asker blocks"),
        pytest.param([requested(2, BEN, ANA), blocked(3, ANA, BEN, BEN)], set(), id="asked one blocks"),
        pytest.param([requested(2, BEN, ANA), followed(3, BEN, ANA)], {FOLLOW}, id="followed after all"),
        pytest.param([rejected(2, ANA, BEN), requested(3, BEN, ANA)], {REQUEST}, id="asked again"),
        pytest.param([requested(2, BEN, ANA), approved(3, ANA, BEN)], {APPROVAL}, id="approved"),
        pytest.param([approved(3, ANA, BEN), unfollowed(4, BEN, ANA)], set(), id="approved, then undone"),
        pytest.param([approved(3, ANA, BEN), unfollowed(4, ANA, BEN)], {APPROVAL}, id="another follow is undone"),
        pytest.param([approved(3, ANA, BEN), blocked(4, BEN, ANA, BEN)], set(), id="approved, then follower blocks"),
        pytest.param([approved(3, ANA, BEN), blocked(4, ANA, BEN, BEN)], set(), id="approved, then followee blocks"),
        pytest.param([approved(3, ANA, BEN), rejected(4, ANA, BEN)], {APPROVAL}, id="nothing left to decline"),
    ],
)  # fmt: skip
def test_of_a_follow_and_a_request_for_it_the_newest_word_is_told(events: list[Event], expected: set[Any]) -> None:
    assert standing(*events) == expected


def test_a_block_takes_back_what_both_were_told_and_nothing_else() -> None:
    like = liked(4, BEN, POST)
    events: list[Event] = [followed(2, ANA, BEN), approved(3, ANA, BEN), like, blocked(5, ANA, BEN, ANA, BEN)]
    assert standing(*events) == {(ANA, BEN, "like", "post", POST.post_id, POST.post_id)}


def silence(*events: Event) -> dict[Any, Any]:
    found: dict[Any, Any] = delivered(fold, *events).rows["silence"]
    return found


def test_a_block_silences_both_for_each_other_until_it_ends() -> None:
    assert silence(blocked(2, ANA, BEN)) == {
        (ANA, BEN): {"block": (identifier(2), (True,))},
        (BEN, ANA): {"blocked_by": (identifier(2), (True,))},
    }
    assert silence(blocked(2, ANA, BEN), unblocked(3, ANA, BEN), blocked(4, BEN, ANA)) == {
        (ANA, BEN): {"block": (identifier(3), (False,)), "blocked_by": (identifier(4), (True,))},
        (BEN, ANA): {"blocked_by": (identifier(3), (False,)), "block": (identifier(4), (True,))},
    }


def test_a_mute_silences_the_muted_for_the_muter_alone() -> None:
    assert silence(muted(2, ANA, BEN)) == {(ANA, BEN): {"mute": (identifier(2), (True,))}}
    assert silence(muted(2, ANA, BEN), unmuted(3, ANA, BEN)) == {(ANA, BEN): {"mute": (identifier(3), (False,))}}
    assert SILENCE.counted == "blocks or blocked_by or mutes"


def test_a_share_tells_the_author_until_it_is_withdrawn_and_not_who_shares_their_own() -> None:
    telling = (ANA, BEN, "share", "post", POST.post_id, POST.post_id)
    assert told(delivered(fold, shared(2, BEN, POST))) == {(*telling, True)}
    withdrawn: list[Event] = [shared(2, BEN, POST), unshared(3, BEN, POST, 2)]
    assert told(delivered(fold, *withdrawn)) == {(*telling, False)}
    assert told(delivered(fold, *withdrawn, shared(4, BEN, POST))) == {(*telling, True)}
    assert told(delivered(fold, shared(2, ANA, POST), unshared(3, ANA, POST, 2))) == set()


COMMENT_ID = identifier(2)
ANSWERED: dict[str, Any] = {"parent_id": identifier(50), "parent_author_id": CLEO}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        pytest.param(commented(2, BEN, POST), {ANA: "comment"}, id="comment"),
        pytest.param(commented(2, BEN, POST, **ANSWERED), {ANA: "comment", CLEO: "reply"}, id="reply"),
        pytest.param(
            commented(2, BEN, POST, parent_id=identifier(50), parent_author_id=ANA), {ANA: "reply"}, id="own post's"
        ),
        pytest.param(commented(2, ANA, POST, **ANSWERED), {CLEO: "reply"}, id="author answers"),
        pytest.param(commented(2, ANA, POST, mentioned_ids=(ANA,)), {}, id="nobody tells themselves"),
        pytest.param(
            commented(2, BEN, POST, mentioned_ids=(ANA, CLEO, DAN, DAN, BEN), **ANSWERED),
            {ANA: "comment", CLEO: "reply", DAN: "mention"},
            id="mention yields",
        ),
    ],
)
def test_a_comment_tells_each_person_one_thing(event: Event, expected: dict[UUID, str]) -> None:
    wanted = {
        (recipient, event.subject_id, verb, "comment", COMMENT_ID, POST.post_id, True)
        for recipient, verb in expected.items()
    }
    assert told(delivered(fold, event)) == wanted


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"reply_to_id": POST.post_id, "reply_to_author_id": ANA}, {ANA: "reply"}, id="reply"),
        pytest.param({"quote_of_id": POST.post_id, "quote_of_author_id": ANA}, {ANA: "quote"}, id="quote"),
        pytest.param({"mentioned_ids": (ANA, CLEO, CLEO)}, {ANA: "mention", CLEO: "mention"}, id="mention"),
        pytest.param(
            {
                "reply_to_id": POST.post_id, "reply_to_author_id": ANA, "quote_of_id": POST.post_id,
                "quote_of_author_id": ANA, "mentioned_ids": (ANA, BEN),
            },
            {ANA: "reply"},
            id="reply before quote before mention",
        ),
        pytest.param({"quote_of_id": POST.post_id, "quote_of_author_id": BEN}, {}, id="own post"),
    ],
)  # fmt: skip
def test_a_post_tells_each_person_one_thing(fields: dict[str, Any], expected: dict[UUID, str]) -> None:
    event = published(2, BEN, **fields)
    wanted = {
        (recipient, BEN, verb, "post", event.post_id, event.post_id, True) for recipient, verb in expected.items()
    }
    assert told(delivered(fold, event)) == wanted


def test_an_edit_tells_only_whom_it_mentions_first() -> None:
    post = published(2, BEN, mentioned_ids=(ANA,))
    edit = edited(3, post, mentioned_ids=(ANA, CLEO, BEN), newly_mentioned_ids=(CLEO, BEN))
    changes = delivered(fold, post, edit)
    assert told(changes) == {
        (ANA, BEN, "mention", "post", post.post_id, post.post_id, True),
        (CLEO, BEN, "mention", "post", post.post_id, post.post_id, True),
    }
    causes = {key[0]: groups["cause"][0] for key, groups in changes.rows["notification"].items()}
    assert causes == {ANA: post.event_id, CLEO: edit.event_id}


def test_an_edited_comment_tells_only_whom_it_mentions_first() -> None:
    comment = commented(2, BEN, POST, mentioned_ids=(DAN,))
    edit = comment_edited(3, comment, mentioned_ids=(DAN, CLEO), newly_mentioned_ids=(CLEO,))
    assert told(delivered(fold, edit)) == {(CLEO, BEN, "mention", "comment", comment.comment_id, POST.post_id, True)}


def test_a_deleted_comment_takes_back_all_that_was_told_of_it() -> None:
    comment = commented(2, BEN, POST, mentioned_ids=(DAN,), **ANSWERED)
    edit = comment_edited(3, comment, mentioned_ids=(CLEO,), newly_mentioned_ids=(CLEO,))
    deletion = comment_deleted(4, comment, mentioned_ids=(DAN, CLEO, BEN))
    assert told(delivered(fold, comment, edit, deletion)) == {
        (recipient, BEN, verb, "comment", comment.comment_id, POST.post_id, False)
        for recipient, verb in ((CLEO, "reply"), (ANA, "comment"), (DAN, "mention"), (CLEO, "mention"))
    }


def test_a_third_persons_post_is_told_with_its_author() -> None:
    """A block between them and who is told hides it; of one's own post and the actor's there is nothing to add."""
    comment = commented(2, BEN, POST, mentioned_ids=(DAN,), **ANSWERED)
    edit = comment_edited(3, comment, mentioned_ids=(DAN, ERIN), newly_mentioned_ids=(ERIN,))
    own = commented(4, ANA, POST, mentioned_ids=(DAN,))
    for events in ([comment, edit], [comment_deleted(5, comment, mentioned_ids=(DAN, ERIN))]):
        rows = delivered(fold, *events).rows["notification"]
        assert {key[0]: groups["cause"][1][5] for key, groups in rows.items()} == {
            CLEO: ANA, ANA: None, DAN: ANA, ERIN: ANA,
        }  # fmt: skip
    [groups] = delivered(fold, own).rows["notification"].values()
    assert groups["cause"][1][5] is None


def test_reading_some_marks_rows_of_the_readers_own() -> None:
    of_ana, of_ben = identifier(60), identifier(61)
    changes = delivered(fold, at(5, NotificationsRead, ANA, notification_ids=(of_ana, of_ben)))
    assert changes.rows == {
        "notification": {(ANA, of_ana): {"read": (identifier(5), ())}, (ANA, of_ben): {"read": (identifier(5), ())}}
    }


def test_reading_all_keeps_the_furthest_mark_whichever_came_last() -> None:
    changes = delivered(
        fold, at(5, NotificationsRead, ANA, up_to=identifier(4)), at(6, NotificationsRead, ANA, up_to=identifier(3))
    )
    assert changes.rows == {"read_mark": {(ANA,): {"mark": (identifier(4), ())}}}


def test_a_read_mark_stays_when_the_cause_comes_after_it() -> None:
    like = liked(2, BEN, POST)
    key = (ANA, notification_id(ANA, BEN, "like", POST.post_id))
    changes = delivered(fold, at(5, NotificationsRead, ANA, notification_ids=(key[1],)), like)
    assert changes.rows["notification"][key]["read"] == (identifier(5), ())
    assert changes.rows["notification"][key]["cause"][0] == like.event_id


def test_a_deleted_post_and_an_erased_person_take_their_notifications_along() -> None:
    changes = delivered(fold, liked(2, BEN, POST), deleted(3, POST), erased(4, BEN))
    assert (changes.gone, changes.erased) == ({POST.post_id: identifier(3)}, {BEN: identifier(4)})
    assert NOTIFICATION.erased_with == ("recipient_id", "actor_id", "post_author_id")
    assert NOTIFICATION.gone_with == ("post_id",)
    assert READ_MARK.erased_with == ("recipient_id",)
    assert SILENCE.erased_with == ("recipient_id", "actor_id")


def test_profiles_and_bookmarks_tell_nobody() -> None:
    ignored = (UserRegistered, ProfileEdited, PostBookmarked, PostUnbookmarked)
    changes = delivered(fold, *(event for event in one_of_each_kind() if isinstance(event, ignored)))
    assert (changes.rows, changes.erased, changes.gone) == ({}, {}, {})
