"""Claim: the generated events are the same for a seed, every one can be written, and they are skewed as they say.

Oracle: the codec, and counting. Cannot catch: that people of a real network are skewed otherwise.
"""

from collections import Counter

from infra.bench import events
from schemas.catalogue import event_schemas
from schemas.codec import Codec
from schemas.types import EVENT_TYPES
from tests.schemas.events import plainly

CODEC = Codec({name: number for number, name in enumerate(event_schemas(), start=1)})
STAGE = events.cast(1)


def test_a_seed_draws_the_same_again_and_another_seed_something_else() -> None:
    drawn = list(events.draw(STAGE, 1, 0, 500))
    assert drawn == list(events.draw(events.cast(1), 1, 0, 500))
    assert not {each.event_id for each in drawn} & {each.event_id for each in events.draw(STAGE, 2, 0, 500)}


def test_ids_are_in_the_order_of_the_events_and_none_comes_twice() -> None:
    ids = [each.event_id for each in events.draw(STAGE, 1, 0, 5_000)]
    assert ids == sorted(set(ids))


def test_one_post_is_viral_and_few_people_do_much() -> None:
    drawn = list(events.draw(STAGE, 1, 0, 20_000))
    posts = Counter(each.post for each in drawn)
    assert posts[STAGE.viral] >= len(drawn) * events.VIRAL_SHARE
    actors = Counter(each.actor for each in drawn).most_common()
    assert sum(count for _, count in actors[: len(actors) // 10]) > len(drawn) / 4


def test_every_kind_of_the_mix_can_be_written_and_read() -> None:
    kinds = list(events.MIX)
    made = [
        events.mixed(kind, one, STAGE.people[0]) for kind, one in zip(kinds, events.draw(STAGE, 1, 0, 7), strict=True)
    ]
    assert len({type(event) for event in made}) == len(kinds)
    values = [CODEC.encode(event, plainly) for event in made]
    assert [type(event) for event in CODEC.decode_all(values)] == [type(event) for event in made]
    assert {type(event).__name__ for event in made} <= EVENT_TYPES.keys()
