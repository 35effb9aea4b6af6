"""The simulated gateway behaves like one: it keeps accounts, limits and state, and says what is wrong."""

from __future__ import annotations

import re
from datetime import timedelta

import httpx
import pytest
from otp_mada.simulator import MadaSimulator
from otp_mada.soap import Address, Fault, Submission, read_answer, write_submission


def submission(**changes) -> bytes:
    values = {
        "source": Address(ton=5, npi=1, addr="otpcore"),
        "destination": Address(ton=1, npi=1, addr="359871234567"),
        "text": "1234",
        "registered_delivery": 1,
    }
    return write_submission(Submission(**{**values, **changes}))


def post(simulator: MadaSimulator, body: bytes, **changes) -> httpx.Response:
    settings = simulator.provider_settings()
    values = {
        "method": "POST",
        "url": settings["url"],
        "auth": (settings["username"], settings["password"]),
        "headers": {"Content-Type": "text/xml; charset=utf-8"},
        "content": body,
    }
    with httpx.Client(trust_env=False) as client:
        return client.request(**{**values, **changes})


def status(simulator: MadaSimulator, body: bytes) -> int | None:
    said = read_answer(post(simulator, body).content)
    assert not isinstance(said, Fault)
    return said.command_status


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"auth": ("otpcore", "wrong")}, 401),
        ({"auth": None}, 401),
        ({"headers": {"Content-Type": "text/xml", "Authorization": "Basic %"}, "auth": None}, 401),
        ({"method": "PUT"}, 405),
        ({"headers": {"Content-Type": "application/json"}}, 415),
        ({"content": b"<nonsense"}, 500),
        ({"content": submission().replace(b"SubmitSM", b"QuerySM")}, 500),
        ({"content": submission().replace(b"soap/envelope/", b"soap/other/")}, 500),
        ({"content": submission().replace(b"destination", b"sos:destination")}, 500),
    ],
)
def test_what_is_no_submission_gets_an_http_error_and_sends_nothing(simulator, changes, expected):
    assert post(simulator, submission(), **changes).status_code == expected
    assert simulator.inbox == []


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("<dataCoding>8</dataCoding><shortMessage><hexData>041A043E0434</hexData></shortMessage>", 0),
        ("<dataCoding>8</dataCoding><shortMessage><hexData>041a043e0434</hexData></shortMessage>", 0),
        ("<shortMessage><hexData>041A043E0434</hexData></shortMessage>", 260),
        ("<dataCoding>8</dataCoding><shortMessage><hexData>041A04</hexData></shortMessage>", 260),
        ("<dataCoding>8</dataCoding><shortMessage><hexData>code</hexData></shortMessage>", 260),
        ("<dataCoding>8</dataCoding><shortMessage><stringData>x</stringData></shortMessage>", 260),
        (f"<dataCoding>8</dataCoding><shortMessage><hexData>{'0416' * 71}</hexData></shortMessage>", 1),
        (f"<dataCoding>8</dataCoding><shortMessage><hexData>{'0416' * 70}</hexData></shortMessage>", 0),
    ],
)
def test_ucs_2_is_taken_as_it_is_and_nothing_else_as_ucs_2(simulator, message, expected):
    body = re.sub("<shortMessage>.*</shortMessage>", message, submission().decode()).encode()
    assert status(simulator, body) == expected


@pytest.mark.parametrize("message", ["", "<shortMessage><hexData/><stringData/></shortMessage>"])
def test_a_message_has_a_text_or_bytes(simulator, message):
    body = re.sub("<shortMessage>.*</shortMessage>", message, submission().decode()).encode()
    assert post(simulator, body).status_code == 500


def test_another_page_is_not_found(simulator):
    assert post(simulator, submission(), url=f"{simulator.base_url}/other").status_code == 404


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"source": Address(ton=7, npi=1, addr="otpcore")}, 72),
        ({"source": Address(ton=5, npi=2, addr="otpcore")}, 73),
        ({"source": Address(ton=5, npi=1, addr="Somebody")}, 10),
        ({"source": Address(ton=1, npi=1, addr="otpcore")}, 10),
        ({"destination": Address(ton=2, npi=1, addr="359871234567")}, 80),
        ({"destination": Address(ton=1, npi=0, addr="359871234567")}, 81),
        ({"destination": Address(ton=1, npi=1, addr="+359871234567")}, 11),
        ({"destination": Address(ton=1, npi=1, addr="0871234567")}, 11),
        ({"registered_delivery": 4}, 7),
        ({"text": "x" * 161}, 1),
        ({"text": "код 1234"}, 260),
        ({"validity": timedelta(minutes=5)}, 0),
        ({}, 0),
    ],
)
def test_a_wrong_part_is_named_by_its_status(simulator, changes, expected):
    assert status(simulator, submission(**changes)) == expected
    assert len(simulator.inbox) == (expected == 0)


def test_a_malformed_validity_period_is_refused(simulator):
    body = submission(validity=timedelta(minutes=5)).replace(b"000R", b"R")
    assert status(simulator, body) == 98


def test_the_throttle_opens_again_when_its_window_has_passed(simulator):
    now = simulator.clock()
    simulator.throttle_limit, simulator.throttle_window = 2, timedelta(seconds=10)
    assert [status(simulator, submission()) for _ in range(3)] == [0, 0, 88]
    simulator.clock = lambda: now + timedelta(seconds=9)
    assert status(simulator, submission()) == 88
    simulator.clock = lambda: now + timedelta(seconds=10)
    assert status(simulator, submission()) == 0
    assert len(simulator.inbox) == 3


def test_credit_runs_out_and_only_accepted_messages_cost(simulator):
    simulator.credit = 2
    refused = submission(text="x" * 161)
    assert [status(simulator, body) for body in (refused, submission(), submission(), submission())] == [1, 0, 0, 1035]


def test_a_magic_number_does_not_excuse_a_wrong_request(simulator):
    destination = Address(ton=1, npi=1, addr="359888000000")
    assert status(simulator, submission(destination=destination, text="x" * 161)) == 1


def test_message_ids_count_up(simulator):
    for _ in range(2):
        post(simulator, submission())
    assert [message.reference for message in simulator.inbox] == ["00000001", "00000002"]
