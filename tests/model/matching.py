"""What of a home feed a query matches, said as a set: by its words, by what is quoted, or by a name.

Words are letters, digits and underscores here; PostgreSQL knows addresses and numbers too, so queries that are compared
keep to words of letters.
"""

import re
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import UUID

from tests.model.home import RANKED_ITEMS_MAX, Item

if TYPE_CHECKING:
    from tests.model.reference import Model

WORD = re.compile(r"\w+")
MENTION = re.compile(r"<@[0-9a-f-]{36}>")
TERM = re.compile(r'(-?)(?:"([^"]*)"|(\S+))')
Phrase = tuple[str, ...]


class Matching:
    """Home feeds, of a model, that a query is looked for in."""

    def __init__(self, model: "Model") -> None:
        self.model = model

    def home(self, viewer_id: UUID, query: str) -> list[Item]:
        """The items of the viewer's home feed that match, newest first."""
        return [item for item in self.model.feeds.home(viewer_id) if self.matches(viewer_id, item, query)]

    def ranked_home(self, viewer_id: UUID, query: str, at: int, ranked_max: int = RANKED_ITEMS_MAX) -> list[Item]:
        """The newest of these by score at `at` (microseconds since 1970), then what is older by recency."""
        items = self.home(viewer_id, query)
        ranked = [self.model.feeds.ranked_item(viewer_id, item, at) for item in items[:ranked_max]]
        best_first = sorted(ranked, key=lambda each: (each.score, each.item.item_id.int), reverse=True)
        return [each.item for each in best_first] + items[ranked_max:]

    def matches(self, viewer_id: UUID, item: Item, query: str) -> bool:
        """Whether an item that stands in the viewer's home feed matches."""
        post = self.model.posts[item.post_id]
        quoted = self.model.posts.get(post.quote_of_id) if post.quote_of_id is not None else None
        texts = {post.post_id} | ({quoted.post_id} if quoted and self.model.may_see(viewer_id, quoted) else set())
        people = {post.subject_id} | ({self._sharers[item.item_id]} if item.item_id != item.post_id else set())
        name = query.removeprefix("@").strip().lower()
        return any(_has(self._words(post_id), query) for post_id in texts) or (
            name != "" and any(_contains(each, name) for person in people for each in self._names(person))
        )

    @cached_property
    def _sharers(self) -> dict[UUID, UUID]:
        return {event.share_id: event.subject_id for event in self.model.shares.values()}

    def _words(self, post_id: UUID) -> list[str]:
        return WORD.findall(MENTION.sub(" ", self.model.texts[post_id].content or "").lower())

    def _names(self, user_id: UUID) -> list[str]:
        person = self.model.persons[user_id]
        display_name = person.display_name.value if person.display_name else None
        return [person.registered.username or "", (display_name or "").lower()]


def _contains(name: str, part: str) -> bool:
    """Of at least three characters any part, of less the beginning."""
    return part in name if len(part) >= 3 else name.startswith(part)


def _has(words: list[str], query: str) -> bool:
    """Whether one of the alternatives is there, if each of them names something to look for."""
    alternatives = [terms for terms in _alternatives(query) if terms]
    return all(any(wanted for wanted, _ in terms) for terms in alternatives) and any(
        all(wanted == _is_in(phrase, words) for wanted, phrase in terms) for terms in alternatives
    )


def _alternatives(query: str) -> list[list[tuple[bool, Phrase]]]:
    """What is between the words `or`: phrases, each with whether it is to be there."""
    found: list[list[tuple[bool, Phrase]]] = [[]]
    for minus, quoted, bare in TERM.findall(query.lower()):
        if bare == "or":
            found.append([])
        elif phrase := tuple(WORD.findall(quoted or bare)):
            found[-1].append((minus == "", phrase))
    return found


def _is_in(phrase: Phrase, words: list[str]) -> bool:
    return any(tuple(words[start : start + len(phrase)]) == phrase for start in range(len(words)))
