"""What goes out with a message and with a call."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from otpcore.providers import Channel, ErrorKind, Feature
from otpcore.simulators import SimulatedAnswer


async def test_a_message_goes_out_from_the_identity_for_as_long_as_the_code_lives(bench):
    async with bench.instance() as provider:
        receipt = await provider.send_sms(bench.delivery(life=299.9))
    assert bench.fields == {
        "DestinationPhoneNumber": "+359871234567",
        "MessageBody": "Your code is 480291.",
        "TimeToLive": 299,
        "Context": {"delivery_id": "delivery-1"},
        "OriginationIdentity": "+12065550100",
        "MessageType": "TRANSACTIONAL",
    }
    assert receipt.reference == bench.simulator.inbox[0].reference


async def test_a_call_speaks_the_text(bench):
    async with bench.instance() as provider:
        await provider.call(bench.delivery(channel=Channel.CALL, locale="en"))
    assert bench.fields == {
        "DestinationPhoneNumber": "+359871234567",
        "MessageBody": "Your code is 480291.",
        "TimeToLive": 300,
        "Context": {"delivery_id": "delivery-1"},
        "OriginationIdentity": "+12065550100",
        "MessageBodyTextType": "TEXT",
        "VoiceId": "JOANNA",
    }
    assert bench.simulator.inbox[0].channel is Channel.CALL


@pytest.mark.parametrize(("life", "seconds"), [(-3.0, 5), (0.0, 5), (4.9, 5), (6.0, 6), (1e6, 259_200)])
async def test_the_life_stays_within_what_aws_takes(bench, life, seconds):
    async with bench.instance() as provider:
        await provider.send_sms(bench.delivery(life=life))
        await provider.call(bench.delivery(life=life, channel=Channel.CALL))
    assert [request.json()["TimeToLive"] for request in bench.simulator.requests] == [seconds, seconds]


@pytest.mark.parametrize(
    ("locale", "voice"),
    [
        ("en", "JOANNA"),
        ("en-GB", "AMY"),
        ("en-NZ", "JOANNA"),
        ("pt", "INES"),
        ("pt-BR", "CAMILA"),
        ("de_AT", "VICKI"),
        ("zh-Hans", "ZHIYU"),
        ("no", "LIV"),
        ("bg", None),
        ("zh-TW", "ZHIYU"),
    ],
)
async def test_a_call_has_a_voice_of_its_language(bench, locale, voice):
    async with bench.instance() as provider:
        await provider.call(bench.delivery(channel=Channel.CALL, locale=locale))
    assert bench.fields.get("VoiceId") == voice


async def test_the_instance_may_choose_other_voices(bench):
    async with bench.instance(voices={"en": "MATTHEW", "bg": "CARMEN"}) as provider:
        for locale in ("en", "en-GB", "bg-BG", "de"):
            await provider.call(bench.delivery(channel=Channel.CALL, locale=locale))
        speaks = provider.describe().carried(Channel.CALL).speaks
    spoken = [request.json()["VoiceId"] for request in bench.simulator.requests]
    assert spoken == ["MATTHEW", "AMY", "CARMEN", "VICKI"]
    assert speaks("bg")
    assert not speaks("mk")


async def test_a_host_may_choose_the_sender(bench):
    async with bench.instance() as provider:
        for sender in ("Acme", "Acme Ltd."):
            await provider.send_sms(bench.delivery(sender=sender))
            await provider.call(bench.delivery(sender=sender, channel=Channel.CALL))
        carried = provider.describe().carries
    senders = [request.json()["OriginationIdentity"] for request in bench.simulator.requests]
    assert senders == ["Acme", "+12065550100", "+12065550100", "+12065550100"]
    assert carried[Channel.SMS].takes(Feature.SENDER, "Acme")
    assert not carried[Channel.SMS].takes(Feature.SENDER, "Acme Ltd.")
    assert carried[Channel.CALL].takes(Feature.SENDER, "+12065550100")
    assert not carried[Channel.CALL].takes(Feature.SENDER, "Acme")


async def test_india_is_told_the_company_and_the_registered_text(bench):
    ids = {"india_entity_id": "1101", "india_template_id": "1107"}
    async with bench.instance(**ids) as provider:
        await provider.send_sms(bench.delivery("+919876543210"))
        await provider.send_sms(bench.delivery("+919876543210", template_id="1109"))
        await provider.send_sms(bench.delivery())
        takes = provider.describe().carried(Channel.SMS).takes
    told = [request.json().get("DestinationCountryParameters") for request in bench.simulator.requests]
    assert told == [
        {"IN_ENTITY_ID": "1101", "IN_TEMPLATE_ID": "1107"},
        {"IN_ENTITY_ID": "1101", "IN_TEMPLATE_ID": "1109"},
        None,
    ]
    assert takes(Feature.TEMPLATE_ID, "1109")
    assert not bench.provider().describe().carried(Channel.SMS).takes(Feature.TEMPLATE_ID)


async def test_what_would_cost_more_than_the_highest_price_is_not_sent(bench, failure_of):
    async with bench.instance(max_price="0.04", max_price_per_minute=".04") as provider:
        for send in (provider.send_sms(bench.delivery()), provider.call(bench.delivery(channel=Channel.CALL))):
            failure = await failure_of(send)
            assert (failure.kind, failure.provider_code) == (ErrorKind.LIMIT_REACHED, "PRICE_OVER_THRESHOLD")
    async with bench.instance(max_price="0.05") as provider:
        await provider.send_sms(bench.delivery())
    assert len(bench.simulator.inbox) == 1


async def test_an_instance_without_a_caller_does_not_call(bench):
    assert bench.provider(voice_identity=None).describe().channels == {Channel.SMS}
    assert bench.provider().describe().channels == {Channel.SMS, Channel.CALL}


async def test_an_account_in_the_sandbox_says_so(bench):
    async with bench.instance() as provider:
        assert "everybody" in (await provider.check_account()).summary
        bench.simulator.tier = "SANDBOX"
        assert "verified numbers only" in (await provider.check_account()).summary


async def test_a_host_whose_clock_is_wrong_is_told(bench, failure_of):
    started = bench.now
    bench.simulator.clock = lambda: started
    provider = bench.provider()
    async with AsyncExitStack() as stack:
        await provider.start(stack)
        bench.simulator.clock = lambda: started + timedelta(minutes=6)
        failure = await failure_of(provider.send_sms(bench.delivery()))
    assert (failure.kind, failure.provider_code) == (ErrorKind.MISCONFIGURED, "InvalidSignatureException")
    assert "clock" in failure.summary


@pytest.mark.parametrize("answer", [b"{}", b"[]", b'{"MessageId":7}', b'{"MessageId":""}', b'{"MessageId":"a b"}'])
async def test_an_acceptance_without_an_id_is_in_doubt(bench, failure_of, answer):
    bench.simulator.handle = lambda _: SimulatedAnswer(200, answer)
    async with bench.instance() as provider:
        failure = await failure_of(provider.send_sms(bench.delivery()))
    assert failure.kind is ErrorKind.AMBIGUOUS


async def test_an_account_check_that_is_answered_by_another_server_says_so(bench, failure_of):
    bench.simulator.handle = lambda _: SimulatedAnswer.json(200, {"status": "fine"})
    async with bench.instance() as provider:
        failure = await failure_of(provider.check_account())
    assert failure.kind is ErrorKind.MISCONFIGURED
