"""What a text says beside its words: its hashtags, whom it mentions, and how a mention is stored.

A mention is stored as `<@USER_ID>` in place of `@name`. So that nobody can write that form themselves, a text that
holds it as sent is refused; everything else is stored as sent.
"""

import re
from collections.abc import Iterable, Mapping
from uuid import UUID

from shared.hashtags import folded_hashtag, is_of_word

# A name as people write it, not inside a word or an address such as ana@example.org, and not part of a longer name.
MENTION = re.compile(r"(?<![\w@])@([A-Za-z0-9_]{3,30})(?!\w)(?!@)")
STORED_MENTION = re.compile(r"<@[0-9A-Fa-f]{8}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{12}>")
# Before a hashtag: `&#39;` and `https://example.org/#part` hold none.
NO_HASHTAG_AFTER = "#&/"
HASHTAG_CHARACTERS_MAX = 100


def hashtags_in(text: str) -> list[str]:
    """The hashtags of a text, folded, each once, in their order (UAX #31 hashtag words after `#`)."""
    found = []
    position = text.find("#")
    while position >= 0:
        end = position + 1
        while end < len(text) and is_of_word(text[end]):
            end += 1
        before = text[position - 1] if position else " "
        if not is_of_word(before) and before not in NO_HASHTAG_AFTER:
            found.append(folded_hashtag(text[position + 1 : end]))
        position = text.find("#", end)
    return distinct(found)


def all_hashtags(text: str, given: Iterable[str]) -> list[str]:
    """The hashtags of a text and those given beside it, each once."""
    return distinct([*hashtags_in(text), *(folded_hashtag(word.removeprefix("#")) for word in given)])


def is_hashtag(word: str) -> bool:
    """Whether a tag given beside a text, with or without its `#`, is one word of reasonable length."""
    bare = word.removeprefix("#")
    return (
        len(bare) <= HASHTAG_CHARACTERS_MAX
        and all(is_of_word(character) for character in bare)
        and bool(folded_hashtag(bare))
    )


def distinct(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(word for word in words if word))


def mentioned_names(text: str) -> list[str]:
    """The folded names that a text mentions, whether or not anybody has them."""
    return distinct(name.lower() for name in MENTION.findall(text))


def with_mentions(text: str, people: Mapping[str, UUID]) -> tuple[str, tuple[UUID, ...]]:
    """The text as it is stored, and whom it mentions, in order; a name that is not in `people` stays as it is."""
    mentioned: dict[UUID, None] = {}

    def stored(match: re.Match[str]) -> str:
        user_id = people.get(match[1].lower())
        if user_id is None:
            return match[0]
        mentioned[user_id] = None
        return f"<@{user_id}>"

    return MENTION.sub(stored, text), tuple(mentioned)


def as_read(stored: str, people: Mapping[UUID, str]) -> str:
    """A stored text as readers see it: mentions by username, whatever capitals its author wrote it in."""
    return STORED_MENTION.sub(lambda match: f"@{people[UUID(match[0][2:-1])]}", stored)


def holds_stored_mention(text: str) -> bool:
    return STORED_MENTION.search(text) is not None
