"""Delivery receipts through the service: proven by the plugin, told to observers, and a way to the next provider."""

from __future__ import annotations

import contextlib
import logging
from contextlib import AsyncExitStack
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest

from otpcore import (
    AsyncOTPService,
    ChallengeState,
    DeliveryError,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    EventType,
    OTPService,
    ProviderError,
    ProviderInfo,
    Receipt,
    ReceiptAnswer,
    ReceiptFault,
    ReceiptOutcome,
    ReceiptRefused,
    ReceiptRequest,
    ReceiptResult,
    ReceiptStatus,
    RetryHost,
    RetryJob,
    StoreError,
    UnknownProviderError,
    hookimpl,
)
from otpcore.clock import utc_now
from otpcore.settings.tree import generate_keys
from otpcore.stores.memory.store import MemoryStore
from otpcore.testing import EventRecorder, FakeClock, Outbox

PHONE = "+359871234567"


@attrs.define(eq=False)
class Carrier:
    """A provider of texts that reports as a test says; its receipts are signed with the word ``signed``."""

    name: str = "M"
    messages: list[DeliveryRequest] = attrs.field(factory=list)
    refuses: ErrorKind | None = None

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Carrier")

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        if self.refuses is not None:
            raise ProviderError(self.refuses)
        self.messages.append(request)
        return DeliveryReceipt(reference=f"{self.name}{len(self.messages)}")

    @hookimpl
    def parse_receipt(self, request: ReceiptRequest) -> Receipt | list[Receipt]:
        if request.headers.get("signature") != "signed":
            raise ReceiptRefused(ReceiptFault.SIGNATURE, "the signature is wrong")
        read = [self.read(one) for one in request.body.decode().split("; ")]
        return read[0] if len(read) == 1 else read

    def read(self, text: str) -> Receipt:
        status, _, named = text.partition(" ")
        reference, _, delivery_id = named.partition(" of ")
        kind = {"refused": ErrorKind.REJECTED_NUMBER}.get(status)
        ends = {"delivered": ReceiptStatus.DELIVERED, "lost": ReceiptStatus.UNDELIVERED}
        if status == "ask":
            return Receipt(answer='{"action": "allow"}')
        if status == "may":
            return Receipt(reference=reference, delivery_id=delivery_id, answer="yes", denial="no")
        return Receipt(
            status=ReceiptStatus.UNDELIVERED if kind else ends.get(status),
            reference=reference,
            delivery_id=delivery_id,
            provider_code="7",
            kind=kind,
        )


@attrs.define(eq=False)
class Queue:
    """A retry runner that only remembers what is due."""

    jobs: list[RetryJob] = attrs.field(factory=list)

    async def start(self, exit_stack: AsyncExitStack, host: RetryHost) -> None:
        pass

    async def submit(self, job: RetryJob) -> None:
        self.jobs.append(job)


@attrs.define(eq=False)
class Scene:
    """Two carriers, the first of which is asked first."""

    first: Carrier = attrs.field(factory=lambda: Carrier("M"))
    second: Carrier = attrs.field(factory=lambda: Carrier("S"))
    seen: EventRecorder = attrs.field(factory=EventRecorder)

    def service(self, settings: dict[str, Any] | None = None, **more: Any) -> AsyncOTPService:
        providers = {"first": self.first, "second": self.second}
        return Outbox().service(settings, providers=providers, observers=[self.seen], **more)


def said(text: str, signature: str = "signed") -> ReceiptRequest:
    return ReceiptRequest(
        url="https://example.com/receipts/first", headers={"Signature": signature}, body=text.encode()
    )


@pytest.fixture
def scene() -> Scene:
    return Scene()


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


@attrs.define(eq=False)
class Asking(Carrier):
    """A vendor that asks, while it is being called, whether it may send: through the service, as its callback would."""

    otp: AsyncOTPService | None = None
    clock: FakeClock = attrs.field(factory=FakeClock)
    meanwhile: dict[str, str] = attrs.field(factory=dict)
    """Switched by an operator after the send has begun."""
    heard: list[str] = attrs.field(factory=list)

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        assert self.otp is not None
        for name, text in self.meanwhile.items():
            await self.otp._service.store.write_setting(name, text)
        self.clock.advance(5)  # routing.reload_every
        await self.ask(request.delivery_id)
        if self.heard[-1] == "no":
            raise ProviderError(ErrorKind.BLOCKED)
        self.messages.append(request)
        return DeliveryReceipt(reference=f"M{len(self.messages)}")

    async def ask(self, delivery_id: str) -> None:
        assert self.otp is not None
        self.heard.append((await self.otp.handle_receipt("first", said(f"may  of {delivery_id}"))).text)


@pytest.mark.parametrize(
    ("meanwhile", "answer", "reason"),
    [
        ({}, "yes", ""),
        ({"paused": "on"}, "no", "paused"),
        ({"limits.prefix.+35987": "deny"}, "no", "denied"),
        ({"limits.prefix.+49": "deny"}, "yes", ""),
        ({"limits.prefix.+359": "deny", "limits.prefix.+35987": "allow"}, "yes", ""),
    ],
)
async def test_a_vendor_that_asks_meets_the_barriers_of_a_send(
    scene: Scene, meanwhile: dict[str, str], answer: str, reason: str
) -> None:
    asking = scene.first = Asking(meanwhile=meanwhile)
    async with scene.service(clock=asking.clock) as otp:
        asking.otp = otp
        if answer == "yes":
            await otp.send_sms(PHONE)
        else:
            with pytest.raises(DeliveryError):
                await otp.send_sms(PHONE)
    assert asking.heard == [answer]
    refused = [event for event in scene.seen.events if event.type is EventType.SEND_REFUSED]
    assert [(event.reason, event.instance) for event in refused] == ([(reason, "first")] if reason else [])


async def test_a_vendor_that_asks_about_what_is_over_or_unknown_hears_no(scene: Scene) -> None:
    asking = scene.first = Asking()
    async with scene.service() as otp:
        asking.otp = otp
        challenge = await otp.send_sms(PHONE)
        (request,) = asking.messages
        await otp.cancel(challenge.id)
        await asking.ask(request.delivery_id)
        await asking.ask("delivery-of-nobody")
    assert asking.heard == ["yes", "no", "no"]
    assert [event.reason for event in scene.seen.events if event.type is EventType.SEND_REFUSED] == ["over", "over"]


async def test_a_vendor_that_asks_hears_no_where_a_limit_lets_nothing_through_any_more(scene: Scene) -> None:
    asking, store = Asking(), MemoryStore()
    scene.first = asking
    for limits in ({"phone": []}, {"phone": [], "countries": {"BG": ["0/1d"]}}):
        async with scene.service({"limits": limits}, store=store) as otp:
            asking.otp = otp
            if not asking.messages:
                await otp.send_sms(PHONE)
            await asking.ask(asking.messages[0].delivery_id)
    assert asking.heard == ["yes", "yes", "no"]


async def test_a_process_without_the_key_of_a_challenge_lets_nothing_pass(scene: Scene) -> None:
    asking, store = Asking(), MemoryStore()
    scene.first = asking
    older, newer = (generate_keys(utc_now() + timedelta(days=days)) for days in (0, 1))
    for number, ring in enumerate((older, newer)):
        keys = {"index": older.index, "code": dict(ring.code), "current": ring.current}
        async with scene.service({"keys": keys}, store=store) as otp:
            asking.otp = otp
            if number == 0:
                await otp.send_sms(PHONE)
            else:
                await asking.ask(asking.messages[0].delivery_id)
    assert asking.heard == ["yes", "no"]
    assert [event.reason for event in scene.seen.events if event.type is EventType.SEND_REFUSED] == ["no_key"]


async def test_the_settings_deny_whom_they_would_deny_a_send_and_the_verified_pass(scene: Scene) -> None:
    asking = scene.first = Asking()
    store = MemoryStore()
    async with scene.service(store=store) as otp:
        asking.otp = otp
        await otp.send_sms(PHONE)
    (request,) = asking.messages
    async with scene.service({"limits": {"deny": ["+359"]}}, store=store) as otp:
        asking.otp = otp
        await asking.ask(request.delivery_id)
        assert await otp.verify(PHONE, request.code or "")
        with contextlib.suppress(DeliveryError):
            await otp.send_sms(PHONE)
    assert asking.heard == ["yes", "no", "yes"]


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
    monkeypatch.setattr("otpcore.service.deadline.time", SimpleNamespace(monotonic=lambda: store.passed))
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
