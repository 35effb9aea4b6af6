"""Decide whether a typed code is right: the core's digest first, then the vendors that own a code."""

from __future__ import annotations

import hmac
import logging
from functools import partial

import anyio
import attrs

from otpcore.codes import digest_length, is_bound
from otpcore.errors import RateLimited, SettingsError
from otpcore.events import EventType, Work, fields
from otpcore.messages.payments import Payment
from otpcore.models import TEST_INSTANCE, ChallengeState, CodeOwner, Verification, VerificationStatus
from otpcore.phone.numbers import PhoneNumber
from otpcore.service.asking_vendors import Verdict, ask_vendors, checks_of
from otpcore.service.cancelling import cancel_at_vendor
from otpcore.service.failover import report_ended
from otpcore.service.service import Deadline, Service
from otpcore.stores.commands import RecordedGuess, Reservation, ReservationStatus
from otpcore.stores.lifecycle import FOREVER, OVER, is_living, is_spent
from otpcore.stores.records import AuditRecord, ChallengeRecord

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
    app: str
    client: str | None = attrs.field(repr=False)
    code: str = attrs.field(repr=False)
    payment: Payment | None = None


async def verify(service: Service, guess: Guess, deadline: Deadline) -> Verification:
    """Check a guess: with what the core recorded in the transaction that uses up an attempt, then with the vendors.

    Over by the deadline: the checks of all vendors share the time before it.

    Raises:
        RateLimited: ``locked``: too many failures in a row on this phone.
        ProviderError: The code's owner did not answer and nothing else matched.
        SettingsError: The challenge was begun under a code key that is missing here; the attempt is given back.
        StoreError: The store did not do its work, or not in time.
    """
    with service.span(Work.VERIFY) as span:
        with deadline.bounding("whether the code is right is not known"):
            verification = await _verify(service, guess, deadline)
        span.note(status=verification.status, challenge_id=verification.challenge_id or "")
        return verification


async def _verify(service: Service, guess: Guess, deadline: Deadline) -> Verification:
    subject = None
    if guess.phone is not None:
        subject = _subject_of(service, guess, guess.phone)
    if len(guess.code) != service.settings.otp.length:
        unfit = await _unfit(service, guess, subject)
        if unfit is not None:
            return unfit
    reservation = await service.store.reserve(
        subject=subject,
        challenge_id=guess.challenge_id,
        purpose=guess.purpose,
        app=guess.app,
        locks=service.lock_rule(guess.client),
        guess=RecordedGuess(fits=partial(_fits, service, guess), budget=service.settings.limits.budget_rule),
        now=service.store_now,
    )
    challenge = reservation.challenge
    if reservation.status is ReservationStatus.LOCKED:
        until = reservation.locked_until
        wait = (until - service.clock()).total_seconds() if until is not None else None
        _failed(service, challenge, "locked")
        raise RateLimited("locked", wait)
    if reservation.status is ReservationStatus.APPROVED and challenge is not None:
        return _approved(service, challenge)
    if reservation.status is not ReservationStatus.RESERVED or challenge is None:
        service.keys.digest(guess.challenge_id or "", guess.code)  # the same work as for a challenge that lives
        return _refused(service, challenge, _STATUSES[reservation.status])
    if challenge.core_recorded or guess.phone is None:
        await _require_key(service, reservation, challenge)
    verdict = Verdict()
    if _is_of_this_payment(service, guess, challenge):
        verdict = await ask_vendors(service, reservation, challenge, guess.code, guess.phone, deadline)
    if verdict.approved:
        return await _approve(service, reservation, challenge, verdict.approved)
    return await _settle(service, reservation, challenge, verdict)


async def cancel(service: Service, challenge_id: str, deadline: Deadline, audit: AuditRecord | None = None) -> bool:
    """End a living challenge, here and at the vendors; False when there is none.

    The store must answer by the deadline. A vendor that does not is left to the mark of the next start.
    """
    with deadline.bounding("the challenge may live on"):
        view = await service.store.cancel(challenge_id, service.store_now, audit=audit)
    if view is None:
        return False
    if view.challenge.state is ChallengeState.EXPIRED:
        report_ended(service, None, view.challenge)
        return False
    service.emit(EventType.CANCELLED, view.challenge)
    service.tell_outcome(view.challenge, approved=False)
    checks = [check for check in checks_of(view.deliveries, frozenset()) if check.reference]
    if not checks:
        return True
    try:
        phone = service.phone_of(view.challenge)
    except SettingsError as error:  # cancelled it is; the vendors are left to the mark of the next start
        about = fields("vendor_not_cancelled", challenge_id=challenge_id, reason=type(error).__name__)
        _logger.error("challenge %s: not cancelled at the vendor: %s", challenge_id, error, extra=about)
        return True
    with anyio.move_on_after(deadline.left()):
        for check in checks:
            await cancel_at_vendor(service, phone, check)
    return True


def _subject_of(service: Service, guess: Guess, phone: PhoneNumber) -> str:
    """The subject of the challenge that is meant, where it is this phone's."""
    if guess.payment is None:
        return service.keys.subject(phone.e164, guess.purpose, guess.app)
    return service.keys.bound_subject(phone.e164, guess.purpose, guess.app, *guess.payment.said)


def _is_of_this_payment(service: Service, guess: Guess, challenge: ChallengeRecord) -> bool:
    """Whether the code of a challenge is for the payment that is guessed, or for none where none is.

    Raises:
        SettingsError: The key of the challenge is missing here.
    """
    if guess.payment is None or not is_bound(challenge.subject):
        return guess.payment is None and not is_bound(challenge.subject)
    return hmac.compare_digest(_subject_of(service, guess, service.phone_of(challenge)), challenge.subject)


def _fits(service: Service, guess: Guess, challenge: ChallengeRecord) -> bool:
    """The core recorded this code, in constant time; with a key that is missing here nothing fits."""
    if not challenge.core_recorded:
        return False
    try:
        fits = service.keys.matches(challenge.id, guess.code, challenge.code_digest)
        return _is_of_this_payment(service, guess, challenge) and fits
    except SettingsError:
        return False


async def _require_key(service: Service, reservation: Reservation, challenge: ChallengeRecord) -> None:
    """A key that this process lacks is its operator's mistake, and never a wrong code."""
    try:
        service.keys.require(challenge.key_id)
    except SettingsError:
        await service.store.settle(reservation, give_back=True, gone=(), now=service.store_now)
        _failed(service, challenge, "key_missing")
        raise


async def _unfit(service: Service, guess: Guess, subject: str | None) -> Verification | None:
    """A length that nobody could have sent is wrong and uses no attempt; None: it may fit, or nothing lives."""
    if guess.challenge_id is not None:
        views = await service.store.view(challenge_id=guess.challenge_id)
        challenge = views[0].challenge if views else None
    else:
        challenge = await service.store.latest(subject) if subject is not None else None
    if (
        challenge is None
        or not challenge.verifiable
        or (challenge.purpose, challenge.app) != (guess.purpose, guess.app)
        or (subject is not None and challenge.subject != subject)
    ):
        return None
    if not is_living(challenge, service.clock()) or is_spent(challenge):
        return None
    if not _is_of_this_payment(service, guess, challenge):  # which is not told for nothing
        return None
    lengths = {digest_length(challenge.code_digest)}
    for provider in service.providers.values():
        if provider.info.code_owner is CodeOwner.PROVIDER:
            lengths |= provider.info.code_lengths
    if len(guess.code) in lengths:
        return None
    return _incorrect(service, challenge)


async def _approve(
    service: Service, reservation: Reservation, challenge: ChallengeRecord, settled: tuple[str, ...]
) -> Verification:
    budget = service.settings.limits.budget_rule
    if await service.store.approve(reservation, settled=settled, budget=budget, now=service.store_now):
        return _approved(service, challenge)
    _report_lock(service, reservation, challenge)
    views = await service.store.view(challenge_id=challenge.id)
    if views and is_living(views[0].challenge, service.clock()):  # another code has replaced the one that was checked
        return _incorrect(service, views[0].challenge)
    consumed = bool(views) and views[0].challenge.state in OVER and views[0].challenge.expires_at > service.clock()
    return _refused(service, challenge, VerificationStatus.NOT_FOUND if consumed else VerificationStatus.EXPIRED)


def _approved(service: Service, challenge: ChallengeRecord) -> Verification:
    service.emit(EventType.VERIFY_APPROVED, challenge)
    service.tell_outcome(challenge, approved=True)
    if challenge.provider is not None and challenge.provider.startswith(TEST_INSTANCE):
        masked, test_number = challenge.phone_masked, challenge.provider.removeprefix(TEST_INSTANCE)
        about = fields("test_number_used", phone=masked, challenge_id=challenge.id, detail=test_number)
        _sandbox_logger.warning(
            "test number %s (%s) is used: its fixed code is accepted", test_number, masked, extra=about
        )
    left = challenge.max_attempts - challenge.attempts
    return Verification(status=VerificationStatus.APPROVED, attempts_left=left, challenge_id=challenge.id)


async def _settle(
    service: Service, reservation: Reservation, challenge: ChallengeRecord, verdict: Verdict
) -> Verification:
    """Nothing matched."""
    compared = challenge.core_recorded
    referenced = {d.id for d in reservation.deliveries if d.reference}
    gone = tuple(one for one in verdict.gone if one in referenced)
    give_back = verdict.error is not None and not compared and not verdict.answered
    settled = None
    if give_back or gone:
        settled = await service.store.settle(reservation, give_back=give_back, gone=gone, now=service.store_now)
    if settled is not None and settled.given_back:
        service.emit(EventType.ATTEMPT_GIVEN_BACK, challenge)
    else:
        _report_lock(service, reservation, challenge)
    if verdict.error is not None:
        _failed(service, challenge, "provider_error", instance=verdict.error.provider)
        raise verdict.error
    if verdict.was_asked and not verdict.incorrect and not compared:
        return _refused(service, challenge, VerificationStatus.EXPIRED)
    return _incorrect(service, challenge)


def _incorrect(service: Service, challenge: ChallengeRecord) -> Verification:
    _failed(service, challenge, VerificationStatus.INCORRECT)
    left = challenge.max_attempts - challenge.attempts
    return Verification(status=VerificationStatus.INCORRECT, attempts_left=left, challenge_id=challenge.id)


def _refused(service: Service, challenge: ChallengeRecord | None, status: VerificationStatus) -> Verification:
    _failed(service, challenge, status)
    return Verification(status=status, challenge_id=challenge.id if challenge is not None else None)


def _failed(service: Service, challenge: ChallengeRecord | None, reason: str, *, instance: str = "") -> None:
    service.emit(EventType.VERIFY_FAILED, challenge, reason=reason, instance=instance)


def _report_lock(service: Service, reservation: Reservation, challenge: ChallengeRecord) -> None:
    """Tell of the lock that this attempt set, if it did: it was a failure."""
    until = reservation.locked_until
    if until is not None:
        for_good = until >= FOREVER
        service.emit(
            EventType.PHONE_LOCKED,
            challenge,
            reason="until_reset" if for_good else "until_time",
            detail=None if for_good else f"until {until.isoformat()}",
        )
