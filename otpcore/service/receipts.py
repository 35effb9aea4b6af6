"""Take a vendor's delivery receipts in: prove them, write each once, and go on where a message was not delivered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial

import anyio
import attrs

from otpcore.errors import ReceiptFault, ReceiptRefused, StoreError, UnknownProviderError
from otpcore.events import EventType
from otpcore.models import Channel, Receipt, ReceiptOutcome, ReceiptResult, RetryJob
from otpcore.providers.requests import ReceiptRequest
from otpcore.service.failover import report_end, report_receipt, stored_failover
from otpcore.service.service import Deadline, Service, new_id
from otpcore.stores.commands import ReceiptRule, Received
from otpcore.stores.records import ChallengeRecord
from otpcore.stores.steps import CallInstance, Ended, FailoverRef, Queued, Step

_AGAIN = "let the vendor try again"


async def receive(
    service: Service, instance: str, request: ReceiptRequest, submit: Callable[[RetryJob], Awaitable[None]]
) -> ReceiptResult:
    """Everything that one request of a vendor says.

    Args:
        service: The service.
        instance: Whose callback it is.
        request: As it arrived.
        submit: Hands over each retry that it leaves due.

    Raises:
        ReceiptRefused, UnknownProviderError, ProviderError, StoreError: As the public method says.
    """
    deadline = Deadline(service.settings.otp.send_timeout)
    timeout = min(service.settings.otp.provider_timeout, deadline.left_for_calls())
    provider = await service.opened(_reader(service, instance), timeout)
    try:
        answer = await provider.parse_receipt(request, min(timeout, deadline.left_for_calls()))
    except ReceiptRefused as error:
        service.emit(
            EventType.RECEIPT_REFUSED, instance=provider.instance, reason=error.fault, detail=error.summary or None
        )
        raise
    intake = _Intake(service=service, instance=provider.instance, deadline=deadline)
    match answer.receipts:
        case [Receipt(status=None, denial=denial) as question] if denial:
            text = await intake.reply(question)
        case receipts:
            text = answer.text
            await intake.take_all(receipts, submit)
    return ReceiptResult(
        outcomes=tuple(intake.outcomes), status=answer.status, text=text, content_type=answer.content_type
    )


def _reader(service: Service, instance: str) -> str:
    """The name of an instance that reads receipts."""
    provider = service.providers.get(instance.casefold())
    if provider is None:
        raise UnknownProviderError(f"no such provider instance; there are {', '.join(sorted(service.providers))}")
    if not provider.reads_receipts:
        raise UnknownProviderError(f"the plugin of provider {provider.instance} reads no delivery receipts")
    return provider.instance


@attrs.define(eq=False, kw_only=True)
class _Intake:
    """The receipts of one request, which are taken in one after the other; only then do sends go on, side by side.

    So a report that a message has arrived after all spares the person another one, where it stands behind the report that
    it had not; and the sends of many share the time of one.

    Args:
        onward: The sends that go on, with their challenges.
        jobs: The retries that are due.
        failures: What could not be done; the rest is done all the same.
    """

    service: Service
    instance: str
    deadline: Deadline
    outcomes: list[ReceiptOutcome] = attrs.field(factory=list)
    onward: list[tuple[FailoverRef, ChallengeRecord]] = attrs.field(factory=list)
    jobs: list[RetryJob] = attrs.field(factory=list)
    failures: list[Exception] = attrs.field(factory=list)

    async def take_all(self, receipts: Sequence[Receipt], submit: Callable[[RetryJob], Awaitable[None]]) -> None:
        """Take them in, let sends go on, and hand over what is due.

        Raises:
            StoreError: The store failed at one of them, or there was no time for more, and there it ended; the vendor
                repeats the request, in which what was taken in changes nothing any more.
            ReceiptRefused: One of them contradicts itself; the others count.
        """
        for receipt in receipts:
            try:
                self._leave_time()
                await self._take(receipt)
            except ReceiptRefused as error:
                self.failures.append(error)
            except StoreError as error:
                self.failures.append(error)
                break
        await self._side_by_side([partial(self._go_on, ref, challenge) for ref, challenge in self.onward])
        await self._side_by_side([partial(submit, job) for job in self.jobs])
        if self.failures:  # a refusal last: the vendor should repeat what can be repeated
            raise min(self.failures, key=lambda error: isinstance(error, ReceiptRefused))

    async def reply(self, question: Receipt) -> str:
        """What a vendor hears that asks whether it may send.

        Raises:
            ReceiptRefused: It contradicts itself.
            StoreError: The store did not do its work.
        """
        received = await self._write(question)
        self.outcomes.append(received.outcome)
        with self.deadline.bounding(_AGAIN):
            objection = await _objection(self.service, received)
        if not objection:
            return question.answer
        self.service.emit(EventType.SEND_REFUSED, received.challenge, instance=self.instance, reason=objection)
        return question.denial

    async def _take(self, receipt: Receipt) -> None:
        if receipt.status is None and receipt.price is None:  # the most frequent report: the store is not asked
            self.outcomes.append(ReceiptOutcome.IGNORED)
            return
        received = await self._write(receipt)
        self.outcomes.append(received.outcome)
        challenge, delivery = received.challenge, received.delivery
        if delivery is None:
            return
        report_receipt(self.service, challenge, delivery, receipt)
        if challenge is None:
            return
        match received.follows:
            case FailoverRef() as ref:
                self.onward.append((ref, challenge))
            case Queued() | Ended() as step:
                report_end(self.service, delivery.channel, step)
                self._keep(step, challenge.id, delivery.channel)

    def _leave_time(self) -> None:
        """The sends that go on have half of the time, however many receipts there are.

        Raises:
            StoreError: It is their turn.
        """
        if self.onward and self.deadline.left() < self.service.settings.otp.send_timeout / 2:
            raise StoreError(f"its receipts are too many for one call: {_AGAIN}")

    async def _write(self, receipt: Receipt) -> Received:
        service = self.service
        with self.deadline.bounding(_AGAIN):
            received = await service.store.receive(self.instance, receipt, _rule(service), service.store_now)
        if received.contradicts:
            raise _contradiction(service, self.instance)
        return received

    async def _go_on(self, ref: FailoverRef, challenge: ChallengeRecord) -> None:
        """Let the next instance of the route try, now."""
        service = self.service
        with self.deadline.bounding("the send goes on once its lease has run out, where it is retried"):
            await service.live.refresh()
            failover = stored_failover(service, ref, challenge, self.deadline)
            step = await service.store.go_on(ref, failover.plan, service.store_now)
        if isinstance(step, CallInstance):
            step = await failover.run(step)
        else:
            report_end(service, ref.channel, step)
        self._keep(step, challenge.id, ref.channel)

    def _keep(self, step: Step, challenge_id: str, channel: Channel) -> None:
        if isinstance(step, Queued):
            self.jobs.append(RetryJob(challenge_id=challenge_id, channel=channel, due_at=step.due_at))

    async def _side_by_side(self, works: Sequence[Callable[[], Awaitable[None]]]) -> None:
        """Do all of it at once; what fails hinders nothing else."""

        async def do(work: Callable[[], Awaitable[None]]) -> None:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - raised when all of it is done
                self.failures.append(error)

        async with anyio.create_task_group() as group:
            for work in works:
                group.start_soon(do, work)


def _contradiction(service: Service, instance: str) -> ReceiptRefused:
    fault = ReceiptFault.CONTRADICTION
    summary = "its delivery id and its reference do not name one message of this instance"
    service.emit(EventType.RECEIPT_REFUSED, instance=instance, reason=fault, detail=summary)
    return ReceiptRefused(fault, summary, instance)


async def _objection(service: Service, received: Received) -> str:
    """Why a vendor that asks may not send; "" where it may. The barriers are those before a send: a pause, a denied number.

    Whom a challenge is for cannot be read without its key: a process that has not got it lets nothing pass.
    """
    challenge, delivery = received.challenge, received.delivery
    if challenge is None:
        return "over"
    if challenge.key_id not in service.keys.ids:
        return "no_key"
    await service.live.refresh()
    barrier = service.live.barrier(service.phone_of(challenge).e164, delivery.channel if delivery is not None else "")
    if barrier is None:
        return ""
    if barrier.unless_verified and await service.store.verified(challenge.phone_key) is not None:
        return ""
    return barrier.reason


def _rule(service: Service) -> ReceiptRule:
    retry = service.settings.retry
    return ReceiptRule(
        token=new_id(),
        lease=timedelta(seconds=retry.lease),
        min_useful_life=timedelta(seconds=retry.min_useful_life),
        retried=frozenset(service.retried),
        key_ids=service.keys.ids,
        instances=frozenset(service.providers),
        budget_rule=service.settings.limits.budget_rule,
    )
