"""Receipts of a vendor that signs nothing and of one that reports many at once, over HTTP to a host that calls handle_receipt."""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from otpcore import OTPService, ReceiptOutcome, ReceiptRefused, ReceiptRequest
from otpcore.clock import utc_now
from otpcore.settings.tree import KeySettings, generate_keys
from otpcore.simulators.callbacks import Callback, call

from .. import gateways  # noqa: TID252 - tests are no package that could be imported by name
from ..gateways import UNREACHABLE, BellSimulator, HiveSimulator  # noqa: TID252 - the same
from .test_receipts_over_http import Application

PERSON, OTHER = "+359871234567", "+359871234568"
APPLIED, IGNORED, REPLAYED = ReceiptOutcome.APPLIED, ReceiptOutcome.IGNORED, ReceiptOutcome.REPLAYED


@attrs.define
class Scene:
    """An application with an SQLite file: Bell first, then Hive, then another account of Bell's."""

    bell: BellSimulator
    hive: HiveSimulator
    application: Application
    otp: OTPService
    settings: dict[str, Any]
    file: Path

    def state(self, challenge_id: str) -> tuple[str, str, bool]:
        """State, provider, and whether it is confirmed."""
        wanted = "SELECT state, provider, confirmed FROM otp_challenge WHERE id = ?"
        with closing(sqlite3.connect(self.file)) as database:
            state, provider, confirmed = database.execute(wanted, (challenge_id,)).fetchone()
        return state, provider, bool(confirmed)

    def hear(self, path: str) -> tuple[int, bytes]:
        """Have Hive call back, and wait for it."""
        headers = {"Authorization": f"Bearer {gateways.TOKEN}"}
        assert call(Callback(url=f"{self.hive.base_url}{path}", headers=headers, body=b""))[0] == 204
        self.hive.wait_for_callbacks()
        *_, last = self.hive.callbacks
        return call(last)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        application = stack.enter_context(Application())
        bell, hive = stack.enter_context(BellSimulator()), stack.enter_context(HiveSimulator())
        hive.webhook = f"{application.base_url}/receipts/hive"
        module = gateways.__name__
        settings: dict[str, Any] = {
            "otp_sms_provider": "bell;hive;bell2",
            "otp": {"receipts_url": f"{application.base_url}/receipts"},
            "providers": {
                "bell": {"plugin": f"{module}:Bell", **bell.provider_settings()},
                "hive": {"plugin": f"{module}:Hive", **hive.provider_settings()},
                "bell2": {"plugin": f"{module}:Bell", **bell.provider_settings()},
            },
            "keys": as_settings(generate_keys(utc_now())),
            "storage": {"url": f"sqlite:///{tmp_path / 'otp.sqlite3'}"},
            "limits": {"phone": []},
        }
        application.otp = stack.enter_context(OTPService(settings))
        yield Scene(bell, hive, application, application.otp, settings, tmp_path / "otp.sqlite3")


def as_settings(keys: KeySettings) -> dict[str, Any]:
    return {"index": keys.index, "code": dict(keys.code), "current": keys.current}


def test_an_unsigned_report_is_believed_at_its_address_and_answered_as_the_vendor_waits_for(scene: Scene) -> None:
    challenge = scene.otp.send_sms(PERSON)
    scene.bell.wait_for_callbacks()
    assert scene.state(challenge.id) == ("sent", "bell", True)
    assert scene.application.outcomes == [IGNORED, APPLIED]
    *_, last = scene.bell.callbacks
    assert (last.method, last.body, call(last)) == ("GET", b"", (200, b"OK"))
    assert scene.application.outcomes[-1] is REPLAYED


def test_an_unsigned_report_of_a_message_that_was_not_delivered_lets_the_next_provider_send(scene: Scene) -> None:
    challenge = scene.otp.send_sms(UNREACHABLE)
    scene.bell.wait_for_callbacks()
    assert scene.state(challenge.id) == ("sent", "hive", True)
    assert len(scene.hive.requests) == 1


def test_whoever_has_not_the_address_is_refused_and_changes_nothing(scene: Scene) -> None:
    first, second = scene.otp.send_sms(PERSON), scene.otp.send_sms(OTHER)
    scene.bell.wait_for_callbacks()
    told = [one.url.partition("?")[0] for one in scene.bell.callbacks if "status=404" in one.url]
    (base, delivery, proof), (_, other, _) = (url.rsplit("/", 2) for url in told)
    lost = "?MsgId=M1&status=405"
    before = scene.state(first.id), scene.state(second.id)
    for url in (
        base,
        f"{base}/{delivery}/{'0' * len(proof)}",
        f"{base}/{delivery}",
        f"{base}/{other}/{proof}",
        f"{base.replace('/bell', '/bell2')}/{delivery}/{proof}",
    ):
        assert call(Callback(url=f"{url}{lost}", headers={}, body=b"", method="GET"))[0] == 403, url
    hive = f"{base.replace('/bell', '/hive')}/{delivery}/{proof}"
    assert call(Callback(url=f"{hive}{lost}", headers={}, body=b"{}"))[0] == 403
    assert (scene.state(first.id), scene.state(second.id)) == before
    assert scene.hive.requests == []


def test_an_address_reports_of_its_own_message_only(scene: Scene) -> None:
    scene.otp.send_sms(PERSON)
    second = scene.otp.send_sms(OTHER)
    scene.bell.wait_for_callbacks()
    own = next(one.url.partition("?")[0] for one in scene.bell.callbacks if "status=404" in one.url)
    foreign = scene.bell.inbox[1].reference
    forged = Callback(url=f"{own}?MsgId={foreign}&status=405", headers={}, body=b"", method="GET")
    assert call(forged)[0] == 403, "a reference of another delivery"
    assert scene.state(second.id) == ("sent", "bell", True)
    assert scene.hive.requests == []


def test_an_address_outlives_the_rotation_of_keys_and_not_the_removal_of_its_key(scene: Scene) -> None:
    scene.otp.send_sms(PERSON)
    scene.bell.wait_for_callbacks()
    (*_, told) = scene.bell.callbacks
    newer, older = generate_keys(utc_now()), scene.settings["keys"]
    rotated = {**older, "code": {**older["code"], **newer.code}, "current": newer.current}
    without = {**older, "code": dict(newer.code), "current": newer.current}
    for keys, status in ((rotated, 200), (without, 403)):
        with OTPService({**scene.settings, "keys": keys}) as otp:
            scene.application.otp = otp
            assert call(told)[0] == status


def test_without_a_public_url_no_address_is_told_and_messages_go_out(scene: Scene) -> None:
    with OTPService({**scene.settings, "otp": {}}) as otp:
        challenge = otp.send_sms(PERSON)
    assert scene.state(challenge.id)[:2] == ("sent", "bell")
    assert "notify_url" not in scene.bell.requests[-1].form()
    assert scene.bell.callbacks == []


def test_one_request_reports_of_many_messages_and_each_send_goes_on(scene: Scene) -> None:
    rules = {**scene.settings, "otp_sms_provider": "hive;bell"}
    people = [UNREACHABLE, PERSON, "+359871234569"]
    with OTPService(rules) as otp:
        scene.application.otp = otp
        challenges = [otp.send_sms(number) for number in people]
        scene.hive.unreported[2]["status"] = "failed"
        scene.hive.unreported.append({"id": "of-nobody", "status": "failed"})
        status, text = scene.hear("/report")
        scene.bell.wait_for_callbacks()
        assert (status, text) == (204, b"")
        assert otp.verify(challenge_id=challenges[2].id, code=scene.bell.inbox[-1].code)
    states = [scene.state(one.id) for one in challenges]
    assert states[1] == ("sent", "hive", True)
    assert (states[0][0], states[2][:2]) == ("unsendable", ("approved", "bell")), "Bell cannot reach the first either"
    assert [scene.application.outcomes.count(one) for one in (ReceiptOutcome.UNKNOWN, REPLAYED)] == [2, 3]


def test_a_vendor_that_has_an_address_proven_hears_its_own_words(scene: Scene) -> None:
    assert scene.hear("/prove") == (200, b"4711")
    forged = ReceiptRequest(method="GET", url=gateways.query_of(scene.hive.webhook, {"hub.challenge": "4711"}))
    with pytest.raises(ReceiptRefused):
        scene.otp.handle_receipt("hive", forged)


def test_no_address_is_stored_or_logged(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    scene.otp.send_sms(UNREACHABLE)
    scene.bell.wait_for_callbacks()
    address = scene.bell.callbacks[0].url.partition("?")[0]
    with pytest.raises(ReceiptRefused) as refused:
        scene.otp.handle_receipt("bell", ReceiptRequest(method="GET", url=f"{address}x?MsgId=M1&status=404"))
    with closing(sqlite3.connect(scene.file)) as database:
        dump = "\n".join(database.iterdump())
    said = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    proof = address.rpartition("/")[2]
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", proof), "128 bits"
    assert proof not in dump + said + str(refused.value) + repr(refused.value)
