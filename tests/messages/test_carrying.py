"""What a send asks for is carried by whoever takes it, or nothing is sent: a text, a language, a hash."""

from __future__ import annotations

import pickle

import anyio
import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from otp_mada.simulator import MadaSimulator

from otpcore import (
    AsyncOTPService,
    Carries,
    ChallengeState,
    Channel,
    CodeOwner,
    DeliveryError,
    Feature,
    InvalidArgument,
    NoRouteError,
)
from otpcore.messages.texts import render_sms
from otpcore.testing import Outbox

from .instances import PAYMENT, PHONE, Instance, VendorInstance, Vendors, service, vendor

OTHER = "+359881234567"
HASH = "FA+9qCX9VSu"


# Row by row: the vendors' own plugins, over HTTP.


async def test_a_text_of_the_hosts_is_never_replaced_by_the_vendors(vendors: Vendors) -> None:
    async with vendors.service("verify;sinch") as otp:
        for send in (otp.send_sms, otp.call):
            with pytest.raises(NoRouteError, match="verify cannot carry a text of your own; sinch cannot") as refused:
                await send(PHONE, message=PAYMENT)
            assert refused.value.reason == "cannot_carry"
            assert "Bob" not in str(refused.value)
            assert PHONE not in str(refused.value)
        assert vendors.nobody_was_asked
        assert (await otp.send_sms(PHONE)).provider == "verify", "nothing was charged and nothing cools down"


async def test_one_that_carries_the_text_takes_it_though_others_come_first(vendors: Vendors) -> None:
    async with vendors.service("verify;sinch;texts") as otp:
        challenge = await otp.send_sms(PHONE, message=PAYMENT)
        assert challenge.provider == "texts"
        (message,) = vendors.twilio.inbox
        assert message.text == f"Pay 100 EUR to Bob: {challenge.code}"
        assert not vendors.sinch.requests


@pytest.mark.parametrize(
    ("rules", "channel", "locale"),
    [
        ("verify", Channel.SMS, "bg"),
        ("verify", Channel.CALL, "ka-GE"),
        ("sinch", Channel.CALL, "bg"),
        ("basic", Channel.CALL, "en"),  # the app's own language, whatever is asked for
    ],
)
async def test_a_language_that_the_caller_names_is_spoken_or_nothing_is_sent(
    vendors: Vendors, rules: str, channel: Channel, locale: str
) -> None:
    async with vendors.service(rules) as otp:
        send = otp.send_sms if channel is Channel.SMS else otp.call
        with pytest.raises(NoRouteError, match=f"the language '{locale}'") as refused:
            await send(PHONE, locale=locale)
        assert refused.value.reason == "cannot_carry"
        assert vendors.nobody_was_asked
        assert (await send(PHONE)).state is ChallengeState.SENT, "without a language of his own he takes the vendor's"


@pytest.mark.parametrize(("locale", "asked"), [("ja", "ja"), ("pt_BR", "pt-BR"), ("pt-PT", "pt"), ("fil", "tl")])
async def test_a_language_that_only_the_vendor_has_is_asked_of_it(vendors: Vendors, locale: str, asked: str) -> None:
    async with vendors.service("verify") as otp:
        await otp.send_sms(PHONE, locale=locale)
    assert vendors.twilio.requests[-1].form()["Locale"] == [asked]


async def test_sinch_is_asked_for_the_language_of_an_sms_and_of_a_call(vendors: Vendors) -> None:
    async with vendors.service("sinch") as otp:
        await otp.send_sms(PHONE, locale="ja")
        assert vendors.sinch.requests[-1].headers["accept-language"] == "ja"
        await otp.call(PHONE, locale="sv")
        assert vendors.sinch.requests[-1].json()["calloutOptions"] == {"speech": {"locale": "sv-SE"}}


async def test_the_language_of_the_settings_stops_no_send(vendors: Vendors) -> None:
    async with vendors.service("verify", locale="bg") as otp:
        await otp.send_sms(PHONE)
    assert "Locale" not in vendors.twilio.requests[-1].form()


async def test_a_call_in_a_language_without_a_voice_is_not_read_by_another_one(vendors: Vendors) -> None:
    async with vendors.service("texts") as otp:
        with pytest.raises(NoRouteError, match="'ka'"):
            await otp.call(PHONE, locale="ka", message="{code}")
        assert (await otp.call(PHONE, locale="bg", message="{code}")).provider == "texts"
    assert "bg-BG" in vendors.twilio.requests[-1].form()["Twiml"][0]


async def test_the_android_hash_goes_out_with_the_vendors_text_too(vendors: Vendors) -> None:
    for rules in ("verify", "sinch", "basic"):
        async with vendors.service(rules, android_hash=HASH) as otp:
            await otp.send_sms(PHONE)
    (by_twilio,) = vendors.twilio.inbox
    by_sinch, by_basic = vendors.sinch.inbox
    assert vendors.twilio.requests[-1].form()["AppHash"] == [HASH]
    assert vendors.sinch.requests[0].json()["smsOptions"]["applicationHash"] == HASH
    assert by_twilio.text.endswith(f"\n{HASH}")
    assert by_sinch.text.endswith(f"\n{HASH}")
    assert HASH not in by_basic.text  # Sinch takes options in signed requests only; doctor says it


@pytest.mark.parametrize(
    ("carries", "wish", "what"),
    [
        (Carries(gsm_only=True), {"message": "Код {code}"}, "letters beyond the GSM alphabet"),
        (Carries(gsm_only=True), {"locale": "bg"}, "letters beyond the GSM alphabet"),
        (Carries(most_parts=1), {"message": "x" * 160 + "{code}"}, "a text of 2 SMS"),
        (Carries(most_parts=1), {"message": "Ж" * 70 + "{code}"}, "a text of 2 SMS"),
    ],
)
async def test_a_text_that_an_instance_would_refuse_is_not_taken_to_it(
    carries: Carries, wish: dict[str, str], what: str
) -> None:
    unable, able = Instance(carries={Channel.SMS: carries}), Instance()
    async with service({"unable": unable}) as otp:
        with pytest.raises(NoRouteError, match=f"unable cannot carry {what}") as refused:
            await otp.send_sms(PHONE, **wish)
        assert refused.value.reason == "cannot_carry"
        await otp.call(PHONE, **wish)
        await otp.send_sms(OTHER, message="Code {code}")
        assert [request.channel for request in unable.asked] == [Channel.CALL, Channel.SMS]
    async with service({"unable": unable, "able": able}) as otp:
        assert (await otp.send_sms(PHONE, **wish)).provider == "able"
        assert len(unable.asked) == 2


async def test_mada_is_not_called_misconfigured_for_one_persons_text() -> None:
    with MadaSimulator() as mada:
        config = {"otp_sms_provider": "mada", "providers": {"mada": mada.provider_settings()}}
        async with AsyncOTPService({**Outbox().settings, **config}) as otp:
            for wish in ({"message": "Код {code}"}, {"message": "x" * 200 + "{code}"}, {"locale": "bg"}):
                with pytest.raises(NoRouteError, match="mada cannot carry"):
                    await otp.send_sms(PHONE, client="203.0.113.7", **wish)
            assert (await otp.status()).obstacles == ()


async def test_the_hash_is_no_affair_of_a_call(vendors: Vendors) -> None:
    async with vendors.service("verify;sinch", android_hash=HASH) as otp:
        await otp.call(PHONE)
    assert "AppHash" not in vendors.twilio.requests[-1].form()


async def test_a_text_of_ours_has_the_hash_once(vendors: Vendors) -> None:
    async with vendors.service("texts", android_hash=HASH) as otp:
        await otp.send_sms(PHONE)
    (message,) = vendors.twilio.inbox
    assert message.text.count(HASH) == 1


def test_the_error_travels_between_processes_with_its_reason() -> None:
    error = pickle.loads(pickle.dumps(NoRouteError("nobody", reason="cannot_carry")))
    assert (str(error), error.reason) == ("nobody", "cannot_carry")
    assert NoRouteError("nobody").reason == "no_route"


async def test_without_rules_the_reason_is_that() -> None:
    async with AsyncOTPService(Outbox().settings) as otp:
        with pytest.raises(NoRouteError) as refused:
            await otp.send_sms(PHONE, message=PAYMENT)
        assert refused.value.reason == "no_rules"


async def test_what_is_quoted_of_a_language_is_short() -> None:
    async with service({"generic": vendor()}) as otp:
        with pytest.raises(NoRouteError) as refused:
            await otp.send_sms(PHONE, locale="x" * 100)
        assert len(str(refused.value)) < 500
        with pytest.raises(InvalidArgument) as too_long:
            await otp.send_sms(PHONE, locale="x" * 5_000_000)
        assert len(str(too_long.value)) < 500


# Any route of any instances, against an oracle that knows nothing of the code.

TAGS = ("en", "pt", "pt-BR", "bg", "ja", "ka")
LANGUAGES = st.none() | st.frozensets(st.sampled_from(TAGS))
CARRIED = st.none() | st.builds(
    Carries, features=st.sampled_from([frozenset(), frozenset({Feature.TEXT})]), languages=LANGUAGES
)
OWNERS = st.sampled_from(CodeOwner)


@attrs.frozen
class Scene:
    owner: CodeOwner
    carried: Carries | None

    def instance(self) -> Instance:
        kind = VendorInstance if self.owner is CodeOwner.PROVIDER else Instance
        return kind(self.owner, {Channel.SMS: self.carried} if self.carried else {}, is_down=True)

    def is_fit(self, message: str | None, locale: str | None) -> bool:
        """By the words of the reference."""
        core = self.owner is CodeOwner.CORE
        if self.carried is None:
            return core or (message is None and locale is None)
        if message is not None and Feature.TEXT not in self.carried.features:
            return False
        if locale is None or self.carried.languages is None:
            return True
        worded_by_vendor = not core or Feature.TEXT not in self.carried.features
        has_words = worded_by_vendor or message is not None or locale.partition("-")[0] in ("en", "pt", "bg")
        language = locale if has_words else "en"
        return language.lower() in self.carried.languages or language.partition("-")[0] in self.carried.languages


@settings(deadline=None)
@given(
    scenes=st.lists(st.builds(Scene, OWNERS, CARRIED), min_size=1, max_size=4),
    message=st.sampled_from([None, PAYMENT]),
    locale=st.sampled_from([None, *TAGS]),
)
@example(
    scenes=[Scene(CodeOwner.CORE, Carries(features=frozenset(), languages=frozenset({"en"})))],
    message=None,
    locale="ka",
)
def test_who_is_tried_is_who_can_carry_everything_that_is_asked_for(
    scenes: list[Scene], message: str | None, locale: str | None
) -> None:
    instances = {f"i{number}": scene.instance() for number, scene in enumerate(scenes)}
    fit = [name for name, scene in zip(instances, scenes, strict=True) if scene.is_fit(message, locale)]

    async def send() -> None:
        async with service(instances) as otp:
            if not fit:
                with pytest.raises(NoRouteError) as refused:
                    await otp.send_sms(PHONE, message=message, locale=locale)
                assert refused.value.reason == "cannot_carry"
                return
            with pytest.raises(DeliveryError) as failed:  # all are down, so that everyone is tried
                await otp.send_sms(PHONE, message=message, locale=locale)
            assert [attempt.provider for attempt in failed.value.attempts] == fit

    anyio.run(send)
    assert [name for name, one in instances.items() if one.asked] == fit
    for one in instances.values():
        for request in one.asked:  # and nothing was dropped on the way
            if one.owner is CodeOwner.PROVIDER:
                assert request.locale == (locale or "en")
            else:
                assert request.code is not None
                assert request.text == render_sms(
                    code=request.code, locale=locale or "en", purpose="default", minutes=5, app="", message=message
                )
