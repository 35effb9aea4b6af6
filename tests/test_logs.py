"""What a host's own log says when something goes wrong: one line for each change of state, not one for each send."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from otpcore import DeliveryError, ErrorKind, Event, EventType, OTPError, StoreError
from otpcore.events import EventLog
from otpcore.runners.worker import WorkerRunner
from otpcore.stores.memory.store import MemoryStore
from otpcore.testing import Outbox

PHONES = [f"+3598712345{number:02}" for number in range(30)]
START = datetime(2026, 11, 29, 8, 0, tzinfo=UTC)


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The first word of every line at WARNING and above."""
    return [record.getMessage().split()[0] for record in caplog.records if record.levelno >= logging.WARNING]


async def test_an_outage_is_two_lines_however_many_sends_it_fails(
    otp_outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    async with otp_outbox.service() as otp:
        caplog.clear()
        otp_outbox.fail(ErrorKind.UNAVAILABLE, times=5)
        for phone in PHONES:
            with pytest.raises(DeliveryError):
                await otp.send_sms(phone)
        assert warned(caplog) == ["breaker_opened"]
        assert "detail=asked for by the test" in caplog.text
        otp_outbox.clock.advance(2)
        for phone in PHONES:
            await otp.send_sms(phone)
    assert warned(caplog) == ["breaker_opened", "breaker_closed"]


async def test_bad_credentials_are_told_once_and_once_that_they_are_fine_again(
    otp_outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    async with otp_outbox.service() as otp:
        caplog.clear()
        otp_outbox.fail(ErrorKind.MISCONFIGURED, times=len(PHONES))
        for phone in PHONES:
            with pytest.raises(DeliveryError):
                await otp.send_sms(phone)
        assert warned(caplog) == ["instance_misconfigured"]
        for phone in PHONES:
            await otp.send_sms(phone)
    assert warned(caplog) == ["instance_misconfigured", "instance_restored"]


@pytest.mark.parametrize("kind", [ErrorKind.REJECTED_NUMBER, ErrorKind.BLOCKED, ErrorKind.LIMIT_REACHED])
async def test_what_one_person_s_number_comes_to_is_no_warning(
    otp_outbox: Outbox, caplog: pytest.LogCaptureFixture, kind: ErrorKind
) -> None:
    async with otp_outbox.service() as otp:
        caplog.clear()
        otp_outbox.fail(kind, times=len(PHONES))
        for phone in PHONES:
            with pytest.raises(OTPError):
                await otp.send_sms(phone)
    assert warned(caplog) == []


async def test_retries_that_nobody_runs_are_told_once_and_once_that_they_go_on(
    otp_outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    otp_outbox.fail(ErrorKind.UNAVAILABLE)
    retried = {"sms": {"retry": True}}
    async with otp_outbox.service(retried, runner=WorkerRunner()) as otp:
        await otp.send_sms(PHONES[0])
        caplog.clear()
        for phone in PHONES[1:10]:
            otp_outbox.clock.advance(10)
            await otp.send_sms(phone)
        assert warned(caplog) == ["retries_stand_still"]
        assert "due since" in caplog.text
        for phone in PHONES[10:]:
            otp_outbox.clock.advance(20)
            await otp.send_sms(phone)  # the sweeper of nobody: the life of the first is over, and a resend ends its row
        await otp.send_sms(PHONES[0])
        otp_outbox.clock.advance(10)
        await otp.send_sms(PHONES[1])
    assert warned(caplog) == ["retries_stand_still", "retries_go_on"]


class AwayStore(MemoryStore):
    """A host's own store, whose settings cannot be read for a while."""

    is_away = False

    async def settings(self) -> Mapping[str, str]:
        if self.is_away:
            raise StoreError("the server does not answer")
        return await super().settings()


async def test_a_store_that_is_away_is_told_once_and_once_that_it_is_back(
    otp_outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    store = AwayStore()
    async with otp_outbox.service(store=store) as otp:
        caplog.clear()
        for number, phone in enumerate(PHONES[:10]):
            store.is_away = number < 5
            otp_outbox.clock.advance(10)
            await otp.send_sms(phone)
    told = [vars(record)["otp_event"] for record in caplog.records if record.levelno >= logging.WARNING]
    assert told == ["settings_not_read", "settings_read_again"]


def test_what_changes_to_and_fro_is_not_a_line_each_and_what_it_came_to_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = EventLog()
    states = [EventType.INSTANCE_MISCONFIGURED, EventType.INSTANCE_RESTORED]
    for number in range(31):
        log.write(Event(type=states[number % 2], at=START + timedelta(seconds=number), instance="twilio"))
    assert warned(caplog) == ["instance_misconfigured", "instance_restored"] * 2
    assert log.wants(EventType.SEND_STARTED), "the next event, whatever it is, brings what waits"
    log.write(Event(type=EventType.SEND_STARTED, at=START + timedelta(seconds=61)))
    assert warned(caplog)[4:] == ["instance_misconfigured"], "it is misconfigured since the thirtieth second"
    log.write(Event(type=EventType.INSTANCE_RESTORED, at=START + timedelta(seconds=130), instance="twilio"))
    assert warned(caplog)[5:] == ["instance_restored"]


HOST = """
import logging
{set_up}
from otp_mada.simulator import MadaSimulator
from otpcore import DeliveryError, OTPService

with MadaSimulator() as mada:
    otp = OTPService({{
        "otp_sms_provider": "Mada", "providers": {{"mada": mada.provider_settings()}}, "storage": {{"store": "memory"}},
        "limits": {{"phone": []}}, "keys": {{"index": KEY, "code": {{"k": KEY}}, "current": "k"}}, "retry": {{"runner": "inline"}},
    }})
    mada.down()
    for number in range(20):
        try:
            otp.send_sms(f"+3598712345{{number:02}}")
        except DeliveryError:
            pass
    otp.close()
"""


@pytest.mark.parametrize(
    ("set_up", "begins"),
    [
        ("", "breaker_opened instance=mada"),
        ("logging.basicConfig()", "WARNING:otpcore.events:breaker_opened instance=mada"),
    ],
    ids=["nothing configured", "basicConfig"],
)
def test_a_host_s_log_tells_of_an_outage(tmp_path: Path, set_up: str, begins: str) -> None:
    key = "b3RwY29yZS50ZXN0aW5nIGtleSwgbmV2ZXIgZm9yIHVzZXJzISE"
    script = tmp_path / "host.py"
    script.write_text(f"KEY = {key!r}\n" + HOST.format(set_up=set_up), encoding="utf-8")
    ended = subprocess.run([sys.executable, script], check=True, cwd=tmp_path, capture_output=True, text=True)
    lines = [line for line in ended.stderr.splitlines() if "memory" not in line]
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith(begins)
