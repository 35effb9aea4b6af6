"""What a gateway is told of the end of a code, and what it makes of that."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack

import pytest
from otp_http import create_provider
from otp_http.simulator import GatewaySimulator

from otpcore import OTPService
from otpcore.providers import Channel, ErrorKind, OutcomeRequest, PhoneNumber, ProviderContext, ProviderError
from otpcore.testing import Outbox

PHONE = "+359871234567"


@pytest.fixture
def telegram():
    with GatewaySimulator("telegram") as simulator:
        yield simulator


@pytest.fixture
async def provider(telegram, anyio_backend_name):
    made = create_provider(ProviderContext(instance="telegram", settings=telegram.provider_settings()))
    async with AsyncExitStack() as stack:
        await made.start(stack)
        yield made


def outcome(reference, *, approved):
    return OutcomeRequest(
        challenge_id="c1",
        delivery_id="delivery-1",
        recipient=PhoneNumber(PHONE),
        channel=Channel("telegram"),
        reference=reference,
        approved=approved,
    )


async def test_telegram_is_asked_to_revoke_what_was_not_used(telegram, provider, request_to):
    receipt = await provider._send(request_to(channel="telegram"))
    await provider.report_outcome(outcome(receipt.reference, approved=True))
    await provider.report_outcome(outcome("", approved=False))
    assert len(telegram.requests) == 1, "Telegram is told of no code that was typed, and of no message without its id"
    await provider.report_outcome(outcome(receipt.reference, approved=False))
    asked = telegram.requests[-1]
    assert (asked.method, asked.path) == ("POST", "/revokeVerificationMessage")
    assert asked.json() == {"request_id": receipt.reference}
    assert telegram.outcomes == {receipt.reference: "unused"}


async def test_what_is_gone_already_is_fine_and_all_else_is_said(telegram, provider, request_to):
    receipt = await provider._send(request_to(channel="telegram"))
    for _ in range(2):  # the second is answered with REQUEST_ID_INVALID
        await provider.report_outcome(outcome(receipt.reference, approved=False))
    telegram.account["token"] = "another"
    with pytest.raises(ProviderError) as refused:
        await provider.report_outcome(outcome(receipt.reference, approved=False))
    assert refused.value.kind is ErrorKind.MISCONFIGURED


def test_a_code_that_is_cancelled_is_revoked_at_telegram_and_one_that_was_typed_is_not(telegram):
    settings = {
        **Outbox().settings,
        "otp_telegram_provider": "Telegram",
        "providers": {"telegram": telegram.provider_settings()},
    }
    with OTPService(settings) as otp:
        otp.send(PHONE, channel="telegram")
        assert otp.verify(PHONE, telegram.inbox[-1].code)
        otp.cancel(otp.send("+359871234568", channel="telegram").id)
        last = telegram.inbox[-1].reference
        until = time.monotonic() + 10
        while not telegram.outcomes and time.monotonic() < until:
            time.sleep(0.01)  # it is told in a task of its own, and nothing says when
    assert telegram.outcomes == {last: "unused"}


async def test_a_table_may_tell_both_ends(tmp_path, request_to, anyio_backend_name):
    table = tmp_path / "tulip.toml"
    table.write_text(
        """
        name = "Tulip"
        base_url = "https://api.tulip.example"
        settings.token = { secret = true, meaning = "of the account" }
        auth.bearer = "{token}"
        send.sms = { path = "/send", json = [{ to = "{e164}", text = "{text}" }] }
        answer = { reference = "0.id", examples.accepted = [{ id = "m1" }] }
        [outcomes.approved]
        method = "PUT"
        path = "/messages/{reference}/used"
        accepted = { path = "ok", is = [true] }
        [outcomes.unused]
        method = "DELETE"
        path = "/messages/{reference}"
        query = { to = "{digits}", our = "{delivery_id}" }
        accepted = { path = "ok", is = [true] }
        """,
        encoding="utf-8",
    )
    with GatewaySimulator(table) as tulip:
        made = create_provider(ProviderContext(instance="tulip", settings=tulip.provider_settings()))
        async with AsyncExitStack() as stack:
            await made.start(stack)
            receipt = await made._send(request_to())
            assert tulip.requests[-1].json() == [{"to": PHONE, "text": "482913 is your code."}]
            assert receipt.reference == tulip.inbox[-1].reference != ""
            for approved in (True, False):
                await made.report_outcome(outcome(receipt.reference, approved=approved))
        told = [(one.method, one.path, one.query) for one in tulip.requests[1:]]
    place = f"/messages/{receipt.reference}"
    assert told == [("PUT", f"{place}/used", ""), ("DELETE", place, "to=359871234567&our=delivery-1")]
