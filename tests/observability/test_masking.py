"""What of a text is hidden, and what is left of it; what errors may say; and what of it costs time."""

from time import process_time

import pytest
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import StatementError

from service.core.errors import Conflict
from service.observability.access_log import network_of
from service.observability.masking import is_secret, mask, masked
from service.observability.tracebacks import words_of


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("postgresql://jane:p@ss/w0rd@db:5432/x failed", "postgresql://***db:5432/x failed"),
        ("redis://:pw@cache:6379/0", "redis://***cache:6379/0"),
        ("dsn host=db password=hunter2 user=x", "dsn host=db password=*** user=x"),
        ('{"password": "hun ter2", "id": 1}', '{"password": ***, "id": 1}'),
        ("{'api_key': 'abc', 'id': 1}", "{'api_key': ***, 'id': 1}"),
        ("Authorization: Bearer abc.def and more", "Authorization: ***"),
        ("[(b'cookie', b'session=1; b=2')]", "[(b'cookie', ***"),
        ("sent Bearer abcdefgh to it", "sent Bearer *** to it"),
        ("X-API-Key: abc", "X-API-Key: ***"),
        ("?ticket=abc&limit=1", "?ticket=***&limit=1"),
        ("key rh_0a1b2c3d_x-Y_z was used", "key *** was used"),
        ("token eyJhbGciOiJI.eyJzdWIiOiIx.c2ln gone", "token *** gone"),
        ("signed with whsec_MfKQ9r8GKYqrTwjU", "signed with ***"),
        ("by jane.doe+x@mail.example.org yesterday", "by *** yesterday"),
        ("-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY----- and", "*** and"),  # pragma: allowlist secret
        ("duplicate key\nDETAIL:  Key (name)=(Jane) already exists.", "duplicate key\nDETAIL: ***"),
        ("Key (name, born)=(Jane, 1970) is not present", "Key (***  is not present"),
        ("GET https://example.org/a?b=c took 3 ms", "GET https://example.org/a?b=c took 3 ms"),
        ('refused with passwd "x y z", again', "refused with passwd ***, again"),
        ("password := 'x y', again", "password := ***, again"),
        ("assert password == 'hunter 2'", "assert password == ***"),
        ("password != 'hunter 2'", "password != ***"),
        ("alter role x PASSWORD 'a''b c' login", "alter role x PASSWORD *** login"),
        (r"password = 'it\'s me' here", "password = *** here"),
        ('secret="a""b c" here', "secret=*** here"),
        ("password='never closed", "password=***"),
        ("client_secret -> abc; scope -> all", "client_secret -> ***; scope -> all"),
        ("The password is too short.", "The password is too short."),
        ("no such table: authors", "no such table: authors"),
    ],
    ids=range(29),
)
def test_what_is_left_of_a_text(text: str, left: str) -> None:
    assert mask(text).replace("*** is", "***  is") == left
    assert is_secret(text) is (mask(text) != text)


def test_what_is_nested_is_masked_by_its_name_and_by_its_words() -> None:
    event = {"a": [{"Authorization": b"x", "n": 1, "b": ("jane@example.org",)}], "jwt_secret": 5, "at": None}
    assert masked(event) == {"a": [{"Authorization": "***", "n": 1, "b": ["***"]}], "jwt_secret": "***", "at": None}


@pytest.mark.parametrize(
    "text",
    [
        *("a" * 100_000, "eyJ-" * 25_000, "a://" * 25_000, "x@" * 50_000, "-token" * 20_000),
        *("token='" + "'" * 100_000, "token='" + "\\" * 100_000, "token=" * 20_000),
    ],
)
def test_a_long_text_is_masked_in_no_time(text: str) -> None:
    begun = process_time()
    mask(text)
    assert process_time() - begun < 1


def test_a_text_that_cannot_be_encoded_is_logged_all_the_same() -> None:
    assert mask("\ud800 by jane@example.org").encode() == b"\\ud800 by ***"


class _Person(BaseModel):
    age: int


def test_an_error_of_a_library_that_quotes_values_says_nothing() -> None:
    with pytest.raises(ValidationError) as caught:
        _Person.model_validate({"age": "J4NE"})
    assert words_of(caught.value) == ""
    assert words_of(StatementError("m", "select", {"a": "J4NE"}, None)) == ""
    assert words_of(Conflict("There is one already, by jane@example.org.")) == "There is one already, by ***."
    assert words_of(KeyError("carrier")) == "'carrier'"


@pytest.mark.parametrize(
    ("address", "network"),
    [("192.0.2.77", "192.0.2.0/24"), ("2001:db8:1:2::7", "2001:db8:1::/48"), ("", None), ("unix:", None)],
)
def test_of_an_address_its_network_is_logged(address: str, network: str | None) -> None:
    assert network_of(address) == network
