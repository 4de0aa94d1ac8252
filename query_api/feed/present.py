"""Items of a feed in the shape of the API: pure."""

from typing import Any

from query_api.feed.ranking import Ranked
from query_api.posts.present import moment, present_post
from query_api.posts.queries import PostRow


def present_item(row: PostRow, explain: dict[str, Any] | None = None) -> dict[str, Any]:
    """`via` is the sharer where the item is a share. `explain` is there when asked for."""
    item = {"post": present_post(row), "via": None, "at": moment(row.created_at)}
    return item if explain is None else item | {"explain": explain}


def present_explanation(ranked: Ranked, source: str) -> dict[str, Any]:
    return {
        "age_hours": ranked.age_hours,
        "engagement": ranked.engagement,
        "affinity": ranked.affinity,
        "moderation": ranked.moderation,
        "score": ranked.score,
        "source": source,
    }
