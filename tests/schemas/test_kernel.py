"""The small things every process agrees on: ids, partitions, sealed fields and signed tokens.

Claim: an id gives its time exactly and is greater than all it was minted after; partitions are those of Java clients;
a sealed field opens only in its own place under its own key and never after that key is destroyed; a token opens only
where it was signed.
Oracle: RFC 9562's layout, the vectors of Kafka's own UtilsTest and murmur2 written out here, and what a forger can do
to bytes.
Cannot catch: weak randomness, and timing that tells a forger something.
"""

import base64
from datetime import UTC, datetime
from uuid import UUID

import pytest
from aiokafka.partitioner import murmur2
from cryptography.exceptions import InvalidTag
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.crypto import KeyRing, new_data_key, unwrap, wrap
from shared.ids import NIL, datetime_of, day_of, micros_of, mint, time_of
from shared.kafka import partition_of, record_key
from shared.position import Position
from shared.tokens import InvalidToken, consistency_token, read_consistency_token, sign, verify
from tests.conftest import Vault

moments = st.integers(0, 1 << 52)  # microseconds since 1970: up to the year 2112
noise = st.binary(min_size=8, max_size=8)
minted = st.builds(lambda micros, random: mint(micros, random=random), moments, noise)

# org.apache.kafka.common.utils.UtilsTest.testMurmur2
MURMUR2_VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


# Ids


@given(moments, noise)
def test_an_id_gives_its_time_exactly(micros: int, random: bytes) -> None:
    identifier = mint(micros, random=random)
    assert time_of(identifier) == micros
    assert (identifier.version, identifier.variant) == (7, "specified in RFC 4122")
    assert identifier.int >> 80 == micros // 1000


@given(moments, st.lists(minted, max_size=4), noise)
def test_an_id_is_greater_than_all_it_was_minted_after(now: int, after: list[UUID], random: bytes) -> None:
    identifier = mint(now, after=after, random=random)
    assert all(identifier > other for other in after)
    assert time_of(identifier) == max([now, *(time_of(other) + 1 for other in after)])


@given(st.lists(st.tuples(moments, noise), min_size=2, max_size=6))
def test_ids_sort_by_time_in_every_representation(drawn: list[tuple[int, bytes]]) -> None:
    ids = [mint(micros, random=random) for micros, random in drawn]
    by_id = sorted(ids)
    assert (
        by_id
        == sorted(ids, key=lambda identifier: identifier.bytes)
        == sorted(ids, key=lambda identifier: identifier.hex)
    )
    assert [time_of(identifier) for identifier in by_id] == sorted(micros for micros, _ in drawn)


@given(moments)
def test_times_are_exact_both_ways(micros: int) -> None:
    assert micros_of(datetime_of(micros)) == micros
    assert day_of(micros) == (datetime_of(micros) - datetime(1970, 1, 1, tzinfo=UTC)).days


def test_the_nil_id_is_older_than_any() -> None:
    assert mint(0, random=bytes(8)) > NIL


# Partitions


def murmur2_written_out(data: bytes) -> int:
    """org.apache.kafka.common.utils.Utils.murmur2, as a signed 32-bit integer."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for begin in range(0, whole, 4):
        k = int.from_bytes(data[begin : begin + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ k >> 24) * m & mask)
    if len(data) > whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    h ^= h >> 15
    return h - (1 << 32) if h >= 1 << 31 else h


@pytest.mark.parametrize(("data", "expected"), MURMUR2_VECTORS.items())
def test_murmur2_is_java_s(data: bytes, expected: int) -> None:
    assert murmur2_written_out(data) == expected
    assert murmur2(data) & 0xFFFFFFFF == expected & 0xFFFFFFFF


@given(st.uuids(), st.integers(1, 100))
def test_a_partition_is_the_one_java_clients_choose(identifier: UUID, partitions: int) -> None:
    assert partition_of(identifier, partitions) == (murmur2_written_out(identifier.bytes) & 0x7FFFFFFF) % partitions


@given(st.uuids(), st.uuids())
def test_a_record_key_gives_back_subject_and_event(subject_id: UUID, event_id: UUID) -> None:
    key = record_key(subject_id, event_id)
    assert (UUID(bytes=key[:16]), UUID(bytes=key[16:])) == (subject_id, event_id) and len(key) == 32


# Sealed fields

SUBJECT, OTHER, EVENT, OTHER_EVENT = (mint(1_790_000_000_000_000 + index, random=bytes(8)) for index in range(4))


@given(st.text(max_size=200))
def test_a_sealed_field_opens_in_its_place(text: str) -> None:
    ring = Vault().ring
    sealed = ring.seal(SUBJECT, "PostPublished", "content", EVENT, text)
    assert ring.unseal(SUBJECT, "PostPublished", "content", EVENT, sealed) == text
    assert sealed != ring.seal(SUBJECT, "PostPublished", "content", EVENT, text), "every sealing has a nonce of its own"


@pytest.mark.parametrize(
    "place",
    [
        (SUBJECT, "PostPublished", "hashtags", EVENT),
        (SUBJECT, "CommentAdded", "content", EVENT),
        (SUBJECT, "PostPublished", "content", OTHER_EVENT),
        (OTHER, "PostPublished", "content", EVENT),
    ],
    ids=["another field", "another event type", "another event", "another subject"],
)
def test_a_moved_field_is_refused(vault: Vault, place: tuple[UUID, str, str, UUID]) -> None:
    sealed = vault.ring.seal(SUBJECT, "PostPublished", "content", EVENT, "text")
    with pytest.raises(ValueError, match="does not open"):
        vault.ring.unseal(*place, sealed)


def test_a_field_moved_to_another_subject_with_the_same_key_is_refused(vault: Vault) -> None:
    """The additional data alone must hold: here both subjects have one key."""
    key = new_data_key()
    vault.ring.add(SUBJECT, key)
    vault.ring.add(OTHER, key)
    sealed = vault.ring.seal(SUBJECT, "PostPublished", "content", EVENT, "text")
    with pytest.raises(ValueError, match="does not open"):
        vault.ring.unseal(OTHER, "PostPublished", "content", EVENT, sealed)


@given(st.data())
def test_a_changed_byte_is_refused(data: st.DataObject) -> None:
    ring = Vault().ring
    sealed = bytearray(ring.seal(SUBJECT, "PostPublished", "content", EVENT, "text"))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError):
        ring.unseal(SUBJECT, "PostPublished", "content", EVENT, bytes(sealed))


def test_another_key_does_not_open(vault: Vault) -> None:
    sealed = vault.ring.seal(SUBJECT, "PostPublished", "content", EVENT, "text")
    vault.ring.add(SUBJECT, new_data_key())
    with pytest.raises(ValueError, match="does not open"):
        vault.ring.unseal(SUBJECT, "PostPublished", "content", EVENT, sealed)


def test_a_destroyed_key_gives_none_and_seals_nothing(vault: Vault) -> None:
    sealed = vault.ring.seal(SUBJECT, "PostPublished", "content", EVENT, "text")
    vault.destroy(SUBJECT)
    assert vault.ring.unseal(SUBJECT, "PostPublished", "content", EVENT, sealed) is None
    with pytest.raises(LookupError):
        vault.ring.seal(SUBJECT, "PostPublished", "content", EVENT, "more")


def test_a_destroyed_key_is_gone_from_a_ring_that_had_it(vault: Vault) -> None:
    forgetful = KeyRing(vault.master_key, vault.fetch, seconds=0, absent_seconds=0)
    sealed = vault.ring.seal(SUBJECT, "PostPublished", "content", EVENT, "text")
    forgetful.load([SUBJECT])
    vault.destroyed.add(SUBJECT)
    assert forgetful.unseal(SUBJECT, "PostPublished", "content", EVENT, sealed) is None


def test_a_wrapped_key_opens_for_its_subject_and_master_key_only() -> None:
    master, key = new_data_key(), new_data_key()
    wrapped = wrap(master, SUBJECT, key)
    assert unwrap(master, SUBJECT, wrapped) == key
    for other_master, subject in ((master, OTHER), (new_data_key(), SUBJECT)):
        with pytest.raises(InvalidTag):
            unwrap(other_master, subject, wrapped)


# Tokens

SECRET, OTHER_SECRET = b"s" * 32, b"t" * 32
positions = st.none() | st.builds(Position, st.text(max_size=12), st.integers(0, 11), st.integers(0, 1 << 60))


@given(positions)
def test_a_consistency_token_gives_back_its_position(position: Position | None) -> None:
    assert read_consistency_token(SECRET, consistency_token(SECRET, position)) == position


@given(positions, st.data())
def test_a_forged_token_is_refused(position: Position | None, data: st.DataObject) -> None:
    token = consistency_token(SECRET, position)
    with pytest.raises(InvalidToken):
        read_consistency_token(OTHER_SECRET, token)
    with pytest.raises(InvalidToken):
        verify(SECRET, "cursor", token)
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InvalidToken):
        read_consistency_token(SECRET, base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode())


@given(st.text(max_size=60))
def test_no_text_at_all_is_a_token(text: str) -> None:
    assume(text != consistency_token(SECRET, None))
    with pytest.raises(InvalidToken):
        verify(SECRET, "consistency", text)


@given(st.binary(max_size=40))
def test_no_bytes_without_the_secret_are_a_token(raw: bytes) -> None:
    with pytest.raises(InvalidToken):
        verify(SECRET, "consistency", base64.urlsafe_b64encode(raw).decode())


def test_a_token_is_of_its_purpose() -> None:
    token = sign(SECRET, "cursor", [1, "two"])
    assert verify(SECRET, "cursor", token) == [1, "two"]
    with pytest.raises(InvalidToken):
        verify(SECRET, "consistency", token)
