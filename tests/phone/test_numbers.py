"""Numbers through the service: one phone is one person in every spelling; validity belongs to sending; mistakes are told at the edge."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otpcore import InvalidArgument, InvalidPhoneNumber, OTPError, RateLimited
from otpcore.stores.memory.store import MemoryStore
from otpcore.testing import Outbox

PHONE = "+359871234567"
ARGENTINA = ("+5491123456789", "+541123456789", "+54 9 11 2345-6789", "+54 11 15 2345-6789")
MEXICO = ("+525512345678", "+5215512345678")
UNASSIGNED = "+13575550131"
OFTEN = {"otp": {"cooldown": 0}, "limits": {"phone": ["3/10m"], "client": [], "neighbours": []}}


@pytest.mark.parametrize("spellings", [ARGENTINA, MEXICO])
async def test_a_phone_is_sent_to_in_one_spelling_and_verified_in_another(
    otp_outbox: Outbox, spellings: tuple[str, ...]
) -> None:
    async with otp_outbox.service() as otp:
        for sent, typed in itertools.permutations(spellings, 2):
            await otp.send_sms(sent)
            assert otp_outbox.messages[-1].phone.e164 == spellings[0]
            assert await otp.verify(typed, otp_outbox.code)
            await otp.purge(phone=typed)


@pytest.mark.parametrize("spellings", [ARGENTINA, MEXICO])
async def test_no_spelling_gets_more_than_the_limit(otp_outbox: Outbox, spellings: tuple[str, ...]) -> None:
    async with otp_outbox.service(OFTEN) as otp:
        for send, phone in zip((otp.send_sms, otp.call, otp.send_sms), spellings * 2, strict=False):
            await send(phone)
        for phone in spellings:
            with pytest.raises(RateLimited, match="phone"):
                await otp.send_sms(phone)


@pytest.mark.parametrize("prefix", ["+5411", "+54911"])
async def test_a_limit_of_a_prefix_counts_every_spelling(otp_outbox: Outbox, prefix: str) -> None:
    limits = {"phone": [], "prefix": {prefix: ["2/1h"]}, "neighbours": []}
    async with otp_outbox.service({"limits": limits, "otp": {"cooldown": 0}}) as otp:
        await otp.call(ARGENTINA[0])
        await otp.call(ARGENTINA[1])
        with pytest.raises(RateLimited, match="prefix"):
            await otp.call(ARGENTINA[1])


async def test_a_call_goes_to_the_number_as_it_was_written_and_an_sms_to_the_mobile(otp_outbox: Outbox) -> None:
    async with otp_outbox.service(OFTEN) as otp:
        await otp.call(ARGENTINA[1])
        await otp.send_sms(ARGENTINA[1])
    assert [message.phone.e164 for message in otp_outbox.messages] == [ARGENTINA[1], ARGENTINA[0]]


async def test_what_was_sent_under_the_loose_policy_is_verified_and_erased_under_the_strict_one(
    otp_outbox: Outbox,
) -> None:
    store = MemoryStore()
    async with otp_outbox.service({"otp": {"number_policy": "possible"}}, store=store) as otp:
        await otp.send_sms(UNASSIGNED)
    async with otp_outbox.service({"otp": {"number_policy": "valid"}}, store=store) as otp:
        with pytest.raises(InvalidPhoneNumber, match="not assigned"):
            await otp.send_sms(UNASSIGNED)
        assert await otp.verify(UNASSIGNED, otp_outbox.code)
        assert (await otp.purge(phone=UNASSIGNED)).challenges == 1
        for number in ("+22997123456", "+999123", "+1"):  # renumbered since, of no country, of no length
            assert (await otp.verify(number, "123456")).status == "not_found"
            assert (await otp.purge(phone=number)).challenges == 0


@settings(deadline=None, max_examples=30)
@given(st.text("\u200e\u202a\u00a0\u2009\ufeff -()", max_size=4), st.text("\u200b \u00ad-", max_size=3))
def test_a_number_and_a_code_are_those_of_the_person_however_they_are_typed(around: str, inside: str) -> None:
    outbox = Outbox()
    with outbox.blocking_service() as otp:
        otp.send_sms(f"{around}{PHONE[:4]}{inside}{PHONE[4:]}{around}")
        assert outbox.messages[-1].phone.e164 == PHONE
        code = outbox.code
        assert otp.verify(f"{around}{PHONE[:7]}{inside}{PHONE[7:]}", f"#{around}{code[:3]}{inside}{code[3:]}.")


async def test_a_code_in_the_middle_of_much_that_cannot_be_seen_is_found(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        await otp.send_sms(PHONE)
        hidden = "\u200b" * 30
        assert await otp.verify(PHONE, hidden.join(otp_outbox.code))


# Arguments of the wrong kind, as JSON and web frameworks bring them.

WRONG: list[Any] = [163406, None, b"163406", 163406.0, ["163406"], {"code": "163406"}, True]


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("send_sms", name, {"phone": PHONE}) for name in ("phone", "purpose", "client", "locale", "message")
]
CALLS += [("call", name, given) for _, name, given in CALLS]
CALLS += [
    ("verify", name, {"phone": PHONE, "code": "1", "challenge_id": "none"})
    for name in ("phone", "code", "challenge_id", "purpose", "client")
]
CALLS += [("cancel", "challenge_id", {}), ("purge", "phone", {})]
MAY_BE_NONE = {"client", "locale", "message"}
MAY_BE_LEFT_OUT = {("verify", "phone"), ("verify", "challenge_id"), ("purge", "phone")}


@pytest.mark.parametrize(("method", "name", "given"), CALLS)
async def test_what_is_no_text_is_one_clear_error_before_anything_happens(
    otp_outbox: Outbox, method: str, name: str, given: dict[str, Any]
) -> None:
    async with otp_outbox.service() as otp:
        for value in WRONG:
            if value is None and (name in MAY_BE_NONE or (method, name) in MAY_BE_LEFT_OUT):
                continue
            with pytest.raises(OTPError, match=f"must be text, not {type(value).__name__}") as refused:
                await getattr(otp, method)(**{**given, name: value})
            assert isinstance(refused.value, InvalidPhoneNumber if name == "phone" else InvalidArgument)
            assert isinstance(refused.value, ValueError)
            assert "163406" not in f"{refused.value!r} {refused.value}"
        assert otp_outbox.messages == []


def test_the_blocking_service_says_the_same() -> None:
    outbox = Outbox()
    with outbox.blocking_service() as otp:
        challenge = otp.send_sms(PHONE)
        with pytest.raises(InvalidArgument, match="code must be text, not int: a number has lost its leading zeros"):
            otp.verify(PHONE, 163406)  # type: ignore[arg-type] # what JSON brings
        assert otp.verify(challenge_id=challenge.id, code=outbox.code).attempts_left == 4, "no attempt was used"


async def test_a_text_that_cannot_be_sent_is_the_same_error(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        with pytest.raises(InvalidArgument, match="code"):
            await otp.send_sms(PHONE, message="without a place")
        with pytest.raises(InvalidArgument, match="purpose"):
            await otp.send_sms(PHONE, purpose="\ud800")
