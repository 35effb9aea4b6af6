"""The simulator against Sinch's own SDK (1.1.4, the last with Verification), and what the SDK does not reach."""

from __future__ import annotations

import itertools
import json
import re
from datetime import UTC, datetime, timedelta
from urllib.request import Request, urlopen

import pytest
from otp_sinch.magic import MAGIC_NUMBERS
from otp_sinch.signing import decode_secret, signed_headers
from otp_sinch.simulator import SinchSimulator
from sinch import SinchClient
from sinch.domains.verification.exceptions import VerificationException
from sinch.domains.verification.models import VerificationIdentity

from otpcore.phone.numbers import parse_phone
from otpcore.providers import Channel

NUMBER = "+46701740605"
IDENTITY = VerificationIdentity(type="number", endpoint=NUMBER)


@pytest.fixture
def simulator():
    with SinchSimulator() as running:
        yield running


@pytest.fixture
def sdk(simulator):
    client = SinchClient(
        application_key=simulator.application_key,
        application_secret=simulator.application_secret,
        key_id="k",
        key_secret="s",
        project_id="p",
    )
    client.configuration.verification_origin = simulator.base_url.removeprefix("http://")
    client.configuration.disable_https = True
    yield client.verification
    client.configuration.transport.http_session.close()


def report(method, code):
    return {"method": method, method: {"code": code}}


def test_the_sdk_starts_an_sms_and_reports_it_by_id(simulator, sdk):
    started = sdk.verifications.start_sms(identity=IDENTITY, reference="our-reference")
    (message,) = simulator.inbox
    assert (started.id, started.method) == (message.reference, "sms")
    assert started.sms.template == "Your verification code is {{CODE}}."
    assert (message.recipient, message.channel) == (NUMBER, Channel.SMS)
    assert message.text == f"Your verification code is {message.code}."
    verified = sdk.verifications.report_by_id(started.id, report("sms", message.code))
    assert (verified.id, verified.status, verified.reference) == (started.id, "SUCCESSFUL", "our-reference")


@pytest.mark.parametrize(
    ("code_type", "is_of_it"), [("Numeric", str.isdigit), ("Alpha", str.isalpha), ("Alphanumeric", str.isalnum)]
)
def test_the_sdk_asks_for_a_type_of_code_where_the_plugin_does(simulator, sdk, code_type, is_of_it):
    simulator.code_digits = 10
    sdk.verifications.start_sms(identity=IDENTITY, code_type=code_type)
    assert simulator.requests[-1].json()["smsOptions"] == {"codeType": code_type}
    assert is_of_it(simulator.inbox[-1].code)


def test_a_type_of_code_that_there_is_not_is_refused(simulator, sdk):
    with pytest.raises(VerificationException):
        sdk.verifications.start_sms(identity=IDENTITY, code_type="Emoji")
    assert simulator.inbox == []


def test_the_sdk_starts_a_call_and_reports_it_by_number(simulator, sdk):
    started = sdk.verifications.start_callout(identity=IDENTITY, speech_locale="en-US")
    (message,) = simulator.inbox
    assert (started.method, message.channel) == ("callout", Channel.CALL)
    assert ", ".join(message.code) in message.text
    verified = sdk.verifications.report_by_identity(NUMBER, report("callout", message.code))
    assert (verified.id, verified.status) == (started.id, "SUCCESSFUL")


def test_the_sdk_sees_the_status_by_reference_id_and_number(simulator, sdk):
    started = sdk.verifications.start_sms(identity=IDENTITY, reference="our-reference")
    found = [
        sdk.verification_status.get_by_reference("our-reference"),
        sdk.verification_status.get_by_id(started.id),
        sdk.verification_status.get_by_identity(endpoint=NUMBER, method="sms"),
    ]
    assert [(status.id, status.status, status.method) for status in found] == [(started.id, "PENDING", "sms")] * 3


def test_the_sdk_is_refused_where_it_should_be(simulator, sdk, wrong):
    started = sdk.verifications.start_sms(identity=IDENTITY)
    code = simulator.inbox[0].code
    refusals = {
        "Invalid identity or code": lambda: sdk.verifications.report_by_id(started.id, report("sms", wrong(code))),
        "not found": lambda: sdk.verification_status.get_by_reference("nobody's"),
        "missing leading plus": lambda: sdk.verifications.start_sms(
            identity=VerificationIdentity(type="number", endpoint=NUMBER[1:])
        ),
        "Too short": lambda: sdk.verifications.start_sms(
            identity=VerificationIdentity(type="number", endpoint="+4813")
        ),
        "parameter is missing": lambda: sdk.verifications.start_flash_call(identity=IDENTITY),
    }
    for message, attempt in refusals.items():
        with pytest.raises(VerificationException, match=message):
            attempt()


def test_a_newer_start_aborts_the_running_one(simulator, sdk):
    first = sdk.verifications.start_sms(identity=IDENTITY)
    second = sdk.verifications.start_callout(identity=IDENTITY, speech_locale="en-US")
    assert sdk.verification_status.get_by_id(first.id).status == "ABORTED"
    assert sdk.verification_status.get_by_id(second.id).status == "PENDING"


def test_a_verification_expires_by_the_clock(simulator, sdk):
    begin = datetime.now(UTC)
    started = sdk.verifications.start_sms(identity=IDENTITY, expiry="00:01:00")
    simulator.clock = lambda: begin + timedelta(seconds=59)
    assert sdk.verification_status.get_by_id(started.id).status == "PENDING"
    simulator.clock = lambda: begin + timedelta(seconds=62)
    expired = sdk.verification_status.get_by_id(started.id)
    assert (expired.status, expired.reason) == ("FAIL", "Expired")
    with pytest.raises(VerificationException, match="Invalid identity or code"):
        sdk.verifications.report_by_id(started.id, report("sms", simulator.inbox[0].code))


def test_wrong_codes_use_a_verification_up(simulator, sdk, wrong):
    simulator.wrong_codes = 2
    started = sdk.verifications.start_sms(identity=IDENTITY)
    code = simulator.inbox[0].code
    with pytest.raises(VerificationException, match="Invalid identity or code"):
        sdk.verifications.report_by_id(started.id, report("sms", wrong(code)))
    failed = sdk.verifications.report_by_id(started.id, report("sms", wrong(code)))
    assert (failed.status, failed.reason) == ("FAIL", "Invalid code")
    with pytest.raises(VerificationException, match="Invalid identity or code"):
        sdk.verifications.report_by_id(started.id, report("sms", code))


def get(simulator, headers, path="/verification/v1/verifications/id/x"):
    """Status and body of a GET with exactly these headers."""
    try:
        with urlopen(Request(simulator.base_url + path, headers=headers)) as answer:
            return answer.status, json.load(answer)
    except OSError as refused:  # urllib's HTTPError
        with refused:
            return refused.code, json.load(refused)


def signed(simulator, **changes):
    arguments = {
        "method": "GET",
        "path": "/verification/v1/verifications/id/x",
        "content_type": "application/json",
        "body": b"",
        "now": datetime.now(UTC),
        **changes,
    }
    return signed_headers(simulator.application_key, decode_secret(simulator.application_secret), **arguments)


def test_requests_that_do_not_prove_their_sender_are_refused(simulator):
    right = signed(simulator)
    old = signed(simulator, now=datetime.now(UTC) - timedelta(hours=1))
    cases = [
        ({}, 40100),
        ({"Authorization": "Basic bm86bm8="}, 40108),
        ({"Authorization": "Bearer x"}, 40301),
        ({"Authorization": "Application another:x"}, 40108),
        ({**right, "x-timestamp": ""}, 40101),
        ({**right, "x-timestamp": "2026-11-22T12:00:00"}, 40101),
        (old, 40101),
        (signed(simulator, path="/verification/v1/verifications/id/y"), 40102),
        (signed(simulator, method="PUT"), 40102),
        (signed(simulator, body=b"{}"), 40102),
        ({**right, "Content-Type": "application/json; charset=UTF-8"}, 40102),
        (right, 40400),
    ]
    for headers, code in cases:
        status, body = get(simulator, headers)
        assert (status, body["errorCode"]) == (code // 100, code), headers


def test_a_start_that_is_no_json_object_is_refused(simulator, sdk):
    for body in (b"", b"[]", b"{", b'{"identity": 1}'):
        headers = signed(simulator, method="POST", path="/verification/v1/verifications", body=body)
        request = Request(
            f"{simulator.base_url}/verification/v1/verifications", data=body, headers=headers, method="POST"
        )
        with pytest.raises(OSError, match="400") as refused:
            urlopen(request)
        refused.value.close()


@pytest.mark.parametrize("number", MAGIC_NUMBERS)
def test_magic_numbers_are_numbers_that_otpcore_accepts(number):
    assert parse_phone(number).e164 == number


def test_codes_are_digits_and_never_the_same_twice_in_a_row(simulator, sdk):
    simulator.code_digits = 1
    for _ in range(20):
        sdk.verifications.start_sms(identity=IDENTITY)
    codes = [message.code for message in simulator.inbox]
    assert all(re.fullmatch("[0-9]", code) for code in codes)
    assert all(one != next_one for one, next_one in itertools.pairwise(codes))


def test_a_status_says_how_the_code_came_back_and_whether_the_call_is_over(simulator, sdk):
    def asked(reference):
        at = f"/verification/v1/verifications/reference/{reference}"
        headers = signed_headers(
            simulator.application_key,
            decode_secret(simulator.application_secret),
            method="GET",
            path=at,
            content_type="application/json",
            body=b"",
            now=datetime.now(UTC),
        )
        with urlopen(Request(f"{simulator.base_url}{at}", headers=headers)) as answer:
            return json.load(answer)

    sdk.verifications.start_sms(identity=IDENTITY, reference="sms")
    assert "source" not in asked("sms")
    sdk.verifications.report_by_identity(NUMBER, report("sms", simulator.inbox[-1].code))
    assert (asked("sms")["source"], "callComplete" in asked("sms")) == ("manual", False)
    sdk.verifications.start_callout(identity=IDENTITY, reference="call")
    assert asked("call")["callComplete"] is False
    sdk.verifications.report_by_identity(NUMBER, report("callout", simulator.inbox[-1].code))
    assert asked("call")["callComplete"] is True


def test_what_the_customer_gave_along_comes_with_every_event(simulator, sdk):
    simulator.callback_url = "http://127.0.0.1:9/nobody"
    sdk.verifications.start_sms(identity=IDENTITY, reference="r", custom="order 7")
    simulator.wait_for_callbacks()
    assert {json.loads(one.body)["custom"] for one in simulator.callbacks} == {"order 7"}
