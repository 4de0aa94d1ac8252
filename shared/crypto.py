"""Personal fields sealed under their subject's own key: destroy the key and they are unreadable everywhere in the log.

A sealed field is one byte of key version, 12 bytes of nonce, then AES-256-GCM ciphertext with its 16-byte tag. The
additional data is subject, event type, field and event id, so that a sealed field cannot be moved to another place.
Data keys are wrapped (AES-256-GCM again, additional data: the subject) by a master key that never leaves its process.
"""

import os
from collections.abc import Callable, Iterable
from uuid import UUID

from cachetools import TTLCache
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_VERSION = 1
NONCE_BYTES = 12
# subjects -> their wrapped keys; a subject without a key is left out
FetchKeys = Callable[[list[UUID]], dict[UUID, bytes]]


def new_data_key() -> bytes:
    """32 random bytes."""
    return os.urandom(32)


def wrap(master_key: bytes, subject_id: UUID, data_key: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(master_key).encrypt(nonce, data_key, subject_id.bytes)


def unwrap(master_key: bytes, subject_id: UUID, wrapped: bytes) -> bytes:
    """Raises cryptography.exceptions.InvalidTag for another master key or subject."""
    return AESGCM(master_key).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], subject_id.bytes)


class KeyRing:
    """Subjects' data keys, fetched when first needed and forgotten soon: a destroyed key is gone within a minute."""

    def __init__(
        self,
        master_key: bytes,
        fetch: FetchKeys,
        keys_max: int = 50_000,
        seconds: float = 60,
        absent_seconds: float = 5,
    ) -> None:
        self._master_key = master_key
        self._fetch = fetch
        self._ciphers: TTLCache[UUID, AESGCM] = TTLCache(keys_max, seconds)
        # A key that is not there yet may appear (a registration in flight), so its absence is remembered less long.
        self._absent: TTLCache[UUID, None] = TTLCache(keys_max, absent_seconds)

    def load(self, subjects: Iterable[UUID]) -> None:
        """Fetches the keys that are not at hand, all in one go; the batch's `seal` and `unseal` then ask nobody."""
        missing = [subject for subject in subjects if subject not in self._ciphers and subject not in self._absent]
        if not missing:
            return
        wrapped = self._fetch(missing)
        for subject in missing:
            if subject in wrapped:
                self._ciphers[subject] = AESGCM(unwrap(self._master_key, subject, wrapped[subject]))
            else:
                self._absent[subject] = None

    def add(self, subject_id: UUID, data_key: bytes) -> None:
        """Makes a key just created known, without a round trip."""
        self._absent.pop(subject_id, None)
        self._ciphers[subject_id] = AESGCM(data_key)

    def forget(self, subject_id: UUID) -> None:
        self._ciphers.pop(subject_id, None)

    def seal(self, subject_id: UUID, event_name: str, field: str, event_id: UUID, text: str) -> bytes:
        """Raises LookupError when the subject has no key."""
        cipher = self._cipher(subject_id)
        if cipher is None:
            raise LookupError(f"no key for subject {subject_id}")
        nonce = os.urandom(NONCE_BYTES)
        sealed = cipher.encrypt(nonce, text.encode(), _additional(subject_id, event_name, field, event_id))
        return bytes((KEY_VERSION,)) + nonce + sealed

    def unseal(self, subject_id: UUID, event_name: str, field: str, event_id: UUID, sealed: bytes) -> str | None:
        """The text, or None when the key is destroyed.

        Raises ValueError when the field was sealed for another place or under another key.
        """
        cipher = self._cipher(subject_id)
        if cipher is None:
            return None
        if not sealed or sealed[0] != KEY_VERSION:
            raise ValueError(f"sealed under key version {sealed[:1]!r}, not {KEY_VERSION}")
        nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, body, _additional(subject_id, event_name, field, event_id)).decode()
        except InvalidTag:
            raise ValueError(f"{event_name}.{field} of event {event_id} does not open with its subject's key") from None

    def _cipher(self, subject_id: UUID) -> AESGCM | None:
        cipher: AESGCM | None = self._ciphers.get(subject_id)
        if cipher is None:
            self.load([subject_id])
            cipher = self._ciphers.get(subject_id)
        return cipher


def _additional(subject_id: UUID, event_name: str, field: str, event_id: UUID) -> bytes:
    return subject_id.bytes + event_name.encode() + b"." + field.encode() + event_id.bytes
