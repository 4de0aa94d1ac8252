"""Claim: of a log that lost its tail it is said from where on it differs, what is missing, and what must be set back.

Oracle: logs written down here, place by place. Cannot catch: a server that answers otherwise; of a real broker
tests/chaos/test_log_tail.py takes the tail away.
"""

from uuid import UUID

from infra.repair.comparison import Finding, Log, Stand, compare, first_needed
from projectors.runtime.stores.port import Partition

HERE = Partition("posts", 0)


def event(number: int) -> UUID:
    return UUID(int=number)


def log_of(*numbers: int | None, begin: int = 0) -> Log:
    """A log with these events from `begin` on; None is a place that was compacted away."""
    events = {begin + place: event(number) for place, number in enumerate(numbers) if number is not None}
    return Log(begin, begin + len(numbers), events)


def rows_of(*numbers: int, begin: int = 0) -> dict[UUID, int]:
    """An outbox that saw these events acknowledged one after the other."""
    return {event(number): begin + place for place, number in enumerate(numbers)}


def found(rows: dict[UUID, int], stands: list[Stand], log: Log) -> Finding:
    finding = compare(HERE, rows, stands, log)
    assert finding is not None
    return finding


def test_a_log_that_is_whole() -> None:
    stands = [Stand("counters", 3, event(3)), Stand("graph", 0), Stand("{s:0}:position", 3)]
    assert compare(HERE, rows_of(1, 2, 3), stands, log_of(1, 2, 3)) is None


def test_a_copy_and_a_compacted_place_are_no_loss() -> None:
    assert compare(HERE, rows_of(1, 2), [Stand("counters", 2, event(2))], log_of(None, 2, 2, 1)) is None


def test_a_shorter_log() -> None:
    behind, ahead = Stand("graph", 2, event(2)), Stand("counters", 4, event(4))
    finding = found(rows_of(1, 2, 3, 4), [behind, ahead], log_of(1, 2))
    assert (finding.common, finding.lost, finding.last_common) == (2, [event(3), event(4)], event(2))
    assert finding.ahead == [ahead]
    assert not finding.moved and not finding.unknown


def test_a_log_grown_anew() -> None:
    """Also a worker that went on over the new records is set back, though its last event is there."""
    stands = [Stand("counters", 4, event(4)), Stand("graph", 5, event(9)), Stand("{s:0}:position", 5)]
    rows = rows_of(1, 2, 3, 4) | rows_of(7, 8, 9, begin=2)
    finding = found(rows, stands, log_of(1, 2, 7, 8, 9))
    assert (finding.common, finding.lost) == (2, [event(3), event(4)])
    assert finding.ahead == stands


def test_a_repair_that_was_broken_off() -> None:
    """What it had published is at another place than the outbox says, and is not published once more."""
    finding = found(rows_of(1, 2, 3, 4), [Stand("counters", 2, event(2))], log_of(1, 2, 9, 3))
    assert (finding.lost, finding.moved, finding.ahead) == ([event(4)], {event(3): 3}, [])


def test_a_tail_that_is_all_the_outbox_remembers() -> None:
    """What lies below its oldest row was not appended anew: nobody has to begin at the beginning."""
    stands = [Stand("graph", 1, event(1)), Stand("counters", 5, event(5))]
    finding = found(rows_of(4, 5, begin=3), stands, log_of(1, 2, 3))
    assert (finding.common, finding.unknown, finding.ahead) == (3, range(3, 3), stands[1:])
    assert finding.last_common == event(3)


def test_what_the_outbox_has_forgotten() -> None:
    stands = [Stand("graph", 2, event(2)), Stand("counters", 6, event(6)), Stand("{s:0}:position", 6)]
    finding = found({}, stands, log_of(1, 2, 3))
    assert (finding.common, finding.unknown, finding.lost) == (3, range(3, 6), [])
    partly = found(rows_of(5, 6, begin=4), stands, log_of(1, 2, 3))
    assert (partly.common, partly.unknown, partly.lost) == (3, range(3, 4), [event(5), event(6)])


def test_a_log_that_grew_anew_before_the_outbox_begins() -> None:
    """Set back to the last place that something vouches for; what was applied from there on is unknown."""
    stands = [Stand("graph", 1, event(1)), Stand("counters", 3, event(3))]
    finding = found({}, stands, log_of(1, 7, 8, 9))
    assert (finding.common, finding.unknown, finding.ahead) == (1, range(1, 3), stands[1:])
    nobody = found({}, stands[1:], log_of(1, 7, 8, 9))
    assert (nobody.common, nobody.unknown) == (0, range(3))


def test_a_position_without_an_event_may_only_be_too_far() -> None:
    assert compare(HERE, {}, [Stand("counters", 3)], log_of(1, 2, 3)) is None
    assert found({}, [Stand("counters", 4)], log_of(1, 2, 3)).ahead == [Stand("counters", 4)]


def test_where_to_begin_reading() -> None:
    assert first_needed(rows_of(5, 6, begin=4), [Stand("graph", 9, event(1)), Stand("{s:0}:position", 1)]) == 3
    assert first_needed({}, [Stand("graph", 9, event(1))]) == 7
    assert first_needed({}, []) == 0
