"""What a host says of a send reaches Twilio as its SDK would say it, where the settings say so, and nothing else does."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import timedelta

import pytest
from otp_twilio import Mode
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from otpcore import AsyncOTPService, DeliveryError, NoRouteError, VerificationStatus
from otpcore.providers import Channel, CheckResult, ErrorKind
from otpcore.testing import Outbox

NUMBER = "+359871234567"
CLIENT = "[2001:db8::7]:50123"
ADDRESS = "2001:db8::7"
TEMPLATE = "HJ" + "0a" * 16
METADATA = {
    "payee": "Cr\u00e8me & Co",
    "amount": "9.90 EUR",
    "campaign": "spring",
    "session": "s-4711",
    "first_name": "Zo\u00eb",
    "unused": "stays here",
}
SETTINGS = {
    "tags": ["campaign", "missing"],
    "rate_limits": {"end_user_ip": "client", "session": "session", "missing": "missing"},
    "substitutions": ["first_name"],
    "risk_check": "enable",
}
JSON = {"Tags", "RateLimits", "TemplateCustomSubstitutions"}


@pytest.fixture
def limited(bench):
    """A Verify service with rate limits of its own."""
    bench.simulator.rate_limits = dict.fromkeys(("end_user_ip", "session", "missing"), (2, timedelta(minutes=5)))
    return bench


@contextmanager
def _sdk(bench):
    """The service's resources, as Twilio's SDK has them."""
    http = TwilioHttpClient(timeout=5)
    client = Client(bench.simulator.account_sid, bench.simulator.auth_token, http_client=http)
    client.verify.base_url = client.api.base_url = bench.simulator.base_url
    try:
        yield client.verify.v2.services(bench.simulator.service_sid), client
    finally:
        http.session.close()


def _parsed(form):
    """A form whose JSON is read: Twilio does not look at blanks and escapes either."""
    return {name: json.loads(value) if name in JSON else value for name, value in form.items()}


async def test_a_start_says_what_the_sdk_says(limited):
    with _sdk(limited) as (service, _):
        service.verifications.create(
            to=NUMBER,
            channel="sms",
            locale="de",
            device_ip=ADDRESS,
            tags=json.dumps({"campaign": "spring"}),
            rate_limits={"end_user_ip": ADDRESS, "session": "s-4711"},
            risk_check="enable",
            template_sid=TEMPLATE,
            template_custom_substitutions=json.dumps({"first_name": "Zo\u00eb"}),
        )
    expected = limited.form
    async with limited.instance(**SETTINGS) as provider:
        await provider.send_sms(
            limited.delivery(locale="de", client=CLIENT, metadata=METADATA, template_id=TEMPLATE, sender="Acme")
        )
    assert _parsed(limited.form) == _parsed(expected)


async def test_a_payment_is_named_at_the_start_and_at_the_check_as_the_sdk_names_it(bench):
    bench.simulator.psd2 = True
    payment = {"payee": METADATA["payee"], "amount": METADATA["amount"]}
    with _sdk(bench) as (service, _):
        started = service.verifications.create(to=NUMBER, channel="sms", **payment)
        assert (started.payee, started.amount) == (payment["payee"], payment["amount"])
        start = bench.form
        service.verification_checks.create(verification_sid=started.sid, code=bench.wrong_code, **payment)
        check = bench.form
    async with bench.instance(psd2=True, device_ip=False) as provider:
        sid = (await provider.send_sms(bench.delivery(locale="", client=CLIENT, metadata=METADATA))).reference
        assert bench.form == start
        wrong = bench.check(bench.wrong_code, sid, metadata=METADATA)
        assert await provider.check_code(wrong) is CheckResult.INCORRECT
        assert (bench.form, sid) == (check, started.sid)
        elsewhere = bench.check(bench.code, sid, metadata={**METADATA, "amount": "9900 EUR"})
        assert await provider.check_code(elsewhere) is CheckResult.GONE
        assert await provider.check_code(bench.check(bench.code, sid, metadata=METADATA)) is CheckResult.APPROVED


async def test_another_amount_is_another_verification(bench):
    bench.simulator.psd2 = True
    async with bench.instance(psd2=True) as provider:
        sids = [
            (await provider.send_sms(bench.delivery(metadata={"payee": "Shop", "amount": amount}))).reference
            for amount in ("1 EUR", "2 EUR", "1 EUR")
        ]
    assert sids[0] == sids[2] != sids[1]


@pytest.mark.parametrize("metadata", [{}, {"payee": "Shop"}, {"amount": "1 EUR"}, {"payee": "", "amount": "1 EUR"}])
async def test_a_payment_that_is_not_named_is_asked_of_nobody(bench, failure_of, metadata):
    async with bench.instance(psd2=True) as provider:
        for call in (
            provider.send_sms(bench.delivery(metadata=metadata)),
            provider.check_code(bench.check("123456", metadata=metadata)),
        ):
            failure = await failure_of(call)
            assert failure.kind is ErrorKind.MISCONFIGURED
            assert "metadata=" in failure.fix
            assert "Shop" not in f"{failure} {failure.fix}"
    assert not bench.simulator.requests


async def test_without_settings_only_the_address_goes_out_and_not_even_that_where_it_is_off(bench):
    said = {"client": CLIENT, "metadata": METADATA, "locale": ""}
    async with bench.instance() as provider:
        await provider.send_sms(bench.delivery(**said))
        assert bench.form == {"To": NUMBER, "Channel": "sms", "DeviceIp": ADDRESS}
        await provider.send_sms(bench.delivery(**{**said, "client": "session-7"}))
        assert bench.form == {"To": NUMBER, "Channel": "sms"}
    async with bench.instance(device_ip=False) as provider:
        await provider.send_sms(bench.delivery(**said))
        assert bench.form == {"To": NUMBER, "Channel": "sms"}
        await provider.check_code(bench.check(bench.code, metadata=METADATA))
        assert bench.form == {"To": NUMBER, "Code": bench.code}


async def test_a_client_that_is_no_address_is_counted_all_the_same(limited):
    async with limited.instance(rate_limits={"end_user_ip": "client"}) as provider:
        await provider.send_sms(limited.delivery(client="session-7"))
    assert json.loads(limited.form["RateLimits"]) == {"end_user_ip": "session-7"}


async def test_what_verify_would_not_take_for_a_tag_is_left_out(bench):
    metadata = {"campaign": "x" * 129, "tier": "", "order": "x" * 128}
    async with bench.instance(tags=list(metadata)) as provider:
        await provider.send_sms(bench.delivery(metadata=metadata))
    assert json.loads(bench.form["Tags"]) == {"order": "x" * 128}


async def test_a_call_has_no_risk_check_and_substitutions_need_a_template(limited):
    async with limited.instance(**SETTINGS) as provider:
        await provider.call(limited.delivery(channel=Channel.CALL, metadata=METADATA, template_id="1107"))
    assert not limited.form.keys() & {"RiskCheck", "TemplateSid", "TemplateCustomSubstitutions"}


async def test_a_rate_limit_of_the_service_refuses_and_says_for_how_long(limited, failure_of):
    async with limited.instance(**SETTINGS) as provider:
        for number in ("+359871234561", "+359871234562"):
            await provider.send_sms(limited.delivery(number, client=CLIENT))
        failure = await failure_of(provider.send_sms(limited.delivery("+359871234563", client=f"{ADDRESS}%eth0")))
        assert (failure.kind, failure.provider_code, failure.retry_after) == (ErrorKind.THROTTLED, "20429", 300.0)
        await provider.send_sms(limited.delivery("+359871234563", client="198.51.100.9"))
        limited.advance(301)
        await provider.send_sms(limited.delivery("+359871234564", client=CLIENT))


@pytest.mark.parametrize("mode", list(Mode))
async def test_guards_against_fraud_can_be_passed_by(bench, failure_of, mode):
    guarded = bench.delivery("+15005550410", text="Code 042137", code="042137")
    async with bench.instance(mode, risk_check="enable") as provider:
        assert (await failure_of(provider.send_sms(guarded))).kind is ErrorKind.BLOCKED
        assert bench.form["RiskCheck"] == "enable"
    async with bench.instance(mode, risk_check="disable") as provider:
        await provider.send_sms(guarded)
        assert bench.form["RiskCheck"] == "disable"
    assert [message.recipient for message in bench.simulator.inbox] == ["+15005550410"]


@pytest.mark.parametrize(
    ("wrong", "answer"),
    [
        ({"device_ip": "somewhere"}, (400, 60200)),
        ({"tags": "campaign=spring"}, (400, 60200)),
        ({"tags": json.dumps({str(number): "x" for number in range(11)})}, (400, 60200)),
        ({"tags": json.dumps({"campaign": "x" * 129})}, (400, 60200)),
        ({"rate_limits": {"nobody_made_it": "x"}}, (400, 60200)),
        ({"risk_check": "perhaps"}, (400, 60200)),
        ({"template_sid": "HJ1"}, (400, 60200)),
        ({"template_sid": TEMPLATE, "template_custom_substitutions": "[]"}, (400, 60200)),
        ({"payee": "Shop", "amount": "1 EUR"}, (403, 60204)),
    ],
)
def test_the_simulator_refuses_what_verify_documents_otherwise(bench, wrong, answer):
    with _sdk(bench) as (service, _), pytest.raises(TwilioRestException) as refused:
        service.verifications.create(to=NUMBER, channel="sms", **wrong)
    assert (refused.value.status, refused.value.code) == answer


def test_the_simulator_refuses_a_message_with_another_risk_check(bench):
    with _sdk(bench) as (_, client), pytest.raises(TwilioRestException) as refused:
        client.messages.create(to=NUMBER, from_=bench.simulator.from_number, body="x", risk_check="perhaps")
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("channel", "more", "answer"),
    [
        ("sms", {}, (400, 60206)),
        ("sms", {"payee": "Shop"}, (400, 60206)),
        ("call", {"payee": "Shop", "amount": "1 EUR"}, (400, 60214)),
    ],
)
def test_a_service_for_payments_refuses_what_is_none(bench, channel, more, answer):
    bench.simulator.psd2 = True
    with _sdk(bench) as (service, _), pytest.raises(TwilioRestException) as refused:
        service.verifications.create(to=NUMBER, channel=channel, **more)
    assert (refused.value.status, refused.value.code) == answer


# Through a service, loaded as a host loads it.


def _settings(bench, **instance):
    own = {**bench.simulator.provider_settings(), **instance}
    return {**Outbox().settings, "otp_sms_provider": "twilio", "providers": {"twilio": own}}


async def test_a_payment_is_verified_with_what_the_send_said(bench):
    bench.simulator.psd2 = True
    async with AsyncOTPService(_settings(bench, psd2=True)) as otp:
        sent = await otp.send_sms(NUMBER, metadata=METADATA, client=CLIENT)
        assert (bench.form["Payee"], bench.form["Amount"]) == (METADATA["payee"], METADATA["amount"])
        answer = await otp.verify(challenge_id=sent.id, code=bench.code)
        assert answer.status is VerificationStatus.APPROVED
        assert (bench.form["Payee"], bench.form["Amount"]) == (METADATA["payee"], METADATA["amount"])
        with pytest.raises(NoRouteError):
            await otp.call(NUMBER, metadata=METADATA)
        with pytest.raises(DeliveryError):
            await otp.send_sms(NUMBER)
    assert len(bench.simulator.inbox) == 1


async def test_a_sender_and_a_template_are_chosen_by_instance_purpose_and_language(bench):
    settings = _settings(bench, substitutions=["first_name"])
    settings["providers"]["texts"] = {"plugin": "twilio", **bench.simulator.provider_settings(Mode.MESSAGING)}
    settings["otp_sms_provider"] = "twilio;texts:+359"
    settings["otp"] = {
        "template_id": {"twilio": {"login": {"de": TEMPLATE}}, "default": "1107"},
        "sender": {"texts": {"pay": "AcmePay", "default": {"bg": "AcmeBG"}}},
    }
    async with AsyncOTPService(settings) as otp:
        await otp.send_sms("+14155550101", purpose="login", locale="de", metadata=METADATA)
        assert bench.form["TemplateSid"] == TEMPLATE
        assert json.loads(bench.form["TemplateCustomSubstitutions"]) == {"first_name": "Zo\u00eb"}
        await otp.send_sms("+14155550102", purpose="login", locale="fr", metadata=METADATA)
        assert "TemplateSid" not in bench.form
        for number, (purpose, locale, sender) in enumerate(
            [("pay", "bg", "AcmePay"), ("login", "bg-BG", "AcmeBG"), ("login", "en", bench.simulator.from_number)]
        ):
            await otp.send_sms(f"+35987123456{number}", purpose=purpose, locale=locale)
            assert bench.form["From"] == sender
