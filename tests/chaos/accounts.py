"""What became of every accepted write, read from the log itself: none lost, none doubled, each aggregate in order."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from uuid import UUID

from schemas.catalogue import event_schemas
from schemas.types import CommentAdded, Event, PostLiked
from shared.environment import Environment
from tests.chaos.load import Aggregate, Fact, Load
from tests.model.log import LogReader


@dataclass
class Account:
    """`copies` are records that the relay appended once more after a lost acknowledgement: the same event, inert."""

    accepted: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    copies: int = 0

    def __str__(self) -> str:
        return (
            f"{self.accepted} accepted, {len(self.lost)} lost, {len(self.doubled)} doubled,"
            f" {len(self.out_of_order)} aggregates out of order, {self.copies} inert copies"
        )


def account(environment: Environment, *loads: Load) -> Account:
    """The log from its beginning against what these loads were told, one after the other; nobody else may have written
    as their people since the first of them began."""
    reader = LogReader(environment)
    reader.read_to(reader.ends(), lambda done, total: None)
    reader.close()
    found = Account(accepted=sum(load.accepted_writes() for load in loads))
    accepted: dict[tuple[UUID, Aggregate], list[Fact]] = defaultdict(list)
    for load in loads:
        for key, facts in load.accepted.items():
            accepted[key] += facts
    actors, began = {actor for actor, _ in accepted}, loads[0].began
    first: dict[UUID, Event] = {}
    appended: dict[tuple[UUID, Aggregate], list[Event]] = defaultdict(list)
    for event in reader.events:
        known = first.setdefault(event.event_id, event)
        if known is not event:
            assert known == event, f"{event.event_id} has two contents"
            found.copies += 1
        elif event.subject_id in actors and event.occurred_at >= began:
            appended[event.subject_id, aggregate_of(event)].append(event)
    for key in accepted.keys() | appended.keys():
        _compare(found, key, accepted.get(key, []), appended.get(key, []))
    return found


def aggregate_of(event: Event) -> Aggregate:
    if isinstance(event, CommentAdded):
        return "comments", event.comment_id
    schema = event_schemas()[type(event).__name__]
    return schema.topic, getattr(event, schema.partitioned_by)


def fact_of(event: Event) -> Fact:
    """What the load remembers of such an event."""
    if isinstance(event, PostLiked):
        return (type(event).__name__, event.reaction)
    text = getattr(event, "content", None)
    return (type(event).__name__,) if text is None else (type(event).__name__, str(text))


def _compare(found: Account, key: tuple[UUID, Aggregate], told: list[Fact], appended: list[Event]) -> None:
    where = f"{key[0]} in {key[1][0]} of {key[1][1]}"
    facts, ids = [fact_of(event) for event in appended], [event.event_id for event in appended]
    lost, doubled = Counter(told) - Counter(facts), Counter(facts) - Counter(told)
    found.lost += [f"{where}: {fact}" for fact in lost.elements()]
    found.doubled += [f"{where}: {fact}" for fact in doubled.elements()]
    if not lost and not doubled and (facts != told or ids != sorted(ids)):
        found.out_of_order.append(f"{where}: {told} became {facts}")
