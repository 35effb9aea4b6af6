"""The sandbox: what it plays and what is real, and nothing that leaves or stays readable."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from otpcore import (
    AsyncOTPService,
    DeliveryError,
    NoRouteError,
    RateLimited,
    ReceiptRefused,
    ReceiptRequest,
    SettingsError,
    VerificationStatus,
)
from otpcore.clock import utc_now
from otpcore.providers.sandbox import MAGIC
from otpcore.settings.tree import Settings, generate_keys
from otpcore.testing import FakeClock, Outbox

from .sandboxes import ORDINARY, START, Configure, number, received

# What it plays.


async def test_it_plays_every_channel_that_has_rules(configured: Configure) -> None:
    async with AsyncOTPService(configured(otp_whatsapp_provider="nowhere_installed")) as otp:
        challenge = await otp.send(ORDINARY, channel="whatsapp")
        (message,) = otp.sandbox_inbox(ORDINARY)
        assert (challenge.provider, message.channel) == ("nowhere_installed", "whatsapp")
        assert await otp.verify(ORDINARY, message.code)


async def test_a_receipt_that_the_sandbox_did_not_make_is_refused(configured: Configure) -> None:
    async with AsyncOTPService(configured()) as otp:
        await otp.send_sms(ORDINARY)
        with pytest.raises(ReceiptRefused, match="signature"):
            await otp.handle_receipt("twilio", ReceiptRequest(url="https://example.com/", body=b"MessageStatus=failed"))


# What is real.


async def test_rules_and_limits_are_real(configured: Configure) -> None:
    async with AsyncOTPService(configured("twilio:+1;mada:+35987")) as otp:
        assert (await otp.send_sms(ORDINARY)).provider == "mada"
        assert (await otp.send_sms(number("accepted"))).provider == "twilio"
        with pytest.raises(NoRouteError):
            await otp.send_sms("+46701740610")
        for _ in range(2):
            await otp.send_sms(ORDINARY)
        with pytest.raises(RateLimited, match="phone"):
            await otp.send_sms(ORDINARY)


async def test_a_plugin_that_can_be_loaded_lends_its_channels(configured: Configure) -> None:
    account = {"url": "https://gateway.example.com", "username": "acme", "password": "acme", "source_name": "Acme"}
    settings = configured("mada:+35987;nobody_has_this", providers={"mada": account})
    async with AsyncOTPService(settings) as otp:
        assert (await otp.send_sms(ORDINARY)).provider == "mada"
        assert (await otp.call(ORDINARY)).provider == "nobody_has_this", "Mada cannot call"


async def test_objects_that_a_host_forces_are_not_called_either(configured: Configure, otp_outbox: Outbox) -> None:
    async with AsyncOTPService(configured(), providers={"outbox": otp_outbox}) as otp:
        challenge = await otp.send_sms(ORDINARY)
        assert (challenge.provider, received(otp, ORDINARY), otp_outbox.messages) == ("outbox", ["outbox"], [])


async def test_rules_that_change_meanwhile_may_name_what_is_not_installed(configured: Configure) -> None:
    clock = FakeClock()
    async with AsyncOTPService(configured(), clock=clock) as otp:
        await otp._service.store.write_setting("otp_sms_provider", "nobody_has_this")
        clock.advance(60)
        assert (await otp.send_sms(ORDINARY)).provider == "nobody_has_this"


# Loud, and nowhere else.


async def test_the_start_is_loud_and_throw_away_keys_are_logged_and_never_shown(
    configured: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with AsyncOTPService(configured()) as otp:
        keys = otp._service.keys
        assert keys.current.startswith("sandbox-")
        await otp.send_sms(ORDINARY)
    loud = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert sum("no provider is called" in message for message in loud) == 1
    assert sum("throw-away keys were made" in message for message in loud) == 1


async def test_each_service_throws_other_keys_away(configured: Configure) -> None:
    async with AsyncOTPService(configured()) as otp:
        challenge = await otp.send_sms(ORDINARY)
        first = otp._service.keys
    async with AsyncOTPService(configured()) as otp:
        assert first.ids.isdisjoint(otp._service.keys.ids)
        assert (await otp.verify(ORDINARY, challenge.code or "")).status is VerificationStatus.NOT_FOUND
        assert (await otp.send_sms(ORDINARY)).confirmed


async def test_keys_that_are_given_are_used_and_half_a_set_is_refused(configured: Configure) -> None:
    keys = generate_keys(utc_now())
    given = {"index": keys.index, "code": dict(keys.code), "current": keys.current}
    async with AsyncOTPService(configured(keys=given)) as otp:
        assert otp._service.keys.current == keys.current
    with pytest.raises(SettingsError, match=r"keys\.code"):
        async with AsyncOTPService(configured(keys={"index": keys.index})):
            pass


async def test_nothing_readable_is_stored_or_logged(
    configured: Configure, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    phones = [*(START + digits for digits in MAGIC), ORDINARY]
    settings = configured(sms={"retry": True}, limits={"phone": []})
    shown = ""
    async with AsyncOTPService(settings) as otp:
        for phone in phones:
            for ask in (otp.send_sms, otp.call):
                try:
                    shown += repr(await ask(phone))
                except DeliveryError as error:
                    shown += repr(error) + str(error)
        messages = otp.sandbox_inbox()
        await otp.verify(ORDINARY, otp.sandbox_inbox(ORDINARY)[-1].code)
    secrets = {message.code for message in messages} | {phone[1:] for phone in phones}
    assert len(secrets) > len(phones)
    written = "\n".join(record.getMessage() for record in caplog.records) + shown + repr(messages) + stored(tmp_path)
    for secret in secrets:  # as a word of its own: a few digits occur in a timestamp or in hexadecimal by chance
        assert not re.search(rf"(?<![0-9A-Za-z.]){secret}(?![0-9A-Za-z])", written)


def test_production_refuses_it() -> None:
    with pytest.raises(SettingsError, match=r'sms\.sandbox: .*environment = "production"'):
        Settings.from_mapping({"sms": {"sandbox": True}, "environment": "production"})
    staging = Settings.from_mapping({"sms": {"sandbox": True}, "environment": "staging"})
    assert staging.sms.sandbox


# The inbox.


async def test_without_the_sandbox_there_is_no_inbox(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        with pytest.raises(SettingsError, match=r"sms\.sandbox"):
            otp.sandbox_inbox()


def test_nor_in_the_blocking_service(otp_outbox: Outbox) -> None:
    with otp_outbox.blocking_service() as otp, pytest.raises(SettingsError, match=r"sms\.sandbox"):
        otp.sandbox_inbox()


async def test_the_inbox_is_bounded(configured: Configure) -> None:
    async with AsyncOTPService(configured()) as otp:
        assert otp._service.sandbox is not None
        assert otp._service.sandbox.inbox.maxlen == 1000


def stored(directory: Path) -> str:
    """Every byte of the database."""
    return "".join(file.read_bytes().decode("latin-1") for file in directory.glob("otp.sqlite3*"))
