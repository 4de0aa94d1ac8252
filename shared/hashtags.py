"""Hashtags have one form by which they are compared, wherever they are written, kept or asked for."""

import unicodedata

JOINERS = "\u200c\u200d"


def folded_hashtag(word: str) -> str:
    """The one form of a hashtag, given without its `#`: NFKC, case-folded; empty when nothing is left of it."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", word).casefold())
    # A few letters fold to several words; a hashtag is one.
    return "".join(character for character in folded if is_of_word(character))


def is_of_word(character: str) -> bool:
    """Letters, marks (without which many scripts' words fall apart), numbers, connecting punctuation, joiners."""
    return character.isalnum() or character in JOINERS or unicodedata.category(character) in ("Mn", "Mc", "Me", "Pc")
