"""Two upcasters for what Avro's defaults cannot say: a field that came to mean something else, and a retired event.

Stars became percent in PostRated's second version: by Avro's rules every old rating would read as 0 percent. A dislike
is a rating of nothing, with its sealed note.
"""

from collections.abc import Mapping
from typing import Any

from schemas.upcasters import Upcast
from tests.schemas.evolution.types import PostRated

PERCENT_OF_A_STAR = 20


def rated_in_stars(old: Mapping[str, Any]) -> PostRated:
    rest = {name: value for name, value in old.items() if name != "stars"}
    return PostRated(**rest, percent=PERCENT_OF_A_STAR * old["stars"])


def disliked(old: Mapping[str, Any]) -> PostRated:
    return PostRated(**old, percent=0)


UPCASTERS: Mapping[tuple[str, int], Upcast] = {("PostRated", 1): rated_in_stars, ("PostDisliked", 1): disliked}
