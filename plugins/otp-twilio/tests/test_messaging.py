"""Mode ``messaging``: what goes to Messages and Calls."""

from __future__ import annotations

import pytest
from otp_twilio import Mode
from otp_twilio.messaging import twiml

from otpcore.messages.texts import render_call
from otpcore.providers import Channel, CodeOwner

NUMBER = "+359871234567"
TEXT = "Acme: 042137. Valid 5 minutes."


@pytest.fixture
def sms(bench):
    def build(**other):
        return bench.delivery(**{"code": "042137", "text": TEXT, **other})

    return build


@pytest.fixture
def call(bench):
    def build(**other):
        spoken = render_call(code="042137", locale="en", purpose="login", app="Smith & Sons")
        return bench.delivery(**{"channel": Channel.CALL, "code": "042137", "text": spoken, **other})

    return build


async def test_a_message_goes_out_from_the_number_for_as_long_as_the_code_lives(bench, sms):
    async with bench.instance(Mode.MESSAGING) as provider:
        receipt = await provider.send_sms(sms(life=123.9))
    sender = bench.simulator.from_number
    assert bench.form == {"To": NUMBER, "From": sender, "Body": TEXT, "ValidityPeriod": "123"}
    message = bench.simulator.inbox[-1]
    assert (message.text, message.code, message.reference) == (TEXT, "042137", receipt.reference)
    assert receipt.reference.startswith("SM")


@pytest.mark.parametrize(("life", "validity"), [(-5, "1"), (0.4, "1"), (86_400, "36000")])
async def test_the_validity_stays_within_what_twilio_takes(bench, sms, life, validity):
    async with bench.instance(Mode.MESSAGING) as provider:
        await provider.send_sms(sms(life=life))
    assert bench.form["ValidityPeriod"] == validity


async def test_a_messaging_service_sends_instead_of_a_number_and_a_sender_of_the_host_before_both(bench, sms):
    service = bench.simulator.messaging_service_sid
    async with bench.instance(Mode.MESSAGING, messaging_service_sid=service) as provider:
        await provider.send_sms(sms())
        assert (bench.form.get("From"), bench.form["MessagingServiceSid"]) == (None, service)
        await provider.send_sms(sms(sender="Acme"))
        assert (bench.form["From"], bench.form.get("MessagingServiceSid")) == ("Acme", None)
    assert len(bench.simulator.inbox) == 2


async def test_a_call_speaks_the_text_in_the_language_of_the_person(bench, call):
    async with bench.instance(Mode.MESSAGING) as provider:
        receipt = await provider.call(call(locale="en-GB", life=42.5, sender="Acme"))
    assert (bench.form["From"], bench.form["Timeout"]) == (bench.simulator.from_number, "42")
    assert '<Say language="en-GB">Your Smith &amp; Sons code is' in bench.form["Twiml"]
    heard = bench.simulator.inbox[-1]
    assert (heard.code, heard.channel, heard.reference) == ("042137", Channel.CALL, receipt.reference)
    assert heard.text.count("0, 4, 2, 1, 3, 7") == 2


async def test_a_number_of_the_host_calls_and_rings_at_most_a_minute(bench, call):
    bench.simulator.from_number = "+15005550123"
    async with bench.instance(Mode.MESSAGING, from_number="+15005550006") as provider:
        await provider.call(call(sender="+15005550123"))
    assert (bench.form["From"], bench.form["Timeout"]) == ("+15005550123", "60")


@pytest.mark.parametrize(
    ("settings", "channels"),
    [
        ({}, {Channel.SMS, Channel.CALL}),
        ({"from_number": "Acme"}, {Channel.SMS}),
        ({"from_number": "12345"}, {Channel.SMS}),
        ({"from_number": "", "messaging_service_sid": "MG" + "0" * 32}, {Channel.SMS}),
    ],
)
async def test_only_a_full_number_can_call(bench, settings, channels):
    async with bench.instance(Mode.MESSAGING, **settings) as provider:
        info = provider.describe()
    assert (info.channels, info.code_owner) == (channels, CodeOwner.CORE)


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("en", "en-US"),
        ("en_AU", "en-AU"),
        ("en-ZA", "en-US"),
        ("bg", "bg-BG"),
        ("pt-BR", "pt-BR"),
        ("zh", "cmn-CN"),
        ("zh-Hant-TW", "cmn-TW"),
        ("no", "nb-NO"),
        ("tlh", ""),
    ],
)
def test_the_language_of_the_voice_is_one_that_twilio_speaks(locale, language):
    expected = f' language="{language}"' if language else ""
    assert twiml("1, 2", locale) == f"<Response><Say{expected}>1, 2</Say></Response>"


async def test_a_text_with_markup_and_control_characters_is_spoken_as_text(bench, call):
    async with bench.instance(Mode.MESSAGING) as provider:
        await provider.call(call(text='<Dial>"1"</Dial> &amp; \x00\x0b\ud800 1, 2, 3, 4 😀'))
    assert bench.simulator.inbox[-1].text == '<Dial>"1"</Dial> &amp;     1, 2, 3, 4 😀'
