"""Mode ``verify``: what goes to Verify, and what its answers mean."""

from __future__ import annotations

import pytest
from otp_twilio import VerifyProvider

from otpcore import AsyncOTPService, NoRouteError
from otpcore.providers import Channel, CheckResult, CodeOwner, ErrorKind, Feature
from otpcore.simulators import Fault, SimulatedAnswer
from otpcore.testing import Outbox

NUMBER = "+359871234567"
TEMPLATE = "HJ" + "0a" * 16


async def test_a_start_names_number_channel_and_language(bench):
    async with bench.instance() as provider:
        receipt = await provider.send_sms(bench.delivery(locale="pt-BR", template_id=TEMPLATE))
        assert bench.form == {"To": NUMBER, "Channel": "sms", "Locale": "pt-BR", "TemplateSid": TEMPLATE}
        again = await provider.call(bench.delivery(channel=Channel.CALL, locale="bg", template_id="1107"))
        assert bench.form == {"To": NUMBER, "Channel": "call"}  # Verify does not know bg; 1107 is another vendor's
    assert isinstance(provider, VerifyProvider)
    assert receipt.reference.startswith("VE")
    assert again == receipt
    sms, call = bench.simulator.inbox
    assert (sms.code, sms.reference) == (call.code, receipt.reference)


async def test_over_whatsapp_a_start_names_that_channel_and_no_template(bench):
    async with bench.instance(channels=["sms", "whatsapp"]) as provider:
        assert provider.describe().channels == {"sms", "whatsapp"}
        sms = await provider.send_sms(bench.delivery())
        message = await provider.send_message(
            bench.delivery(channel=Channel("whatsapp"), locale="pt-BR", template_id=TEMPLATE)
        )
        assert bench.form == {"To": NUMBER, "Channel": "whatsapp", "Locale": "pt-BR"}
        assert message == sms
        first, second = bench.simulator.inbox
        assert (first.code, second.channel) == (second.code, "whatsapp")
        assert await provider.check_code(bench.check(bench.code, message.reference)) is CheckResult.APPROVED


async def test_a_service_sends_over_whatsapp_once_the_instance_is_told_so(bench):
    twilio = bench.simulator.provider_settings()
    settings = {**Outbox().settings, "otp_sms_provider": "twilio", "providers": {"twilio": twilio}}
    async with AsyncOTPService(settings) as otp:
        with pytest.raises(NoRouteError) as refused:
            await otp.send(NUMBER, channel="whatsapp")
        assert (refused.value.reason, bench.simulator.requests) == ("no_rules", [])
    twilio["channels"] = ["sms", "call", "whatsapp"]
    async with AsyncOTPService(settings) as otp:
        assert (await otp.send(NUMBER, channel="whatsapp")).provider == "twilio"
        assert bench.simulator.inbox[-1].channel == "whatsapp"
        assert not await otp.verify(NUMBER, bench.wrong_code)
        assert await otp.verify(NUMBER, bench.code)


async def test_the_android_hash_goes_out_and_its_line_arrives(bench):
    async with bench.instance() as provider:
        await provider.send_sms(bench.delivery(android_hash="FA+9qCX9VSu"))
        assert bench.form["AppHash"] == "FA+9qCX9VSu"
        assert bench.simulator.inbox[-1].text.endswith(f"{bench.code}\nFA+9qCX9VSu")


async def test_the_simulator_refuses_what_is_no_android_hash(bench, failure_of):
    async with bench.instance() as provider:
        failure = await failure_of(provider.send_sms(bench.delivery(android_hash="short")))
    assert (failure.kind, failure.provider_code) == (ErrorKind.MISCONFIGURED, "60200")


def test_the_instance_carries_what_verify_takes_and_no_text(bench):
    info = bench.provider().describe()
    sms, call = info.carried(Channel.SMS), info.carried(Channel.CALL)
    assert (sms.takes(Feature.ANDROID_HASH), call.takes(Feature.ANDROID_HASH)) == (True, False)
    assert (sms.takes(Feature.TEMPLATE_ID, TEMPLATE), sms.takes(Feature.TEMPLATE_ID, "1107")) == (True, False)
    assert not any(sms.takes(one) for one in Feature if one not in (Feature.ANDROID_HASH, Feature.TEMPLATE_ID))
    whatsapp = info.carried(Channel("whatsapp"))
    assert not any(whatsapp.takes(one) for one in Feature)
    assert (whatsapp.speaks("pt-BR"), whatsapp.speaks("bg")) == (True, False)
    assert all(sms.speaks(tag) for tag in ("en", "en-AU", "pt-BR", "zh-TW", "no", "zh_hant"))
    assert not any(sms.speaks(tag) for tag in ("bg", "ka-GE", "e", ""))


async def test_the_instance_says_that_twilio_owns_the_code_within_its_service(bench):
    async with bench.instance() as provider:
        info = provider.describe()
    assert (info.code_owner, info.code_scope) == (CodeOwner.PROVIDER, f"twilio:{bench.simulator.service_sid}")
    assert (info.code_lengths, info.start_replaces) == (frozenset(range(4, 11)), False)


@pytest.mark.parametrize("by_reference", [True, False])
async def test_a_code_is_checked_by_sid_or_by_number(bench, by_reference):
    async with bench.instance() as provider:
        sid = (await provider.send_sms(bench.delivery())).reference
        reference = sid if by_reference else ""
        assert await provider.check_code(bench.check(bench.wrong_code, reference)) is CheckResult.INCORRECT
        whose = {"VerificationSid": sid} if by_reference else {"To": NUMBER}
        assert bench.form == {**whose, "Code": bench.wrong_code}
        assert await provider.check_code(bench.check(bench.code, reference)) is CheckResult.APPROVED
        assert await provider.check_code(bench.check(bench.code, reference)) is CheckResult.GONE


async def test_five_wrong_codes_and_ten_minutes_both_mean_gone(bench):
    async with bench.instance() as provider:
        sid = (await provider.send_sms(bench.delivery())).reference
        for _ in range(5):
            assert await provider.check_code(bench.check(bench.wrong_code, sid)) is CheckResult.INCORRECT
        assert await provider.check_code(bench.check(bench.code, sid)) is CheckResult.GONE
        sid = (await provider.send_sms(bench.delivery())).reference  # what was used up had been cancelled
        bench.advance(600)
        assert await provider.check_code(bench.check(bench.code, sid)) is CheckResult.GONE


@pytest.mark.parametrize("code", ["", "123", "12345678901"])
async def test_a_code_that_verify_would_not_look_at_is_wrong_without_asking(bench, code):
    async with bench.instance() as provider:
        assert await provider.check_code(bench.check(code)) is CheckResult.INCORRECT
    assert not bench.simulator.requests


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (SimulatedAnswer.json(200, {"status": "approved"}), CheckResult.APPROVED),
        (SimulatedAnswer.json(201, {"status": "pending", "valid": False}), CheckResult.INCORRECT),
        (SimulatedAnswer.json(200, {"status": "news to us", "valid": True}), CheckResult.INCORRECT),
        (SimulatedAnswer.json(200, {"status": "canceled"}), CheckResult.GONE),
        (SimulatedAnswer.json(200, {"status": "expired"}), CheckResult.GONE),
        (SimulatedAnswer.json(200, {"status": "max_attempts_reached"}), CheckResult.GONE),
        (SimulatedAnswer.json(404, {"code": 60431, "message": "not found"}), CheckResult.GONE),
        (SimulatedAnswer.json(400, {"code": 60200, "message": "Invalid parameter `Code`: x"}), CheckResult.INCORRECT),
        (SimulatedAnswer.json(400, {"code": 60200, "message": "Invalid parameter (null)"}), CheckResult.INCORRECT),
    ],
)
async def test_each_verdict_of_a_check(bench, monkeypatch, answer, result):
    monkeypatch.setattr(bench.simulator, "handle", lambda _: answer)
    async with bench.instance() as provider:
        assert await provider.check_code(bench.check("123456", "VE" + "0" * 32)) is result


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (SimulatedAnswer(404, b"<html>nothing here</html>"), ErrorKind.MISCONFIGURED),
        (SimulatedAnswer.json(400, {"code": 60200, "message": "Invalid parameter `To`"}), ErrorKind.REJECTED_NUMBER),
        (SimulatedAnswer.json(429, {"code": 20429}, {"Retry-After": "3"}), ErrorKind.THROTTLED),
        (SimulatedAnswer.json(500, {"code": 20500}), ErrorKind.AMBIGUOUS),
        (SimulatedAnswer.json(200, {"sid": "VE"}), ErrorKind.AMBIGUOUS),
        (SimulatedAnswer(200, b"<html>log in first</html>"), ErrorKind.AMBIGUOUS),
    ],
)
async def test_a_check_without_a_verdict_is_an_error_and_never_a_wrong_code(
    bench, monkeypatch, failure_of, answer, kind
):
    monkeypatch.setattr(bench.simulator, "handle", lambda _: answer)
    async with bench.instance() as provider:
        assert (await failure_of(provider.check_code(bench.check("123456")))).kind is kind


@pytest.mark.parametrize("by_reference", [True, False])
async def test_a_cancelled_verification_is_gone_and_cancelling_it_again_is_no_error(bench, by_reference):
    async with bench.instance() as provider:
        sid = (await provider.send_sms(bench.delivery())).reference
        await provider.cancel(bench.cancel(sid if by_reference else ""))
        assert bench.simulator.requests[-1].path.endswith(f"/{sid if by_reference else NUMBER}")
        assert bench.form == {"Status": "canceled"}
        assert await provider.check_code(bench.check(bench.code, sid)) is CheckResult.GONE
        await provider.cancel(bench.cancel(sid if by_reference else ""))


async def test_a_cancellation_that_was_not_answered_well_is_an_error(bench, failure_of):
    async with bench.instance() as provider:
        sid = (await provider.send_sms(bench.delivery())).reference
        bench.simulator.fail(Fault.HTTP_503)
        assert (await failure_of(provider.cancel(bench.cancel(sid)))).kind is ErrorKind.UNAVAILABLE


async def test_a_repeated_start_carries_the_same_code(bench, failure_of):
    async with bench.instance() as provider:
        bench.simulator.fail(Fault.RESET_AFTER_WORK)
        lost = bench.delivery()
        assert (await failure_of(provider.send_sms(lost))).kind is ErrorKind.AMBIGUOUS
        receipt = await provider.send_sms(bench.delivery(repeat=lost.delivery_id))
    first, second = bench.simulator.inbox
    assert (first.code, first.reference) == (second.code, receipt.reference)


@pytest.mark.parametrize("sid", [None, "", 7, "VE/../x", "VE" + "0" * 31])
async def test_an_acceptance_without_a_usable_sid_is_ambiguous(bench, monkeypatch, failure_of, sid):
    monkeypatch.setattr(bench.simulator, "handle", lambda _: SimulatedAnswer.json(201, {"sid": sid, "status": "new"}))
    async with bench.instance() as provider:
        assert (await failure_of(provider.send_sms(bench.delivery()))).kind is ErrorKind.AMBIGUOUS


async def test_an_instance_that_was_not_started_sends_nothing(bench, failure_of):
    provider = bench.provider()
    assert (await failure_of(provider.send_sms(bench.delivery()))).kind is ErrorKind.UNAVAILABLE
