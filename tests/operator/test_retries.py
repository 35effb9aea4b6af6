"""What an operator sees and changes of sends that wait for their next try."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from otpcore import InvalidArgument
from otpcore.testing import Outbox

from .scenes import BY, OTHER_PHONE, PHONE, Scene, open_scene


@pytest.fixture
async def scene(otp_outbox: Outbox) -> AsyncIterator[Scene]:
    async with open_scene(otp_outbox) as found:
        yield found


async def test_one_retry_is_requeued_and_dropped(scene: Scene) -> None:
    challenge_id = await scene.queued(PHONE)
    (waiting,) = (await scene.otp.operator.retries.list()).items
    assert (waiting.phone, waiting.under_way) == ("+3598******67", False)
    assert (await scene.otp.operator.retries.list(reveal=True)).items[0].phone == PHONE
    assert (await scene.otp.operator.retries.requeue(challenge_id, **BY)).changed == 1
    assert (await scene.otp.operator.retries.list()).items[0].due_at == scene.outbox.clock()
    dropped = await scene.otp.operator.retries.drop(challenge_id, **BY)
    assert (dropped.changed, dropped.state) == (1, "unsendable")
    assert await scene.changes() == [("retries.requeue", challenge_id), ("retries.drop", challenge_id)]


async def test_many_retries_are_changed_only_once_they_were_counted(scene: Scene) -> None:
    first, second = [await scene.queued(phone) for phone in (PHONE, "+359881234567")]
    await scene.queued(OTHER_PHONE)
    retries = scene.otp.operator.retries
    assert ((await retries.count()).count, (await retries.count("BG")).count) == (3, 2)
    with pytest.raises(InvalidArgument, match="count"):
        await retries.drop(by="ann")
    with pytest.raises(InvalidArgument, match="2 are there by now, and 1 were counted"):
        await retries.drop(prefix="+359", count=1, by="ann")
    with pytest.raises(InvalidArgument, match="one is named"):
        await retries.drop(first, prefix="+359", by="ann")
    assert await scene.changes() == []
    requeued = await retries.requeue(count=3, by="ann")
    assert (requeued.found, requeued.changed) == (3, 3)
    dropped = await retries.drop(prefix="+359", count=2, by="ann", reason="pumped")
    assert (dropped.found, dropped.changed, dropped.unread) == (2, 2, 0)
    assert (await retries.count()).count == 1
    assert {change for change in await scene.changes() if change[0] == "retries.drop"} == {
        ("retries.drop", one) for one in (first, second)
    }


async def test_of_a_challenge_that_is_not_there_nothing_is_found(scene: Scene) -> None:
    retries = scene.otp.operator.retries
    over = await scene.otp.send_sms(PHONE)
    for challenge_id in ("7Y-rvvxNXifcfyo_pSCiDkQq", over.id, "\0"):
        for change in (retries.requeue, retries.drop):
            done = await change(challenge_id, by="ann")
            assert (done.found, done.changed, done.state) == (0, 0, None)
    assert await scene.changes() == []


async def test_what_waits_is_listed_with_its_last_answer_and_for_how_long_it_helps(scene: Scene) -> None:
    now = scene.outbox.clock()
    await scene.queued(PHONE)
    (waiting,) = (await scene.otp.operator.retries.list()).items
    assert (waiting.provider, waiting.outcome, waiting.provider_code) == ("second", "unavailable", None)
    assert (waiting.begun_at, waiting.expires_at) == (now, now + timedelta(seconds=300))
    (challenge,) = await scene.otp.operator.challenges.show(waiting.challenge_id)
    assert challenge.retries == (waiting,)


async def test_what_waits_is_listed_page_by_page_and_by_whom_it_concerns(scene: Scene) -> None:
    retries = scene.otp.operator.retries
    ids = [await scene.queued(f"+35988123456{number}") for number in range(3)]
    abroad = await scene.queued(OTHER_PHONE)
    found, after = [], None
    for _ in range(2):
        page = await retries.list(2, after=after)
        found += page.items
        after = page.cursor
    assert after is None
    assert {one.challenge_id for one in found} == {*ids, abroad}
    assert found == sorted(found, key=lambda one: one.due_at)
    assert [one.challenge_id for one in (await retries.list(prefix="DE")).items] == [abroad]
    page = await retries.list(2, prefix="+35988", instance="Second")
    assert len(page.items) == 2
    (last,) = (await retries.list(2, prefix="+35988", instance="Second", after=page.cursor)).items
    assert {one.challenge_id for one in (*page.items, last)} == set(ids)
    assert (await retries.list(instance="outbox")).items == ()
    for after in ("", "x", "1-0.sms.", "ffffffffffffffff-0.sms.a", "1-0.Pigeon!.a", 7):
        with pytest.raises(InvalidArgument, match="after"):
            await retries.list(after=after)


async def test_what_an_instance_tried_last_is_counted_and_dropped_together(scene: Scene) -> None:
    retries = scene.otp.operator.retries
    await scene.otp.operator.instances.drain("second", by="ann")
    first = await scene.queued(PHONE)
    await scene.otp.operator.instances.take_back("second", by="ann")
    other = await scene.queued(OTHER_PHONE)
    counted = await retries.count(instance="OUTBOX")
    assert (counted.count, counted.instance, counted.prefix) == (1, "outbox", None)
    assert (await retries.count("DE", instance="outbox")).count == 0
    with pytest.raises(InvalidArgument, match="one is named"):
        await retries.drop(first, instance="outbox", by="ann")
    assert (await retries.drop(instance="outbox", count=1, by="ann")).changed == 1
    assert [one.challenge_id for one in (await retries.list()).items] == [other]
    assert (await scene.otp.operator.audit(1))[0].detail["instance"] == "outbox"
