"""Erased means never existed, for what anybody else sees.

Claim: after UserErased, every other person's feed, lists, counts, affinity and notifications are what they would be
had the erased person never done anything and nobody ever done anything to them; and so are the rows that the folds
leave.
Oracle: the same model, and the same folds, over the history without that person.
Cannot catch: what is left in stores after a sweep (the erasure scan looks for that), and the erased person's own view.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given

from schemas.types import Event
from tests.model.reference import Model
from tests.model.tables import TABLES
from tests.properties.histories import histories
from tests.properties.interpretation import fold_in_batches
from tests.properties.projections import POSTGRES_PROJECTIONS, PROJECTION_NAMES


def without(person_id: UUID, events: Sequence[Event]) -> list[Event]:
    """The history as it would be without this person: nothing by them, and nothing of which they are the other side."""
    names = ("subject_id", "followee_id", "follower_id", "blocked_id", "muted_id", "post_author_id")
    return [event for event in events if person_id not in {getattr(event, name, None) for name in names}]


def seen(model: Model, viewer_id: UUID) -> dict[str, Any]:
    """All that one person sees."""
    at = max((post.occurred_at for post in model.posts.values()), default=0)
    return {
        "home": model.feeds.home(viewer_id),
        "ranked": model.feeds.ranked_home(viewer_id, at),
        "global": model.global_feed(viewer_id),
        "posts": {author_id: model.posts_of(author_id, viewer_id) for author_id in model.persons},
        "profiles": {user_id: model.profile_visible(user_id, viewer_id) for user_id in model.persons},
        "people": [
            (model.followers_of(user_id, viewer_id), model.followed_by(user_id, viewer_id)) for user_id in model.persons
        ],
        "own": [model.asking(viewer_id), model.mutes_of(viewer_id), model.blocks_of(viewer_id)],
        "likes": {post_id: model.likers(post_id, viewer_id) for post_id in model.posts},
        "comments": {post_id: model.comments_under(post_id, viewer_id) for post_id in model.posts},
        "removed": {post_id: model.removed_under(post_id, viewer_id) for post_id in model.posts},
        "history": {post_id: model.history(post_id, viewer_id) for post_id in model.posts},
        "bookmarks": [post_id for post_id in model.bookmarks_of(viewer_id) if post_id in model.posts],
        "notifications": [
            (notification.id, notification.cause, notification.unread)
            for notification in model.notifications_of(viewer_id)
        ],
        "unread": model.unread_count(viewer_id),
    }


@given(histories)
def test_others_see_what_they_would_have_seen_without_them(events: list[Event]) -> None:
    model = Model(events)
    for erased in sorted(model.erased):
        other = Model(without(erased, events))
        assert model.persons.keys() - {erased} == other.persons.keys() - {erased}
        for viewer_id in model.persons:
            assert seen(model, viewer_id) == seen(other, viewer_id)


@given(histories)
def test_counts_are_what_they_would_be_without_them(events: list[Event]) -> None:
    model = Model(events)
    for erased in sorted(model.erased):
        other = Model(without(erased, events))
        for table in TABLES:
            if table.is_count:
                assert table.rows(model) == table.rows(other), table.name


@pytest.mark.parametrize("name", PROJECTION_NAMES)
@given(events=histories)
def test_no_row_of_theirs_is_left(name: str, events: list[Event]) -> None:
    projection = POSTGRES_PROJECTIONS[name]
    found = fold_in_batches(projection.tables, [projection.fold(events)])
    for table in projection.tables:
        for row in found.rows(table.name):
            theirs = {column for column, owner in table.whose.items() if owner and row.get(owner) in found.erased}
            assert not {column for column in theirs if row[column] is not None}, (table.name, row)


@pytest.mark.parametrize("name", PROJECTION_NAMES)
def test_who_is_named_by_whose_takes_the_row_along(name: str) -> None:
    """A column that is somebody's goes when they go: its owner's column is one the sweeper looks at."""
    for table in POSTGRES_PROJECTIONS[name].tables:
        owners = {owner for owner in table.whose.values() if owner}
        assert owners <= set(table.erased_with), (
            f"{name}.{table.name}: columns belong to {sorted(owners - set(table.erased_with))}, whose erasure takes no "
            "row along; add them to erased_with, or say whose the columns really are"
        )
