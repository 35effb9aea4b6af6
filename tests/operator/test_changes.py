"""What an operator changes: it holds, it is in the trail with who and why, and it is told as an event."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import attrs
import pytest

from otpcore import (
    Channel,
    EventType,
    InvalidArgument,
    NoRouteError,
    RateLimited,
    RetryDue,
    RetryJob,
    RoutingSyntaxError,
)
from otpcore.operator.results.shown import Shown
from otpcore.testing import Outbox, wrong_code

from .scenes import BY, OTHER_PHONE, PHONE, Scene, open_scene


@pytest.fixture
async def scene(otp_outbox: Outbox) -> AsyncIterator[Scene]:
    async with open_scene(otp_outbox) as found:
        yield found


async def test_a_pause_has_an_end_a_reason_and_an_event(scene: Scene) -> None:
    state = await scene.otp.operator.sending.pause(for_=7200, **BY)
    assert state.until == scene.outbox.clock() + timedelta(hours=2)
    with pytest.raises(RateLimited) as refused:
        await scene.otp.send_sms(PHONE)
    assert refused.value.retry_after == 7200
    (change,) = await scene.otp.operator.audit()
    assert (change.by, change.action, change.reason) == ("ann", "sending.pause", "mada is down")
    assert change.detail["before"] is None
    told = scene.events.one(EventType.OPERATOR_CHANGED)
    assert (told.reason, told.detail) == ("sending.pause", "by ann: mada is down")


async def test_what_changes_nothing_leaves_no_record(scene: Scene) -> None:
    operator = scene.otp.operator
    await operator.sending.resume(by="ann")
    await operator.instances.take_back("outbox", by="ann")
    assert await operator.limits.reset(PHONE, by="ann") == 0
    assert not await operator.challenges.cancel("7Y-rvvxNXifcfyo_pSCiDkQq", by="ann")
    assert (await operator.retries.drop("7Y-rvvxNXifcfyo_pSCiDkQq", by="ann")).changed == 0
    assert await scene.changes() == []
    assert scene.events.of(EventType.OPERATOR_CHANGED) == []


async def test_prefixes_and_regions_are_denied_allowed_and_left_to_the_settings(scene: Scene) -> None:
    sending = scene.otp.operator.sending
    assert (await sending.deny("bg", by="ann")).prefix == "BG"
    with pytest.raises(RateLimited, match="denied"):
        await scene.otp.send_sms(PHONE)
    await sending.allow("+35987", for_=60, by="ann")
    await scene.otp.send_sms(PHONE)
    seen = await sending.show()
    assert [(one.prefix, one.state) for one in seen.prefixes] == [("+35987", "allowed"), ("BG", "denied")]
    await sending.clear("BG", by="ann")
    assert [one.prefix for one in (await sending.show()).prefixes] == ["+35987"]
    scene.outbox.clock.advance(61)
    assert (await sending.show()).prefixes == ()
    assert await scene.changes() == [("sending.deny", "BG"), ("sending.allow", "+35987"), ("sending.clear", "BG")]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"by": ""}, "by: says nobody"),
        ({"by": "  "}, "by: says nobody"),
        ({"by": None}, "by must be text"),
        ({"by": "a" * 101}, "by: has 101 characters"),
        ({"by": "ann", "reason": "x" * 501}, "reason: has 501"),
        ({"by": "ann", "reason": "\0"}, "reason"),
        ({"by": "ann", "for_": 0}, "for_"),
        ({"by": "ann", "for_": -1.0}, "for_"),
        ({"by": "ann", "for_": float("nan")}, "for_"),
    ],
)
async def test_what_cannot_be_meant_changes_nothing(scene: Scene, given: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidArgument, match=why):
        await scene.otp.operator.sending.pause(**given)
    assert (await scene.otp.operator.sending.show()).paused is None
    assert await scene.changes() == []


@pytest.mark.parametrize("typed", ["\u202a+359\u00a087\u202c", "\uff0b35987", "+359-87", "tel:+35987", "\u200b+35987"])
async def test_a_prefix_is_read_as_a_number_is(scene: Scene, typed: str) -> None:
    assert (await scene.otp.operator.sending.deny(typed, by="ann")).prefix == "+35987"
    assert await scene.changes() == [("sending.deny", "+35987")]


async def test_rules_are_read_without_what_nobody_sees(scene: Scene) -> None:
    stored = await scene.otp.operator.routes.set("\u202aoutbox:\u200b+359\u202c", by="ann")
    assert stored.rules == "outbox:+359"


@pytest.mark.parametrize("prefix", ["35987", "", "+0", "BGR", PHONE, None])
async def test_no_whole_number_and_no_nonsense_is_stored_as_a_prefix(scene: Scene, prefix: Any) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await scene.otp.operator.sending.deny(prefix, by="ann")
    assert PHONE[1:] not in str(refused.value)
    assert await scene.changes() == []


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("asked by +359871234567", "asked by +…67"),
        ("asked by 0887 123 456, twice", "asked by …56, twice"),
        ("INC0012345 of 2026-11-30 12:00", "INC0012345 of 2026-11-30 12:00"),
        ("ticket 123456", "ticket 123456"),
        ("  many\n blanks  ", "many blanks"),
    ],
)
async def test_the_numbers_of_people_are_taken_out_of_what_an_operator_says(scene: Scene, said: str, kept: str) -> None:
    await scene.otp.operator.sending.pause(by="ann", reason=said)
    (change,) = await scene.otp.operator.audit()
    assert change.reason == kept
    assert scene.events.one(EventType.OPERATOR_CHANGED).detail == f"by ann: {kept}"


async def test_a_drained_instance_gets_nothing_new_and_what_it_sent_verifies(scene: Scene) -> None:
    challenge = await scene.otp.send_sms(PHONE)
    sent_before = scene.outbox.code
    state = await scene.otp.operator.instances.drain("OUTBOX", **BY)
    assert (state.instance, state.drained, state.drained_since) == ("outbox", True, scene.outbox.clock())
    await scene.otp.send_sms(OTHER_PHONE)
    assert (len(scene.outbox.messages), len(scene.second.messages)) == (1, 1)
    assert await scene.otp.verify(PHONE, sent_before, challenge_id=challenge.id)
    explained = await scene.otp.operator.routes.explain(PHONE)
    assert explained.route == ("second",)
    assert ("outbox", None, "draining") in [(one.instance, one.position, one.reason) for one in explained.steps]
    await scene.otp.operator.instances.take_back("outbox", by="ann")
    assert (await scene.otp.operator.routes.explain(PHONE)).route == ("outbox", "second")
    await scene.otp.send_sms("+359881234567")
    assert len(scene.outbox.messages) == 2
    assert await scene.changes() == [("instances.drain", "outbox"), ("instances.take_back", "outbox")]


async def test_a_drained_instance_gets_no_retries(scene: Scene) -> None:
    challenge_id = await scene.queued(PHONE)
    await scene.otp.operator.instances.drain("outbox", by="ann")
    await scene.otp.operator.retries.requeue(challenge_id, by="ann")
    await scene.otp.run_retry(RetryJob(challenge_id=challenge_id, channel=Channel.SMS, due_at=scene.outbox.clock()))
    assert (len(scene.outbox.messages), len(scene.second.messages)) == (0, 1)


async def test_a_retry_whose_every_instance_is_drained_waits_until_one_is_taken_back(scene: Scene) -> None:
    challenge_id = await scene.queued(PHONE)
    for name in ("outbox", "second"):
        await scene.otp.operator.instances.drain(name, by="ann")
    await scene.otp.operator.retries.requeue(challenge_id, by="ann")
    job = RetryJob(challenge_id=challenge_id, channel=Channel.SMS, due_at=scene.outbox.clock())
    left = await scene.otp.run_retry(job)
    assert isinstance(left, RetryDue)
    assert (await scene.otp.operator.challenges.show(challenge_id))[0].state == "queued"
    await scene.otp.operator.instances.take_back("second", by="ann")
    scene.outbox.clock.advance(60)
    await scene.otp.run_retry(left.job)
    assert (len(scene.outbox.messages), len(scene.second.messages)) == (0, 1)


async def test_with_every_instance_drained_nobody_serves_and_the_status_says_why(scene: Scene) -> None:
    await scene.otp.operator.instances.drain("outbox", by="ann")
    status = await scene.otp.operator.status()
    assert [(one.kind, one.stops) for one in status.obstacles if one.instance == "outbox"] == [("drained", "some")]
    await scene.otp.operator.instances.drain("second", by="ann")
    with pytest.raises(NoRouteError, match="an operator has drained outbox, second") as refused:
        await scene.otp.send_sms(PHONE)
    assert (refused.value.reason, refused.value.http_status) == ("drained", 503)
    status = await scene.otp.operator.status()
    assert not status.is_ready
    assert "otp instances take-back outbox" in [one.fix for one in status.obstacles]
    assert [(one.instance, one.drained) for one in await scene.otp.operator.instances.status()] == [
        ("outbox", True),
        ("second", True),
    ]


async def test_only_an_instance_that_is_there_is_drained(scene: Scene) -> None:
    with pytest.raises(InvalidArgument, match="name one of outbox, second"):
        await scene.otp.operator.instances.drain("mada", by="ann")


async def test_rules_are_tried_written_listed_and_gone_back_to(otp_outbox: Outbox) -> None:
    second = Outbox(clock=otp_outbox.clock)
    forced = {"outbox": otp_outbox, "second": second}
    async with otp_outbox.service(providers=forced) as otp:
        routes = otp.operator.routes
        checked = await routes.validate(" OUTBOX ; second:+35987 ")
        assert checked.rules == "outbox;second:+35987"
        with pytest.raises(RoutingSyntaxError):
            await routes.validate("outbox;;")
        explained = await routes.explain(PHONE, proposed="second;outbox:+359")
        assert (explained.route, explained.proposed.route) == (("outbox", "second"), ("outbox",))
        done = await routes.set("outbox", **BY)
        assert (done.setting, done.forced) == ("otp_sms_provider", ("outbox", "second"))
        await routes.set("second", by="bob")
        await routes.set(None, by="ann")
        await routes.set("outbox", "call", by="ann")
        cleared, bobs, first = await routes.history()
        assert [(one.by, one.rules, one.former) for one in (cleared, bobs, first)] == [
            ("ann", None, "second"),
            ("bob", "second", "outbox"),
            ("ann", "outbox", None),
        ]
        assert [one.rules for one in await routes.history("call")] == ["outbox"]
        assert await routes.history(limit=1) == (cleared,)
        await routes.restore(first.number, by="carol", reason="as it was")
        assert (await routes.show()).database["otp_sms_provider"] == "outbox"
        (restored, *_) = await routes.history()
        assert (restored.by, restored.rules, restored.former) == ("carol", "outbox", None)
        assert (await otp.operator.audit(1))[0].detail["restored"] == first.number
        with pytest.raises(InvalidArgument, match="no change of rules"):
            await routes.restore(first.number + 100, by="ann")
        with pytest.raises(InvalidArgument, match="whole number"):
            await routes.set(f"outbox:{PHONE}", by="ann")
        with pytest.raises(InvalidArgument, match="channel"):
            await routes.set("outbox", "Pigeon!", by="ann")


async def test_rules_are_not_written_over_others_that_nobody_has_looked_at(otp_outbox: Outbox) -> None:
    async with otp_outbox.service(providers={"outbox": otp_outbox, "second": Outbox(clock=otp_outbox.clock)}) as otp:
        routes = otp.operator.routes
        await routes.set("outbox", replaces=None, by="ann")
        with pytest.raises(InvalidArgument, match="replaces: others have been stored since"):
            await routes.set("second", replaces=None, by="bob")
        await routes.set("outbox", replaces="second", by="bob")  # it is so already
        (first,) = await routes.history()
        await routes.set("second", replaces="outbox", by="bob")
        with pytest.raises(InvalidArgument, match="replaces"):
            await routes.restore(first.number, replaces="outbox", by="ann")
        with pytest.raises(InvalidArgument, match="replaces"):
            await routes.set(None, replaces="outbox", by="ann")
        await routes.restore(first.number, replaces="second", by="ann")
        assert [(one.by, one.rules) for one in await routes.history()] == [
            ("ann", "outbox"),
            ("bob", "second"),
            ("ann", "outbox"),
        ]


async def test_other_rules_are_previewed_by_the_challenges_of_late(otp_outbox: Outbox) -> None:
    second = Outbox(clock=otp_outbox.clock)
    started = otp_outbox.clock()
    async with otp_outbox.service(providers={"outbox": otp_outbox, "second": second}) as otp:
        routes = otp.operator.routes
        assert (await routes.preview("second", started)).examined == 0
        for phone in (PHONE, "+359881234567", "+359881234568", OTHER_PHONE):
            await otp.send_sms(phone)
        seen = await routes.preview("outbox;second:+35988", started)
        assert (seen.examined, seen.unread) == (4, 0)
        assert [(one.before, one.after, one.count, one.share) for one in seen.moved] == [("outbox", "second", 2, 0.5)]
        assert [(one.instance, one.before, one.after) for one in seen.firsts] == [("outbox", 4, 2), ("second", 0, 2)]
        assert (await routes.preview("outbox", started, "call")).examined == 0
        assert (await routes.preview("outbox", started)).moved == ()
        await otp.operator.instances.drain("outbox", by="ann")
        assert [(one.before, one.after) for one in (await routes.preview("outbox:+4", started)).moved] == [
            ("second", "")
        ]
        otp_outbox.clock.advance(1)
        assert (await routes.preview("second", otp_outbox.clock())).examined == 0
        with pytest.raises(InvalidArgument, match="knows its zone"):
            await routes.preview("second", started.replace(tzinfo=None))


async def test_a_challenge_is_shown_with_everything_that_happened_to_it(scene: Scene) -> None:
    challenge_id = await scene.queued(PHONE)
    scene.outbox.clock.advance(31)
    await scene.otp.operator.sending.pause(by="ann")
    with pytest.raises(RateLimited):
        await scene.otp.send_sms(PHONE)
    (seen,) = await scene.otp.operator.challenges.show(challenge_id)
    assert (seen.phone, seen.state, seen.living) == ("+3598******67", "queued", True)
    assert [(one.what, one.provider, one.result) for one in seen.timeline] == [
        ("begun", "", ""),
        ("delivery", "outbox", "unavailable"),
        ("delivery", "second", "unavailable"),
        ("refusal", "", "paused"),
        ("due", "", ""),
    ]
    assert (await scene.otp.operator.challenges.show(PHONE))[0].to_dict() == seen.to_dict()
    (revealed,) = await scene.otp.operator.challenges.show(PHONE, reveal=True)
    assert revealed.phone == PHONE
    assert await scene.otp.operator.challenges.show(OTHER_PHONE) == ()
    assert await scene.otp.operator.challenges.cancel(challenge_id, **BY)
    assert not (await scene.otp.operator.challenges.show(challenge_id))[0].living
    assert ("challenges.cancel", challenge_id) in await scene.changes()


async def test_limits_of_a_phone_a_client_and_a_prefix_are_shown_and_reset(scene: Scene) -> None:
    await scene.otp.send_sms(PHONE, client="203.0.113.7")
    await scene.otp.verify(PHONE, wrong_code(scene.outbox.code), client="203.0.113.7")
    limits = scene.otp.operator.limits
    of_phone = await limits.show(PHONE)
    assert of_phone.target == "+3598******67"
    assert [one.client for one in of_phone.failures] != []
    of_client = await limits.show(client="203.0.113.7")
    assert [(one.reason, one.count, one.limit) for one in of_client.sends] == [("client", 1, 20)]
    assert "203.0.113.7" not in str(of_client.to_dict())
    of_prefix = await limits.show(prefix="+359")
    assert [(one.reason, one.count, one.limit) for one in of_prefix.sends] == [("prefix", 1, 50)]
    for target in ({"phone": PHONE}, {"client": "203.0.113.7"}, {"prefix": "+359"}):
        assert await limits.reset(**target, **BY) > 0
        shown = await limits.show(**target)
        assert [one for one in shown.sends if one.reason != "prefix" or "prefix" in target] == []
    assert [action for action, _ in await scene.changes()] == ["limits.reset"] * 3
    trail = str([one.to_dict() for one in await scene.otp.operator.audit()])
    assert "203.0.113.7" not in trail
    assert PHONE[1:] not in trail
    for wrong in ({}, {"phone": PHONE, "prefix": "+359"}):
        with pytest.raises(InvalidArgument, match="exactly one"):
            await limits.show(**wrong)


async def test_a_person_is_erased_and_the_trail_says_by_whom(scene: Scene) -> None:
    await scene.otp.send_sms(PHONE)
    erased = await scene.otp.operator.erase(PHONE, by="ann", reason="asked for it")
    assert (erased.challenges, erased.deliveries) == (1, 1)
    (change,) = await scene.otp.operator.audit()
    assert (change.action, change.target, change.detail["challenges"]) == ("erase", "", 1)
    assert (await scene.otp.operator.purge(by="ann")).challenges == 0
    assert len(await scene.changes()) == 1


async def test_the_trail_is_read_in_pages_and_by_action(scene: Scene) -> None:
    for number in range(3):
        await scene.otp.operator.sending.deny(f"+35{number + 1}", by="ann")
    await scene.otp.operator.sending.pause(by="bob")
    latest, before = await scene.otp.operator.audit(2)
    assert (latest.action, before.target) == ("sending.pause", "+353")
    rest = await scene.otp.operator.audit(below=before.number)
    assert [one.target for one in rest] == ["+352", "+351"]
    assert [one.by for one in await scene.otp.operator.audit(action="sending.pause")] == ["bob"]


async def test_every_result_is_frozen_and_ready_for_json(scene: Scene) -> None:
    await scene.queued(PHONE)
    operator = scene.otp.operator
    await operator.sending.pause(**BY)
    await operator.routes.set("outbox", **BY)
    found: list[Any] = [
        await operator.sending.show(),
        await operator.limits.show(PHONE),
        await operator.routes.show(),
        await operator.routes.explain(PHONE, proposed="second"),
        *await operator.routes.history(),
        *await operator.challenges.show(PHONE),
        await operator.retries.list(),
        *await operator.instances.list(),
        *await operator.instances.status(),
        *await operator.budgets(),
        *await operator.refusals(),
        *await operator.keys_in_use(),
        *await operator.findings(),
        *await operator.audit(),
    ]
    for one in found:
        assert isinstance(one, Shown)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            one.anything = 1
        assert PHONE[1:] not in json.dumps(one.to_dict()) + repr(one)
