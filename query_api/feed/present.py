"""Items of a feed in the shape of the API."""

from typing import Any

from query_api.feed.queries import HomeRow
from query_api.feed.ranking import Ranked
from query_api.posts.cards import post_card
from query_api.posts.present import author, moment


def present_item(row: HomeRow, explain: dict[str, Any] | None = None) -> dict[str, Any]:
    """`via` is the sharer where the item is a share. `explain` is there when asked for."""
    via = row.via
    item = {"post": post_card(row.post), "via": None if via is None else author(via), "at": moment(row.at)}
    return item if explain is None else item | {"explain": explain}


def present_explanation(ranked: Ranked, source: str) -> dict[str, Any]:
    return {
        "age_hours": ranked.age_hours,
        "engagement": ranked.engagement,
        "affinity": ranked.affinity,
        "moderation": ranked.moderation,
        "diversity": ranked.diversity,
        "score": ranked.score,
        "source": source,
    }
