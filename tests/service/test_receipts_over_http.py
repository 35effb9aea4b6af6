"""Receipts on real input: the vendors' simulators report over HTTP to a small web server that calls handle_receipt."""

from __future__ import annotations

import base64
import json
import logging
import re
import sqlite3
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import attrs
import pytest
from otp_sinch.simulator import SinchSimulator
from otp_twilio import Mode
from otp_twilio.simulator import TwilioSimulator

from otpcore import (
    ChallengeState,
    DeliveryError,
    OTPError,
    OTPService,
    ReceiptOutcome,
    ReceiptRefused,
    ReceiptRequest,
    ReceiptResult,
    UnknownProviderError,
)
from otpcore.clock import utc_now
from otpcore.settings.tree import generate_keys
from otpcore.simulators.exchange import Fault

PERSON = "+359871234567"
UNREACHABLE, LANDLINE, LATE, OPTED_OUT = "+15005550603", "+15005550606", "+15005550690", "+15005550610"


class Application:
    """The host's web application, one thread a request: everything below ``/receipts``, with the answers of the reference."""

    def __init__(self) -> None:
        self.otp: OTPService | None = None
        self.outcomes: list[ReceiptOutcome] = []
        self.down_for = 0
        application = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                result = application.take(self.command, self.path, dict(self.headers), body)
                self.send_response(result.status)
                for name, value in {**result.headers, "Content-Length": str(len(result.text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(result.text.encode())

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, method: str, path: str, headers: dict[str, str], body: bytes) -> ReceiptResult:
        """What is answered."""
        assert self.otp is not None
        if self.down_for:
            self.down_for -= 1
            return ReceiptResult(outcomes=(), status=503)
        instance = path.partition("?")[0].split("/")[2]
        request = ReceiptRequest(method=method, url=f"{self.base_url}{path}", headers=headers, body=body)
        try:
            result = self.otp.handle_receipt(instance, request)
        except UnknownProviderError:
            return ReceiptResult(outcomes=(), status=404)
        except OTPError as error:
            return ReceiptResult(outcomes=(), status=error.http_status)
        self.outcomes.extend(result.outcomes)
        return result


@attrs.define
class Scene:
    """An application with an SQLite file, whose messages go by Twilio first and by Sinch after that."""

    twilio: TwilioSimulator
    sinch: SinchSimulator
    application: Application
    otp: OTPService
    file: Path
    settings: dict[str, Any]

    def settle(self) -> None:
        """Until every callback was answered, those that a callback led to as well."""
        for vendor in (self.twilio, self.sinch):
            vendor.wait_for_callbacks()

    def state(self) -> tuple[str, str, bool]:
        """State and provider of the newest challenge, and whether it is confirmed."""
        newest = "SELECT state, provider, confirmed FROM otp_challenge ORDER BY number DESC LIMIT 1"
        with closing(sqlite3.connect(self.file)) as database:
            state, provider, confirmed = database.execute(newest).fetchone()
        return state, provider, bool(confirmed)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    keys = generate_keys(utc_now())
    with ExitStack() as stack:
        application = stack.enter_context(Application())
        twilio, sinch = stack.enter_context(TwilioSimulator()), stack.enter_context(SinchSimulator())
        sinch.callback_url = f"{application.base_url}/receipts/sinch"
        settings: dict[str, Any] = {
            "otp_sms_provider": "twilio;sinch",
            "otp_call_provider": "twilio",
            "providers": {
                "twilio": {
                    **twilio.provider_settings(Mode.MESSAGING),
                    "status_callback_url": f"{application.base_url}/receipts/twilio",
                },
                "sinch": sinch.provider_settings(),
            },
            "keys": {"index": keys.index, "code": dict(keys.code), "current": keys.current},
            "storage": {"url": f"sqlite:///{tmp_path / 'otp.sqlite3'}"},
            "limits": {"phone": []},
        }
        application.otp = stack.enter_context(OTPService(settings))
        yield Scene(twilio, sinch, application, application.otp, tmp_path / "otp.sqlite3", settings)


def test_undelivered_at_twilio_the_next_provider_delivers_and_its_code_verifies(scene: Scene) -> None:
    challenge = scene.otp.send_sms(UNREACHABLE)
    scene.settle()
    assert scene.twilio.inbox == []
    assert scene.state() == (ChallengeState.SENT, "sinch", True)
    (message,) = scene.sinch.inbox
    assert scene.otp.verify(challenge_id=challenge.id, code=message.code)


def test_a_delivered_message_is_confirmed_and_nothing_else_is_sent(scene: Scene) -> None:
    challenge = scene.otp.send_sms(PERSON)
    scene.settle()
    assert scene.state() == (ChallengeState.SENT, "twilio", True)
    assert scene.application.outcomes == [ReceiptOutcome.IGNORED, ReceiptOutcome.APPLIED]
    assert scene.sinch.requests == []
    assert scene.otp.verify(challenge_id=challenge.id, code=scene.twilio.inbox[0].code)


@pytest.mark.parametrize("number", [LANDLINE, OPTED_OUT])
def test_a_number_that_cannot_be_reached_or_opted_out_is_not_tried_elsewhere(scene: Scene, number: str) -> None:
    with suppress(DeliveryError):  # the callback may be faster than the answer
        scene.otp.send_sms(number)
    scene.settle()
    assert scene.state()[0] == ChallengeState.UNSENDABLE
    assert scene.sinch.requests == []


def test_what_arrives_after_all_verifies_whichever_message_it_is(scene: Scene) -> None:
    challenge = scene.otp.send_sms(LATE)
    scene.settle()
    assert scene.state() == (ChallengeState.SENT, "twilio", True)
    assert scene.sinch.inbox, "the failure had come first"
    assert scene.otp.verify(challenge_id=challenge.id, code=scene.twilio.inbox[0].code)


def test_a_lost_answer_is_resolved_by_the_receipt(scene: Scene) -> None:
    scene.twilio.fail(Fault.RESET_AFTER_WORK)
    scene.sinch.fail(Fault.HTTP_503)
    challenge = scene.otp.send_sms(PERSON)
    scene.settle()
    assert scene.state() == (ChallengeState.SENT, "twilio", True)
    assert scene.otp.verify(challenge_id=challenge.id, code=scene.twilio.inbox[0].code)


def test_a_call_that_nobody_answers_is_unsendable_where_nobody_else_can_call(scene: Scene) -> None:
    with suppress(DeliveryError):  # the callback may be faster than the answer
        scene.otp.call(UNREACHABLE)
    scene.settle()
    assert scene.state()[0] == ChallengeState.UNSENDABLE
    scene.otp.call(PERSON)
    scene.settle()
    assert scene.state() == (ChallengeState.SENT, "twilio", True)


def test_a_callback_that_is_played_again_or_forged_changes_nothing(scene: Scene) -> None:
    scene.otp.send_sms(UNREACHABLE)
    scene.settle()
    before, messages = scene.state(), len(scene.sinch.inbox)
    *_, real = scene.twilio.callbacks
    url, headers, body = real.url, dict(real.headers), real.body
    played = ReceiptRequest(url=url, headers=headers, body=body)
    assert scene.otp.handle_receipt("twilio", played).outcomes == (ReceiptOutcome.REPLAYED,)
    for forged in (
        ReceiptRequest(url=url, headers=headers, body=body.replace(b"undelivered", b"delivered")),
        ReceiptRequest(url=url.replace("delivery_id=", "delivery_id=0"), headers=headers, body=body),
        ReceiptRequest(url=url, headers={}, body=body),
    ):
        with pytest.raises(ReceiptRefused):
            scene.otp.handle_receipt("twilio", forged)
    with pytest.raises(ReceiptRefused):
        scene.otp.handle_receipt("sinch", played)
    assert (scene.state(), len(scene.sinch.inbox)) == (before, messages)


@pytest.mark.parametrize(("overrides", "confirmed"), [("", False), ("#rc=5&rp=5xx", True)])
def test_a_report_that_finds_the_store_down_comes_again_only_where_twilio_is_told_to(
    scene: Scene, overrides: str, confirmed: bool
) -> None:
    url = f"{scene.application.base_url}/receipts/twilio{overrides}"
    settings = {
        **scene.settings,
        "providers": {"twilio": {**scene.settings["providers"]["twilio"], "status_callback_url": url}},
    }
    settings |= {"otp_sms_provider": "twilio", "otp_call_provider": "twilio"}
    with OTPService(settings) as otp:
        scene.application.otp = otp
        scene.application.down_for = 2
        scene.twilio.fail(Fault.RESET_AFTER_WORK)
        otp.send_sms(PERSON)
        scene.settle()
    assert scene.state() == (ChallengeState.SENT, "twilio", confirmed)


def test_a_verification_that_this_application_is_not_sending_is_denied(scene: Scene) -> None:
    start = urllib.request.Request(
        f"{scene.sinch.base_url}/verification/v1/verifications",
        data=json.dumps({"identity": {"type": "number", "endpoint": PERSON}, "method": "sms"}).encode(),
        headers={"Authorization": "Basic " + base64.b64encode(_sinch_login(scene)).decode()},
    )
    with urllib.request.urlopen(start) as answer:
        started = json.load(answer)
    assert (started["status"], started["reason"]) == ("DENIED", "Denied by callback")
    assert scene.sinch.inbox == []


def _sinch_login(scene: Scene) -> bytes:
    return f"{scene.sinch.application_key}:{scene.sinch.application_secret}".encode()


def test_what_sinch_asks_with_is_the_price_of_the_delivery_and_twilio_says_none(scene: Scene) -> None:
    scene.otp.send_sms(UNREACHABLE)
    scene.settle()
    deliveries = scene.otp.operator.deliveries.list().items
    assert [(one.provider, str(one.price)) for one in deliveries] == [("sinch", "0.0127 USD"), ("twilio", "None")]
    assert [message.price for message in scene.sinch.inbox] == [deliveries[0].price]


def test_nothing_readable_is_stored_or_logged(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    scene.otp.send_sms(UNREACHABLE)
    scene.settle()
    with pytest.raises(ReceiptRefused):
        scene.otp.handle_receipt("twilio", ReceiptRequest(url=UNREACHABLE, body=UNREACHABLE.encode()))
    with closing(sqlite3.connect(scene.file)) as database:
        dump = "\n".join(database.iterdump())
        assert database.execute("SELECT count(*) FROM otp_receipt").fetchone() == (2,)
    logged = "\n".join(record.getMessage() for record in caplog.records)
    for secret in (UNREACHABLE[1:], scene.twilio.auth_token, scene.sinch.application_secret):
        assert secret not in dump + logged
    assert not re.search(rf"(?<![0-9A-Za-z]){scene.sinch.inbox[0].code}(?![0-9A-Za-z])", dump + logged)
