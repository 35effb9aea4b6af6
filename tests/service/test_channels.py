"""A channel is a word: over any one that a provider declares a code is routed, sent, retried and verified."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from otpcore import (
    AsyncOTPService,
    ChallengeState,
    Channel,
    DeliveryError,
    DeliveryReceipt,
    DeliveryRequest,
    InvalidArgument,
    NoRouteError,
    ProviderInfo,
    RateLimited,
    hookimpl,
)
from otpcore.stores.memory.store import MemoryStore
from otpcore.testing import Outbox

PHONE = "+359871234567"
WHATSAPP, VIBER = Channel("whatsapp"), Channel("viber")
EVERYWHERE = frozenset({Channel.SMS, Channel.CALL, WHATSAPP})


@attrs.define(eq=False)
class Messenger:
    """Delivers over one channel alone."""

    channel: Channel
    taken: list[DeliveryRequest] = attrs.field(factory=list)

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Messenger", channels=frozenset({self.channel}))

    @hookimpl
    def send_message(self, request: DeliveryRequest) -> DeliveryReceipt:
        self.taken.append(request)
        return DeliveryReceipt(reference=request.delivery_id)


def texts(_: Any) -> Outbox:
    """SMS and calls."""
    return Outbox()


def everywhere(_: Any) -> Outbox:
    """WhatsApp too."""
    return Outbox(channels=EVERYWHERE)


def whatsapp(_: Any) -> Messenger:
    """WhatsApp alone."""
    return Messenger(WHATSAPP)


def viber(_: Any) -> Messenger:
    """Viber alone."""
    return Messenger(VIBER)


def routed(rules: str, **more: Any) -> dict[str, Any]:
    """Settings with these rules for SMS, and an instance for each function above."""
    instances = {
        made.__name__: {"plugin": f"{__name__}:{made.__name__}"} for made in (texts, everywhere, whatsapp, viber)
    }
    return {**Outbox().settings, "otp_sms_provider": rules, "providers": instances, **more}


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(channels=EVERYWHERE)


# A send.


async def test_a_code_goes_over_the_channel_and_verifies(outbox: Outbox) -> None:
    async with outbox.service({"otp": {"web_otp_host": "shop.example", "app": "Shop"}}) as otp:
        challenge = await otp.send(PHONE, channel="whatsapp")
        assert (challenge.channel, challenge.state, challenge.to_dict()["channel"]) == (
            WHATSAPP,
            ChallengeState.SENT,
            "whatsapp",
        )
        (message,) = outbox.messages
        assert (message.channel, challenge.code) == (WHATSAPP, outbox.code)
        assert "@shop.example" not in message.text  # that line is for the browser, which reads SMS
        assert await otp.verify(PHONE, outbox.code)


async def test_sms_and_calls_are_named_by_their_words_too(outbox: Outbox) -> None:
    async with outbox.service() as otp:
        assert (await otp.send(PHONE)).channel is Channel.SMS
        assert (await otp.send(PHONE, channel="call")).channel is Channel.CALL
        assert [message.channel for message in outbox.messages] == ["sms", "call"]
        assert ", " in outbox.messages[1].text  # digits apart


async def test_each_channel_cools_down_for_itself_with_the_same_code(outbox: Outbox) -> None:
    async with outbox.service() as otp:
        for channel in ("sms", "whatsapp", "call"):
            first = await otp.send(PHONE, channel=channel)
            again = await otp.send(PHONE, channel=channel)
            assert (first.id, first.resend_at) == (again.id, again.resend_at)
        assert [message.channel for message in outbox.messages] == ["sms", "whatsapp", "call"]
        assert len({message.code for message in outbox.messages}) == 1


@pytest.mark.parametrize("word", ["", "WhatsApp", "whats-app", "1a", "sms ", "a" * 21, None, 3, b"sms"])
async def test_what_is_no_word_is_refused_at_the_edge(otp_outbox: Outbox, word: Any) -> None:
    async with otp_outbox.service() as otp:
        with pytest.raises(InvalidArgument, match="channel"):
            await otp.send(PHONE, channel=word)
    assert otp_outbox.messages == []


async def test_a_test_number_works_over_every_channel() -> None:
    numbers = {"one": {"number": PHONE, "code": "123456", "until": "2999-01-01"}}
    settings = routed("texts", sms={"test_numbers": numbers, "test_numbers_on": ["one"]})
    async with AsyncOTPService(settings) as otp:
        await otp.send(PHONE, channel="whatsapp")
        assert await otp.verify(PHONE, "123456")


# Rules.


@pytest.mark.parametrize(
    ("rules", "own", "expected"),
    [
        ("texts;everywhere;whatsapp", "", "everywhere"),
        ("texts;whatsapp;everywhere", "", "whatsapp"),
        ("texts;everywhere;whatsapp", "whatsapp", "whatsapp"),
        ("texts", "whatsapp", "whatsapp"),
        ("texts;whatsapp:+359;everywhere", "", "whatsapp"),
    ],
)
async def test_who_serves_a_channel(rules: str, own: str, expected: str) -> None:
    async with AsyncOTPService(routed(rules, otp_whatsapp_provider=own)) as otp:
        assert (await otp.send(PHONE, channel="whatsapp")).provider == expected
        assert (await otp.send(PHONE)).provider in ("texts", "everywhere")


@pytest.mark.parametrize(
    ("more", "reason"),
    [({}, "no_rules"), ({"otp_whatsapp_provider": "whatsapp:+49"}, "no_route")],
    ids=["of nobody", "of another number"],
)
async def test_a_channel_without_a_route(more: dict[str, Any], reason: str) -> None:
    async with AsyncOTPService(routed("texts", **more)) as otp:
        with pytest.raises(NoRouteError) as refused:
            await otp.send(PHONE, channel="whatsapp")
        assert refused.value.reason == reason
        assert ("otp_whatsapp_provider" in str(refused.value)) is (reason == "no_rules")
        assert PHONE not in str(refused.value)


async def test_stored_rules_of_a_channel_take_force_while_it_runs_and_go_again() -> None:
    store, settings = MemoryStore(), routed("texts", routing={"reload_every": 0.1})
    clock = Outbox().clock
    async with AsyncOTPService(settings, store=store, clock=clock) as otp:
        for stored, expected in (("viber", "viber"), (None, None), ("viber:+359", "viber")):
            await store.write_setting("otp_viber_provider", stored)
            clock.advance(31)
            if expected is None:
                with pytest.raises(NoRouteError):
                    await otp.send(PHONE, channel="viber")
            else:
                assert (await otp.send(PHONE, channel="viber")).provider == expected
                assert (await otp.diagnose())["rules"]["viber"] == "database"


async def test_words_that_nobody_serves_are_not_kept() -> None:
    async with AsyncOTPService(routed("texts")) as otp:
        for number in range(50):
            with pytest.raises(NoRouteError):
                await otp.send(PHONE, channel=f"word{number}")
        assert list((await otp.diagnose())["rules"]) == ["sms", "call", "whatsapp", "viber"]  # what instances declare


# Retries.


@pytest.mark.parametrize(
    ("sections", "is_retried"),
    [
        ({"sms": {"retry": True}}, True),
        ({"call": {"retry": True}}, False),
        ({"sms": {"retry": True}, "channels": {"whatsapp": {"max_retries": 3}}}, False),
        ({"channels": {"whatsapp": {"retry": True}}}, True),
        ({"channels": {"viber": {"retry": True}}}, False),
    ],
    ids=["as SMS", "not as calls", "its own section", "alone", "of another"],
)
async def test_what_is_retried(outbox: Outbox, sections: dict[str, Any], is_retried: bool) -> None:
    async with outbox.service(sections) as otp:
        assert (await otp.diagnose())["retries"]["whatsapp"] is is_retried
        outbox.fail("unavailable")
        if is_retried:
            assert (await otp.send(PHONE, channel="whatsapp")).state is ChallengeState.SENT
            assert await otp.verify(PHONE, outbox.code)
        else:
            with pytest.raises(DeliveryError):
                await otp.send(PHONE, channel="whatsapp")


# Limits.


async def test_a_limit_of_a_channel_counts_that_channel_alone(outbox: Outbox) -> None:
    limits = {"phone": [], "channel": {"whatsapp": ["2/1h"], "call": ["0/1d"]}}
    async with outbox.service({"limits": limits, "otp": {"cooldown": 0}}) as otp:
        for channel in ("whatsapp", "sms", "whatsapp", "sms"):
            await otp.send(PHONE, channel=channel)
        for channel, reason in (("whatsapp", "channel"), ("call", "denied")):
            with pytest.raises(RateLimited) as refused:
                await otp.send(PHONE, channel=channel)
            assert refused.value.reason == reason
        await otp.send(PHONE)


# The hint.


async def test_the_hint_names_a_channel_that_has_a_route_and_has_not_failed(outbox: Outbox) -> None:
    async with outbox.service() as otp:
        for channel, hint in (("sms", "call"), ("call", "whatsapp"), ("whatsapp", None)):
            outbox.fail("rejected_number")
            with pytest.raises(DeliveryError) as refused:
                await otp.send(PHONE, channel=channel)
            assert refused.value.try_channel == hint, channel


async def test_the_hint_follows_the_order_of_the_rules() -> None:
    sms = Outbox(channels=frozenset({Channel.SMS}))
    one, other = Messenger(VIBER), Messenger(WHATSAPP)
    async with sms.service(providers={"sms": sms, "viber": one, "whatsapp": other}) as otp:
        sms.fail("rejected_number")
        with pytest.raises(DeliveryError) as refused:
            await otp.send(PHONE)
        assert refused.value.try_channel == "viber"
        assert str(refused.value).startswith("not sent: permanent (try by viber)")
        await otp.send(PHONE, channel=refused.value.try_channel)
        assert [request.channel for request in one.taken] == [VIBER]


async def test_a_service_names_the_channels_that_its_rules_offer() -> None:
    async with AsyncOTPService(routed("texts")) as otp:
        assert otp.channels == (Channel.SMS, Channel.CALL)
    async with AsyncOTPService(routed("whatsapp")) as otp:
        assert otp.channels == (Channel.SMS, WHATSAPP)  # SMS has rules, though nobody of them can do it
    async with AsyncOTPService(routed("texts", otp_viber_provider="viber")) as otp:
        assert set(otp.channels) == {Channel.SMS, Channel.CALL, VIBER}
    async with AsyncOTPService(Outbox().settings, providers={"all": Messenger(WHATSAPP)}) as otp:
        assert otp.channels == (WHATSAPP,)
