"""The ranked order of a home feed, a pure function of its candidates and of the time at which the paging session began.

The formula is docs/semantics.md's:
`(likes + 2.5·comments + 3·shares + 1) / (max(0, age_hours) + 2)^1.8 × affinity × (1 − moderation_score)`.
"""

import math
from collections import Counter
from collections.abc import Iterable
from operator import itemgetter

import msgspec

COMMENT_WEIGHT = 2.5
SHARE_WEIGHT = 3
GRAVITY = 1.8
AFFINITY_HALF_LIFE_DAYS = 14
OWN_AFFINITY = 1.0
MICROS_PER_HOUR = 3_600_000_000
BY_SCORE_THEN_ID = itemgetter(0, 1)
MILLION = 1_000_000  # moderation scores are kept in millionths


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A post that the viewer may see, and the item at which it stands; ids by their digits.

    `published_at` is the post's, in microseconds since 1970; `affinity` 1 to 2; `moderation` 0 to 1.
    """

    standing_id: str
    post_id: str
    published_at: int
    engagement: float
    affinity: float
    moderation: float = 0.0
    author_id: str = ""


class Ranked(msgspec.Struct, frozen=True, gc=False):
    """A candidate's place in the order: its score and what it was made of.

    `diversity` is what the score was multiplied by for posts of the same author that come before: 1 without any.
    """

    item_id: str
    post_id: str
    age_hours: float
    engagement: float
    affinity: float
    moderation: float
    score: float
    diversity: float = 1.0


def affinity(weight_by_day: Iterable[tuple[int, int]], ranked_day: int) -> float:
    """1 to 2: how much the viewer has engaged with an author, from (UTC day, weight) pairs; days count from 1970-01-01.

    fsum makes the sum independent of the order of the days.
    """
    weight = math.fsum(
        weight * 2.0 ** (-max(0, ranked_day - day) / AFFINITY_HALF_LIFE_DAYS) for day, weight in weight_by_day
    )
    return 1 + min(1.0, math.log(1 + weight) / 4)


def engagement(likes: int, comments: int, shares: int) -> float:
    """What reactions to a post weigh."""
    return likes + COMMENT_WEIGHT * comments + SHARE_WEIGHT * shares


def age(candidate: Candidate, ranked_at: int) -> float:
    """Hours; `ranked_at` in microseconds since 1970. A post from the future counts as new."""
    elapsed = ranked_at - candidate.published_at
    return elapsed / MICROS_PER_HOUR if elapsed > 0 else 0.0


def score(candidate: Candidate, ranked_at: int) -> float:
    decay = (age(candidate, ranked_at) + 2) ** GRAVITY
    return (candidate.engagement + 1) / decay * candidate.affinity * (1 - candidate.moderation)


def rank(candidate: Candidate, ranked_at: int) -> Ranked:
    """The candidate's score at `ranked_at` with what it was made of."""
    return Ranked(
        candidate.standing_id, candidate.post_id, age(candidate, ranked_at), candidate.engagement,
        candidate.affinity, candidate.moderation, score(candidate, ranked_at),
    )  # fmt: skip


def ranked_order(candidates: Iterable[Candidate], ranked_at: int) -> list[Candidate]:
    """Highest score first; equal scores newest item first, by time then id, which is the order of the ids."""
    scored = [(score(each, ranked_at), each.standing_id, each) for each in candidates]
    scored.sort(key=BY_SCORE_THEN_ID, reverse=True)
    return [each for _, _, each in scored]


def diversified(order: Iterable[Candidate], ranked_at: int, diversity: float) -> list[Ranked]:
    """The order once more, each score times (1 − diversity)^n, n being how many posts of the same author come before.

    `diversity` is 0 (nothing changes) to 1 (first one post of each author). Equal ones stay as they were.
    """
    before: Counter[str] = Counter()
    found = []
    for each in order:
        factor = (1 - diversity) ** before[each.author_id]
        before[each.author_id] += 1
        ranked = rank(each, ranked_at)
        found.append(msgspec.structs.replace(ranked, score=ranked.score * factor, diversity=factor))
    return sorted(found, key=lambda each: each.score, reverse=True)
