"""The harness of test_folds.py can fail: each bug planted here is one it must find.

Claim: an incrementing fold, newest-wins per whole row, arrival-order-wins, a missing erasure and a wrong verb are each
told from the model by some small history. Oracle: hypothesis.find, which raises NoSuchExample when every history drawn
agrees with the model.
Cannot catch: bugs of a kind that nobody thought of planting.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis.errors import NoSuchExample

from projectors.runtime.changes import Changes
from schemas.types import Event, PostLiked, PostUnliked, UserErased
from tests.model.reference import Model
from tests.properties.histories import delivered_histories
from tests.properties.interpretation import Tables
from tests.properties.projections import POSTGRES_PROJECTIONS
from tests.properties.test_folds import differences

COUNTERS = POSTGRES_PROJECTIONS["counters"]
# What is found is not shown, so that its length is no matter.
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
Delivered = tuple[list[Event], list[list[Event]]]
# Not shrunk: that there is such a history is enough.
SEARCH = settings(
    max_examples=800, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None
)


class WholeRowNewestWins(Tables):
    """A row takes an event's groups, and loses its others, whenever the event is newer than all that the row has."""

    def apply(self, changes: Changes) -> None:
        for table, rows in changes.rows.items():
            for key, groups in rows.items():
                known = self.groups[table].get(key, {})
                newest_known = max((event_id for event_id, _ in known.values()), default=None)
                if newest_known is None or max(event_id for event_id, _ in groups.values()) > newest_known:
                    self.groups[table][key] = groups
        self.erased |= changes.erased.keys()
        self.gone |= changes.gone.keys()


class LastToArriveWins(Tables):
    """No comparison of event ids at all."""

    def apply(self, changes: Changes) -> None:
        for table, rows in changes.rows.items():
            for key, groups in rows.items():
                self.groups[table].setdefault(key, {}).update(groups)
        self.erased |= changes.erased.keys()
        self.gone |= changes.gone.keys()


class DeafToErasure(Tables):
    def apply(self, changes: Changes) -> None:
        super().apply(Changes(changes.rows, {}, changes.gone))


def incremented_likes(events: Iterable[Event]) -> Counter[object]:
    """One more for each like, one less for each unlike, as they come."""
    likes: Counter[object] = Counter()
    for event in events:
        if isinstance(event, PostLiked | PostUnliked):
            likes[event.post_id] += 1 if isinstance(event, PostLiked) else -1
    return likes


def has_wrong_likes(delivered: Delivered, repeated: bool) -> bool:
    """Whether incrementing gives a wrong count; with `repeated`, in the true order with everything twice."""
    events, batches = delivered
    if any(isinstance(event, UserErased) for event in events):
        return False
    order = [*events, *events] if repeated else [event for batch in batches for event in batch]
    model = Model(events)
    likes = incremented_likes(order)
    return any(likes[post_id] != model.likes[post_id] for post_id in model.posts)


def disagrees(name: str, kind: type[Tables]) -> Callable[[Delivered], bool]:
    projection = POSTGRES_PROJECTIONS[name]

    def check(delivered: Delivered) -> bool:
        events, batches = delivered
        tables = kind(projection.tables)
        for batch in batches:
            tables.apply(projection.fold(batch))
        return differences(name, events, tables) != []

    return check


@pytest.mark.parametrize("repeated", [False, True], ids=["reordered", "redelivered"])
def test_an_incrementing_fold_is_found(repeated: bool) -> None:
    find(delivered_histories(), lambda delivered: has_wrong_likes(delivered, repeated), settings=SEARCH)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("profiles", WholeRowNewestWins),
        ("notifications", WholeRowNewestWins),
        ("counters", LastToArriveWins),
        ("graph", LastToArriveWins),
        ("counters", DeafToErasure),
    ],
)
def test_a_wrong_meaning_of_changes_is_found(name: str, kind: type[Tables]) -> None:
    find(delivered_histories(), disagrees(name, kind), settings=SEARCH)


def test_the_harness_agrees_without_a_bug() -> None:
    """The same search finds nothing when nothing is planted, so that what it finds above is the bug."""
    for name in POSTGRES_PROJECTIONS:
        with pytest.raises(NoSuchExample):
            find(delivered_histories(), disagrees(name, Tables), settings=settings(SEARCH, max_examples=50))


def test_a_dropped_event_is_found() -> None:
    """A fold that forgets one event of each batch of two or more: lost records show."""

    def forgets(delivered: Delivered) -> bool:
        events, batches = delivered
        tables = Tables(COUNTERS.tables)
        for batch in batches:
            tables.apply(COUNTERS.fold(_without_the_last(batch)))
        return differences("counters", events, tables) != []

    find(delivered_histories(), forgets, settings=SEARCH)


def _without_the_last(batch: Sequence[Event]) -> Sequence[Event]:
    return batch[:-1] if len(batch) > 1 else batch
