"""Claim: what asks for a partition's offsets waits for its leader to be known, and for nothing else.

Oracle: the broker's error codes, raised as the client raises them. Pure, no server. Cannot catch: a client that asks
again by itself, which would only make this needless.
"""

from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError, KafkaException

from projectors.runtime.log_ends import LEADER_CHANGES, RETRY_SECONDS, leader_known


def answering(*codes: int) -> tuple[Callable[[], str], list[KafkaException]]:
    """A question answered with these errors first, and the errors still to come."""
    left = [KafkaException(KafkaError(code)) for code in codes]

    def ask() -> str:
        if left:
            raise left.pop(0)
        return "offsets"

    return ask, left


@pytest.mark.parametrize("code", sorted(LEADER_CHANGES))
def test_a_leader_not_yet_known_is_waited_for(code: int) -> None:
    ask, left = answering(code, code)
    assert leader_known(ask, 10) == "offsets"
    assert not left


def test_any_other_error_is_raised_at_once() -> None:
    ask, left = answering(KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.NOT_LEADER_FOR_PARTITION)
    with pytest.raises(KafkaException):
        leader_known(ask, 10)
    assert len(left) == 1


def test_a_leader_that_never_comes_is_told() -> None:
    ask, left = answering(*[KafkaError.NOT_LEADER_FOR_PARTITION] * 100)
    with pytest.raises(KafkaException):
        leader_known(ask, 2 * RETRY_SECONDS)
    assert 95 < len(left) < 99
