"""Several receipts in one request: all are taken in, in their order, before any send goes on."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from otpcore import (
    ChallengeState,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    EventType,
    ReceiptFault,
    ReceiptOutcome,
    ReceiptRefused,
    StoreError,
    hookimpl,
)
from otpcore.stores.memory.store import MemoryStore
from otpcore.testing import FakeClock

from .carriers import PHONE, Carrier, Queue, Scene, said


async def test_the_receipts_of_one_request_are_taken_in_in_their_order_and_each_retry_is_handed_over(
    scene: Scene,
) -> None:
    scene.second.refuses = ErrorKind.UNAVAILABLE
    clock, queue = FakeClock(), Queue()
    people = [f"+35987123456{number}" for number in range(4)]
    async with scene.service({"sms": {"retry": True}}, clock=clock, runner=queue) as otp:
        challenges = [await otp.send_sms(number) for number in people]
        result = await otp.handle_receipt("first", said("lost M1; delivered M2; lost M3; lost M9; lost M1"))
        assert result.outcomes == tuple(map(ReceiptOutcome, ("applied", "applied", "applied", "unknown", "replayed")))
        assert (result.status, result.text, result.headers) == (204, "", {})
        assert {job.challenge_id for job in queue.jobs} == {challenges[0].id, challenges[2].id}
        scene.second.refuses = None
        clock.advance(1)
        for job in queue.jobs:
            await otp.run_retry(job)
        assert {one.recipient.e164 for one in scene.second.messages} == {people[0], people[2]}
    told = [
        event.type for event in scene.seen.events if event.type in (EventType.UNDELIVERED, EventType.DELIVERY_CONFIRMED)
    ]
    assert told == [EventType.UNDELIVERED, EventType.DELIVERY_CONFIRMED, EventType.UNDELIVERED]


async def test_what_is_reported_as_delivered_behind_its_failure_is_sent_to_nobody_else(scene: Scene) -> None:
    async with scene.service() as otp:
        challenge = await otp.send_sms(PHONE)
        await otp.handle_receipt("first", said("lost M1; delivered M1"))
        assert scene.second.messages == []
        shown = await otp.send_sms(PHONE)
        assert (shown.id, shown.state, shown.confirmed) == (challenge.id, ChallengeState.SENT, True)


async def test_one_that_contradicts_itself_keeps_none_of_the_others_out(scene: Scene) -> None:
    async with scene.service() as otp:
        for number in (PHONE, "+359871234568"):
            await otp.send_sms(number)
        foreign = scene.first.messages[1].delivery_id
        with pytest.raises(ReceiptRefused) as caught:
            await otp.handle_receipt("first", said(f"lost M1 of {foreign}; lost M2"))
        assert caught.value.fault is ReceiptFault.CONTRADICTION
        assert [one.recipient.e164 for one in scene.second.messages] == ["+359871234568"]


class Failing(MemoryStore):
    """Fails at the second receipt of a request, once."""

    taken = 0

    async def receive(self, *arguments: Any) -> Any:
        self.taken += 1
        if self.taken == 2:
            raise StoreError("the store is away")
        return await super().receive(*arguments)


async def test_where_the_store_fails_the_vendor_repeats_all_and_nothing_happens_twice(scene: Scene) -> None:
    store = Failing()
    async with scene.service(store=store) as otp:
        for number in range(3):
            await otp.send_sms(f"+35987123456{number}")
        with pytest.raises(StoreError):
            await otp.handle_receipt("first", said("lost M1; lost M2; lost M3"))
        assert len(scene.second.messages) == 1, "the first has gone on all the same"
        result = await otp.handle_receipt("first", said("lost M1; lost M2; lost M3"))
        assert [str(one) for one in result.outcomes] == ["replayed", "applied", "applied"]
        assert len(scene.second.messages) == 3


class Slow(MemoryStore):
    """Takes a second for each receipt, on the clock of deadlines."""

    passed = 0.0

    async def receive(self, *arguments: Any) -> Any:
        self.passed += 1
        return await super().receive(*arguments)


async def test_of_more_receipts_than_there_is_time_for_the_vendor_repeats_the_rest(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Slow()
    monkeypatch.setattr("otpcore.service.service.time", SimpleNamespace(monotonic=lambda: store.passed, time=time.time))
    request = said("; ".join(f"queued M{number}; lost M{number}" for number in range(1, 9)))
    sent = []
    async with scene.service(store=store) as otp:
        for number in range(8):
            await otp.send_sms(f"+35987123456{number}")
        for _ in range(2):
            with pytest.raises(StoreError, match="let the vendor try again"):
                await otp.handle_receipt("first", request)
            sent.append(len(scene.second.messages))
        await otp.handle_receipt("first", request)
        assert [*sent, len(scene.second.messages)] == [6, 7, 8], "what was taken in went on within its own call"


async def test_many_sends_go_on_in_the_time_of_one(scene: Scene) -> None:
    class Slow(Carrier):
        under_way: int = 0
        most: int = 0

        @hookimpl
        async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            while self.most < 5:
                await anyio.lowlevel.checkpoint()
            self.under_way -= 1
            return await super().send_sms(request)

    slow = scene.second = Slow("S")
    async with scene.service() as otp:
        for number in range(5):
            await otp.send_sms(f"+35987123456{number}")
        await otp.handle_receipt("first", said("; ".join(f"lost M{number}" for number in range(1, 6))))
    assert (slow.most, len(slow.messages)) == (5, 5)
