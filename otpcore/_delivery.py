"""Walk one route once and record it; first sends and retries both go this way."""

from __future__ import annotations

import contextlib
import logging
import time
from typing import Any

import anyio
import attrs

from otpcore._hook_checks import SEND_HOOKS
from otpcore._live import LiveSettings
from otpcore._logs import fields
from otpcore._parts import Parts, new_id
from otpcore._spans import Work
from otpcore.errors import DeliveryError, ErrorKind, ProviderError, StoreError
from otpcore.events import EventType
from otpcore.messages import render_call, render_sms, segments, text_locale
from otpcore.models import (
    CancelRequest,
    ChallengeState,
    Channel,
    CodeOwner,
    DeliveryRequest,
    Outcome,
    Receipt,
    ReceiptStatus,
    UnsendableReason,
)
from otpcore.phone import PhoneNumber
from otpcore.plugins import Provider
from otpcore.records import ChallengeRecord, DeliveryRecord, Mark, ReceiptRecord, changed
from otpcore.walks import CallResult, Step, StepKind, WalkPlan, WalkRef

_logger = logging.getLogger("otpcore.delivery")

_RECORD_PAUSE = 0.05  # seconds between tries to record an outcome, doubling
_RECORD_PAUSE_MAX = 1.0
_WAKE_WITHIN = 2.0  # seconds in which a closed breaker's retries are woken by whoever closed it
_LEAST_CALL = 0.5  # seconds without which no further provider call starts
_CANCELLED_GRACE = 2.0  # seconds in which a cancelled call is still recorded


@attrs.define(kw_only=True)
class Walk:
    """One walk over one route.

    Args:
        parts: Of the service.
        ref: The schedule row and the token that owns it.
        phone: To whom.
        code: The core code.
        message: The host's own text, or None for the template.
        plan: For the transactions of this walk.
        deadline: On the monotonic clock: one provider call ends here at the latest, and none starts shortly before.
    """

    parts: Parts
    ref: WalkRef
    phone: PhoneNumber
    code: str = attrs.field(repr=False)
    message: str | None = attrs.field(default=None, repr=False)
    plan: WalkPlan
    deadline: float
    errors: list[ProviderError] = attrs.field(factory=list)
    _tried: set[str] = attrs.field(factory=set)

    async def run(self, step: Step) -> Step:
        """From a recorded delivery to the step that ends the walk."""
        while step.kind is StepKind.CALL and step.delivery is not None and step.challenge is not None:
            delivery, challenge = step.delivery, step.challenge
            self._tried.add(delivery.instance)
            if step.is_probe:
                self.parts.emit(
                    EventType.BREAKER_PROBED, challenge, channel=self.ref.channel, instance=delivery.instance
                )
            try:
                result = await self._hand_over(step, delivery, challenge)
            except anyio.get_cancelled_exc_class():
                with anyio.move_on_after(_CANCELLED_GRACE, shield=True):
                    await self._record(delivery, challenge, CallResult(outcome=Outcome.AMBIGUOUS), may_go_on=False)
                raise
            step = await self._record(delivery, challenge, result, may_go_on=True)
        if step.kind is StepKind.CANCEL_LATE and step.delivery is not None:
            await cancel_at_vendor(self.parts, self.phone, step.delivery)
        report_end(self.parts, self.ref.channel, step)
        return step

    def failure(self, reason: UnsendableReason | None) -> DeliveryError:
        """What to tell the caller when nothing could be sent."""
        unreachable = any(error.kind is ErrorKind.REJECTED_NUMBER for error in self.errors)
        return DeliveryError(
            str(reason or UnsendableReason.FAILED),
            self.errors,
            str(self.ref.channel.other) if unreachable else None,
        )

    async def _hand_over(self, step: Step, delivery: DeliveryRecord, challenge: ChallengeRecord) -> CallResult:
        """One provider call, with the cancelling of an old verification before it."""
        try:
            provider = await self.parts.instances.opened(delivery.instance)
            timeout = min(self.parts.settings.otp.provider_timeout, self._left())
            if step.mark is not None:
                await self._clear_mark(provider, step.mark, timeout)
            request = self._request(provider, step, delivery, challenge)
            hook = SEND_HOOKS[request.channel]
            with self.parts.span(Work.CALL, operation=hook, instance=provider.instance, channel=request.channel):
                receipt = await provider.send(request, timeout)
        except ProviderError as error:
            self.errors.append(error)
            return CallResult(
                outcome=Outcome(error.kind.value), provider_code=error.provider_code, retry_after=error.retry_after
            )
        return CallResult(outcome=Outcome.ACCEPTED, reference=receipt.reference)

    async def _clear_mark(self, provider: Provider, mark: Mark, timeout: float) -> None:
        """Cancel the old verification at the vendor, then say so in the store; only then may a new one start.

        Raises:
            ProviderError: ``unavailable``; nothing was started.
        """
        if provider.can_cancel and not provider.info.start_replaces:
            request = CancelRequest(
                challenge_id=mark.challenge_id,
                delivery_id=mark.delivery_id,
                recipient=self.phone,
                channel=mark.channel,
                reference=mark.reference,
            )
            try:
                await _cancel(self.parts, provider.instance, request, timeout)
            except ProviderError as error:
                raise ProviderError(
                    ErrorKind.UNAVAILABLE,
                    "an older verification of this number could not be cancelled",
                    error.retry_after,
                    error.provider_code,
                    provider.instance,
                ) from None
        if not await self.parts.store.clear_mark(self.ref, mark.scope, self.parts.store_now):
            raise ProviderError(ErrorKind.UNAVAILABLE, "another send took over", provider=provider.instance)

    def _request(
        self, provider: Provider, step: Step, delivery: DeliveryRecord, challenge: ChallengeRecord
    ) -> DeliveryRequest:
        ours = provider.info.code_owner is CodeOwner.CORE
        settings = self.parts.settings.otp
        return DeliveryRequest(
            delivery_id=delivery.id,
            challenge_id=challenge.id,
            recipient=self.phone,
            channel=self.ref.channel,
            code=self.code if ours else None,
            text=self._text(challenge) if ours else None,
            locale=self._spoken_locale(challenge),
            purpose=challenge.purpose,
            sender=settings.sender,
            template_id=settings.template_id,
            deadline=challenge.expires_at,
            idempotency_key=f"{self.ref.send_id}.{delivery.instance}",
            repeat=step.repeat,
        )

    def _spoken_locale(self, challenge: ChallengeRecord) -> str:
        """The language of the text: a locale without a template of its own is served in another one."""
        settings = self.parts.settings.otp
        if self.message is not None:
            return challenge.locale
        return text_locale(
            locale=challenge.locale,
            purpose=challenge.purpose,
            templates=settings.templates,
            default_locale=settings.locale,
        )

    def _text(self, challenge: ChallengeRecord) -> str:
        settings = self.parts.settings.otp
        minutes = round((challenge.expires_at - self.parts.clock()).total_seconds()) // 60
        if self.ref.channel is Channel.CALL:
            return render_call(
                code=self.code,
                locale=challenge.locale,
                purpose=challenge.purpose,
                app=settings.app,
                message=self.message,
                templates=settings.templates,
                minutes=minutes,
                default_locale=settings.locale,
            )
        text = render_sms(
            code=self.code,
            locale=challenge.locale,
            purpose=challenge.purpose,
            minutes=minutes,
            app=settings.app,
            templates=settings.templates,
            message=self.message,
            web_otp_host=settings.web_otp_host,
            android_hash=settings.android_hash,
            default_locale=settings.locale,
        )
        if _logger.isEnabledFor(logging.DEBUG):
            counted = segments(text)
            _logger.debug(
                "challenge %s: %d segment(s) in %s",
                challenge.id,
                counted.count,
                counted.encoding,
                extra=fields("segments_counted", challenge_id=challenge.id),
            )
        return text

    async def _record(
        self, delivery: DeliveryRecord, challenge: ChallengeRecord, result: CallResult, *, may_go_on: bool
    ) -> Step:
        """Write the outcome; tried again for as long as the walk has time, then ``StoreError``."""
        pause = _RECORD_PAUSE
        while True:
            plan = self._next_plan(may_go_on=may_go_on)
            try:
                step = await self.parts.store.record(self.ref, delivery, result, plan, self.parts.store_now)
            except StoreError:
                if self._left() <= pause:
                    _logger.error(
                        "challenge %s: the outcome of a delivery could not be recorded",
                        challenge.id,
                        extra=fields("outcome_not_recorded", challenge_id=challenge.id, instance=delivery.instance),
                    )
                    raise
                await anyio.sleep(pause)
                pause = min(pause * 2, _RECORD_PAUSE_MAX)
                continue
            self._report(delivery, challenge, result, step)
            if step.closed:
                await self._wake(step.closed)
            return step

    async def _wake(self, instance: str) -> None:
        """What was put off while the instance was out of order is due; what remains after a moment is left to the sweeper."""
        with anyio.move_on_after(_WAKE_WITHIN, shield=True), contextlib.suppress(StoreError):
            await self.parts.store.wake(instance, self.parts.breaker, self.parts.store_now)

    def _next_plan(self, *, may_go_on: bool) -> WalkPlan:
        """What this walk may still try: after a refusal, or where a receipt overtook the acceptance."""
        go_on = may_go_on and self._left() >= _LEAST_CALL
        untried = tuple(c for c in self.plan.route if c.instance not in self._tried) if go_on else ()
        return changed(self.plan, delivery_id=new_id(), untried=untried)

    def _report(self, delivery: DeliveryRecord, challenge: ChallengeRecord, result: CallResult, step: Step) -> None:
        accepted = result.outcome is Outcome.ACCEPTED
        self.parts.emit(
            EventType.DELIVERY_ACCEPTED if accepted else EventType.DELIVERY_FAILED,
            challenge,
            channel=self.ref.channel,
            instance=delivery.instance,
            reason=None if accepted else result.outcome,
            provider_code=result.provider_code,
            detail=self.errors[-1].summary if self.errors and not accepted else None,
        )
        for receipt in step.receipts:
            report_receipt(self.parts, step.challenge or challenge, delivery, receipt)
        if step.opened:
            self.parts.emit(EventType.BREAKER_OPENED, instance=step.opened)
        if step.closed:
            self.parts.emit(EventType.BREAKER_CLOSED, instance=step.closed)

    def _left(self) -> float:
        return self.deadline - time.monotonic()


def stored_walk(parts: Parts, live: LiveSettings, ref: WalkRef, challenge: ChallengeRecord) -> Walk:
    """The walk of a challenge as it is stored, over the route of now: with its number, code and message unsealed."""
    phone, sealed = parts.phone_of(challenge), challenge.message_sealed
    names = live.rules.route(phone.e164, ref.channel, forced=challenge.forced)
    prefix = live.rules.matched_prefix(phone.e164, ref.channel, forced=challenge.forced)
    return Walk(
        parts=parts,
        ref=ref,
        phone=phone,
        code=parts.keys.unseal(challenge.id, "code", challenge.code_sealed) if challenge.code_sealed else "",
        message=parts.keys.unseal(challenge.id, "message", sealed) if sealed is not None else None,
        plan=parts.plan(
            ref.channel,
            parts.candidates(names, ref.channel, phone, prefix),
            is_retry=True,
            barrier=live.switches.barrier(phone.e164, parts.clock()),
        ),
        deadline=time.monotonic() + parts.settings.otp.send_timeout,
    )


async def cancel_at_vendor(parts: Parts, phone: PhoneNumber, delivery: DeliveryRecord) -> None:
    """End a vendor's verification that can no longer help; a failure is left to the mark of the next start."""
    loaded = parts.providers.get(delivery.instance)
    if loaded is None or not loaded.can_cancel:
        return
    request = CancelRequest(
        challenge_id=delivery.challenge_id,
        delivery_id=delivery.id,
        recipient=phone,
        channel=delivery.channel,
        reference=delivery.reference,
    )
    with contextlib.suppress(ProviderError):
        await _cancel(parts, delivery.instance, request, parts.settings.otp.provider_timeout)


async def _cancel(parts: Parts, instance: str, request: CancelRequest, timeout: float) -> None:
    """One call to the provider, and an event that says how it ended.

    Raises:
        ProviderError: The verification may still verify.
    """
    about: dict[str, Any] = {
        "challenge_id": request.challenge_id,
        "phone": request.recipient.masked,
        "channel": request.channel,
        "instance": instance,
    }
    try:
        provider = await parts.instances.opened(instance)
        with parts.span(Work.CALL, operation="cancel", instance=instance, channel=request.channel):
            await provider.cancel(request, timeout)
    except ProviderError as error:
        parts.emit(
            EventType.VENDOR_NOT_CANCELLED,
            **about,
            reason=error.kind.value,
            provider_code=error.provider_code,
            detail=error.summary,
        )
        raise
    parts.emit(EventType.VENDOR_CANCELLED, **about)


def report_receipt(
    parts: Parts, challenge: ChallengeRecord | None, delivery: DeliveryRecord, receipt: Receipt | ReceiptRecord
) -> None:
    """Tell the observers what a vendor reported."""
    failed = receipt.status is ReceiptStatus.UNDELIVERED
    parts.emit(
        EventType.UNDELIVERED if failed else EventType.DELIVERY_CONFIRMED,
        challenge,
        channel=delivery.channel,
        instance=delivery.instance,
        reason=receipt.kind if failed else None,
        provider_code=receipt.provider_code,
    )


def report_end(parts: Parts, channel: Channel, step: Step) -> None:
    """Tell the observers how a walk ended."""
    if step.kind is StepKind.QUEUED and step.due_at is not None:
        parts.emit(
            EventType.RETRY_SCHEDULED if step.put_off is None else EventType.RETRY_PUT_OFF,
            step.challenge,
            channel=channel,
            reason=step.put_off,
            detail=f"due {step.due_at.isoformat()}",
        )
    elif step.kind is StepKind.ENDED and step.challenge is not None:
        report_ended(parts, channel, step.challenge)


def report_ended(parts: Parts, channel: Channel | None, challenge: ChallengeRecord) -> None:
    """Tell the observers that sending ended without acceptance, or that the life is over."""
    kinds = {
        ChallengeState.UNSENDABLE: EventType.UNSENDABLE,
        ChallengeState.SENT: EventType.SENT_UNCONFIRMED,
        ChallengeState.EXPIRED: EventType.EXPIRED,
    }
    if kind := kinds.get(challenge.state):
        parts.emit(kind, challenge, channel=channel, reason=challenge.reason)
