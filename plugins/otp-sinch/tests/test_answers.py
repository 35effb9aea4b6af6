"""What each documented answer means: the whole tables, and what is not in them."""

from __future__ import annotations

import json

import pytest
from otp_sinch.answers import (
    ERROR_CODES,
    error_of,
    error_of_start,
    is_not_found,
    is_refusal,
    says_wrong_code,
    verdict_of,
)

from otpcore.http import HttpAnswer
from otpcore.providers import CheckResult, ErrorKind, ProviderError

KINDS = {
    ErrorKind.REJECTED_NUMBER: [40001, 40005],
    ErrorKind.MISCONFIGURED: [
        *(40002, 40003, 40004, 40100, 40101, 40102, 40103, 40104, 40105, 40106, 40107, 40108),
        *(40200, 40300, 40301, 40302, 40303, 40400, 42200, 42201, 42202, 50100, 50101, 50301),
    ],
    ErrorKind.AMBIGUOUS: [40900, 50000],
    ErrorKind.THROTTLED: [42900],
    ErrorKind.LIMIT_REACHED: [42901],
    ErrorKind.UNAVAILABLE: [50300],
}


def answer(status, retry_after=None, **body):
    return HttpAnswer(status=status, body=json.dumps(body).encode(), retry_after=retry_after)


@pytest.mark.parametrize(("code", "kind"), [(code, kind) for kind, codes in KINDS.items() for code in codes])
@pytest.mark.parametrize("write", [int, str])
def test_each_documented_error_code_has_its_kind(code, kind, write):
    error = error_of(answer(code // 100, errorCode=write(code), message="+46700000000 and 1234"))
    assert (error.kind, error.provider_code) == (kind, str(code))
    assert error.summary
    assert "4670" not in f"{error!r} {error}"


def test_no_documented_error_code_is_left_out():
    assert sorted(ERROR_CODES) == sorted(code for codes in KINDS.values() for code in codes)


@pytest.mark.parametrize("parameter", ["speech.locale", "smsOptions.expiry", "Accept-Language", "reference"])
def test_a_refused_option_of_ours_is_not_blamed_on_the_number(parameter):
    assert error_of(answer(400, errorCode=40001, message=f"{parameter} is invalid")).kind is ErrorKind.MISCONFIGURED


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, ErrorKind.MISCONFIGURED),
        (400, ErrorKind.MISCONFIGURED),
        (401, ErrorKind.MISCONFIGURED),
        (404, ErrorKind.MISCONFIGURED),
        (418, ErrorKind.MISCONFIGURED),
        (409, ErrorKind.AMBIGUOUS),
        (429, ErrorKind.THROTTLED),
        (500, ErrorKind.AMBIGUOUS),
        (502, ErrorKind.AMBIGUOUS),
        (503, ErrorKind.UNAVAILABLE),
        (504, ErrorKind.AMBIGUOUS),
        (599, ErrorKind.AMBIGUOUS),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"errorCode": 40999999999999}', b'{"errorCode": null}'])
def test_without_a_listed_code_the_http_status_decides(status, kind, body):
    error = error_of(HttpAnswer(status=status, body=body))
    assert (error.kind, error.provider_code) == (kind, str(status))


def test_an_unlisted_code_is_read_by_its_http_status_and_kept():
    error = error_of(answer(403, errorCode=40377))
    assert (error.kind, error.provider_code) == (ErrorKind.MISCONFIGURED, "40377")


def test_the_wait_that_sinch_asks_for_is_passed_on():
    assert error_of(answer(429, retry_after=7.0, errorCode=42900)).retry_after == 7.0


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        ("DENIED", "Fraud", ErrorKind.BLOCKED),
        ("DENIED", "Blocked", ErrorKind.BLOCKED),
        ("DENIED", "Not enough credit", ErrorKind.MISCONFIGURED),
        ("DENIED", "Destination denied", ErrorKind.MISCONFIGURED),
        ("DENIED", "Denied by callback", ErrorKind.MISCONFIGURED),
        ("DENIED", "Invalid callback", ErrorKind.MISCONFIGURED),
        ("DENIED", "a reason of next year", ErrorKind.BLOCKED),
        ("DENIED", None, ErrorKind.BLOCKED),
        ("ERROR", "Internal error", ErrorKind.UNAVAILABLE),
        ("ERROR", "Network error or number unreachable", ErrorKind.UNAVAILABLE),
        ("ERROR", "SMS delivery failure", ErrorKind.UNAVAILABLE),
        ("ERROR", "", ErrorKind.UNAVAILABLE),
        ("FAIL", "Failed pending", ErrorKind.UNAVAILABLE),
        ("FAIL", "Expired", ErrorKind.AMBIGUOUS),
        ("ABORTED", "", ErrorKind.AMBIGUOUS),
        ("SUCCESSFUL", "", ErrorKind.AMBIGUOUS),
        ("a status of next year", "", ErrorKind.AMBIGUOUS),
    ],
)
def test_a_start_that_answers_200_with_a_refusal_is_refused(status, reason, kind):
    error = error_of_start({"id": "x", "status": status, "reason": reason})
    assert error is not None
    assert error.kind is kind
    assert "year" not in str(error)


@pytest.mark.parametrize("body", [{"id": "x"}, {"id": "x", "status": "PENDING"}, {"id": "x", "status": None}])
def test_a_start_without_a_status_or_pending_is_one(body):
    assert error_of_start(body) is None


@pytest.mark.parametrize(
    ("status", "reason", "verdict"),
    [
        ("SUCCESSFUL", "", CheckResult.APPROVED),
        ("PENDING", "", CheckResult.INCORRECT),
        ("FAIL", "Invalid code", CheckResult.INCORRECT),
        ("FAIL", "Invalid Calling Line Identity or code", CheckResult.INCORRECT),
        ("FAIL", "", CheckResult.INCORRECT),
        ("FAIL", "Expired", CheckResult.GONE),
        ("FAIL", "Failed pending", CheckResult.GONE),
        ("FAIL", "Hung up without entering valid code", CheckResult.GONE),
        ("DENIED", "Fraud", CheckResult.GONE),
        ("ABORTED", "", CheckResult.GONE),
        ("ERROR", "SMS delivery failure", CheckResult.GONE),
    ],
)
def test_a_report_approves_only_what_sinch_calls_successful(status, reason, verdict):
    assert verdict_of({"status": status, "reason": reason}) is verdict


@pytest.mark.parametrize("body", [{}, {"status": None}, {"status": "OK"}, {"reason": "Invalid code"}])
def test_a_report_without_a_known_status_is_no_verdict(body):
    with pytest.raises(ProviderError) as failure:
        verdict_of(body)
    assert failure.value.kind is ErrorKind.AMBIGUOUS


def test_the_wrong_code_message_is_told_from_a_missing_resource():
    wrong = answer(404, errorCode=40400, message="Invalid identity or code.")
    missing = answer(404, errorCode=40400, message="Resource not found.")
    assert says_wrong_code(wrong)
    assert not is_not_found(wrong)
    assert is_not_found(missing)
    assert not says_wrong_code(missing)


def test_a_refusal_may_come_with_status_200():
    refusal = answer(200, errorCode=40400, message="Invalid identity or code.")
    assert is_refusal(refusal)
    assert says_wrong_code(refusal)
    assert not is_refusal(HttpAnswer(status=200, body=b'{"id": "x", "status": "PENDING"}'))
