"""What keeps people and their content from others, said as sets: who is away, what moderators did, how content scores.

Deactivated, suspended and waiting to be erased are three facts, each as the newest of its own events says, and any of
them makes a person be away. Away people keep seeing what they saw, themselves too.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, TypeVar
from uuid import UUID

from schemas.types import (
    AccountDeactivated,
    AccountReactivated,
    ContentHeld,
    ContentHidden,
    ContentRemoved,
    ContentRestored,
    ContentScored,
    ErasureCancelled,
    ErasureRequested,
    UserSuspended,
    UserUnsuspended,
)
from tests.model.sets import newest

E = TypeVar("E", bound=Any)
F = TypeVar("F", bound=Any)
Moderated = ContentHeld | ContentHidden | ContentRemoved | ContentRestored
MILLION = 1_000_000


class Standing:
    """The part of the model that hides people, and what moderators do to posts and comments."""

    def __init__(self, by_type: Mapping[type[Any], Mapping[UUID, Any]]) -> None:
        self._by_type = by_type

    def _all(self, kind: type[E]) -> Iterable[E]:
        return self._by_type.get(kind, {}).values()

    def _either(self, kind: type[E], other: type[F]) -> Iterable[E | F]:
        yield from self._all(kind)
        yield from self._all(other)

    @cached_property
    def deactivations(self) -> dict[UUID, AccountDeactivated | AccountReactivated]:
        """The newest word of each person."""
        return newest(self._either(AccountDeactivated, AccountReactivated), by=lambda event: event.subject_id)

    @cached_property
    def suspensions(self) -> dict[UUID, UserSuspended | UserUnsuspended]:
        """The newest word about each person."""
        return newest(self._either(UserSuspended, UserUnsuspended), by=lambda event: event.subject_id)

    @cached_property
    def erasure_requests(self) -> dict[UUID, ErasureRequested | ErasureCancelled]:
        """The newest word of each person."""
        return newest(self._either(ErasureRequested, ErasureCancelled), by=lambda event: event.subject_id)

    @cached_property
    def away(self) -> set[UUID]:
        """Everybody who is not active, erased people aside."""
        words = (*self.deactivations.values(), *self.suspensions.values(), *self.erasure_requests.values())
        return {
            word.subject_id for word in words if isinstance(word, AccountDeactivated | UserSuspended | ErasureRequested)
        }

    @cached_property
    def moderation(self) -> dict[UUID, Moderated]:
        """The newest word of moderators on each post or comment."""
        return newest(
            (*self._either(ContentHeld, ContentHidden), *self._either(ContentRemoved, ContentRestored)),
            by=lambda event: event.content_id,
        )

    @cached_property
    def scores(self) -> dict[UUID, ContentScored]:
        """The newest score of each post."""
        scored = (event for event in self._all(ContentScored) if event.content_id == event.post_id)
        return newest(scored, by=lambda event: event.post_id)

    def moderation_score(self, post_id: UUID) -> float:
        """0 to 1."""
        scored = self.scores.get(post_id)
        return 0.0 if scored is None else scored.score / MILLION

    def withheld(self, viewer_id: UUID | None, content_id: UUID, author_id: UUID) -> bool:
        """Whether moderators keep it from the viewer: held and removed content from all, hidden from all but its
        author."""
        word = self.moderation.get(content_id)
        if isinstance(word, ContentHidden):
            return viewer_id != author_id
        return isinstance(word, ContentHeld | ContentRemoved)
