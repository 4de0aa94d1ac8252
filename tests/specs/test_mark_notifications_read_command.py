"""MarkNotificationsRead: some, or all up to an event; a mark never goes back."""

from command_api.notifications.commands.mark_notifications_read import MarkNotificationsRead
from schemas.types import NotificationsRead
from shared.errors import Unauthenticated, ValidationFailed
from tests.specs.command_cases import ANA, NOBODY, identifier, refused, then, unchanged


def read_up_to(number: int) -> NotificationsRead:
    event_id = identifier(800)
    return NotificationsRead(event_id=event_id, occurred_at=0, subject_id=ANA, up_to=identifier(number))


def test_some_are_read_each_named_once() -> None:
    ids = (identifier(10), identifier(11), identifier(10))
    then([], MarkNotificationsRead(ANA, notification_ids=ids), notification_ids=ids[:2], up_to=None)


def test_all_up_to_an_event() -> None:
    then([], MarkNotificationsRead(ANA, up_to=identifier(20)), notification_ids=(), up_to=identifier(20))
    then([read_up_to(19)], MarkNotificationsRead(ANA, up_to=identifier(20)))


def test_a_mark_never_goes_back() -> None:
    unchanged([read_up_to(20)], MarkNotificationsRead(ANA, up_to=identifier(20)), since=read_up_to(20))
    unchanged([read_up_to(20)], MarkNotificationsRead(ANA, up_to=identifier(19)), since=read_up_to(20))


def test_either_some_or_all() -> None:
    refused([], MarkNotificationsRead(ANA), ValidationFailed)
    refused([], MarkNotificationsRead(ANA, (identifier(1),), identifier(2)), ValidationFailed)
    refused([], MarkNotificationsRead(ANA, tuple(identifier(n) for n in range(1_001))), ValidationFailed, "/ids")
    refused([], MarkNotificationsRead(NOBODY, up_to=identifier(2)), Unauthenticated)
