"""What an endpoint's errors mean: which pass, which are about one ask, which end all and tell the user what to do."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from toolrl.errors import ConfigError, RunError, UserError
from toolrl.rollout.faults import Door, FaultError, Kind, fault_of, retry_after, said

DOOR = Door("http://h/v1", "MY_KEY", has_key=True, has_answered=False)
LATER = Door("http://h/v1", "MY_KEY", has_key=True, has_answered=True)
OPEN = Door("http://h/v1", "MY_KEY", has_key=False, has_answered=False)


def body(message, **more):
    return json.dumps({"error": {"message": message} | more}).encode()


@pytest.mark.parametrize(
    ("status", "headers", "kind", "wait_s"),
    [
        (429, {}, Kind.LIMITED, None),
        (429, {"retry-after": "7"}, Kind.LIMITED, 7.0),
        (503, {"retry-after": "2"}, Kind.LIMITED, 2.0),
        (503, {}, Kind.FAILING, None),
        (500, {}, Kind.FAILING, None),
        (408, {}, Kind.FAILING, None),
        (400, {}, Kind.REFUSED, None),
        (413, {}, Kind.REFUSED, None),
        (422, {}, Kind.REFUSED, None),
    ],
)
def test_a_status_has_its_kind(status, headers, kind, wait_s):
    fault = fault_of(status, headers, body("so it is"), DOOR)
    assert isinstance(fault, FaultError)
    assert (fault.kind, fault.wait_s, fault.told) == (kind, wait_s, f"HTTP {status}: so it is")


def test_a_key_that_is_not_taken_ends_all_and_says_which_variable_to_set():
    error = fault_of(401, {}, body("no"), DOOR)
    assert isinstance(error, ConfigError)
    assert str(error) == (
        "http://h/v1 refused the request (HTTP 401: no); MY_KEY holds no key that it takes: set it, or endpoint.key_variable"
    )
    assert "it wants a key, and MY_KEY is not set" in str(fault_of(401, {}, body("no"), OPEN))


def test_what_is_forbidden_from_the_start_is_the_key_and_later_one_prompt():
    assert isinstance(fault_of(403, {}, body("no"), DOOR), ConfigError)
    assert fault_of(403, {}, body("flagged"), LATER).kind is Kind.REFUSED


def test_an_address_that_is_not_there_from_the_start_is_a_wrong_setting_and_later_one_ask():
    assert "often ends in /v1" in str(fault_of(404, {}, b"<html>Not Found</html>", DOOR))
    assert fault_of(404, {}, b"", LATER).kind is Kind.REFUSED


@pytest.mark.parametrize(("status", "more"), [(402, {}), (429, {"code": "insufficient_quota"})])
def test_an_empty_account_ends_all(status, more):
    error = fault_of(status, {}, body("pay", **more), LATER)
    assert isinstance(error, UserError)
    assert "the account has nothing left" in str(error)


def test_a_wait_of_hours_ends_all():
    error = fault_of(429, {"retry-after": "86400"}, body("tomorrow"), LATER)
    assert isinstance(error, RunError)
    assert "86,400 s" in str(error)


def test_a_wait_may_be_given_as_a_date_and_is_never_negative():
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 28 < retry_after({"retry-after": soon}) <= 30
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after({"retry-after": "-3"}) == 0
    assert retry_after({"retry-after": "nan"}) is None
    assert retry_after({}) is None


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b'{"error": {"message": "a\\nb"}}', "a b"),
        (b'{"error": "flat"}', "flat"),
        (b'{"detail": [{"loc": ["body", "seed"]}]}', '[{"loc": ["body", "seed"]}]'),
        (b"", "nothing"),
        (b"<html>" + b"x" * 200, "<html>" + "x" * 73 + "…"),
        (b"\x1b[31mred\xff", " [31mred\ufffd"),
    ],
)
def test_the_words_of_an_error_are_found_wherever_they_stand_and_fit_a_line(sent, words):
    assert said(sent) == words
