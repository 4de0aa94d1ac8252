"""The projections, listed once."""

from projectors.counters.fold import PROJECTION as COUNTERS
from projectors.feed.fold import PROJECTION as FEED
from projectors.graph.fold import PROJECTION as GRAPH
from projectors.notifications.fold import PROJECTION as NOTIFICATIONS
from projectors.posts.fold import PROJECTION as POSTS
from projectors.profiles.fold import PROJECTION as PROFILES
from projectors.runtime.projection import Projection
from projectors.trends.fold import PROJECTION as TRENDS

PROJECTIONS: tuple[Projection, ...] = (PROFILES, GRAPH, POSTS, COUNTERS, NOTIFICATIONS, FEED, TRENDS)


def projection_named(name: str) -> Projection:
    """Raises LookupError naming the projections there are."""
    for projection in PROJECTIONS:
        if projection.name == name:
            return projection
    raise LookupError(f"no projection {name!r}; there are {', '.join(each.name for each in PROJECTIONS)}")
