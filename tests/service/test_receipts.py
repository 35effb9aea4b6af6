"""Delivery receipts through the service: proven by the plugin, told to observers, and a way to the next provider."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from otpcore import (
    ChallengeState,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    EventType,
    OTPService,
    ProviderError,
    Receipt,
    ReceiptAnswer,
    ReceiptFault,
    ReceiptOutcome,
    ReceiptRefused,
    ReceiptRequest,
    ReceiptResult,
    ReceiptStatus,
    UnknownProviderError,
    hookimpl,
)
from otpcore.testing import FakeClock, Outbox

from .carriers import PHONE, Carrier, Queue, Scene, said


async def test_undelivered_lets_the_next_provider_send_and_its_message_verifies(scene: Scene) -> None:
    async with scene.service() as otp:
        challenge = await otp.send_sms(PHONE)
        assert challenge.provider == "first"
        result = await otp.handle_receipt("first", said("lost M1"))
        assert result.outcomes == (ReceiptOutcome.APPLIED,)
        (request,) = scene.second.messages
        assert await otp.verify(challenge_id=challenge.id, code=request.code or "")
    assert scene.seen.types() == [
        EventType.SEND_STARTED,
        EventType.DELIVERY_ACCEPTED,
        EventType.UNDELIVERED,
        EventType.DELIVERY_ACCEPTED,
        EventType.VERIFY_APPROVED,
    ]
    event = scene.seen.events[2]
    assert (event.instance, event.provider_code, event.challenge_id) == ("first", "7", challenge.id)
    assert event.phone != PHONE


async def test_the_same_receipt_again_sends_nothing(scene: Scene) -> None:
    async with scene.service() as otp:
        await otp.send_sms(PHONE)
        outcomes = [(await otp.handle_receipt("first", said("lost M1"))).outcomes[0] for _ in range(3)]
        assert outcomes == [ReceiptOutcome.APPLIED, ReceiptOutcome.REPLAYED, ReceiptOutcome.REPLAYED]
        assert len(scene.second.messages) == 1
        assert scene.seen.types().count(EventType.UNDELIVERED) == 1


async def test_with_nobody_left_the_challenge_is_unsendable_and_observers_hear_it(scene: Scene) -> None:
    scene.second.refuses = ErrorKind.UNAVAILABLE
    async with scene.service() as otp:
        challenge = await otp.send_sms(PHONE)
        await otp.handle_receipt("first", said("lost M1"))
        assert (await otp.send_sms(PHONE)).state is ChallengeState.UNSENDABLE, "in its cooldown it is only shown"
        assert scene.seen.types()[-2:] == [EventType.UNSENDABLE, EventType.SEND_SKIPPED]
        (message,) = scene.first.messages
        assert await otp.verify(challenge_id=challenge.id, code=message.code or ""), "it may arrive after all"


async def test_a_number_that_cannot_be_reached_is_not_tried_elsewhere(scene: Scene) -> None:
    async with scene.service() as otp:
        await otp.send_sms(PHONE)
        await otp.handle_receipt("first", said("refused M1"))
        assert scene.second.messages == []
        last = scene.seen.events[-1]
        assert (last.type, last.reason) == (EventType.UNSENDABLE, "permanent")


async def test_where_retries_are_on_the_send_is_tried_again_later(scene: Scene) -> None:
    scene.second.refuses = ErrorKind.UNAVAILABLE
    clock, queue = FakeClock(), Queue()
    async with scene.service({"sms": {"retry": True}}, clock=clock, runner=queue) as otp:
        challenge = await otp.send_sms(PHONE)
        await otp.handle_receipt("first", said("lost M1"))
        assert scene.seen.types()[-1] is EventType.RETRY_SCHEDULED
        scene.second.refuses = None
        clock.advance(1)
        (job,) = queue.jobs
        await otp.run_retry(job)
        assert [message.challenge_id for message in scene.second.messages] == [challenge.id]


async def test_delivered_confirms_and_changes_nothing_else(scene: Scene) -> None:
    async with scene.service() as otp:
        challenge = await otp.send_sms(PHONE)
        await otp.handle_receipt("first", said("delivered M1"))
        assert scene.seen.types()[-1] is EventType.DELIVERY_CONFIRMED
        shown = await otp.send_sms(PHONE)
        assert (shown.id, shown.state, shown.confirmed) == (challenge.id, ChallengeState.SENT, True)


async def test_progress_and_unknown_messages_are_no_errors(scene: Scene) -> None:
    async with scene.service() as otp:
        await otp.send_sms(PHONE)
        assert (await otp.handle_receipt("first", said("queued M1"))).outcomes == (ReceiptOutcome.IGNORED,)
        for _ in range(2):
            assert (await otp.handle_receipt("first", said("lost M9"))).outcomes == (ReceiptOutcome.UNKNOWN,)
        assert scene.seen.types() == [EventType.SEND_STARTED, EventType.DELIVERY_ACCEPTED]


async def test_what_a_vendor_waits_for_is_handed_back(scene: Scene) -> None:
    async with scene.service() as otp:
        assert await otp.handle_receipt("FIRST", said("ask")) == ReceiptResult(
            outcomes=(ReceiptOutcome.IGNORED,), status=200, text='{"action": "allow"}', content_type="application/json"
        )


async def test_what_a_host_says_of_the_delivery_is_not_believed(scene: Scene) -> None:
    class Echo(Carrier):
        @hookimpl
        def parse_receipt(self, request: ReceiptRequest) -> ReceiptAnswer:
            return ReceiptAnswer(status=202, text=f"proven: {request.delivery_id or 'none'}")

    scene.first = Echo()
    async with scene.service() as otp:
        result = await otp.handle_receipt("first", ReceiptRequest(url="https://example.com/d1/proof", delivery_id="d1"))
    assert (result.outcomes, result.status, result.text) == ((), 202, "proven: none")
    assert result.headers == {"Content-Type": "text/plain; charset=utf-8"}


async def test_a_bad_signature_changes_nothing_and_is_told(scene: Scene) -> None:
    async with scene.service() as otp:
        await otp.send_sms(PHONE)
        with pytest.raises(ReceiptRefused) as caught:
            await otp.handle_receipt("first", said("lost M1", signature="forged"))
        assert (caught.value.fault, caught.value.provider) == (ReceiptFault.SIGNATURE, "first")
        assert (scene.seen.events[-1].type, scene.seen.events[-1].reason) == (EventType.RECEIPT_REFUSED, "signature")
        assert scene.second.messages == []


@pytest.mark.parametrize("status", ["lost", "delivered", "refused"])
async def test_a_receipt_whose_names_contradict_each_other_is_refused_and_told(scene: Scene, status: str) -> None:
    async with scene.service() as otp:
        challenge = await otp.send_sms(PHONE)
        await otp.send_sms("+359871234568")
        before = await otp._service.store.view(challenge_id=challenge.id)
        with pytest.raises(ReceiptRefused) as caught:
            await otp.handle_receipt("first", said(f"{status} M1 of {scene.first.messages[1].delivery_id}"))
        assert (caught.value.fault, caught.value.provider) == (ReceiptFault.CONTRADICTION, "first")
        last = scene.seen.events[-1]
        assert (last.type, last.reason) == (EventType.RECEIPT_REFUSED, "contradiction")
        assert await otp._service.store.view(challenge_id=challenge.id) == before
        assert scene.second.messages == []
        result = await otp.handle_receipt("first", said(f"{status} M1 of {scene.first.messages[0].delivery_id}"))
        assert result.outcomes == (ReceiptOutcome.APPLIED,)


async def test_an_instance_that_is_not_there_or_reads_no_receipts_is_named(scene: Scene) -> None:
    async with scene.service() as otp:
        with pytest.raises(UnknownProviderError, match="first, second"):
            await otp.handle_receipt("third", said("lost M1"))
    async with Outbox().service() as otp:
        with pytest.raises(UnknownProviderError, match="reads no delivery receipts"):
            await otp.handle_receipt("outbox", said("lost M1"))


class Sly(Receipt):
    def __getattribute__(self, name: str) -> Any:
        if name == "reference":
            raise KeyError(PHONE)
        return super().__getattribute__(name)


@pytest.mark.parametrize(
    "answer",
    [
        ValueError("boom +359871234567"),
        "text",
        None,
        Receipt(status=ReceiptStatus.DELIVERED),
        Sly(),
        Receipt(reference="M\n1"),
        [Receipt(reference="M1"), "text"],
        [Receipt(reference="M1"), Receipt(reference="M1", answer="yes", denial="no")],
        ReceiptAnswer(receipts=[Receipt(answer="{}")]),
        ReceiptAnswer(receipts=iter([])),  # type: ignore[arg-type] # what a plugin might do
        ReceiptAnswer(status=404),
        ReceiptAnswer(status=204, text="OK"),
        ReceiptAnswer(text=b"OK"),  # type: ignore[arg-type] # the same
        ReceiptAnswer(content_type="text/plain\r\nSet-Cookie: a=b"),
    ],
)
async def test_a_plugin_that_cannot_read_it_is_the_operators_affair(
    scene: Scene, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Carrier):
        @hookimpl
        def parse_receipt(self, request: ReceiptRequest) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

    caplog.set_level(logging.DEBUG)
    scene.first = Broken()
    async with scene.service() as otp:
        with pytest.raises(ProviderError) as caught:
            await otp.handle_receipt("first", said("lost M1"))
    assert caught.value.kind is ErrorKind.AMBIGUOUS
    assert PHONE not in str(caught.value) + caplog.text
    assert caught.value.__cause__ is caught.value.__context__ is None


async def test_a_send_hook_that_refuses_a_receipt_is_in_doubt(scene: Scene) -> None:
    class Confused(Carrier):
        @hookimpl
        async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
            raise ReceiptRefused(ReceiptFault.SIGNATURE)

    scene.first = Confused()
    async with scene.service() as otp:
        assert (await otp.send_sms(PHONE)).provider == "second"


def test_a_request_shows_nothing_of_its_contents() -> None:
    request = ReceiptRequest(
        url="https://example.com/?To=%2B359871234567", headers={"X-Signature": "secret"}, body=b"To=+359871234567"
    )
    assert repr(request) == "ReceiptRequest(method='POST', delivery_id='')"
    assert request.headers == {"x-signature": "secret"}


def test_the_blocking_twin_takes_receipts_too(scene: Scene) -> None:
    with OTPService(Outbox().settings, providers={"first": scene.first, "second": scene.second}) as otp:
        otp.send_sms(PHONE)
        assert otp.handle_receipt("first", said("lost M1")).outcomes == (ReceiptOutcome.APPLIED,)
    assert len(scene.second.messages) == 1
