"""The tables of error codes: known codes, unknown ones by HTTP status, and statuses in a 201."""

from __future__ import annotations

import json

import pytest
from otp_twilio.errors import CODES, error_of, refusal_in

from otpcore.http import HttpAnswer
from otpcore.providers import ErrorKind

PERMANENT = {ErrorKind.REJECTED_NUMBER, ErrorKind.BLOCKED}


def answer(status, body=b"", retry_after=None):
    return HttpAnswer(
        status=status, body=body if isinstance(body, bytes) else json.dumps(body).encode(), retry_after=retry_after
    )


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, 20003, ErrorKind.MISCONFIGURED),
        (429, 20429, ErrorKind.THROTTLED),
        (500, 20500, ErrorKind.AMBIGUOUS),
        (503, 20503, ErrorKind.UNAVAILABLE),
        (404, 20404, ErrorKind.MISCONFIGURED),
        (429, 60203, ErrorKind.LIMIT_REACHED),
        (429, 60212, ErrorKind.THROTTLED),
        (403, 60205, ErrorKind.REJECTED_NUMBER),
        (403, 60410, ErrorKind.BLOCKED),
        (403, 60605, ErrorKind.MISCONFIGURED),
        (400, 21211, ErrorKind.REJECTED_NUMBER),
        (400, 21610, ErrorKind.BLOCKED),
        (400, 21614, ErrorKind.REJECTED_NUMBER),
        (400, 21612, ErrorKind.MISCONFIGURED),
        (429, 21611, ErrorKind.THROTTLED),
        (400, 21216, ErrorKind.BLOCKED),
    ],
)
def test_a_known_code_counts_more_than_the_http_status(status, code, kind):
    error = error_of(answer(status, {"code": code, "status": status}))
    assert (error.kind, error.provider_code) == (kind, str(code))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, ErrorKind.MISCONFIGURED),
        (400, ErrorKind.MISCONFIGURED),
        (401, ErrorKind.MISCONFIGURED),
        (403, ErrorKind.MISCONFIGURED),
        (404, ErrorKind.MISCONFIGURED),
        (408, ErrorKind.AMBIGUOUS),
        (418, ErrorKind.MISCONFIGURED),
        (429, ErrorKind.THROTTLED),
        (500, ErrorKind.AMBIGUOUS),
        (502, ErrorKind.AMBIGUOUS),
        (503, ErrorKind.UNAVAILABLE),
        (504, ErrorKind.AMBIGUOUS),
        (600, ErrorKind.AMBIGUOUS),
    ],
)
@pytest.mark.parametrize("body", [b"<html>", {"code": 99999}, {"code": "21610"}, {"code": True}, [1]])
def test_without_a_known_code_the_http_status_counts(status, kind, body):
    assert error_of(answer(status, body)).kind is kind


def test_an_unknown_code_never_turns_a_person_away_for_good():
    assert not {error_of(answer(status, {"code": 99999})).kind for status in range(300, 600)} & PERMANENT


def test_the_error_keeps_the_waiting_time_and_the_code_but_not_the_words_of_twilio():
    body = {"code": 21211, "message": "The 'To' number +359871234567 is not valid", "more_info": "359871234567"}
    error = error_of(answer(400, body, retry_after=7.0))
    assert (error.retry_after, error.provider_code) == (7.0, "21211")
    assert "359871234567" not in f"{error} {error!r} {error.args}"
    assert error_of(answer(400, b"x")).provider_code == "http-400"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Invalid parameter `To`: +359", ErrorKind.REJECTED_NUMBER),
        ("Invalid parameter 'To': +359", ErrorKind.REJECTED_NUMBER),
        ("Invalid parameter: To", ErrorKind.REJECTED_NUMBER),
        ("Invalid parameter `Channel`: fax. Talk to support", ErrorKind.MISCONFIGURED),
        ("Invalid parameter `TokenTo`", ErrorKind.MISCONFIGURED),
        ("Invalid parameter (null)", ErrorKind.MISCONFIGURED),
        (None, ErrorKind.MISCONFIGURED),
    ],
)
def test_an_invalid_parameter_is_the_persons_fault_only_where_it_is_the_number(message, kind):
    assert error_of(answer(400, {"code": 60200, "message": message})).kind is kind


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        ({"status": "failed", "error_code": 30005}, ErrorKind.REJECTED_NUMBER, "30005"),
        ({"status": "undelivered", "error_code": 30450}, ErrorKind.BLOCKED, "30450"),
        ({"status": "failed", "error_code": 99999}, ErrorKind.UNAVAILABLE, "99999"),
        ({"status": "failed", "error_code": None}, ErrorKind.UNAVAILABLE, ""),
        ({"status": "canceled"}, ErrorKind.UNAVAILABLE, ""),
        ({"status": "busy"}, ErrorKind.UNAVAILABLE, ""),
        ({"status": "max_attempts_reached"}, ErrorKind.LIMIT_REACHED, ""),
    ],
)
def test_a_201_that_says_failed_is_a_refusal(body, kind, code):
    refusal = refusal_in(body)
    assert (refusal.kind, refusal.provider_code) == (kind, code)


@pytest.mark.parametrize("status", ["accepted", "queued", "sending", "sent", "pending", "a new word", None])
def test_a_201_with_any_other_status_was_taken(status):
    assert refusal_in({"status": status}) is None


def test_every_row_of_the_table_is_a_code_with_a_summary_that_quotes_nothing():
    for code, (kind, summary) in CODES.items():
        assert code.isdigit()
        assert len(code) == 5
        assert isinstance(kind, ErrorKind)
        assert summary
        assert "%" not in summary
