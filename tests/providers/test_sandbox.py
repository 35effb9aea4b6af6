"""The sandbox: every outcome of its numbers through the public API, and nothing that leaves or stays readable."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otpcore import (
    AsyncOTPService,
    Challenge,
    ChallengeState,
    DeliveryError,
    ErrorKind,
    NoRouteError,
    OTPService,
    RateLimited,
    ReceiptRefused,
    ReceiptRequest,
    SettingsError,
    VerificationStatus,
)
from otpcore.clock import utc_now
from otpcore.phone.numbers import parse_phone
from otpcore.providers.sandbox import MAGIC, RANGES
from otpcore.runners.worker import WorkerRunner
from otpcore.settings.tree import Settings, generate_keys
from otpcore.testing import FakeClock, Outbox

START = next(iter(RANGES))
ORDINARY = "+359871234567"

Configure = Callable[..., dict[str, Any]]


def number(name: str) -> str:
    """The sandbox's number with this outcome."""
    return START + next(digits for digits, one in MAGIC.items() if one.name == name)


@pytest.fixture(params=["memory", "sql"])
def configured(request: pytest.FixtureRequest, tmp_path: Path) -> Configure:
    """Settings of a sandbox with two providers; sections are merged over them."""

    def configure(rules: str = "twilio;mada", **sections: Any) -> dict[str, Any]:
        made = {
            "otp_sms_provider": rules,
            "sms": {"sandbox": True},
            "otp": {"provider_timeout": 0.05, "cooldown": 0},
            "retry": {"runner": "inline", "first_delay": 0.01, "max_delay": 0.02},
            "storage": {"store": request.param, "url": f"sqlite:///{tmp_path / 'otp.sqlite3'}"},
        }
        for name, value in sections.items():
            made[name] = {**made[name], **value} if isinstance(made.get(name), dict) else value
        return made

    return configure


def received(otp: AsyncOTPService, phone: str) -> list[str]:
    """The instances that brought this person something."""
    return [message.instance for message in otp.sandbox_inbox(phone)]


# The numbers.


@pytest.mark.parametrize("start", RANGES)
@pytest.mark.parametrize("digits", MAGIC)
def test_each_number_is_valid(start: str, digits: str) -> None:
    assert parse_phone(start + digits, require_valid=True).e164 == start + digits


@pytest.mark.parametrize("phone", [number("accepted"), ORDINARY, f"{START}50", "+12025550213"])
async def test_what_is_accepted_arrives_and_verifies_once(configured: Configure, phone: str) -> None:
    async with AsyncOTPService(configured()) as otp:
        challenge = await otp.send_sms(phone)
        assert (challenge.state, challenge.confirmed, challenge.provider) == (ChallengeState.SENT, True, "twilio")
        (message,) = otp.sandbox_inbox()
        assert (message.challenge_id, message.phone, message.channel) == (challenge.id, challenge.phone, "sms")
        assert message.code == challenge.code
        assert message.code in message.text
        assert await otp.verify(phone, message.code)
        assert (await otp.verify(phone, message.code)).status is VerificationStatus.NOT_FOUND


async def test_what_comes_late_is_in_doubt_and_verifies(configured: Configure) -> None:
    phone = number("late")
    async with AsyncOTPService(configured()) as otp:
        challenge = await otp.send_sms(phone)
        assert (challenge.state, challenge.confirmed) == (ChallengeState.SENT, False)
        assert received(otp, phone) == ["twilio", "mada"]
        first, second = otp.sandbox_inbox(phone)
        assert first.code == second.code
        assert await otp.verify(phone, first.code)


@pytest.mark.parametrize(("name", "confirmed"), [("never", True), ("ambiguous", False)])
async def test_what_does_not_arrive_counts_as_sent_all_the_same(
    configured: Configure, name: str, confirmed: bool
) -> None:
    async with AsyncOTPService(configured()) as otp:
        for ask in (otp.send_sms, otp.call):
            challenge = await ask(number(name))
            assert (challenge.state, challenge.confirmed) == (ChallengeState.SENT, confirmed)
        assert otp.sandbox_inbox() == ()


async def test_a_landline_is_called(configured: Configure) -> None:
    phone = number("landline")
    async with AsyncOTPService(configured()) as otp:
        with pytest.raises(DeliveryError) as refused:
            await otp.send_sms(phone)
        assert (refused.value.reason, refused.value.try_channel) == ("permanent", "call")
        assert [error.provider for error in refused.value.attempts] == ["twilio"]
        await otp.call(phone)
        (call,) = otp.sandbox_inbox(phone)
        assert call.channel == "call"
        assert await otp.verify(phone, call.code)


async def test_it_plays_every_channel_that_has_rules(configured: Configure) -> None:
    async with AsyncOTPService(configured(otp_whatsapp_provider="nowhere_installed")) as otp:
        challenge = await otp.send(ORDINARY, channel="whatsapp")
        (message,) = otp.sandbox_inbox(ORDINARY)
        assert (challenge.provider, message.channel) == ("nowhere_installed", "whatsapp")
        assert await otp.verify(ORDINARY, message.code)


async def test_who_opted_out_is_not_tried_elsewhere(configured: Configure) -> None:
    async with AsyncOTPService(configured(sms={"retry": True})) as otp:
        for ask in (otp.send_sms, otp.call):
            with pytest.raises(DeliveryError) as refused:
                await ask(number("opted out"))
            assert (refused.value.reason, refused.value.try_channel) == ("permanent", None)
            assert [(error.kind, error.provider) for error in refused.value.attempts] == [("blocked", "twilio")]


async def test_a_throttled_send_says_how_long_to_wait_and_the_next_one_is_taken(configured: Configure) -> None:
    phone = number("throttled")
    async with AsyncOTPService(configured()) as otp:
        with pytest.raises(DeliveryError) as refused:
            await otp.send_sms(phone)
        assert [(error.kind, error.retry_after) for error in refused.value.attempts] == [("throttled", 2.0)] * 2
        assert (await otp.send_sms(phone)).confirmed


async def test_a_retry_of_a_throttled_send_waits_as_long_as_was_asked(configured: Configure) -> None:
    phone, clock = number("throttled"), FakeClock()
    async with AsyncOTPService(configured(sms={"retry": True}), clock=clock, runner=WorkerRunner()) as otp:
        challenge = await otp.send_sms(phone)
        assert challenge.state is ChallengeState.QUEUED
        assert (await due(otp) - clock()).total_seconds() == 2
        clock.advance(2)
        await run_due(otp)
        (message,) = otp.sandbox_inbox(phone)
        assert await otp.verify(phone, message.code)


async def test_the_third_failover_finds_a_provider_up_again(configured: Configure) -> None:
    phone = number("unavailable")
    async with AsyncOTPService(configured(sms={"retry": True})) as otp:
        challenge = await otp.send_sms(phone)
        assert challenge.confirmed
        assert received(otp, phone) == ["twilio"]
        (view,) = await otp._service.store.view(challenge_id=challenge.id)
        tried = [(delivery.instance, str(delivery.outcome)) for delivery in view.deliveries]
        assert tried == [("twilio", "unavailable"), ("mada", "unavailable")] * 2 + [("twilio", "accepted")]


async def test_without_retries_an_unavailable_provider_is_an_error(configured: Configure) -> None:
    async with AsyncOTPService(configured()) as otp:
        with pytest.raises(DeliveryError) as failed:
            await otp.send_sms(number("unavailable"))
        assert failed.value.reason == "failed"
        assert [error.kind for error in failed.value.attempts] == [ErrorKind.UNAVAILABLE] * 2


async def test_a_breaker_opens_after_enough_failures_in_a_row_and_closes_again(configured: Configure) -> None:
    clock = FakeClock()
    settings = configured("twilio", retry={"breaker_threshold": 3}, limits={"phone": []})
    async with AsyncOTPService(settings, clock=clock) as otp:
        for purpose in ("login", "payment", "address"):
            with pytest.raises(DeliveryError, match="failed"):
                await otp.send_sms(number("unavailable"), purpose=purpose)
        with pytest.raises(DeliveryError, match="breaker_open"):
            await otp.send_sms(ORDINARY)
        clock.advance(1)  # the next probe
        for _ in range(2):
            assert (await otp.send_sms(ORDINARY)).confirmed


async def test_the_next_provider_takes_what_a_misconfigured_one_refused(configured: Configure) -> None:
    phone = number("misconfigured")
    async with AsyncOTPService(configured()) as otp:
        challenge = await otp.send_sms(phone)
        assert (challenge.provider, received(otp, phone)) == ("mada", ["mada"])
        await otp.send_sms(phone)
        assert received(otp, phone) == ["mada", "mada"]
    async with AsyncOTPService(configured("twilio")) as otp:
        with pytest.raises(DeliveryError) as refused:
            await otp.send_sms(phone, purpose="alone")
        assert [error.kind for error in refused.value.attempts] == [ErrorKind.MISCONFIGURED]


async def test_what_a_receipt_calls_undelivered_comes_from_the_next_provider(configured: Configure) -> None:
    phone = number("undelivered")
    async with AsyncOTPService(configured()) as otp:
        for ask in (otp.send_sms, otp.call):
            challenge = await ask(phone, purpose=ask.__name__)
            assert (challenge.state, challenge.provider) == (ChallengeState.SENT, "twilio")
            (view,) = await otp._service.store.view(challenge_id=challenge.id)
            assert (view.challenge.state, view.challenge.provider) == (ChallengeState.SENT, "mada")
            outcomes = [(delivery.instance, str(delivery.outcome)) for delivery in view.deliveries]
            assert outcomes == [("twilio", "undelivered"), ("mada", "accepted")]
            message = otp.sandbox_inbox(phone)[-1]
            assert (message.instance, message.channel) == ("mada", challenge.channel)
            assert await otp.verify(phone, message.code, purpose=ask.__name__)


async def test_without_a_next_provider_an_undelivered_send_is_unsendable(configured: Configure) -> None:
    phone = number("undelivered")
    async with AsyncOTPService(configured("twilio")) as otp:
        challenge = await otp.send_sms(phone)
        (view,) = await otp._service.store.view(challenge_id=challenge.id)
        assert view.challenge.state is ChallengeState.UNSENDABLE
        assert otp.sandbox_inbox() == ()


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


def test_a_host_shows_its_form_for_each_outcome(configured: Configure) -> None:
    """As a host would write it: a view that answers a browser, and a browser's answers for people it cannot reach."""
    otp = OTPService(configured())

    def ask_for_code(phone: str) -> str:
        try:
            sent: Challenge = otp.send_sms(phone)
        except DeliveryError as error:
            return f"offer a {error.try_channel}" if error.try_channel else "offer another way"
        return "type the code" if sent.confirmed else "type the code if it comes"

    with otp:
        answers = {one.name: ask_for_code(START + digits) for digits, one in MAGIC.items()}
        typed = {message.phone.e164: message.code for message in otp.sandbox_inbox()}
        assert otp.verify(number("accepted"), typed[number("accepted")])
        assert otp.sandbox_inbox(number("accepted"))[-1].code == typed[number("accepted")]
    assert answers == {
        "accepted": "type the code",
        "late": "type the code if it comes",
        "never": "type the code",
        "landline": "offer a call",
        "opted out": "offer another way",
        "throttled": "offer another way",
        "unavailable": "offer another way",
        "ambiguous": "type the code if it comes",
        "misconfigured": "type the code",
        "undelivered": "type the code",
    }


def stored(directory: Path) -> str:
    """Every byte of the database."""
    return "".join(file.read_bytes().decode("latin-1") for file in directory.glob("otp.sqlite3*"))


async def due(otp: AsyncOTPService) -> Any:
    """When the next retry is due."""
    return await otp._service.store.next_due()


async def run_due(otp: AsyncOTPService) -> None:
    """Run the retries that are due, as a worker would."""
    for claim in await otp._retries.claim(10):
        await otp._retries.run(claim)
