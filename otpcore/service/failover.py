"""Pass over one route once and record it; first sends, retries and receipts all go this way."""

from __future__ import annotations

import contextlib
import logging

import anyio
import attrs

from otpcore.errors import DeliveryError, ErrorKind, ProviderError, StoreError
from otpcore.events import EventType, Work, fields
from otpcore.messages.texts import render_call, render_sms, segments, text_locale
from otpcore.models import ChallengeState, Channel, CodeOwner, Outcome, Receipt, ReceiptStatus, UnsendableReason
from otpcore.phone.numbers import PhoneNumber
from otpcore.providers.provider import Provider
from otpcore.providers.requests import CancelRequest, DeliveryRequest, send_hook
from otpcore.rate_limits.admission import Barrier, LimitReason
from otpcore.retrying import backoff
from otpcore.service.cancelling import cancel_at_vendor, cancel_verification
from otpcore.service.charging import stronger
from otpcore.service.extras import NOTHING_SAID, Extras, unseal_extras
from otpcore.service.routes import needs_of
from otpcore.service.service import Deadline, Service, new_id, recipient
from otpcore.settings.by_use import text_for
from otpcore.settings.sections import OtpSettings
from otpcore.stores.lifecycle import NOT_SENT
from otpcore.stores.records import ChallengeRecord, Charged, DeliveryRecord, Mark, ReceiptRecord, changed
from otpcore.stores.steps import (
    CallInstance,
    CallResult,
    CancelLate,
    Ended,
    FailoverPlan,
    FailoverRef,
    Queued,
    Recorded,
    Step,
)

_logger = logging.getLogger("otpcore.delivery")

_RECORD_PAUSE = 0.05  # seconds between tries to record an outcome, doubling
_RECORD_PAUSE_MAX = 1.0
_WAKE_WITHIN = 2.0  # seconds in which a closed breaker's retries are woken by whoever closed it
_IN_DOUBT = (
    "a provider was called, and what it said could not be recorded, so the message may arrive and its code verifies"
)
_NOT_RECORDED = "no provider took the message, which could not be recorded"
_LEAST_CALL = 0.5  # seconds without which no further provider call starts
_HOPELESS = frozenset({ErrorKind.MISCONFIGURED, ErrorKind.REJECTED_NUMBER, ErrorKind.BLOCKED})
"""Whose wait says nothing of when the next send may succeed."""
_DRAINED = Barrier(reason=LimitReason.PAUSED)  # a retry whose every instance is drained waits for one to be taken back
_CANCELLED_GRACE = 2.0  # seconds in which a cancelled call is still recorded


@attrs.define(kw_only=True)
class Failover:
    """One pass over one route.

    Args:
        service: Of the service.
        ref: The schedule row and the token that owns it.
        phone: To whom.
        code: The core code.
        message: The host's own text, or None for the template.
        extras: What else the host says of the send.
        plan: For the transactions of this failover.
        deadline: Its last provider call ends shortly before, none starts shortly before that, and the rest is for recording.
    """

    service: Service
    ref: FailoverRef
    phone: PhoneNumber
    code: str = attrs.field(repr=False)
    message: str | None = attrs.field(default=None, repr=False)
    extras: Extras = NOTHING_SAID
    plan: FailoverPlan
    deadline: Deadline
    errors: list[ProviderError] = attrs.field(factory=list)
    _tried: set[str] = attrs.field(factory=set)
    _charges: tuple[Charged, ...] = ()
    _is_handed_over: bool = False

    async def run(self, step: Step) -> Step:
        """To the step that ends the failover."""
        while isinstance(step, CallInstance):
            delivery, challenge = step.delivery, step.challenge
            self._tried.add(delivery.instance)
            self._charges = step.charges
            if step.is_probe:
                self.service.emit(
                    EventType.BREAKER_PROBED, challenge, channel=self.ref.channel, instance=delivery.instance
                )
            try:
                result = await self._hand_over(step)
            except anyio.get_cancelled_exc_class():
                await self._break_off(delivery, challenge)
                raise
            step = await self._record(delivery, challenge, result, may_go_on=True)
        if isinstance(step, CancelLate):
            await cancel_at_vendor(self.service, self.phone, step.delivery)
        elif isinstance(step, Queued | Ended):
            report_end(self.service, self.ref.channel, step)
        return step

    async def withdraw(self, delivery_id: str) -> None:
        """Nothing of this delivery was handed over, and nothing more is done: a cancelled failover says so on its way out."""
        plan = changed(self.plan, delivery_id=delivery_id, charges=self._charges)
        with anyio.move_on_after(_CANCELLED_GRACE, shield=True), contextlib.suppress(StoreError):
            await self.service.store.withdraw(self.ref, plan, self.service.store_now)

    async def _break_off(self, delivery: DeliveryRecord, challenge: ChallengeRecord) -> None:
        """The caller was cancelled: what the provider may have heard of is in doubt, what it has not is not sent."""
        if not self._is_handed_over:
            await self.withdraw(delivery.id)
            return
        with anyio.move_on_after(_CANCELLED_GRACE, shield=True):
            await self._record(delivery, challenge, CallResult(outcome=Outcome.AMBIGUOUS), may_go_on=False)

    def failure(self, reason: UnsendableReason | None, try_channel: Channel | None) -> DeliveryError:
        """What to tell the caller when nothing could be sent."""
        reason = reason or UnsendableReason.FAILED
        waits = [one.retry_after for one in self.errors if one.retry_after is not None and one.kind not in _HOPELESS]
        return DeliveryError(
            str(reason),
            self.errors,
            str(try_channel) if try_channel is not None else None,
            min(waits, default=None),
        )

    async def _hand_over(self, step: CallInstance) -> CallResult:
        """One provider call, with the cancelling of an old verification before it."""
        self._is_handed_over = False
        try:
            patience = self.service.settings.otp.provider_timeout
            provider = await self.service.opened(step.delivery.instance, min(patience, self.deadline.left_for_calls()))
            if self.deadline.is_too_close_for_a_call:
                raise _NotAskedError(ErrorKind.UNAVAILABLE, "no time was left to call it", provider=provider.instance)
            timeout = min(patience, self.deadline.left_for_calls())
            if step.mark is not None:
                await self._clear_mark(provider, step.mark, timeout)
            request = self._request(provider, step)
            hook = send_hook(request.channel)
            with self.service.span(Work.CALL, operation=hook, instance=provider.instance, channel=request.channel):
                self._is_handed_over = True
                receipt = await provider.send(request, timeout)
        except ProviderError as error:
            self.errors.append(error)
            return CallResult(
                outcome=Outcome(error.kind.value),
                provider_code=error.provider_code,
                words=error.summary,
                retry_after=error.retry_after,
                is_asked=not isinstance(error, _NotAskedError),
            )
        return CallResult(outcome=Outcome.ACCEPTED, reference=receipt.reference, price=receipt.price)

    async def _clear_mark(self, provider: Provider, mark: Mark, timeout: float) -> None:
        """Cancel the old verification at the vendor, then say so in the store; only then may a new one start.

        Raises:
            ProviderError: ``unavailable``; nothing was started.
        """
        if provider.can_cancel and not provider.info.start_replaces:
            request = CancelRequest(
                challenge_id=mark.challenge_id,
                delivery_id=mark.delivery_id,
                recipient=recipient(self.phone, mark.channel),
                channel=mark.channel,
                reference=mark.reference,
            )
            try:
                await cancel_verification(self.service, provider.instance, request, timeout)
            except ProviderError as error:
                raise ProviderError(
                    ErrorKind.UNAVAILABLE,
                    "an older verification of this number could not be cancelled",
                    error.retry_after,
                    error.provider_code,
                    provider.instance,
                ) from None
        if not await self.service.store.clear_mark(self.ref, mark.scope, self.service.store_now):
            raise _NotAskedError(ErrorKind.UNAVAILABLE, "another send took over", provider=provider.instance)

    def _request(self, provider: Provider, step: CallInstance) -> DeliveryRequest:
        delivery, challenge, channel = step.delivery, step.challenge, self.ref.channel
        info, settings = provider.info, self.service.texts_of(challenge.app)
        ours, worded = info.code_owner is CodeOwner.CORE, info.words_text(channel)
        named = challenge.locale or self.service.settings.otp.locale
        locale = named if worded else self._spoken_locale(challenge, settings, named)
        use = {"instance": delivery.instance, "purpose": challenge.purpose, "locale": locale}
        return DeliveryRequest(
            delivery_id=delivery.id,
            challenge_id=challenge.id,
            recipient=self.phone,
            channel=channel,
            code=(self.code or None) if ours else None,
            text=self._text(challenge, settings, named) if ours else None,
            locale=locale,
            purpose=challenge.purpose,
            app=challenge.app,
            sender=text_for(settings.sender, **use) if settings.sender else None,
            template_id=text_for(settings.template_id, **use) if settings.template_id else None,
            client=self.extras.client,
            metadata=dict(self.extras.metadata),
            android_hash=settings.android_hash if worded and channel is Channel.SMS else None,
            deadline=challenge.expires_at,
            idempotency_key=f"{self.ref.send_id}.{delivery.code_number}.{delivery.instance}",
            repeat=step.repeat,
            earlier=step.earlier,
        )

    def _spoken_locale(self, challenge: ChallengeRecord, settings: OtpSettings, named: str) -> str:
        """The language of the text: a locale without a template of its own is served in another one."""
        if self.message is not None:
            return named
        return text_locale(
            locale=named, purpose=challenge.purpose, templates=settings.templates, default_locale=settings.locale
        )

    def _text(self, challenge: ChallengeRecord, settings: OtpSettings, named: str) -> str:
        minutes = round((challenge.expires_at - self.service.clock()).total_seconds()) // 60
        is_sms = self.ref.channel is Channel.SMS
        if self.ref.channel is Channel.CALL:
            return render_call(
                code=self.code,
                locale=named,
                purpose=challenge.purpose,
                app=settings.app,
                message=self.message,
                templates=settings.templates,
                minutes=minutes,
                default_locale=settings.locale,
            )
        text = render_sms(
            code=self.code,
            locale=named,
            purpose=challenge.purpose,
            minutes=minutes,
            app=settings.app,
            templates=settings.templates,
            message=self.message,
            web_otp_host=settings.web_otp_host if is_sms else None,
            android_hash=settings.android_hash if is_sms else None,
            default_locale=settings.locale,
        )
        if is_sms and _logger.isEnabledFor(logging.DEBUG):
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
        """Write the outcome; tried again for as long as the failover has time, then ``StoreError``."""
        pauses, known = None, None
        while True:
            plan = self._next_plan(may_go_on=may_go_on)
            try:
                with self.deadline.bounding(_IN_DOUBT if result.outcome not in NOT_SENT else _NOT_RECORDED):
                    recorded = await self.service.store.record(self.ref, delivery, result, plan, self.service.store_now)
            except StoreError as error:
                known = known or error  # the store's own reason says more than the end of the time does
                pauses = pauses or backoff(_RECORD_PAUSE, _RECORD_PAUSE_MAX)
                pause = next(pauses)
                if self.deadline.left() <= pause:
                    _logger.error(
                        "challenge %s: the outcome of a delivery could not be recorded",
                        challenge.id,
                        extra=fields("outcome_not_recorded", challenge_id=challenge.id, instance=delivery.instance),
                    )
                    raise known from None
                await anyio.sleep(pause)
                continue
            self._report(delivery, challenge, result, recorded)
            if EventType.BREAKER_CLOSED in recorded.news:
                await self._wake(delivery.instance)
            return recorded.step

    async def _wake(self, instance: str) -> None:
        """What was put off while the instance was out of order is due; what remains after a moment is left to the sweeper."""
        with anyio.move_on_after(_WAKE_WITHIN, shield=True), contextlib.suppress(StoreError):
            await self.service.store.wake(
                instance, self.service.settings.retry.breaker_threshold, self.service.store_now
            )

    def _next_plan(self, *, may_go_on: bool) -> FailoverPlan:
        """What this failover may still try: after a refusal, or where a receipt overtook the acceptance."""
        go_on = may_go_on and self.deadline.left_for_calls() >= _LEAST_CALL
        untried = tuple(c for c in self.plan.route if c.instance not in self._tried) if go_on else ()
        return changed(self.plan, delivery_id=new_id(), untried=untried, charges=self._charges)

    def _report(
        self, delivery: DeliveryRecord, challenge: ChallengeRecord, result: CallResult, recorded: Recorded
    ) -> None:
        accepted = result.outcome is Outcome.ACCEPTED
        self.service.emit(
            EventType.DELIVERY_ACCEPTED if accepted else EventType.DELIVERY_FAILED,
            challenge,
            channel=self.ref.channel,
            instance=delivery.instance,
            reason=None if accepted else result.outcome,
            provider_code=result.provider_code,
            detail=result.words or None,
            price=result.price,
        )
        for receipt in recorded.receipts:
            report_receipt(self.service, recorded.step.challenge or challenge, delivery, receipt)
        for event in recorded.news:
            self.service.emit(
                event,
                instance=delivery.instance,
                provider_code=result.provider_code,
                detail=result.words or None,
            )


class _NotAskedError(ProviderError):
    """The provider was not called, for a reason of our own."""


def stored_failover(service: Service, ref: FailoverRef, challenge: ChallengeRecord, deadline: Deadline) -> Failover:
    """The failover of a challenge as it is stored, over the route of now: with its number, code and message unsealed."""
    phone, sealed = service.recipient_of(challenge, ref.channel), challenge.message_sealed
    message = service.keys.unseal(challenge.id, "message", sealed) if sealed is not None else None
    needs = needs_of(
        message=message,
        locale=challenge.locale,
        purpose=challenge.purpose,
        settings=service.texts_of(challenge.app),
        own_code=challenge.code_number > 0,
        relayed=not challenge.verifiable,
    )
    route = service.live.rules.route(phone, ref.channel, needs, forced=challenge.forced)
    barrier = stronger(service.live.barrier(phone.e164, ref.channel), _DRAINED if route.is_drained else None)
    return Failover(
        service=service,
        ref=ref,
        phone=phone,
        code=service.keys.unseal(challenge.id, "code", challenge.code_sealed) if challenge.code_sealed else "",
        message=message,
        extras=unseal_extras(service.keys, challenge),
        plan=service.plan(ref.channel, route.candidates, is_retry=True, barrier=barrier),
        deadline=deadline,
    )


def report_receipt(
    service: Service, challenge: ChallengeRecord | None, delivery: DeliveryRecord, receipt: Receipt | ReceiptRecord
) -> None:
    """Tell the observers what a vendor reported."""
    failed = receipt.status is ReceiptStatus.UNDELIVERED
    service.emit(
        EventType.UNDELIVERED if failed else EventType.DELIVERY_CONFIRMED,
        challenge,
        channel=delivery.channel,
        instance=delivery.instance,
        reason=receipt.kind if failed else None,
        provider_code=receipt.provider_code,
        price=receipt.price,
    )


def report_end(service: Service, channel: Channel, step: Step) -> None:
    """Tell the observers how a failover ended."""
    if isinstance(step, Queued):
        service.emit(
            EventType.RETRY_SCHEDULED if step.put_off is None else EventType.RETRY_PUT_OFF,
            step.challenge,
            channel=channel,
            reason=step.put_off,
            detail=f"due {step.due_at.isoformat()}",
        )
    elif isinstance(step, Ended):
        report_ended(service, channel, step.challenge)


def report_ended(service: Service, channel: Channel | None, challenge: ChallengeRecord) -> None:
    """Tell the observers that sending ended without acceptance, or that the life is over."""
    kinds = {
        ChallengeState.UNSENDABLE: EventType.UNSENDABLE,
        ChallengeState.SENT: EventType.SENT_UNCONFIRMED,
        ChallengeState.EXPIRED: EventType.EXPIRED,
    }
    if challenge.state is ChallengeState.EXPIRED:
        service.tell_outcome(challenge, approved=False)
    if kind := kinds.get(challenge.state):
        service.emit(kind, challenge, channel=channel, reason=challenge.reason)
