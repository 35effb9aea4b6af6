"""The main job on real input: real HTTP to the vendors' simulators, a real SQLite file, real processes."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import signal
import sqlite3
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from otp_mada.simulator import MadaSimulator
from otp_sinch.simulator import SinchSimulator
from otp_twilio.simulator import TwilioSimulator

from otpcore import AsyncOTPService, ChallengeState, DeliveryError, ProviderError, RateLimited, VerificationStatus
from otpcore.clock import utc_now
from otpcore.settings.tree import generate_keys
from otpcore.simulators.exchange import Fault
from otpcore.simulators.simulator import Simulator

from ..preloaded import Preloaded  # noqa: TID252 - tests are no package that could be imported by name

BULGARIAN = "+359871234567"
FOREIGN = "+14155552671"
RULES = "Twilio;Mada:+35987,+35988;Sinch"


@attrs.define
class Vendors:
    """The three simulators, and settings that point at them."""

    twilio: TwilioSimulator
    sinch: SinchSimulator
    mada: MadaSimulator
    directory: Path
    keys: dict[str, Any]

    def settings(self, **more: Any) -> dict[str, Any]:
        return {
            "otp_sms_provider": RULES,
            "providers": {
                "twilio": self.twilio.provider_settings(),
                "sinch": self.sinch.provider_settings(),
                "mada": self.mada.provider_settings(),
            },
            "keys": self.keys,
            "storage": {"url": f"sqlite:///{self.directory / 'otp.sqlite3'}"},
            "limits": {"phone": []},
            **more,
        }

    def all(self) -> tuple[Simulator, ...]:
        return (self.twilio, self.sinch, self.mada)

    def received(self) -> list[str]:
        return [message.code for simulator in self.all() for message in simulator.inbox]


@pytest.fixture
def vendors(tmp_path: Path) -> Iterator[Vendors]:
    keys = generate_keys(utc_now())
    with TwilioSimulator() as twilio, SinchSimulator() as sinch, MadaSimulator() as mada:
        yield Vendors(
            twilio=twilio,
            sinch=sinch,
            mada=mada,
            directory=tmp_path,
            keys={"index": keys.index, "code": dict(keys.code), "current": keys.current},
        )


async def test_each_number_goes_to_its_provider_and_every_code_verifies(vendors: Vendors) -> None:
    async with AsyncOTPService(vendors.settings()) as otp:
        local = await otp.send_sms(BULGARIAN)
        assert (local.provider, local.code) == ("mada", vendors.mada.inbox[0].code)
        assert await otp.verify(BULGARIAN, vendors.mada.inbox[0].code)

        foreign = await otp.send_sms(FOREIGN)
        assert (foreign.provider, foreign.code) == ("twilio", None)
        assert not await otp.verify(FOREIGN, "000000" if vendors.twilio.inbox[0].code != "000000" else "111111")
        assert await otp.verify(FOREIGN, vendors.twilio.inbox[0].code)
        assert not await otp.verify(FOREIGN, vendors.twilio.inbox[0].code)


async def test_a_call_to_a_mada_number_goes_to_a_provider_that_can_call(vendors: Vendors) -> None:
    async with AsyncOTPService(vendors.settings()) as otp:
        challenge = await otp.call(BULGARIAN)
        assert challenge.provider == "twilio"
        assert vendors.mada.requests == []
        assert await otp.verify(challenge_id=challenge.id, code=vendors.twilio.inbox[0].code)


@pytest.mark.parametrize(
    "fault", [Fault.HTTP_503, Fault.RESET_AFTER_WORK, Fault.GARBAGE_BODY, Fault.HTTP_401, Fault.HTTP_429]
)
async def test_whatever_arrives_after_a_failover_verifies(vendors: Vendors, fault: Fault) -> None:
    async with AsyncOTPService(vendors.settings()) as otp:
        vendors.twilio.fail(fault)
        challenge = await otp.send_sms(FOREIGN)
        assert challenge.provider == "sinch"
        # What Twilio delivered before its answer was lost is checked there too, by recipient.
        assert await otp.verify(FOREIGN, vendors.received()[0])


async def test_every_start_without_an_answer_may_be_the_one_that_arrived(vendors: Vendors) -> None:
    """Two starts were not answered: the first sent the message, the second never reached the vendor."""
    async with AsyncOTPService({**vendors.settings(), "otp_sms_provider": "sinch"}) as otp:
        vendors.sinch.fail(Fault.RESET_AFTER_WORK)
        await otp.send_sms(FOREIGN)
        code = vendors.sinch.inbox[-1].code
        vendors.sinch.fail(Fault.RESET_AFTER_READ)
        await otp.call(FOREIGN)
        assert await otp.verify(FOREIGN, code)


async def test_a_verdict_that_was_lost_costs_the_person_another_code_and_no_attempt(vendors: Vendors) -> None:
    settings = vendors.settings(otp_sms_provider="sinch", otp={"cooldown": 0.01})
    async with AsyncOTPService(settings) as otp:
        await otp.send_sms(FOREIGN)
        vendors.sinch.fail(Fault.RESET_AFTER_WORK)
        with pytest.raises(ProviderError):
            await otp.verify(FOREIGN, vendors.sinch.inbox[-1].code)
        again = await otp.verify(FOREIGN, vendors.sinch.inbox[-1].code)
        assert again.status is VerificationStatus.EXPIRED
        await otp.send_sms(FOREIGN)
        assert (await otp.verify(FOREIGN, vendors.sinch.inbox[-1].code)).attempts_left == 3


async def test_a_retry_delivers_once_the_provider_is_back(vendors: Vendors) -> None:
    settings = vendors.settings(sms={"retry": True}, retry={"first_delay": 0.05, "max_delay": 0.1})
    async with AsyncOTPService(settings) as otp:
        vendors.mada.down()
        challenge = await otp.send_sms(BULGARIAN)
        assert challenge.state is ChallengeState.QUEUED
        vendors.mada.up()
        with anyio.fail_after(20):
            while not vendors.mada.inbox:
                await anyio.sleep(0.02)
        assert await otp.verify(challenge_id=challenge.id, code=vendors.mada.inbox[0].code)


async def test_a_refusal_by_the_number_is_final_and_hints_at_the_other_channel(vendors: Vendors) -> None:
    for rules, hint in (("mada", None), (RULES, "call")):
        async with AsyncOTPService(vendors.settings(otp_sms_provider=rules)) as otp:
            with pytest.raises(DeliveryError) as caught:
                await otp.send_sms("+359888000011")
            assert (caught.value.reason, caught.value.try_channel) == ("permanent", hint)
            if hint:
                assert (await otp.call("+359888000011")).provider == "twilio"


async def test_two_purposes_do_not_share_twilios_verification(vendors: Vendors) -> None:
    async with AsyncOTPService(vendors.settings(otp_sms_provider="twilio")) as otp:
        login = await otp.send_sms(FOREIGN, purpose="login")
        with pytest.raises(RateLimited, match="provider_busy"):
            await otp.send_sms(FOREIGN, purpose="payment")
        await otp.cancel(login.id)
        await otp.send_sms(FOREIGN, purpose="payment")
        old, new = (message.code for message in vendors.twilio.inbox)
        assert old != new
        assert await otp.verify(FOREIGN, new, purpose="payment")


async def test_nothing_readable_is_stored_or_logged(vendors: Vendors, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    settings = vendors.settings()
    async with AsyncOTPService(settings) as otp:
        vendors.twilio.fail(Fault.HTTP_503)
        for number in (BULGARIAN, FOREIGN):
            await otp.send_sms(number, message="Open sesame {code}" if number == BULGARIAN else None)
        codes = vendors.received()
        await otp.verify(BULGARIAN, vendors.mada.inbox[0].code)
    with contextlib.closing(sqlite3.connect(vendors.directory / "otp.sqlite3")) as database:
        dump = "\n".join(database.iterdump())
    stored = b"".join(path.read_bytes() for path in vendors.directory.glob("otp.sqlite3*"))
    logged = "\n".join(record.getMessage() for record in caplog.records)
    for code in codes:  # as a word of its own: a few digits occur in a timestamp or in hexadecimal by chance
        assert not re.search(rf"(?<![0-9A-Za-z]){code}(?![0-9A-Za-z])", dump + logged)
    password, key = settings["providers"]["twilio"]["auth_token"], settings["keys"]["index"]
    for secret in (BULGARIAN[1:], FOREIGN[1:], "Open sesame", password, key):
        assert secret not in dump
        assert secret.encode() not in stored
        assert secret not in logged


async def test_a_killed_sender_loses_nothing(vendors: Vendors, forked: Preloaded) -> None:
    quick = {
        "otp": {"provider_timeout": 1, "send_timeout": 2},
        "retry": {"first_delay": 0.05, "lease": 1.5},
        "sms": {"retry": True},
    }
    settings = vendors.settings(otp_sms_provider="mada", **quick)
    vendors.mada.fail(Fault.HANG, times=None)
    program = """
        import anyio, json, sys
        from otpcore import AsyncOTPService
        async def main():
            async with AsyncOTPService(json.loads(sys.stdin.read())) as otp:
                await otp.send_sms("+359871234567")
        anyio.run(main)
        """
    sender = subprocess.Popen([forked.python, "-c", textwrap.dedent(program)], stdin=subprocess.PIPE)
    assert sender.stdin is not None
    sender.stdin.write(json.dumps(settings).encode())
    sender.stdin.close()
    with anyio.fail_after(20):
        while not vendors.mada.requests:
            await anyio.sleep(0.02)
    sender.send_signal(signal.SIGKILL)
    sender.wait()
    vendors.mada.recover()
    async with AsyncOTPService(settings) as otp:
        with anyio.fail_after(20):
            while not vendors.mada.inbox:
                await anyio.sleep(0.05)
        assert await otp.verify(BULGARIAN, vendors.mada.inbox[0].code)
    assert len(vendors.mada.inbox) == 1
