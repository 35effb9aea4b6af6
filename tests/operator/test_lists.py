"""Lists of challenges and deliveries, and counts over time, as an operator asks for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest

from otpcore import (
    AsyncOTPService,
    DeliveryError,
    DeliveryReceipt,
    DeliveryRequest,
    InvalidArgument,
    InvalidPhoneNumber,
    Operator,
    Price,
    hookimpl,
)
from otpcore.operator import ChallengePage
from otpcore.testing import Outbox

from .scenes import BY, OTHER_PHONE, PHONE, on_file

NOTHING = {"day": None, "instance": None, "prefix": None, "channel": None}


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    return on_file(tmp_path)


@pytest.fixture
async def otp(otp_outbox: Outbox, settings: dict[str, Any]) -> AsyncIterator[AsyncOTPService]:
    """Three people: one verified, one whom nobody could serve, and one of another app who got a call."""
    async with otp_outbox.service(settings) as otp:
        await otp.send_sms(PHONE, purpose="login")
        otp_outbox.clock.advance(20)
        assert await otp.verify(PHONE, otp_outbox.messages[-1].code, purpose="login")
        otp_outbox.clock.advance(40)
        otp_outbox.fail("throttled")
        with pytest.raises(DeliveryError):
            await otp.send_sms(OTHER_PHONE, purpose="pay")
        otp_outbox.clock.advance(60)
        await otp.call("+447400123456", purpose="pay", app="shop")
        yield otp


def purposes(page: ChallengePage) -> list[str]:
    return [f"{one.purpose} {one.state}" for one in page.items]


async def test_challenges_are_listed_by_what_is_asked_for(otp: AsyncOTPService) -> None:
    challenges = otp.operator.challenges
    every = await challenges.list()
    assert [(one.purpose, one.app, one.provider) for one in every.items] == [
        ("pay", "shop", "outbox"),
        ("pay", "", "outbox"),
        ("login", "", "outbox"),
    ]
    assert every.cursor is None
    call, failed, login = every.items
    assert (login.state, login.living, login.phone) == ("approved", False, "+3598******67")
    assert call.living
    for wanted, expected in (
        ({"purpose": "pay"}, [call, failed]),
        ({"app": ""}, [failed, login]),
        ({"app": "shop"}, [call]),
        ({"state": "approved"}, [login]),
        ({"phone": f" {OTHER_PHONE[:6]} {OTHER_PHONE[6:]}"}, [failed]),
        ({"instance": "nobody"}, []),
        ({"since": failed.first_sent_at}, [call, failed]),
        ({"until": failed.first_sent_at}, [login]),
    ):
        assert list((await challenges.list(**wanted)).items) == expected, wanted


async def test_a_cursor_goes_on_where_a_page_ended(otp: AsyncOTPService) -> None:
    found, after = [], None
    while True:
        page = await otp.operator.challenges.list(after=after, limit=1)
        assert len(page.items) <= 1
        found += page.items
        after = page.cursor
        if after is None:
            break
    assert tuple(found) == (await otp.operator.challenges.list()).items


async def test_numbers_are_masked_unless_they_are_revealed(otp: AsyncOTPService) -> None:
    masked = await otp.operator.challenges.list(phone=PHONE)
    assert PHONE[1:] not in f"{masked} {masked.to_dict()}"
    (shown,) = (await otp.operator.challenges.list(phone=PHONE, reveal=True)).to_dict()["items"]
    assert (shown["phone"], shown["state"]) == (PHONE, "approved")
    assert datetime.fromisoformat(shown["first_sent_at"]).utcoffset() == timedelta(0)


async def test_deliveries_are_listed_by_what_is_asked_for(otp: AsyncOTPService) -> None:
    deliveries, challenges = otp.operator.deliveries, (await otp.operator.challenges.list()).items
    every = (await deliveries.list()).items
    assert [one.challenge_id for one in every] == [one.id for one in challenges]
    assert [(one.channel, one.outcome) for one in every] == [
        ("call", "accepted"),
        ("sms", "throttled"),
        ("sms", "accepted"),
    ]
    assert [(one.phone, one.purpose, one.app) for one in every] == [
        (one.phone, one.purpose, one.app) for one in challenges
    ]
    for wanted, expected in (
        ({"channel": "sms"}, every[1:]),
        ({"outcome": "throttled"}, every[1:2]),
        ({"instance": "outbox", "phone": PHONE}, every[2:]),
        ({"prefix": ""}, every),
        ({"prefix": "+359"}, ()),
        ({"provider_code": "no such code"}, ()),
        ({"until": every[1].recorded_at, "limit": 5}, every[2:]),
    ):
        assert (await deliveries.list(**wanted)).items == expected, wanted


async def test_what_deliveries_cost_is_summed_as_they_are_listed(otp_outbox: Outbox, settings: dict[str, Any]) -> None:
    class Priced(Outbox):
        @hookimpl
        async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
            return attrs.evolve(await super().send_sms(request), price=Price.read("0.05", "EUR"))

    priced = Priced(clock=otp_outbox.clock)
    async with otp_outbox.service(settings, providers={"priced": priced}) as otp:
        for phone in (PHONE, OTHER_PHONE):
            await otp.send_sms(phone)
        await otp.call(PHONE)
        cost = otp.operator.deliveries.cost
        assert [one.to_dict() for one in (await cost(apart_by="channel")).items] == [
            {**NOTHING, "channel": "call", "sums": {}, "priced": 0, "unpriced": 1},
            {**NOTHING, "channel": "sms", "sums": {"EUR": "0.10"}, "priced": 2, "unpriced": 0},
        ]
        (mine,) = (await cost(phone=PHONE, channel="sms")).items
        assert (mine.sums["EUR"], mine.priced) == (Decimal("0.05"), 1)
        day = (await cost(channel="sms", apart_by=["day"])).to_dict()["items"][0]["day"]
        assert day == f"{otp_outbox.clock():%Y-%m-%d}"
        assert not (await cost(limit=1)).is_whole
        wrongs: list[dict[str, Any]] = [{"apart_by": "country"}, {"apart_by": 1}, {"limit": 0}, {"outcome": "lost"}]
        for wrong in wrongs:
            with pytest.raises(InvalidArgument):
                await cost(**wrong)


async def test_a_delivery_outlives_what_is_known_of_its_person(otp: AsyncOTPService, otp_outbox: Outbox) -> None:
    otp_outbox.clock.advance(3 * 86_400)
    await otp.operator.purge(**BY)
    every = (await otp.operator.deliveries.list()).items
    assert [(one.phone, one.purpose, one.app) for one in every] == [(None, None, None)] * 3


async def test_a_challenge_tells_when_it_was_answered_and_approved(otp: AsyncOTPService) -> None:
    (login,) = await otp.operator.challenges.show(PHONE)
    (delivery,) = login.deliveries
    assert (delivery.prefix, delivery.delivered_at) == ("", None)
    assert delivery.answered_at is not None
    assert login.approved_at == login.first_sent_at + timedelta(seconds=20)
    assert [one.what for one in login.timeline] == ["begun", "delivery", "approved"]
    assert login.cooldowns["sms"] > login.first_sent_at


async def test_what_a_limit_only_records_is_noted_and_no_refusal(otp_outbox: Outbox, settings: dict[str, Any]) -> None:
    async with otp_outbox.service({**settings, "limits": {"phone": [], "unverified": ["1/1h"]}}) as otp:
        for phone in (OTHER_PHONE, "+4915112345679"):
            await otp.send_sms(phone)
        (seen,) = await otp.operator.challenges.show("+4915112345679")
    assert [(one.what, one.result) for one in seen.timeline if one.what in ("noted", "refusal")] == [
        ("noted", "unverified")
    ]


async def test_counts_over_time_are_told_apart(otp: AsyncOTPService, otp_outbox: Outbox) -> None:
    begun = otp_outbox.clock() - timedelta(minutes=10)
    otp_outbox.clock.advance(120)
    await otp.operator.purge(**BY)  # which counts what nobody has counted yet
    (step,) = await otp.operator.series(begun, step=366 * 86_400)
    assert (step.accepted, step.failed, step.verified, step.channel) == (2, {"throttled": 1}, 1, None)
    assert step.verification_p50 == pytest.approx(20, rel=0.125)
    assert step.to_dict()["failed"] == {"throttled": 1}
    (whole,) = await otp.operator.series(begun, step=None)
    assert (whole.accepted, whole.verification_p50) == (2, step.verification_p50)
    assert whole.starts_at == begun.replace(second=0, microsecond=0)
    apart = await otp.operator.series(begun, otp_outbox.clock(), 366 * 86_400, apart_by=["channel", "instance"])
    assert [(one.channel, one.instance, one.accepted) for one in apart] == [("call", "outbox", 1), ("sms", "outbox", 1)]


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"since": datetime(2026, 1, 1)}, "since: must be a time that knows its zone"),  # noqa: DTZ001 - what is refused
        ({"until": "yesterday"}, "until: must be a time"),
        ({"limit": 0}, "limit: "),
        ({"after": "x"}, "after: is no cursor"),
        ({"after": 5}, "after must be text"),
        ({"phone": "5"}, "phone"),
    ],
)
async def test_what_cannot_be_asked_is_refused(otp: AsyncOTPService, wanted: dict[str, Any], why: str) -> None:
    for one in (otp.operator.challenges, otp.operator.deliveries):
        with pytest.raises((InvalidArgument, InvalidPhoneNumber), match=why):
            await one.list(**wanted)


async def test_words_that_nothing_has_are_refused(otp: AsyncOTPService, otp_outbox: Outbox) -> None:
    operator, now = otp.operator, otp_outbox.clock()
    with pytest.raises(InvalidArgument, match="state: is none of sending, sent"):
        await operator.challenges.list(state="lost")
    with pytest.raises(InvalidArgument, match="outcome: is none of open, accepted"):
        await operator.deliveries.list(outcome="lost")
    with pytest.raises(InvalidArgument, match="channel: "):
        await operator.deliveries.list(channel="S M S")
    for step in (0, -60, float("nan"), 90, "1h"):
        with pytest.raises(InvalidArgument, match="step"):
            await operator.series(now, step=step)
    with pytest.raises(InvalidArgument, match="apart_by: may name instance, prefix, channel"):
        await operator.series(now, apart_by=["purpose"])


def test_the_blocking_twin_lists_the_same(otp_outbox: Outbox, settings: dict[str, Any]) -> None:
    with otp_outbox.blocking_service(settings) as otp:
        sent = otp.send_sms(PHONE)
    with Operator(settings, clock=otp_outbox.clock) as operator:
        assert [one.id for one in operator.challenges.list(phone=PHONE).items] == [sent.id]
        assert [one.challenge_id for one in operator.deliveries.list().items] == [sent.id]
        assert operator.series(otp_outbox.clock()) == ()
