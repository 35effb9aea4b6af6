"""Messages for a gateway of one's own: the library of Standard Webhooks believes them, and nothing that was changed."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from otp_http import create_provider
from otp_http.simulator import GatewaySimulator
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from otpcore.providers import Channel, DeliveryRequest, PhoneNumber, ProviderContext, SettingsError

KEY = "bWFkZS11cC1zaWduaW5nLWtleQ=="


class _Addresses:
    def address(self, instance, delivery_id):
        return f"https://otp.example/receipts/{instance}/{delivery_id}/proof"


async def _sent(channel="sms", key=KEY):
    seen = []

    def reply(request):
        seen.append(request)
        return httpx.Response(200, json={"id": "m-1"})

    now = datetime.now(UTC)  # at which the library looks itself
    context = ProviderContext(
        instance="own",
        settings={"gateway": "webhook", "base_url": "https://sms.example", "signing_secret": key, "sender": "Acme"},
        clock=lambda: now,
        transport=httpx.MockTransport(reply),
        addresses=_Addresses(),
    )
    provider = create_provider(context)
    request = DeliveryRequest(
        delivery_id="d1",
        challenge_id="c1",
        recipient=PhoneNumber("+359871234567"),
        channel=Channel(channel),
        code="123456",
        text="кодът Ви: 123456",
        locale="bg",
        deadline=now + timedelta(minutes=5),
        idempotency_key="k1",
    )
    async with AsyncExitStack() as stack:
        await provider.start(stack)
        receipt = await (provider.send_sms(request) if channel == "sms" else provider.call(request))
    assert receipt.reference == "m-1"
    return seen[0]


@pytest.mark.parametrize(("channel", "path"), [("sms", "/sms"), ("call", "/calls")])
async def test_the_library_of_standard_webhooks_believes_it(channel, path):
    request = await _sent(channel)
    assert request.url.path == path
    said = Webhook(f"whsec_{KEY}").verify(request.content, dict(request.headers))
    assert said["type"] == f"otp.{channel}"
    assert datetime.now(UTC) - datetime.fromisoformat(said["timestamp"]) < timedelta(minutes=1)
    assert said["data"].pop("expires_at")
    assert said["data"] == {
        "id": "d1",
        "idempotency_key": "k1",
        "to": "+359871234567",
        "from": "Acme",
        "text": "кодът Ви: 123456",
        "language": "bg",
        "report_to": "https://otp.example/receipts/own/d1/proof",
    }
    assert request.headers["webhook-id"] == "k1"


@pytest.mark.parametrize(("key", "status"), [(KEY, 200), ("YW5vdGhlci1rZXk=", 401)])
async def test_its_simulator_believes_the_same(key, status):
    with GatewaySimulator("webhook") as simulator:
        simulator.account["signing_secret"] = key
        sent = await _sent()
        async with httpx.AsyncClient() as client:
            answer = await client.post(f"{simulator.base_url}/sms", content=sent.content, headers=sent.headers)
        assert (answer.status_code, len(simulator.inbox)) == (status, status == 200)


async def test_it_believes_nothing_that_was_changed_and_no_other_key():
    request = await _sent()
    headers = dict(request.headers)
    later = str(int(headers["webhook-timestamp"]) + 1)
    changed = [
        (request.content.replace(b"359871234567", b"359871234568"), headers, KEY),
        (request.content, headers | {"webhook-id": "k2"}, KEY),
        (request.content, headers | {"webhook-timestamp": later}, KEY),
        (request.content, headers, "YW5vdGhlci1rZXk="),
    ]
    for body, said, key in changed:
        with pytest.raises(WebhookVerificationError):
            Webhook(f"whsec_{key}").verify(body, said)


@pytest.mark.parametrize("key", ["", "whsec_bWFkZQ==", "bWFkZ", "not base64!"])
def test_a_key_that_is_no_base64_is_refused_at_load(key):
    settings = {"gateway": "webhook", "base_url": "https://sms.example", "signing_secret": key}
    with pytest.raises(SettingsError, match="signing_secret") as refused:
        create_provider(ProviderContext(instance="own", settings=settings))
    assert not key or key not in str(refused.value)


def _table(**hmac):
    return {
        "name": "Acme",
        "base_url": "https://acme.example",
        "settings": {"key": {"meaning": "the key", "secret": True}},
        "auth": {"headers": {"X-Time": "{now_unix}"}, "hmac": {"header": "X-Sig", "key": "{key}", **hmac}},
        "send": {"sms": {"path": "/sms", "json": {"to": "{e164}", "text": "{text}"}}},
        "answer": {"reference": "id"},
    }


@pytest.mark.parametrize(
    ("signed", "problem"),
    [
        ("{x-time}", "auth.hmac.signed: must hold {body}"),
        ("{x-tim}.{body}", "auth.hmac.signed: send.sms has no header x-tim; did you mean 'x-time'?"),
    ],
)
def test_a_signature_that_a_change_would_pass_is_refused(signed, problem):
    settings = {"gateway": _table(signed=signed), "key": "k"}
    with pytest.raises(SettingsError) as refused:
        create_provider(ProviderContext(instance="own", settings=settings))
    assert problem in str(refused.value)


async def test_a_key_that_the_table_calls_base64_and_is_not_is_misconfigured():
    sent = []
    context = ProviderContext(
        instance="own",
        settings={"gateway": _table(key_encoding="base64"), "key": "no base64!"},
        transport=httpx.MockTransport(lambda request: sent.append(request) or httpx.Response(200, json={})),
    )
    request = DeliveryRequest(
        delivery_id="d1",
        challenge_id="c1",
        recipient=PhoneNumber("+359871234567"),
        channel=Channel.SMS,
        code="123456",
        text="123456",
        deadline=datetime.now(UTC) + timedelta(minutes=5),
        idempotency_key="k1",
    )
    provider = create_provider(context)
    async with AsyncExitStack() as stack:
        await provider.start(stack)
        with pytest.raises(Exception, match="not Base64") as failure:
            await provider.send_sms(request)
    assert failure.value.kind == "misconfigured"
    assert not sent
    assert "no base64!" not in json.dumps(str(failure.value))
