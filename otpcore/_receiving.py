"""Take a vendor's delivery receipt in: prove it, write it once, and go on where the message was not delivered."""

from __future__ import annotations

from datetime import timedelta

import attrs

from otpcore._delivery import report_end, report_ended, report_receipt, stored_walk
from otpcore._live import LiveSettings
from otpcore._parts import Parts, new_id
from otpcore.errors import ReceiptRefused, UnknownProviderError
from otpcore.events import EventType
from otpcore.models import Channel, ReceiptRequest, ReceiptResult, RetryJob
from otpcore.records import ChallengeRecord
from otpcore.verbs import ReceiptRule, Received
from otpcore.walks import Step, StepKind, WalkRef


@attrs.frozen(kw_only=True)
class Taken:
    """What a receipt came to: the answer for the host, and the retry that it left due."""

    result: ReceiptResult
    job: RetryJob | None = None


async def receive(parts: Parts, live: LiveSettings, instance: str, request: ReceiptRequest) -> Taken:
    """One receipt.

    Raises:
        ReceiptRefused, UnknownProviderError, ProviderError, StoreError: As the public method says.
    """
    provider = await parts.instances.opened(_reader(parts, instance))
    try:
        receipt = await provider.parse_receipt(request, parts.settings.otp.provider_timeout)
    except ReceiptRefused as error:
        parts.emit(
            EventType.RECEIPT_REFUSED, instance=provider.instance, reason=error.fault, detail=error.summary or None
        )
        raise
    received = await parts.store.receive(provider.instance, receipt, _rule(parts), parts.store_now)
    result = ReceiptResult(outcome=received.outcome, answer=receipt.answer)
    challenge, delivery = received.challenge, received.delivery
    if delivery is None:
        return Taken(result=result)
    report_receipt(parts, challenge, delivery, receipt)
    if challenge is None:
        return Taken(result=result)
    if received.walk is not None:
        step = await _go_on(parts, live, received.walk, challenge)
        return Taken(result=result, job=_job(step, received.walk))
    if received.ended:
        report_ended(parts, delivery.channel, challenge)
    return Taken(result=result, job=_waiting(parts, received, challenge, delivery.channel))


def _reader(parts: Parts, instance: str) -> str:
    """The name of an instance that reads receipts."""
    provider = parts.providers.get(instance.casefold())
    if provider is None:
        raise UnknownProviderError(f"no such provider instance; there are {', '.join(sorted(parts.providers))}")
    if not provider.reads_receipts:
        raise UnknownProviderError(f"the plugin of provider {provider.instance} reads no delivery receipts")
    return provider.instance


def _rule(parts: Parts) -> ReceiptRule:
    retry = parts.settings.retry
    return ReceiptRule(
        token=new_id(),
        lease=timedelta(seconds=retry.lease),
        min_useful_life=timedelta(seconds=retry.min_useful_life),
        retried=frozenset(channel for channel in Channel if parts.policy(channel) is not None),
        key_ids=parts.keys.ids,
        instances=frozenset(parts.providers),
        budget_rule=parts.settings.limits.budget_rule,
    )


async def _go_on(parts: Parts, live: LiveSettings, ref: WalkRef, challenge: ChallengeRecord) -> Step:
    """Let the next instance of the route try, now."""
    await live.refresh()
    walk = stored_walk(parts, live, ref, challenge)
    step = await parts.store.go_on(ref, walk.plan, parts.store_now)
    if step.kind is StepKind.CALL:
        return await walk.run(step)
    report_end(parts, ref.channel, step)
    return step


def _job(step: Step, ref: WalkRef) -> RetryJob | None:
    if step.kind is not StepKind.QUEUED or step.due_at is None:
        return None
    return RetryJob(challenge_id=ref.challenge_id, channel=ref.channel, due_at=step.due_at)


def _waiting(parts: Parts, received: Received, challenge: ChallengeRecord, channel: Channel) -> RetryJob | None:
    """The retry of a send that a process with other instances or keys must go on with."""
    if received.due_at is None:
        return None
    step = Step(kind=StepKind.QUEUED, challenge=challenge, due_at=received.due_at)
    report_end(parts, channel, step)
    return RetryJob(challenge_id=challenge.id, channel=channel, due_at=received.due_at)
