"""What an answer of AWS means that is no success."""

from __future__ import annotations

import json

import pytest
from otp_aws.errors import EXCEPTIONS, REASONS, error_of

from otpcore.http import HttpAnswer
from otpcore.providers import ErrorKind


def answer(body, status=400, headers=None, retry_after=None):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpAnswer(status=status, headers=headers or {}, body=content, retry_after=retry_after)


@pytest.mark.parametrize(
    "named",
    [
        {"body": {"__type": "ThrottlingException"}},
        {"body": {"__type": "com.amazonaws.pinpointsmsvoicev2#ThrottlingException"}},
        {"body": {}, "headers": {"x-amzn-ErrorType": "ThrottlingException:http://internal.amazon.com/coral/x#y"}},
        {"body": b"<html>", "headers": {"X-Amzn-Errortype": "ThrottlingException"}},
    ],
)
def test_an_exception_is_known_however_it_is_written(named):
    error = error_of(answer(**named, retry_after=3.0))
    assert (error.kind, error.provider_code, error.retry_after) == (ErrorKind.THROTTLED, "ThrottlingException", 3.0)


@pytest.mark.parametrize("reason", ["CANNOT_PARSE", "INVALID_PARAMETER", "FIELD_VALIDATION_FAILED"])
@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ([{"Name": "DestinationPhoneNumber", "Message": "x"}], ErrorKind.REJECTED_NUMBER),
        ([{"Name": "destinationPhoneNumber", "Message": "x"}], ErrorKind.REJECTED_NUMBER),
        ([{"Name": "MessageBody"}, {"Name": "DestinationPhoneNumber"}], ErrorKind.REJECTED_NUMBER),
        ([{"Name": "OriginationIdentity", "Message": "DestinationPhoneNumber"}], ErrorKind.MISCONFIGURED),
        ([], ErrorKind.MISCONFIGURED),
        (None, ErrorKind.MISCONFIGURED),
        ("DestinationPhoneNumber", ErrorKind.MISCONFIGURED),
        (["DestinationPhoneNumber"], ErrorKind.MISCONFIGURED),
    ],
)
def test_only_a_validation_error_that_names_the_number_is_about_it(reason, fields, kind):
    body = {"__type": "ValidationException", "Reason": reason, "Fields": fields}
    assert error_of(answer(body)).kind is kind


def test_another_reason_is_not_about_the_number_whatever_it_names():
    fields = [{"Name": "DestinationPhoneNumber"}]
    body = {"__type": "ValidationException", "Reason": "COUNTRY_NOT_ENABLED", "Fields": fields}
    assert error_of(answer(body)).kind is ErrorKind.MISCONFIGURED


@pytest.mark.parametrize(
    ("body", "status", "kind", "code"),
    [
        ({"__type": "ConflictException", "Reason": "NEW_REASON"}, 400, ErrorKind.MISCONFIGURED, "NEW_REASON"),
        ({"__type": "NewException", "Reason": "NEW_REASON"}, 500, ErrorKind.AMBIGUOUS, "NEW_REASON"),
        ({"__type": "NewException"}, 400, ErrorKind.MISCONFIGURED, "NewException"),
        ({"__type": "NewException"}, 429, ErrorKind.THROTTLED, "NewException"),
        ({}, 302, ErrorKind.MISCONFIGURED, "http-302"),
        ({}, 404, ErrorKind.MISCONFIGURED, "http-404"),
        ({}, 408, ErrorKind.AMBIGUOUS, "http-408"),
        ({}, 418, ErrorKind.MISCONFIGURED, "http-418"),
        ({}, 502, ErrorKind.AMBIGUOUS, "http-502"),
        ({}, 503, ErrorKind.UNAVAILABLE, "http-503"),
        ({}, 204, ErrorKind.AMBIGUOUS, "http-204"),
        (b"\xff", 500, ErrorKind.AMBIGUOUS, "http-500"),
    ],
)
def test_what_is_not_listed_goes_by_its_exception_and_then_by_its_status(body, status, kind, code):
    error = error_of(answer(body, status))
    assert (error.kind, error.provider_code) == (kind, code)


@pytest.mark.parametrize("name", ["+359871234567", "359871234567", "code 480291", "x" * 65, 7, None, ["A"]])
def test_what_is_no_name_is_not_shown(name):
    error = error_of(answer({"__type": name, "Reason": name, "Message": "to +359871234567"}))
    assert error.provider_code == "http-400"
    assert "359871234567" not in f"{error!r} {error}"


def test_only_the_person_and_guards_against_fraud_end_a_send():
    final = {ErrorKind.REJECTED_NUMBER, ErrorKind.BLOCKED}
    assert {reason for reason, (kind, _) in REASONS.items() if kind in final} == {
        "DESTINATION_COUNTRY_BLOCKED",
        "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION",
        "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE",
        "DESTINATION_PHONE_NUMBER_OPTED_OUT",
    }
    assert not {name for name, (kind, _) in EXCEPTIONS.items() if kind in final}
