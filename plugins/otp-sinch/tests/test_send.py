"""Starting verifications: what goes out, what comes back, what a repeat does."""

from __future__ import annotations

import base64

import pytest

from otpcore.providers import Channel, CheckResult, ErrorKind, Feature, ProviderError
from otpcore.simulators import Fault

CALL = Channel.CALL


async def test_an_sms_is_started_with_our_reference_our_language_and_the_remaining_life(bench):
    async with bench.instance() as sinch:
        delivery = bench.delivery(life=299.2, locale="pt-BR")
        receipt = await sinch.send_sms(delivery)
    (request,) = bench.simulator.requests
    assert (request.method, request.path) == ("POST", "/verification/v1/verifications")
    assert request.json() == {
        "identity": {"type": "number", "endpoint": delivery.recipient.e164},
        "method": "sms",
        "reference": delivery.delivery_id,
        "smsOptions": {"expiry": "00:05:00", "codeType": "Numeric"},
    }
    assert request.headers["accept-language"] == "pt-BR"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"].startswith(f"Application {bench.simulator.application_key}:")
    (message,) = bench.simulator.inbox
    assert (message.recipient, message.channel, message.reference) == (
        delivery.recipient.e164,
        Channel.SMS,
        receipt.reference,
    )


@pytest.mark.parametrize(("auth", "is_sent"), [("application", True), ("basic", False)])
async def test_the_android_hash_is_an_option_of_signed_requests(bench, auth, is_sent):
    async with bench.instance(auth=auth) as sinch:
        assert sinch.describe().carried(Channel.SMS).takes(Feature.ANDROID_HASH) is is_sent
        await sinch.send_sms(bench.delivery(android_hash="FA+9qCX9VSu"))
    options = bench.simulator.requests[-1].json().get("smsOptions", {})
    assert options.get("applicationHash") == ("FA+9qCX9VSu" if is_sent else None)
    assert bench.simulator.inbox[-1].text.endswith("\nFA+9qCX9VSu") is is_sent


@pytest.mark.parametrize(
    ("life", "expiry"), [(60.0, "00:01:00"), (0.3, "00:00:01"), (-5.0, "00:00:01"), (36_610.0, "10:10:10")]
)
async def test_the_expiry_is_the_remaining_life_rounded_up(bench, life, expiry):
    async with bench.instance() as sinch:
        await sinch.send_sms(bench.delivery(life=life))
    assert bench.simulator.requests[0].json()["smsOptions"]["expiry"] == expiry


@pytest.mark.parametrize("code_type", ["Alpha", "Alphanumeric"])
async def test_codes_are_digits_whatever_the_app_is_set_to(bench, code_type):
    bench.simulator.code_type, bench.simulator.code_digits = code_type, 10
    async with bench.instance() as sinch:
        for send, channel in ((sinch.send_sms, Channel.SMS), (sinch.call, CALL)):
            delivery = bench.delivery(channel=channel)
            receipt = await send(delivery)
            assert bench.code.isdigit()
            assert await sinch.check_code(bench.check(delivery, receipt.reference, bench.code)) is CheckResult.APPROVED


async def test_with_basic_authentication_the_app_decides_what_codes_are(bench):
    bench.simulator.code_type, bench.simulator.code_digits = "Alpha", 10
    async with bench.instance(auth="basic") as sinch:
        await sinch.send_sms(bench.delivery())
    assert bench.code.isalpha()


async def test_what_a_host_says_besides_is_not_for_sinch(bench):
    said = {"client": "203.0.113.7", "metadata": {"payee": "Nobody at all"}, "sender": "Acme", "template_id": "1107"}
    async with bench.instance() as sinch:
        delivery = bench.delivery(**said)
        receipt = await sinch.send_sms(delivery)
        await sinch.check_code(bench.check(delivery, receipt.reference, bench.code))
    sent = b"".join(request.body for request in bench.simulator.requests)
    assert not any(word in sent for word in (b"203.0.113.7", b"Nobody", b"Acme", b"1107"))


async def test_a_call_is_started_in_a_language_with_region(bench):
    async with bench.instance() as sinch:
        await sinch.call(bench.delivery(channel=CALL, locale="de"))
    body = bench.simulator.requests[0].json()
    assert (body["method"], body["calloutOptions"]) == ("callout", {"speech": {"locale": "de-DE"}})
    assert "smsOptions" not in body
    assert bench.simulator.inbox[0].channel is CALL


async def test_a_call_in_a_language_that_sinch_may_not_speak_is_left_to_its_default(bench):
    async with bench.instance() as sinch:
        await sinch.call(bench.delivery(channel=CALL, locale="bg"))
    assert "calloutOptions" not in bench.simulator.requests[0].json()
    assert len(bench.simulator.inbox) == 1


@pytest.mark.parametrize("channel", [Channel.SMS, CALL])
async def test_basic_authentication_sends_no_options(bench, channel):
    async with bench.instance(auth="basic") as sinch:
        delivery = bench.delivery(channel=channel)
        receipt = await (sinch.send_sms if channel is Channel.SMS else sinch.call)(delivery)
        assert await sinch.check_code(bench.check(delivery, receipt.reference, bench.code)) is CheckResult.APPROVED
    start = bench.simulator.requests[0]
    assert set(start.json()) == {"identity", "method", "reference"}
    secret = f"{bench.simulator.application_key}:{bench.simulator.application_secret}"
    assert start.headers["authorization"] == f"Basic {base64.b64encode(secret.encode()).decode()}"
    assert "x-timestamp" not in start.headers


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        ("+46701740610", ErrorKind.BLOCKED, "DENIED: fraud"),
        ("+46701740611", ErrorKind.BLOCKED, "DENIED: blocked"),
        ("+46701740612", ErrorKind.MISCONFIGURED, "DENIED: not enough credit"),
        ("+46701740613", ErrorKind.MISCONFIGURED, "DENIED: destination denied"),
        ("+46701740614", ErrorKind.MISCONFIGURED, "DENIED: denied by callback"),
        ("+46701740615", ErrorKind.MISCONFIGURED, "DENIED: invalid callback"),
        ("+46701740620", ErrorKind.UNAVAILABLE, "ERROR: network error or number unreachable"),
        ("+46701740621", ErrorKind.UNAVAILABLE, "ERROR: internal error"),
        ("+46701740630", ErrorKind.REJECTED_NUMBER, "40001"),
        ("+46701740631", ErrorKind.MISCONFIGURED, "40200"),
        ("+46701740632", ErrorKind.MISCONFIGURED, "40303"),
        ("+46701740633", ErrorKind.AMBIGUOUS, "40900"),
        ("+46701740634", ErrorKind.MISCONFIGURED, "42201"),
        ("+46701740635", ErrorKind.THROTTLED, "42900"),
        ("+46701740636", ErrorKind.LIMIT_REACHED, "42901"),
        ("+46701740637", ErrorKind.AMBIGUOUS, "50000"),
        ("+46701740638", ErrorKind.UNAVAILABLE, "50300"),
        ("+46701740639", ErrorKind.MISCONFIGURED, "50301"),
    ],
)
async def test_a_refused_start_is_an_error_of_its_kind_that_quotes_no_number(bench, number, kind, code):
    async with bench.instance() as sinch:
        with pytest.raises(ProviderError) as failure:
            await sinch.send_sms(bench.delivery(number))
    assert (failure.value.kind, failure.value.provider_code) == (kind, code)
    assert number[1:] not in f"{failure.value} {failure.value!r}"
    assert not bench.simulator.inbox


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"application_secret": "YW5vdGhlci1zZWNyZXQ="}, "40102"),
        ({"application_key": "another-key"}, "40108"),
        ({"application_key": "another-key", "auth": "basic"}, "40108"),
    ],
)
async def test_wrong_credentials_are_a_matter_for_the_operator(bench, settings, code):
    async with bench.instance(**settings) as sinch:
        with pytest.raises(ProviderError) as failure:
            await sinch.send_sms(bench.delivery())
    assert (failure.value.kind, failure.value.provider_code) == (ErrorKind.MISCONFIGURED, code)


async def test_a_host_clock_that_is_off_is_a_matter_for_the_operator(bench):
    sinch_clock, host_clock = bench.clock(), type(bench.clock)()
    host_clock.advance(-3600)
    async with bench.instance(clock=host_clock) as sinch:
        with pytest.raises(ProviderError, match="clock") as failure:
            await sinch.send_sms(bench.delivery())
    assert (failure.value.kind, failure.value.provider_code) == (ErrorKind.MISCONFIGURED, "40101")
    assert bench.clock() == sinch_clock


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.RESET_AFTER_WORK, ErrorKind.AMBIGUOUS),
        (Fault.CLOSE_AFTER_READ, ErrorKind.AMBIGUOUS),
        (Fault.GARBAGE_BODY, ErrorKind.AMBIGUOUS),
        (Fault.HTTP_500, ErrorKind.AMBIGUOUS),
        (Fault.HTTP_503, ErrorKind.UNAVAILABLE),
        (Fault.HTTP_429, ErrorKind.THROTTLED),
        (Fault.HTTP_401, ErrorKind.MISCONFIGURED),
        (Fault.REDIRECT, ErrorKind.MISCONFIGURED),
    ],
)
async def test_a_fault_on_the_way_is_classified_and_the_start_is_sent_once(bench, fault, kind):
    bench.simulator.fail(fault)
    async with bench.instance() as sinch:
        with pytest.raises(ProviderError) as failure:
            await sinch.send_sms(bench.delivery())
    assert failure.value.kind is kind
    assert failure.value.retry_after == (7.0 if fault is Fault.HTTP_429 else None)
    assert len(bench.simulator.requests) == 1


async def test_a_sinch_that_is_down_certainly_sent_nothing(bench):
    async with bench.instance() as sinch:
        bench.simulator.down()
        with pytest.raises(ProviderError) as failure:
            await sinch.send_sms(bench.delivery())
    assert failure.value.kind is ErrorKind.UNAVAILABLE


async def lose_the_answer(bench, sinch, delivery):
    """Start a verification of which the host never hears."""
    bench.simulator.fail(Fault.RESET_AFTER_WORK)
    with pytest.raises(ProviderError):
        await (sinch.send_sms if delivery.channel is Channel.SMS else sinch.call)(delivery)
    return delivery.delivery_id


async def test_a_repeat_finds_the_start_whose_answer_was_lost_and_sends_no_second_message(bench):
    async with bench.instance() as sinch:
        lost = await lose_the_answer(bench, sinch, bench.delivery())
        delivery = bench.delivery(repeat=lost)
        receipt = await sinch.send_sms(delivery)
        (message,) = bench.simulator.inbox
        assert receipt.reference == message.reference
        assert await sinch.check_code(bench.check(delivery, receipt.reference, message.code)) is CheckResult.APPROVED


async def test_a_repeat_of_a_start_that_never_arrived_sends_the_message(bench):
    async with bench.instance() as sinch:
        receipt = await sinch.send_sms(bench.delivery(repeat="never-arrived"))
    assert [message.reference for message in bench.simulator.inbox] == [receipt.reference]


async def test_a_repeat_after_the_earlier_one_expired_sends_a_new_message(bench):
    async with bench.instance() as sinch:
        lost = await lose_the_answer(bench, sinch, bench.delivery(life=60))
        bench.clock.advance(60)
        receipt = await sinch.send_sms(bench.delivery(repeat=lost))
    assert [message.reference for message in bench.simulator.inbox][1:] == [receipt.reference]


async def test_a_repeat_as_a_call_is_not_satisfied_by_an_sms(bench):
    async with bench.instance() as sinch:
        lost = await lose_the_answer(bench, sinch, bench.delivery())
        await sinch.call(bench.delivery(channel=CALL, repeat=lost))
    assert [message.channel for message in bench.simulator.inbox] == [Channel.SMS, CALL]


async def test_a_repeat_of_a_start_that_was_denied_is_denied_without_another_start(bench):
    async with bench.instance() as sinch:
        lost = await lose_the_answer(bench, sinch, bench.delivery("+46701740610"))
        with pytest.raises(ProviderError) as failure:
            await sinch.send_sms(bench.delivery("+46701740610", repeat=lost))
    assert failure.value.kind is ErrorKind.BLOCKED
    assert [request.method for request in bench.simulator.requests] == ["POST", "GET"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.RESET_AFTER_READ, ErrorKind.UNAVAILABLE),
        (Fault.CLOSE_AFTER_READ, ErrorKind.UNAVAILABLE),
        (Fault.GARBAGE_BODY, ErrorKind.UNAVAILABLE),
        (Fault.HTTP_500, ErrorKind.UNAVAILABLE),
        (Fault.HTTP_503, ErrorKind.UNAVAILABLE),
        (Fault.HTTP_429, ErrorKind.THROTTLED),
        (Fault.HTTP_401, ErrorKind.MISCONFIGURED),
    ],
)
async def test_a_repeat_that_cannot_ask_sends_nothing_and_says_so(bench, fault, kind):
    async with bench.instance() as sinch:
        lost = await lose_the_answer(bench, sinch, bench.delivery())
        bench.simulator.fail(fault)
        with pytest.raises(ProviderError) as failure:
            await sinch.send_sms(bench.delivery(repeat=lost))
    assert failure.value.kind is kind
    assert [request.method for request in bench.simulator.requests] == ["POST", "GET"]


@pytest.mark.parametrize("fault", [Fault.HTTP_404, Fault.GARBAGE_BODY])
async def test_the_account_is_right_only_in_sinchs_own_words(bench, fault):
    async with bench.instance() as sinch:
        assert (await sinch.check_account()).summary == "key and secret are right"
        bench.simulator.fail(fault)
        with pytest.raises(ProviderError, match="check base_url") as failure:
            await sinch.check_account()
    assert failure.value.kind is ErrorKind.MISCONFIGURED
