"""After an erasure the person is gone from the vault, cannot act, and nothing of theirs is still to be published."""

from typing import Any
from uuid import uuid4

import psycopg
import pytest

from command_api.accounts.erasure import erase
from command_api.dispatch import dispatch
from command_api.event_log import encoding
from command_api.event_log.idempotency import IdempotencyKey, fingerprint
from command_api.posts.commands.publish_post import PublishPost
from command_api.reactions.commands.like_post import LikePost
from command_api.relationships.commands.follow_user import FollowUser
from command_api.vault.keys import fetch_keys
from schemas.types import PostPublished, UserErased
from shared.crypto import KeyRing
from shared.environment import Environment
from shared.errors import NotFound, Unauthenticated
from tests.command_api.people import copies_in_log, outbox_row, people
from tests.command_api.test_relay import DIES, follow_event, run


def test_an_erased_person_is_gone(command_side: Environment, guards: psycopg.Connection[Any]) -> None:
    ana, ben = people(2)
    key = IdempotencyKey(uuid4().hex, fingerprint("POST", "/", {}))
    post = dispatch(
        PublishPost(actor_id=ana, content="a secret"),
        idempotency=key,
        respond=lambda event: (201, {"says": "a secret"}),
    )
    assert run(DIES, ana, ben).returncode == 9  # a follow that was committed and is not in the log
    unpublished = follow_event(guards, ana)

    outcome = erase(ana)

    assert isinstance(outcome.event, UserErased) and outcome.position
    assert outcome.event_id > unpublished
    assert guards.execute("select 1 from outbox where event_id = %s", (unpublished,)).fetchone() is None
    assert guards.execute("select 1 from idempotency_answer where actor_id = %s", (ana,)).fetchone() is None
    with psycopg.connect(command_side.vault_database_url) as vault:
        for table, column in (("account", "user_id"), ("subject_key", "subject_id"), ("refresh_family", "user_id")):
            assert vault.execute(f"select 1 from {table} where {column} = %s", (ana,)).fetchone() is None
    with pytest.raises(Unauthenticated):
        dispatch(FollowUser(ana, ben))
    for command in (FollowUser(ben, ana), LikePost(ben, post.event_id)):
        with pytest.raises(NotFound):
            dispatch(command)
    (value,) = copies_in_log(post.event_id, outbox_row(guards, post.event_id))
    ring = KeyRing(bytes.fromhex(command_side.secrets["master_key"]), fetch_keys)
    sealed = encoding.codec().decode(value, ring.unseal)
    assert isinstance(sealed, PostPublished) and sealed.content is None

    again = erase(ana)
    assert not again.changed and again.event_id == outcome.event_id


def test_who_never_was_cannot_be_erased() -> None:
    with pytest.raises(NotFound):
        erase(uuid4())


def test_readers_of_keys_may_read_keys_and_nothing_else(command_side: Environment) -> None:
    with psycopg.connect(command_side.keys_database_url, autocommit=True) as keys:
        keys.execute("select subject_id, wrapped from subject_key limit 1")
        for statement in ("select 1 from account", "delete from subject_key", "select 1 from refresh_token"):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
                keys.execute(statement)
