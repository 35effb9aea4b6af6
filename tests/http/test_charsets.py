"""A vendor's answer is read in whatever charset it comes, and no charset makes reading slow or fail otherwise."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otp_twilio import Mode
from otp_twilio.simulator import TwilioSimulator

from otpcore.errors import ProviderError
from otpcore.http.client import HttpAnswer, readings
from otpcore.simulators.exchange import SimulatedAnswer, SimulatedRequest
from otpcore.testing import Outbox

CHARSETS = ["utf-8", "utf-8-sig", "iso-8859-1", "windows-1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
NAMES = [*CHARSETS, "UTF8", '"Latin1"', "x-unknown", "idna", "punycode", "unicode_escape", "hex", "a\0b", ""]
SAID = {"sid": "SM1", "status": "queued", "note": "für Müller", "körper": [1, None]}


@given(
    charset=st.sampled_from(CHARSETS),
    header=st.sampled_from(["Content-Type", "content-type", "CONTENT-TYPE"]),
    named=st.sampled_from(NAMES),
    around=st.tuples(st.sampled_from(["", "\n", "\t "]), st.sampled_from(["", "\n", "\0"])),
)
def test_a_json_answer_is_read_in_every_charset(charset: str, header: str, named: str, around: tuple[str, str]) -> None:
    before, after = around
    text = before + json.dumps(SAID, ensure_ascii=False) + after
    answer = HttpAnswer(status=201, headers={header: f"application/json; charset={named}"}, body=text.encode(charset))
    for read in (answer.json(), answer.json_object()):
        assert (read["sid"], read["status"]) == ("SM1", "queued")


@given(
    charset=st.sampled_from(CHARSETS), value=st.recursive(st.none() | st.text() | st.integers(), st.lists, max_leaves=5)
)
def test_what_is_named_rightly_is_read_to_the_letter(charset: str, value: Any) -> None:
    text = json.dumps({"value": value})
    body = text.encode(charset)
    answer = HttpAnswer(status=200, headers={"Content-Type": f"application/json; charset={charset}"}, body=body)
    assert answer.json() == {"value": value}


@given(body=st.binary(max_size=60), header=st.text(max_size=60), declared=st.text(max_size=20))
def test_anything_has_readings_and_none_twice(body: bytes, header: str, declared: str) -> None:
    found = list(readings(body, header, declared))
    assert found
    assert len(found) == len(set(found))
    with contextlib.suppress(ProviderError):
        HttpAnswer(status=200, headers={"Content-Type": header}, body=body).json()


@pytest.mark.parametrize("name", [name for name in NAMES if "\0" not in name])
def test_no_name_of_a_charset_makes_reading_slow(name: str) -> None:
    before = time.process_time()
    list(readings(b"x" * 1_000_000, f"application/json; charset={name}", name))
    assert time.process_time() - before < 1


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-8-sig", "utf-16"])
async def test_what_twilio_took_is_accepted_in_whatever_charset_it_says_so(
    mode: Mode, charset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TwilioSimulator() as twilio:
        own = twilio.handle

        def handle(request: SimulatedRequest) -> SimulatedAnswer:
            answer = own(request)
            body = json.dumps({**json.loads(answer.body), "note": "für"}, ensure_ascii=False).encode(charset)
            return SimulatedAnswer(answer.status, body, {"Content-Type": f"application/json;charset={charset}"})

        monkeypatch.setattr(twilio, "handle", handle)
        settings = {"otp_sms_provider": "twilio", "providers": {"twilio": twilio.provider_settings(mode)}}
        async with Outbox().service(settings, providers=None) as otp:
            challenge = await otp.send_sms("+359871234567")
            assert challenge.confirmed
            assert await otp.verify(challenge_id=challenge.id, code=twilio.inbox[-1].code)
        assert len(twilio.inbox) == 1
