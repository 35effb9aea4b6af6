"""Take a vendor's delivery receipt in: prove it, write it once, and go on where the message was not delivered."""

from __future__ import annotations

from datetime import timedelta

import attrs

from otpcore.errors import ReceiptFault, ReceiptRefused, UnknownProviderError
from otpcore.events import EventType
from otpcore.models import Channel, ReceiptResult, RetryJob
from otpcore.providers.requests import ReceiptRequest
from otpcore.service.deadline import Deadline
from otpcore.service.failover import report_end, report_receipt, stored_failover
from otpcore.service.service import Service, new_id
from otpcore.stores.commands import ReceiptRule, Received
from otpcore.stores.records import ChallengeRecord
from otpcore.stores.steps import CallInstance, Ended, FailoverRef, Queued, Step


@attrs.frozen(kw_only=True)
class Taken:
    """What a receipt came to: the answer for the host, and the retry that it left due."""

    result: ReceiptResult
    job: RetryJob | None = None


async def receive(service: Service, instance: str, request: ReceiptRequest) -> Taken:
    """One receipt.

    Raises:
        ReceiptRefused, UnknownProviderError, ProviderError, StoreError: As the public method says.
    """
    deadline = Deadline(service.settings.otp.send_timeout)
    timeout = min(service.settings.otp.provider_timeout, deadline.left_for_calls())
    provider = await service.instances.opened(_reader(service, instance), timeout)
    try:
        receipt = await provider.parse_receipt(request, min(timeout, deadline.left_for_calls()))
    except ReceiptRefused as error:
        service.emit(
            EventType.RECEIPT_REFUSED, instance=provider.instance, reason=error.fault, detail=error.summary or None
        )
        raise
    with deadline.bounding("let the vendor try again"):
        received = await service.store.receive(provider.instance, receipt, _rule(service), service.store_now)
    if received.contradicts:
        raise _contradiction(service, provider.instance)
    if receipt.denial and receipt.status is None:
        with deadline.bounding("let the vendor try again"):
            objection = await _objection(service, received)
        if objection:
            service.emit(EventType.SEND_REFUSED, received.challenge, instance=provider.instance, reason=objection)
        answer = receipt.denial if objection else receipt.answer
        return Taken(result=ReceiptResult(outcome=received.outcome, answer=answer))
    result = ReceiptResult(outcome=received.outcome, answer=receipt.answer)
    challenge, delivery = received.challenge, received.delivery
    if delivery is None:
        return Taken(result=result)
    report_receipt(service, challenge, delivery, receipt)
    if challenge is None:
        return Taken(result=result)
    job = None
    match received.follows:
        case FailoverRef() as ref:
            step = await _go_on(service, ref, challenge, deadline)
            job = _job(step, challenge.id, ref.channel)
        case Queued() | Ended() as step:
            report_end(service, delivery.channel, step)
            job = _job(step, challenge.id, delivery.channel)
    return Taken(result=result, job=job)


def _reader(service: Service, instance: str) -> str:
    """The name of an instance that reads receipts."""
    provider = service.providers.get(instance.casefold())
    if provider is None:
        raise UnknownProviderError(f"no such provider instance; there are {', '.join(sorted(service.providers))}")
    if not provider.reads_receipts:
        raise UnknownProviderError(f"the plugin of provider {provider.instance} reads no delivery receipts")
    return provider.instance


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


async def _go_on(service: Service, ref: FailoverRef, challenge: ChallengeRecord, deadline: Deadline) -> Step:
    """Let the next instance of the route try, now."""
    with deadline.bounding("the send goes on once its lease has run out, where it is retried"):
        await service.live.refresh()
        failover = stored_failover(service, ref, challenge, deadline)
        step = await service.store.go_on(ref, failover.plan, service.store_now)
    if isinstance(step, CallInstance):
        return await failover.run(step)
    report_end(service, ref.channel, step)
    return step


def _job(step: Step, challenge_id: str, channel: Channel) -> RetryJob | None:
    if not isinstance(step, Queued):
        return None
    return RetryJob(challenge_id=challenge_id, channel=channel, due_at=step.due_at)
