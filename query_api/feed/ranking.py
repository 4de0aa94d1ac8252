"""The ranked order of a home feed, a pure function of its candidates and of the time at which the paging session began.

The formula is docs/semantics.md's:
`(likes + 2.5·comments + 3·shares + 1) / (max(0, age_hours) + 2)^1.8 × affinity × (1 − moderation_score)`.
"""

import math
from collections.abc import Iterable

import msgspec

COMMENT_WEIGHT = 2.5
SHARE_WEIGHT = 3
GRAVITY = 1.8
AFFINITY_HALF_LIFE_DAYS = 14
OWN_AFFINITY = 1.0
MICROS_PER_HOUR = 3_600_000_000
MILLION = 1_000_000  # moderation scores are kept in millionths


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """An item that the viewer may see; ids by their digits, `published_at` its post's in microseconds since 1970,
    `affinity` 1 to 2."""

    item_id: str
    post_id: str
    published_at: int
    likes: int
    comments: int
    shares: int
    affinity: float
    moderation_score: float = 0.0


class Ranked(msgspec.Struct, frozen=True, gc=False):
    """A candidate's place in the order: its score and what it was made of."""

    item_id: str
    post_id: str
    age_hours: float
    engagement: float
    affinity: float
    moderation: float
    score: float


def affinity(weight_by_day: Iterable[tuple[int, int]], ranked_day: int) -> float:
    """1 to 2: how much the viewer has engaged with an author, from (UTC day, weight) pairs; days count from 1970-01-01.

    fsum makes the sum independent of the order of the days.
    """
    weight = math.fsum(
        weight * 2.0 ** (-max(0, ranked_day - day) / AFFINITY_HALF_LIFE_DAYS) for day, weight in weight_by_day
    )
    return 1 + min(1.0, math.log(1 + weight) / 4)


def rank(candidate: Candidate, ranked_at: int) -> Ranked:
    """`ranked_at` in microseconds since 1970; a post from the future counts as new."""
    age_hours = max(0, ranked_at - candidate.published_at) / MICROS_PER_HOUR
    engagement = candidate.likes + COMMENT_WEIGHT * candidate.comments + SHARE_WEIGHT * candidate.shares
    score = (engagement + 1) / (age_hours + 2) ** GRAVITY * candidate.affinity * (1 - candidate.moderation_score)
    return Ranked(
        candidate.item_id, candidate.post_id, age_hours, engagement,
        candidate.affinity, candidate.moderation_score, score,
    )  # fmt: skip


def ranked_order(candidates: Iterable[Candidate], ranked_at: int) -> list[Ranked]:
    """Highest score first; equal scores newest item first, by time then id, which is the order of the ids."""
    ranked = [rank(candidate, ranked_at) for candidate in candidates]
    return sorted(ranked, key=lambda each: (each.score, each.item_id), reverse=True)
