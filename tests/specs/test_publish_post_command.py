"""PublishPost: text, hashtags, mentions, and what it answers or quotes."""

import pytest

from command_api.posts.commands.publish_post import PublishPost
from command_api.posts.text import hashtags_in, mentioned_names
from shared.errors import NotFound, Unauthenticated, ValidationFailed
from tests.specs.command_cases import (
    ANA,
    BEN,
    CLEO,
    NOBODY,
    erased,
    followed,
    identifier,
    post_deleted,
    published,
    refused,
    then,
)

POST = published(BEN)


def test_a_post_is_published_as_sent() -> None:
    text = "  spaces and\nlines stay  "
    then([], PublishPost(actor_id=ANA, content=text), subject_id=ANA, content=text, visibility="public", hashtags="")


def test_hashtags_are_words_of_the_text_and_those_given_each_once() -> None:
    command = PublishPost(actor_id=ANA, content="#Rookery #straße, #rookery", hashtags=("#STRASSE", "Kafka"))
    then([], command, hashtags="rookery strasse kafka")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#a#b", ["a"]),
        ("no#tag but #tag", ["tag"]),
        ("##heading &#39; https://example.org/#part", []),
        ("#हिन्दी #日本語 #naïve", ["हिन्दी", "日本語", "naïve"]),
        ("#ﬁne #FINE #ＦＩＮＥ", ["fine"]),
        ("# #! #_ #1", ["_", "1"]),
        ("#ﷺ is one word", ["صلىاللهعليهوسلم"]),
    ],
)
def test_what_a_hashtag_is(text: str, expected: list[str]) -> None:
    assert hashtags_in(text) == expected


def test_names_become_ids_where_somebody_active_has_them() -> None:
    command = PublishPost(
        actor_id=ANA, content="@Ben, @cleo @nobody ana@ben.org @ben!", people=(("ben", BEN), ("cleo", CLEO))
    )
    then(
        [erased(CLEO)],
        command,
        content=f"<@{BEN}>, @cleo @nobody ana@ben.org <@{BEN}>!",
        mentioned_ids=(BEN,),
    )


def test_which_names_are_looked_up() -> None:
    assert mentioned_names("@Ben @ben @x @way_too_long_a_name_for_anybody_to_have a@cleo (@cleo) @cleö") == [
        "ben",
        "cleo",
    ]


@pytest.mark.parametrize("form", [f"<@{BEN}>", f"<@{BEN.hex}>", f"<@{str(BEN).upper()}>"])
def test_nobody_writes_a_stored_mention_themselves(form: str) -> None:
    refused([], PublishPost(actor_id=ANA, content=f"hello {form}"), ValidationFailed, "/content")


def test_angle_brackets_are_otherwise_free() -> None:
    command = PublishPost(actor_id=ANA, content="<@ben> a<b <@>", people=(("ben", BEN),))
    then([], command, content=f"<<@{BEN}>> a<b <@>")


def test_what_it_answers_and_quotes_is_named_with_its_author() -> None:
    quoted = published(CLEO, number=301)
    then(
        [POST, quoted],
        PublishPost(actor_id=ANA, content="so", reply_to=POST.post_id, quote_of=quoted.post_id),
        reply_to_id=POST.post_id,
        reply_to_author_id=BEN,
        quote_of_id=quoted.post_id,
        quote_of_author_id=CLEO,
    )


@pytest.mark.parametrize("field", ["reply_to", "quote_of"])
def test_what_may_not_be_seen_is_neither_answered_nor_quoted(field: str) -> None:
    command = PublishPost(actor_id=ANA, content="so", **{field: POST.post_id})  # type: ignore[arg-type]
    hidden = published(BEN, "followers")
    refused([], command, NotFound)
    refused([POST, post_deleted(POST)], command, NotFound)
    refused([published(BEN, "private")], command, NotFound)
    refused([hidden], command, NotFound)
    then([hidden, followed(ANA, BEN)], command)


@pytest.mark.parametrize("content", ["", "   \n", "x" * 5_001, "a\x00b"])
def test_what_a_text_may_not_be(content: str) -> None:
    refused([], PublishPost(actor_id=ANA, content=content), ValidationFailed, "/content")


def test_the_longest_text() -> None:
    then([], PublishPost(actor_id=ANA, content="ü" * 5_000))


def test_fields_beside_the_text() -> None:
    refused([], PublishPost(actor_id=ANA, content="x", visibility="secret"), ValidationFailed, "/visibility")
    refused([], PublishPost(actor_id=ANA, content="x", media_ids=(identifier(1),)), ValidationFailed, "/media_ids/0")
    refused([], PublishPost(actor_id=ANA, content="x", media_ids=(identifier(1),) * 5), ValidationFailed, "/media_ids")
    refused([], PublishPost(actor_id=ANA, content="x", hashtags=("ok", "two words")), ValidationFailed, "/hashtags/1")
    refused([], PublishPost(actor_id=ANA, content="x", hashtags=("#",)), ValidationFailed, "/hashtags/0")


def test_only_people_publish() -> None:
    refused([], PublishPost(actor_id=NOBODY, content="x"), Unauthenticated)
    refused([erased(ANA)], PublishPost(actor_id=ANA, content="x"), Unauthenticated)
