"""Decide whether a typed code is right: the core's digest first, then the vendors that own a code."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial

import attrs

from otpcore._delivery import cancel_at_vendor, report_ended
from otpcore._logs import fields
from otpcore._parts import Parts
from otpcore._settings_test_numbers import name_of
from otpcore._spans import Work
from otpcore.codes import digest_length
from otpcore.errors import ProviderError, RateLimited, SettingsError
from otpcore.events import EventType
from otpcore.lifecycle import FOREVER, NOT_SENT, OVER, is_living, is_spent
from otpcore.models import ChallengeState, CheckRequest, CheckResult, CodeOwner, Verification, VerificationStatus
from otpcore.phone import PhoneNumber
from otpcore.records import ChallengeRecord, DeliveryRecord
from otpcore.verbs import RecordedGuess, Reservation, ReservationStatus

_logger = logging.getLogger("otpcore.verifying")
_sandbox_logger = logging.getLogger("otpcore.sandbox")

_STATUSES = {
    ReservationStatus.NOT_FOUND: VerificationStatus.NOT_FOUND,
    ReservationStatus.EXPIRED: VerificationStatus.EXPIRED,
    ReservationStatus.MAX_ATTEMPTS: VerificationStatus.MAX_ATTEMPTS,
}


@attrs.frozen(kw_only=True)
class Guess:
    """What a person typed, and where it should fit. ``code`` is normalised."""

    phone: PhoneNumber | None
    challenge_id: str | None
    purpose: str
    client: str | None
    code: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class _Verdict:
    """What the vendors said about one guess.

    Args:
        approved: Ids of the deliveries whose verification was approved.
        gone: Ids of the deliveries whose verification the vendor no longer has, or has approved before.
        used: Ids of those that it has approved before.
        error: Of the last check that was not answered.
        incorrect: Some vendor said that the code is wrong.
        asked: How many checks were made.
    """

    approved: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    used: tuple[str, ...] = ()
    error: ProviderError | None = None
    incorrect: bool = False
    asked: int = 0

    @property
    def answered(self) -> bool:
        return self.incorrect or bool(self.gone)


async def verify(parts: Parts, guess: Guess) -> Verification:
    """Check a guess: with what the core recorded in the transaction that uses up an attempt, then with the vendors.

    Raises:
        RateLimited: ``locked``: too many failures in a row on this phone.
        ProviderError: The code's owner did not answer and nothing else matched.
        SettingsError: The challenge was begun under a code key that is missing here; the attempt is given back.
    """
    with parts.span(Work.VERIFY) as span:
        verification = await _verify(parts, guess)
        span.note(status=verification.status, challenge_id=verification.challenge_id or "")
        return verification


async def _verify(parts: Parts, guess: Guess) -> Verification:
    subject = parts.keys.subject(guess.phone.e164, guess.purpose) if guess.phone is not None else None
    if len(guess.code) != parts.settings.otp.length:
        unfit = await _unfit(parts, guess, subject)
        if unfit is not None:
            return unfit
    reservation = await parts.store.reserve(
        subject=subject,
        challenge_id=guess.challenge_id,
        purpose=guess.purpose,
        locks=parts.lock_rule(guess.client),
        guess=RecordedGuess(fits=partial(_fits, parts, guess.code), budget=parts.settings.limits.budget_rule),
        now=parts.store_now,
    )
    challenge = reservation.challenge
    if reservation.status is ReservationStatus.LOCKED:
        until = reservation.locked_until
        wait = (until - parts.clock()).total_seconds() if until is not None else None
        _failed(parts, challenge, "locked")
        raise RateLimited("locked", wait)
    if reservation.status is ReservationStatus.APPROVED and challenge is not None:
        return _approved(parts, challenge)
    if reservation.status is not ReservationStatus.RESERVED or challenge is None:
        parts.keys.digest(guess.challenge_id or "", guess.code)  # the same work as for a challenge that lives
        return _refused(parts, challenge, _STATUSES[reservation.status])
    if challenge.core_recorded or guess.phone is None:
        await _require_key(parts, reservation, challenge)
    verdict = await _ask_vendors(parts, reservation, challenge, guess)
    if verdict.approved:
        return await _approve(parts, reservation, challenge, verdict.approved)
    return await _settle(parts, reservation, challenge, verdict)


async def cancel(parts: Parts, challenge_id: str) -> bool:
    """End a living challenge, here and at the vendors; False when there is none."""
    view = await parts.store.cancel(challenge_id, parts.store_now)
    if view is None:
        return False
    if view.challenge.state is ChallengeState.EXPIRED:
        report_ended(parts, None, view.challenge)
        return False
    parts.emit(EventType.CANCELLED, view.challenge)
    checks = [check for check in _checks(view.deliveries, frozenset()) if check.reference]
    if not checks:
        return True
    try:
        phone = parts.phone_of(view.challenge)
    except SettingsError as error:  # cancelled it is; the vendors are left to the mark of the next start
        about = fields("vendor_not_cancelled", challenge_id=challenge_id, reason=type(error).__name__)
        _logger.error("challenge %s: not cancelled at the vendor: %s", challenge_id, error, extra=about)
        return True
    for check in checks:
        await cancel_at_vendor(parts, phone, check)
    return True


def _fits(parts: Parts, code: str, challenge: ChallengeRecord) -> bool:
    """The core recorded this code, in constant time; with a key that is missing here nothing fits."""
    try:
        return challenge.core_recorded and parts.keys.matches(challenge.id, code, challenge.code_digest)
    except SettingsError:
        return False


async def _require_key(parts: Parts, reservation: Reservation, challenge: ChallengeRecord) -> None:
    """A key that this process lacks is its operator's mistake, and never a wrong code."""
    try:
        parts.keys.require(challenge.key_id)
    except SettingsError:
        await parts.store.settle(reservation, give_back=True, gone=(), now=parts.store_now)
        _failed(parts, challenge, "key_missing")
        raise


async def _unfit(parts: Parts, guess: Guess, subject: str | None) -> Verification | None:
    """A length that nobody could have sent is wrong and uses no attempt; None: it may fit, or nothing lives."""
    if guess.challenge_id is not None:
        views = await parts.store.view(challenge_id=guess.challenge_id)
        challenge = views[0].challenge if views else None
    else:
        challenge = await parts.store.latest(subject) if subject is not None else None
    if (
        challenge is None
        or challenge.purpose != guess.purpose
        or (subject is not None and challenge.subject != subject)
    ):
        return None
    if not is_living(challenge, parts.clock()) or is_spent(challenge):
        return None
    lengths = {digest_length(challenge.code_digest)}
    for provider in parts.providers.values():
        if provider.info.code_owner is CodeOwner.PROVIDER:
            lengths |= provider.info.code_lengths
    if len(guess.code) in lengths:
        return None
    return _incorrect(parts, challenge)


async def _approve(
    parts: Parts, reservation: Reservation, challenge: ChallengeRecord, settled: tuple[str, ...]
) -> Verification:
    budget = parts.settings.limits.budget_rule
    if await parts.store.approve(reservation, settled=settled, budget=budget, now=parts.store_now):
        return _approved(parts, challenge)
    _report_lock(parts, reservation, challenge)
    views = await parts.store.view(challenge_id=challenge.id)
    consumed = bool(views) and views[0].challenge.state in OVER and views[0].challenge.expires_at > parts.clock()
    return _refused(parts, challenge, VerificationStatus.NOT_FOUND if consumed else VerificationStatus.EXPIRED)


def _approved(parts: Parts, challenge: ChallengeRecord) -> Verification:
    parts.emit(EventType.VERIFY_APPROVED, challenge)
    if test_number := name_of(challenge.provider):
        masked = challenge.phone_masked
        about = fields("test_number_used", phone=masked, challenge_id=challenge.id, detail=test_number)
        _sandbox_logger.warning(
            "test number %s (%s) is used: its fixed code is accepted", test_number, masked, extra=about
        )
    left = challenge.max_attempts - challenge.attempts
    return Verification(status=VerificationStatus.APPROVED, attempts_left=left, challenge_id=challenge.id)


async def _ask_vendors(parts: Parts, reservation: Reservation, challenge: ChallengeRecord, guess: Guess) -> _Verdict:
    """Ask each distinct vendor verification once; within a scope, the first answer other than GONE settles it."""
    checks = list(_checks(reservation.deliveries, reservation.marked))
    if not checks:
        return _Verdict()
    phone = guess.phone if guess.phone is not None else parts.phone_of(challenge)
    noted = None
    if any(_remembers(parts, check) for check in checks):
        noted = parts.keys.digest(challenge.id, guess.code)
        await parts.store.ask(challenge.id, noted, parts.store_now)
    verdict, settled = _Verdict(), set[str]()
    for check in checks:
        if check.scope in settled:
            continue
        verdict = attrs.evolve(verdict, asked=verdict.asked + 1)
        try:
            answer = await _ask(parts, check, phone, guess.code)
        except ProviderError as error:
            settled.add(check.scope)
            verdict = attrs.evolve(verdict, error=error)
            continue
        same = tuple(d.id for d in reservation.deliveries if d.scope == check.scope and d.reference == check.reference)
        if answer is CheckResult.APPROVED:
            return attrs.evolve(verdict, approved=same)
        if answer is CheckResult.INCORRECT:
            settled.add(check.scope)
            verdict = attrs.evolve(verdict, incorrect=True)
        else:
            used = same if answer is CheckResult.USED else ()
            verdict = attrs.evolve(verdict, gone=verdict.gone + same, used=verdict.used + used)
    return verdict if noted is None else await _resolve(parts, challenge, guess, noted, verdict)


def _remembers(parts: Parts, check: DeliveryRecord) -> bool:
    provider = parts.providers.get(check.instance)
    return provider is not None and provider.info.remembers_approval


async def _resolve(parts: Parts, challenge: ChallengeRecord, guess: Guess, noted: str, verdict: _Verdict) -> _Verdict:
    """What a vendor approved before, and we never recorded, is approved now, if it can only have been this code.

    A process may die between the vendor's approval and our record of it. Whoever tries a code next must not profit: the
    vendor only says that some guess was right. Every guess is noted before the vendor hears it, and taken back when the
    vendor did not approve it, so the right one is among those that are left.
    """
    if verdict.error is not None:
        return verdict  # this guess may be the one that the vendor approved
    left = await parts.store.answered(challenge.id, noted)
    if verdict.used and left and all(parts.keys.matches(challenge.id, guess.code, one) for one in left):
        return attrs.evolve(verdict, approved=verdict.used)
    return verdict


def _checks(deliveries: Sequence[DeliveryRecord], marked: frozenset[str]) -> Iterator[DeliveryRecord]:
    """One delivery for each vendor verification that may still be checked: newest first, those without reference last.

    Each of the latter: where the vendor finds a verification by delivery id, any of them may be the one that started.
    """
    usable = [d for d in reversed(deliveries) if d.scope and d.outcome not in NOT_SENT and not d.gone]
    seen = set[tuple[str, str]]()
    for delivery in [*(d for d in usable if d.reference), *(d for d in usable if not d.reference)]:
        verification = (delivery.scope, delivery.reference)
        by_recipient = not delivery.reference
        if verification in seen or (by_recipient and delivery.scope in marked):
            continue
        if not by_recipient:
            seen.add(verification)
        yield delivery


async def _ask(parts: Parts, check: DeliveryRecord, phone: PhoneNumber, code: str) -> CheckResult:
    provider = await parts.instances.opened(check.instance)
    request = CheckRequest(
        challenge_id=check.challenge_id,
        delivery_id=check.id,
        recipient=phone,
        channel=check.channel,
        code=code,
        reference=check.reference,
    )
    with parts.span(Work.CALL, operation="check_code", instance=check.instance, channel=check.channel) as span:
        answer = await provider.check_code(request, parts.settings.otp.provider_timeout)
        span.note(outcome=answer)
        return answer


async def _settle(
    parts: Parts, reservation: Reservation, challenge: ChallengeRecord, verdict: _Verdict
) -> Verification:
    """Nothing matched."""
    compared = challenge.core_recorded
    referenced = {d.id for d in reservation.deliveries if d.reference}
    gone = tuple(one for one in verdict.gone if one in referenced and one not in verdict.used)
    give_back = verdict.error is not None and not compared and not verdict.answered
    settled = None
    if give_back or gone:
        settled = await parts.store.settle(reservation, give_back=give_back, gone=gone, now=parts.store_now)
    if settled is not None and settled.given_back:
        parts.emit(EventType.ATTEMPT_GIVEN_BACK, challenge)
    else:
        _report_lock(parts, reservation, challenge)
    if verdict.error is not None:
        _failed(parts, challenge, "provider_error", instance=verdict.error.provider)
        raise verdict.error
    if verdict.asked and not verdict.incorrect and not compared:
        return _refused(parts, challenge, VerificationStatus.EXPIRED)
    return _incorrect(parts, challenge)


def _incorrect(parts: Parts, challenge: ChallengeRecord) -> Verification:
    _failed(parts, challenge, VerificationStatus.INCORRECT)
    left = challenge.max_attempts - challenge.attempts
    return Verification(status=VerificationStatus.INCORRECT, attempts_left=left, challenge_id=challenge.id)


def _refused(parts: Parts, challenge: ChallengeRecord | None, status: VerificationStatus) -> Verification:
    _failed(parts, challenge, status)
    return Verification(status=status, challenge_id=challenge.id if challenge is not None else None)


def _failed(parts: Parts, challenge: ChallengeRecord | None, reason: str, *, instance: str = "") -> None:
    parts.emit(EventType.VERIFY_FAILED, challenge, reason=reason, instance=instance)


def _report_lock(parts: Parts, reservation: Reservation, challenge: ChallengeRecord) -> None:
    """Tell of the lock that this attempt set, if it did: it was a failure."""
    until = reservation.locked_until
    if until is not None:
        for_good = until >= FOREVER
        parts.emit(
            EventType.PHONE_LOCKED,
            challenge,
            reason="until_reset" if for_good else "until_time",
            detail=None if for_good else f"until {until.isoformat()}",
        )


def require_id(verify_by: str, challenge_id: str | None) -> None:
    """Refuse a look-up by phone alone where the settings forbid it."""
    if verify_by == "id" and challenge_id is None:
        raise SettingsError('otp.verify_by = "id": pass challenge_id to verify; a phone alone is not enough')
