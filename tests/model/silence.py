"""Of whom nobody is told: (recipient, actor) pairs, from the newest word of each block and mute alone."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any
from uuid import UUID

from schemas.types import UserBlocked, UserMuted, UserUnblocked, UserUnmuted
from tests.model.sets import newest

Pair = tuple[UUID, UUID]


class Silence:
    """`all_of` answers every event of a type; `persons` are those who are there."""

    def __init__(self, all_of: Callable[[type[Any]], Iterable[Any]], persons: Mapping[UUID, Any]) -> None:
        self._all = all_of
        self._persons = persons

    @cached_property
    def block_words(self) -> dict[Pair, UserBlocked | UserUnblocked]:
        """The last word about each (who blocks, who is blocked)."""
        said = (*self._all(UserBlocked), *self._all(UserUnblocked))
        return self._among_persons(newest(said, by=lambda event: (event.subject_id, event.blocked_id)))

    @cached_property
    def mute_words(self) -> dict[Pair, UserMuted | UserUnmuted]:
        """The last word about each (who mutes, who is muted)."""
        said = (*self._all(UserMuted), *self._all(UserUnmuted))
        return self._among_persons(newest(said, by=lambda event: (event.subject_id, event.muted_id)))

    @cached_property
    def blocked(self) -> set[Pair]:
        """The pairs of whom either blocks the other, both ways round."""
        blocking = {pair for pair, event in self.block_words.items() if isinstance(event, UserBlocked)}
        return blocking | {(other, one) for one, other in blocking}

    @cached_property
    def pairs(self) -> set[Pair]:
        """Every (recipient, actor) of whom the recipient hears nothing."""
        return self.blocked | {pair for pair, event in self.mute_words.items() if isinstance(event, UserMuted)}

    @cached_property
    def mentioned(self) -> set[Pair]:
        """Every (recipient, actor) of whom a block or a mute ever spoke."""
        return {*self.block_words, *((other, one) for one, other in self.block_words), *self.mute_words}

    def _among_persons(self, words: Mapping[Pair, Any]) -> dict[Pair, Any]:
        return {pair: word for pair, word in words.items() if self._persons.keys() >= set(pair)}
