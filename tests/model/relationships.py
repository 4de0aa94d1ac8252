"""How people stand to one another, said as sets: who follows, has asked to follow, blocks and mutes whom.

Every word about a pair is the newest of the events that speak of it, in whatever order they came. A pair is (from, to):
the follower and the followed, who asks and who is asked, who blocks and who is blocked, who mutes and who is muted.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any
from uuid import UUID

from schemas.types import (
    Event,
    FollowApproved,
    FollowRejected,
    FollowRequested,
    UserBlocked,
    UserFollowed,
    UserMuted,
    UserUnblocked,
    UserUnfollowed,
    UserUnmuted,
)
from tests.model.sets import grouped, newest_first
from tests.model.standing import Standing

Pair = tuple[UUID, UUID]


class Relationships(Standing):
    """The part of the model that people's edges are; pairs of which either is erased are not there."""

    erased: set[UUID]
    persons: Mapping[UUID, Any]

    def _words(self, *said: Iterable[tuple[Pair, Event, bool]]) -> dict[Pair, tuple[Event, bool]]:
        """The newest event about each pair, and whether it says yes."""
        words: dict[Pair, tuple[Event, bool]] = {}
        for each in said:
            for pair, event, yes in each:
                if self.erased.isdisjoint(pair) and (pair not in words or event.event_id > words[pair][0].event_id):
                    words[pair] = (event, yes)
        return words

    def _said_of_follows(self) -> Iterable[tuple[Pair, Event, bool]]:
        for followed in self._all(UserFollowed):
            yield (followed.subject_id, followed.followee_id), followed, True
        for approved in self._all(FollowApproved):
            yield (approved.follower_id, approved.subject_id), approved, True
        for unfollowed in self._all(UserUnfollowed):
            yield (unfollowed.subject_id, unfollowed.followee_id), unfollowed, False
        for blocked in self._all(UserBlocked):
            yield (blocked.subject_id, blocked.blocked_id), blocked, False
            yield (blocked.blocked_id, blocked.subject_id), blocked, False

    @cached_property
    def follow_words(self) -> dict[Pair, tuple[Event, bool]]:
        """What was last said of each follow: a block of the pair, either way, ends it."""
        return self._words(self._said_of_follows())

    @cached_property
    def request_words(self) -> dict[Pair, tuple[Event, bool]]:
        """What was last said of each request: whatever settles the follow settles the request for it."""
        return self._words(
            (((event.subject_id, event.followee_id), event, True) for event in self._all(FollowRequested)),
            (((event.follower_id, event.subject_id), event, False) for event in self._all(FollowRejected)),
            ((pair, event, False) for pair, event, _ in self._said_of_follows()),
        )

    @cached_property
    def block_words(self) -> dict[Pair, tuple[Event, bool]]:
        return self._words(
            ((event.subject_id, event.blocked_id), event, isinstance(event, UserBlocked))
            for event in self._either(UserBlocked, UserUnblocked)
        )

    @cached_property
    def mute_words(self) -> dict[Pair, tuple[Event, bool]]:
        return self._words(
            ((event.subject_id, event.muted_id), event, isinstance(event, UserMuted))
            for event in self._either(UserMuted, UserUnmuted)
        )

    @cached_property
    def blocks(self) -> set[Pair]:
        """Who blocks whom."""
        return {pair for pair, (_, yes) in self.block_words.items() if yes}

    @cached_property
    def mutes(self) -> set[Pair]:
        """Who mutes whom."""
        return {pair for pair, (_, yes) in self.mute_words.items() if yes}

    @cached_property
    def follows(self) -> set[Pair]:
        """The active (follower, followee) pairs: neither blocks the other, whatever the ids."""
        return {pair for pair, (_, yes) in self.follow_words.items() if yes and not self.hidden(*pair)}

    @cached_property
    def requests(self) -> set[Pair]:
        """Who waits for whose approval."""
        return {pair for pair, (_, yes) in self.request_words.items() if yes and not self.hidden(*pair)}

    def hidden(self, viewer_id: UUID | None, other_id: UUID) -> bool:
        """Whether the two see nothing of each other: either blocks the other. Nobody in particular blocks nobody."""
        return viewer_id is not None and ((viewer_id, other_id) in self.blocks or (other_id, viewer_id) in self.blocks)

    def out_of_sight(self, viewer_id: UUID | None, other_id: UUID) -> bool:
        """Whether the viewer sees nothing of the other: either blocks the other, or the other is away."""
        return self.hidden(viewer_id, other_id) or (other_id in self.away and other_id != viewer_id)

    @cached_property
    def following(self) -> dict[UUID, set[UUID]]:
        """Whom each person follows."""
        return grouped(self.follows)

    @cached_property
    def follower_counts(self) -> Counter[UUID]:
        return Counter(followee for _, followee in self.follows)

    @cached_property
    def following_counts(self) -> Counter[UUID]:
        return Counter(follower for follower, _ in self.follows)

    # Lists: people by the event that put them there, newest first, without those out of sight of who looks

    def followers_of(self, user_id: UUID, viewer_id: UUID | None) -> list[UUID]:
        return self._listed(viewer_id, self.follow_words, (pair for pair in self.follows if pair[1] == user_id), 0)

    def followed_by(self, user_id: UUID, viewer_id: UUID | None) -> list[UUID]:
        return self._listed(viewer_id, self.follow_words, (pair for pair in self.follows if pair[0] == user_id), 1)

    def asking(self, user_id: UUID) -> list[UUID]:
        """Who waits for this person's approval."""
        return self._listed(user_id, self.request_words, (pair for pair in self.requests if pair[1] == user_id), 0)

    def mutes_of(self, user_id: UUID) -> list[UUID]:
        return self._listed(user_id, self.mute_words, (pair for pair in self.mutes if pair[0] == user_id), 1)

    def blocks_of(self, user_id: UUID) -> list[UUID]:
        """Whom this person blocks; they are seen nowhere else, so here they must be, unless they are away."""
        return self._listed(None, self.block_words, (pair for pair in self.blocks if pair[0] == user_id), 1)

    def _listed(
        self, viewer_id: UUID | None, words: Mapping[Pair, tuple[Event, bool]], pairs: Iterable[Pair], side: int
    ) -> list[UUID]:
        """One side of these pairs, without those out of the viewer's sight or not there."""
        people = {
            words[pair][0].event_id: pair[side]
            for pair in pairs
            if pair[side] in self.persons and not self.out_of_sight(viewer_id, pair[side])
        }
        return [people[event_id] for event_id in newest_first(people)]
