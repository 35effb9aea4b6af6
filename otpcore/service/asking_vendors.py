"""Ask the vendors that own a code whether it is the one that was typed, and take together what they say."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import anyio
import attrs

from otpcore.errors import ErrorKind, ProviderError, SettingsError, StoreError
from otpcore.events import EventType, Work
from otpcore.models import CodeOwner
from otpcore.phone.numbers import PhoneNumber
from otpcore.providers.requests import CheckRequest, CheckResult
from otpcore.service.extras import unseal_extras
from otpcore.service.service import Deadline, Service, recipient
from otpcore.stores.commands import Reservation
from otpcore.stores.lifecycle import NOT_SENT
from otpcore.stores.records import ChallengeRecord, DeliveryRecord

_CANCELLED_GRACE = 2.0  # seconds in which the attempt of a cancelled caller is still given back


@attrs.frozen(kw_only=True)
class Verdict:
    """What the vendors said about one guess.

    Args:
        approved: Ids of the deliveries whose verification was approved.
        gone: Ids of the deliveries whose verification the vendor no longer has.
        error: Of the last check that was not answered.
        incorrect: Some vendor said that the code is wrong.
        was_asked: A check was made, now or by an attempt before this one that found a verification gone.
    """

    approved: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    error: ProviderError | None = None
    incorrect: bool = False
    was_asked: bool = False

    @property
    def answered(self) -> bool:
        """Some vendor said whether the code is right."""
        return self.incorrect or bool(self.gone)


async def ask_vendors(
    service: Service,
    reservation: Reservation,
    challenge: ChallengeRecord,
    code: str,
    phone: PhoneNumber | None,
    deadline: Deadline,
) -> Verdict:
    """Ask each distinct vendor verification once; within a scope, the first answer other than GONE settles it.

    Args:
        phone: What the caller named, where the number that was sent to cannot be read here.
    """
    checks = list(checks_of(reservation.deliveries, reservation.marked))
    verdict = Verdict(was_asked=any(one.gone for one in reservation.deliveries))
    if not checks:
        return verdict
    sent_to, metadata, settled = _sent_to(service, challenge, phone), _metadata_of(service, challenge), set[str]()
    for check in checks:
        if check.scope in settled:
            continue
        verdict = attrs.evolve(verdict, was_asked=True)
        try:
            answer = await _ask(service, check, sent_to, code, metadata, deadline)
        except ProviderError as error:
            settled.add(check.scope)
            verdict = attrs.evolve(verdict, error=error)
            continue
        except anyio.get_cancelled_exc_class():
            await _break_off(service, reservation, challenge, verdict)
            raise
        same = tuple(d.id for d in reservation.deliveries if d.scope == check.scope and d.reference == check.reference)
        if answer is CheckResult.APPROVED:
            return attrs.evolve(verdict, approved=same)
        if answer is CheckResult.INCORRECT:
            settled.add(check.scope)
            verdict = attrs.evolve(verdict, incorrect=True)
        else:
            verdict = attrs.evolve(verdict, gone=verdict.gone + same)
    return verdict


async def _break_off(service: Service, reservation: Reservation, challenge: ChallengeRecord, verdict: Verdict) -> None:
    """The caller was cancelled while a vendor was asked: as if that vendor had not answered."""
    if challenge.core_recorded or verdict.answered:
        return
    with anyio.move_on_after(_CANCELLED_GRACE, shield=True), contextlib.suppress(StoreError):
        settled = await service.store.settle(reservation, give_back=True, gone=(), now=service.store_now)
        if settled is not None and settled.given_back:
            service.emit(EventType.ATTEMPT_GIVEN_BACK, challenge)


def _sent_to(service: Service, challenge: ChallengeRecord, phone: PhoneNumber | None) -> PhoneNumber:
    """The number in the spelling in which it was sent to: that is what the vendor knows."""
    try:
        return service.phone_of(challenge)
    except SettingsError:  # the key is missing here; the vendor can answer all the same
        if phone is None:
            raise
        return phone


def _metadata_of(service: Service, challenge: ChallengeRecord) -> Mapping[str, str]:
    """What the host said of the latest send; nothing where the key is missing here, as with the number."""
    try:
        return unseal_extras(service.keys, challenge).metadata
    except SettingsError:
        return {}


def checks_of(deliveries: Sequence[DeliveryRecord], marked: frozenset[str]) -> Iterator[DeliveryRecord]:
    """One delivery for each vendor verification that may still be checked: newest first, those without reference last.

    Each of the latter: where the vendor finds a verification by delivery id, any of them may be the one that started.
    """
    asked = [d for d in reversed(deliveries) if d.owner is CodeOwner.PROVIDER]
    usable = [d for d in asked if d.scope and d.outcome not in NOT_SENT and not d.gone]
    seen = set[tuple[str, str]]()
    for delivery in [*(d for d in usable if d.reference), *(d for d in usable if not d.reference)]:
        verification = (delivery.scope, delivery.reference)
        by_recipient = not delivery.reference
        if verification in seen or (by_recipient and delivery.scope in marked):
            continue
        if not by_recipient:
            seen.add(verification)
        yield delivery


async def _ask(
    service: Service,
    check: DeliveryRecord,
    phone: PhoneNumber,
    code: str,
    metadata: Mapping[str, str],
    deadline: Deadline,
) -> CheckResult:
    patience = service.settings.otp.provider_timeout
    provider = await service.opened(check.instance, min(patience, deadline.left_for_calls()))
    timeout = min(patience, deadline.left_for_calls())
    if timeout <= 0:
        raise ProviderError(
            ErrorKind.UNAVAILABLE, "others took all the time of this verification", provider=check.instance
        )
    request = CheckRequest(
        challenge_id=check.challenge_id,
        delivery_id=check.id,
        recipient=recipient(phone, check.channel),
        channel=check.channel,
        code=code,
        reference=check.reference,
        metadata=dict(metadata),
    )
    with service.span(Work.CALL, operation="check_code", instance=check.instance, channel=check.channel) as span:
        answer = await provider.check_code(request, timeout)
        span.note(outcome=answer)
        return answer
