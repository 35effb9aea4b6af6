"""Messages that are only relayed: a host's code or whole text, which nothing verifies and which is in no code's way."""

from __future__ import annotations

from typing import Any

import pytest

from otpcore import (
    ChallengeState,
    InvalidArgument,
    NoRouteError,
    RateLimited,
    VerificationStatus,
)
from otpcore.testing import Outbox

from .test_own_codes import Vendor

PHONE = "+359871234567"
CODE, TEXT = "408162", "Your parcel is at the door."


@pytest.mark.parametrize(
    ("said", "arrives"),
    [
        ({"message": TEXT}, TEXT),
        ({"message": "{app}: it costs {5} euro"}, "Shop: it costs {5} euro"),
        ({"message": "{code} opens it", "code": "40 81-62"}, f"{CODE} opens it\n@shop.example #{CODE}"),
    ],
)
async def test_it_arrives_as_it_is_said(otp_outbox: Outbox, said: dict[str, str], arrives: str) -> None:
    async with otp_outbox.service({"otp": {"app": "Shop", "web_otp_host": "shop.example"}}) as otp:
        challenge = await otp.send_sms(PHONE, verifiable=False, **said)
        message = otp_outbox.messages[-1]
        assert (message.text, message.code) == (arrives, CODE if "code" in said else "")
        assert (challenge.state, challenge.code) == (ChallengeState.SENT, CODE if "code" in said else None)


async def test_a_code_alone_goes_out_in_the_usual_words_over_every_channel(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        await otp.send(PHONE, code=CODE, verifiable=False)
        await otp.call(PHONE, code="1234", verifiable=False)
    sms, call = otp_outbox.messages
    assert CODE in sms.text
    assert "1, 2, 3, 4" in call.text


def test_the_blocking_service_relays_too(otp_outbox: Outbox) -> None:
    with otp_outbox.blocking_service() as otp:
        otp.send(PHONE, message=TEXT, verifiable=False)
        otp.send_sms(PHONE, message=f"{TEXT}!", verifiable=False)
        otp.call(PHONE, message=f"{TEXT}?", verifiable=False)
    assert len(otp_outbox.messages) == 3


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, "give a code, a message, or both"),
        ({"message": "{code} opens it"}, "no code is given"),
        ({"message": TEXT, "code": CODE}, "must contain {code}"),
        ({"code": "12"}, "4 to 10 digits"),
    ],
)
async def test_what_would_leave_without_what_belongs_in_it_is_refused(
    otp_outbox: Outbox, said: dict[str, Any], why: str
) -> None:
    async with otp_outbox.service() as otp:
        with pytest.raises(InvalidArgument, match=why):
            await otp.send(PHONE, verifiable=False, **said)
    assert otp_outbox.messages == []


async def test_nothing_verifies_it(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        for number, purpose in enumerate(("default", "pay")):
            challenge = await otp.send(PHONE, code=CODE, purpose=purpose, verifiable=False)
            for _ in range(12):  # no attempt is counted, and nothing is locked
                for typed in (CODE, "12345", ""):
                    refused = await otp.verify(challenge_id=challenge.id, code=typed, purpose=purpose)
                    assert refused.status is VerificationStatus.NOT_FOUND
            assert (await otp.verify(PHONE, CODE, purpose=purpose)).status is VerificationStatus.NOT_FOUND
            assert len(otp_outbox.messages) == number + 1


async def test_a_code_that_is_verified_lives_on_beside_it(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        first = await otp.send(PHONE)
        code = otp_outbox.code
        relayed = await otp.send(PHONE, code=CODE, verifiable=False)
        assert relayed.id != first.id
        assert (await otp.send(PHONE)).id == first.id
        assert not await otp.verify(PHONE, CODE) or code == CODE
        assert await otp.verify(PHONE, code)
        assert await otp.cancel(relayed.id)


async def test_the_same_again_is_a_resend_and_another_text_a_send_of_its_own(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        first = await otp.send(PHONE, message=TEXT, verifiable=False)
        again = await otp.send("+359 87 123 4567", message=TEXT, verifiable=False)
        assert (again.id, len(otp_outbox.messages)) == (first.id, 1), "it has just been sent"
        others = [
            await otp.send(PHONE, message="Another.", verifiable=False),
            await otp.send(PHONE, message=TEXT, purpose="pay", verifiable=False),
            await otp.send(PHONE, message=TEXT, app="shop", verifiable=False),
            await otp.send(PHONE, code="1234", verifiable=False),
            await otp.send(PHONE, code="12345", verifiable=False),
            await otp.send("+359881234567", message=TEXT, verifiable=False),
        ]
        assert len({first.id, *(one.id for one in others)}) == 7
        otp_outbox.clock.advance(30)
        assert (await otp.send(PHONE, message=TEXT, verifiable=False)).id == first.id
        assert [message.text for message in otp_outbox.messages].count(TEXT) == 5


async def test_it_is_retried_and_fails_over_with_the_text_that_was_kept(otp_outbox: Outbox) -> None:
    async with otp_outbox.service({"sms": {"retry": True}}) as otp:
        otp_outbox.fail("unavailable", times=2)
        assert (await otp.send_sms(PHONE, message=TEXT, verifiable=False)).state is ChallengeState.SENT
        assert [message.text for message in otp_outbox.messages] == [TEXT]


async def test_it_counts_in_the_limits(otp_outbox: Outbox) -> None:
    async with otp_outbox.service({"limits": {"phone": ["2/10m"]}}) as otp:
        for number in range(2):
            await otp.send(PHONE, message=f"{TEXT} {number}", verifiable=False)
        with pytest.raises(RateLimited):
            await otp.send(PHONE, message=TEXT, verifiable=False)


async def test_it_uses_up_no_budget_of_those_that_do_not_verify(otp_outbox: Outbox) -> None:
    limits = {"phone": [], "unverified": ["2/1h"], "unverified_mode": "enforce"}
    async with otp_outbox.service({"limits": limits}) as otp:
        for number in range(4):
            await otp.send(PHONE, message=f"{TEXT} {number}", verifiable=False)
        for number in range(2):
            await otp.send(f"+35988123456{number}")
        with pytest.raises(RateLimited) as refused:
            await otp.send("+359881234569")
        assert refused.value.reason == "unverified"
        await otp.send(PHONE, message=TEXT, verifiable=False)


async def test_a_vendor_that_makes_its_codes_is_left_out_with_a_reason(otp_outbox: Outbox) -> None:
    vendor = Vendor()
    async with otp_outbox.service(providers={"vendor": vendor}) as otp:
        for said in ({"message": TEXT}, {"code": CODE}):
            with pytest.raises(NoRouteError, match="vendor cannot carry") as refused:
                await otp.send(PHONE, verifiable=False, **said)
            assert refused.value.reason == "cannot_carry"
    async with otp_outbox.service({"sms": {"retry": True}}, providers={"vendor": vendor, "outbox": otp_outbox}) as otp:
        otp_outbox.fail("unavailable")
        await otp.send_sms(PHONE, message=TEXT, verifiable=False)
    assert ([message.text for message in otp_outbox.messages], vendor.started) == ([TEXT], 0)


async def test_whoever_looks_at_it_sees_that_it_is_only_relayed(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        relayed = await otp.send(PHONE, message=TEXT, verifiable=False)
        verified = await otp.send(PHONE)
        assert [one.to_dict()["verifiable"] for one in (relayed, verified)] == [False, True]
        shown = {one.id: one.verifiable for one in await otp.operator.challenges.show(PHONE)}
        assert shown == {relayed.id: False, verified.id: True}


async def test_what_is_relayed_lowers_no_share_of_those_that_verify(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        await otp.send(PHONE, message=TEXT, verifiable=False)
        await otp.send(PHONE)
        assert await otp.verify(PHONE, otp_outbox.code)
        (route,) = (await otp.status()).routes
        assert (route.accepted, route.relayed, route.verified) == (2, 1, 1)
