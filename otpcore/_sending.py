"""Start or repeat a send: from the caller's number to a recorded, walked challenge."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

import attrs

from otpcore._delivery import Walk, report_ended
from otpcore._live import LiveSettings
from otpcore._logs import fields
from otpcore._parts import Parts, new_id, no_route
from otpcore._rules import Rules
from otpcore._settings_test_numbers import name_of
from otpcore._spans import Work
from otpcore.codes import make_code
from otpcore.errors import DeliveryError, NoRouteError, RateLimited, StoreError
from otpcore.events import EventType
from otpcore.lifecycle import is_living
from otpcore.limits import Origin, block_of, budget_of, charges_of, neighbour_charges
from otpcore.models import Challenge, ChallengeState, Channel, CodeOwner, RetryJob
from otpcore.phone import PhoneNumber, region_of
from otpcore.records import ChallengeRecord
from otpcore.verbs import Admission, Begun, ChargeRefused, NewSend, Refusal
from otpcore.walks import Candidate, Step, StepKind, WalkRef

_logger = logging.getLogger("otpcore.sandbox")

_RENEWAL = timedelta(seconds=60)  # a resend that would leave less life is refused (DESIGN §6)
_RACES = 5  # other callers that may be faster before we give up


@attrs.frozen(kw_only=True)
class SendOrder:
    """What a caller asked for, parsed."""

    phone: PhoneNumber
    channel: Channel
    purpose: str
    client: str | None
    locale: str
    message: str | None = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Sent:
    """What a send came to: the challenge to show, and the retry that it left due."""

    challenge: Challenge
    job: RetryJob | None = None


async def send(parts: Parts, live: LiveSettings, order: SendOrder) -> Sent:
    """One send over one channel.

    Raises:
        NoRouteError, RateLimited, DeliveryError, StoreError: As the public methods say.
    """
    await live.refresh()
    route = _route(parts, live.rules, order)
    with parts.span(Work.SEND, channel=order.channel) as span:
        started = await _start(parts, live, order, route)
        if isinstance(started, Sent):
            sent = started
        else:
            walk, first = started  # all that is kept for as long as the provider takes
            sent = _result(parts, order, walk, await walk.run(first))
        span.note(challenge_id=sent.challenge.id, outcome=sent.challenge.state)
        return sent


def shown(record: ChallengeRecord, phone: PhoneNumber, channel: Channel, code: str | None = None) -> Challenge:
    """A stored challenge as the host sees it."""
    return Challenge(
        id=record.id,
        phone=phone,
        channel=channel,
        purpose=record.purpose,
        state=record.state,
        confirmed=record.confirmed,
        provider=record.provider,
        expires_at=record.expires_at,
        resend_at=record.cooldown(channel),
        code=code,
    )


async def _start(
    parts: Parts, live: LiveSettings, order: SendOrder, route: tuple[Candidate, ...]
) -> Sent | tuple[Walk, Step]:
    """Begin, for as long as other callers are faster; the living challenge where nothing has to be sent."""
    subject, phone_key = (
        parts.keys.subject(order.phone.e164, order.purpose),
        parts.keys.phone_key(order.phone.e164),
    )
    asked = _admission(parts, live, order, phone_key)
    living: ChallengeRecord | None = None  # the happy path does not look for one: ``begin`` finds out
    for _ in range(_RACES):
        if living is not None and _cooling(parts, living, order.channel):
            return _skipped(parts, order, living)
        code = _code_of(parts, living) if living is not None else _first_code(parts, route)
        challenge = living if living is not None else _fresh(parts, order, subject, phone_key, code)
        new = _new_send(parts, live.rules, order, challenge, route, asked, is_resend=living is not None)
        begun = await parts.store.begin(new, parts.store_now)
        if begun.over_limit is not None:
            if begun.over_limit.living is not None:
                return _skipped(parts, order, begun.over_limit.living)
            raise _over_limit(parts, order, begun.over_limit)
        if begun.expired is not None:
            report_ended(parts, None, begun.expired)
        if begun.refusal is Refusal.COOLDOWN and begun.challenge is not None:
            return _skipped(parts, order, begun.challenge)
        if begun.refusal is not Refusal.CONFLICT:
            for reason in begun.noted:
                _report(parts, order, EventType.LIMIT_NOTED, reason)
            return _walk(parts, order, new, begun, code)
        living = await _living(parts, subject) if begun.challenge is None else begun.challenge
    raise StoreError("other callers kept starting the same verification; try again")


def _walk(parts: Parts, order: SendOrder, new: NewSend, begun: Begun, code: str) -> tuple[Walk, Step]:
    """The walk of a send that began and its first step, or the error that says why it did not."""
    if begun.step is None or begun.step.challenge is None:
        raise _refused(parts, order, begun)
    first = begun.step
    parts.emit(
        EventType.SEND_STARTED, first.challenge, channel=order.channel, reason="resend" if new.is_resend else None
    )
    walk = Walk(
        parts=parts,
        ref=WalkRef(challenge_id=new.challenge.id, channel=order.channel, send_id=new.send_id, token=new.token),
        phone=order.phone,
        code=code,
        message=order.message,
        plan=new.plan,
        deadline=time.monotonic() + parts.settings.otp.send_timeout,
    )
    return walk, first


def _skipped(parts: Parts, order: SendOrder, living: ChallengeRecord) -> Sent:
    """The same call again, too soon: the living challenge, and nothing is sent."""
    parts.emit(EventType.SEND_SKIPPED, living, channel=order.channel, reason=Refusal.COOLDOWN)
    return Sent(challenge=shown(living, order.phone, order.channel))


def _result(parts: Parts, order: SendOrder, walk: Walk, step: Step) -> Sent:
    record = step.challenge
    if record is None:
        raise StoreError("the challenge was purged while it was being sent")
    if step.kind is StepKind.ENDED and record.state is ChallengeState.UNSENDABLE:
        raise walk.failure(record.reason)
    owner = parts.providers[step.delivery.instance].info.code_owner if step.delivery is not None else None
    took_ours = step.kind is StepKind.ACCEPTED and owner is CodeOwner.CORE
    job = None
    if step.kind is StepKind.QUEUED and step.due_at is not None:
        job = RetryJob(challenge_id=record.id, channel=order.channel, due_at=step.due_at)
    return Sent(challenge=shown(record, order.phone, order.channel, walk.code if took_ours else None), job=job)


def _refused(parts: Parts, order: SendOrder, begun: Begun) -> RateLimited | DeliveryError:
    reason = begun.refusal or Refusal.CONFLICT
    _report(parts, order, EventType.SEND_REFUSED, reason, begun.challenge)
    if reason is Refusal.BREAKER_OPEN:
        return DeliveryError(reason)
    return RateLimited(str(reason), begun.retry_after)


def _route(parts: Parts, rules: Rules, order: SendOrder) -> tuple[Candidate, ...]:
    """Who is to be tried, in order; the use of a test number is logged."""
    names = rules.route(order.phone.e164, order.channel)
    prefix = rules.matched_prefix(order.phone.e164, order.channel)
    route = parts.candidates(names, order.channel, order.phone, prefix)
    if not route:
        if rules.in_force(order.channel) is None:
            raise NoRouteError('there are no routing rules; set otp_sms_provider, such as "twilio;mada:+35987"')
        raise no_route(order.phone, order.channel)
    if name := name_of(route[0].instance):
        about = fields("test_number_used", phone=order.phone.masked, channel=order.channel, detail=name)
        _logger.warning("test number %s (%s) is used: no provider is called", name, order.phone, extra=about)
    return route


async def _living(parts: Parts, subject: str) -> ChallengeRecord | None:
    latest = await parts.store.latest(subject)
    return latest if latest is not None and is_living(latest, parts.clock()) else None


def _cooling(parts: Parts, living: ChallengeRecord, channel: Channel) -> bool:
    cooldown = living.cooldown(channel)
    return cooldown is not None and cooldown > parts.clock()


def _admission(parts: Parts, live: LiveSettings, order: SendOrder, phone_key: str) -> Admission:
    """All limits of this send."""
    e164, limits = order.phone.e164, parts.settings.limits
    region = region_of(e164) if limits.needs_region else ""
    origin = Origin(e164=e164, phone_key=phone_key, client_key=parts.client_key(order.client), region=region)
    budget = ""
    if limits.unverified:
        budget = budget_of(e164, region, live.rules.matched_prefix(e164, order.channel))
    return Admission(
        charges=charges_of(origin, limits),
        neighbours=neighbour_charges(phone_key, parts.keys.block_key(block_of(e164)), limits),
        barrier=live.switches.barrier(e164, parts.clock()),
        budget=budget,
        budget_rule=limits.budget_rule,
    )


def _over_limit(parts: Parts, order: SendOrder, refused: ChargeRefused) -> RateLimited:
    _report(parts, order, EventType.SEND_REFUSED, refused.reason)
    return RateLimited(str(refused.reason), refused.retry_after)


def _report(
    parts: Parts, order: SendOrder, kind: EventType, reason: str, challenge: ChallengeRecord | None = None
) -> None:
    parts.emit(kind, challenge, phone=order.phone.masked, channel=order.channel, purpose=order.purpose, reason=reason)


def _fresh(parts: Parts, order: SendOrder, subject: str, phone_key: str, code: str) -> ChallengeRecord:
    keys, settings, challenge_id, now = parts.keys, parts.settings.otp, new_id(), parts.clock()
    return ChallengeRecord(
        id=challenge_id,
        subject=subject,
        phone_key=phone_key,
        phone_sealed=keys.seal(challenge_id, "phone", order.phone.e164),
        phone_masked=order.phone.masked,
        key_id=keys.current,
        purpose=order.purpose,
        state=ChallengeState.SENDING,
        max_attempts=settings.attempts,
        first_sent_at=now,
        expires_at=now + timedelta(seconds=settings.life),
        code_digest=keys.digest(challenge_id, code),
        code_sealed=keys.seal(challenge_id, "code", code),
        locale=order.locale,
    )


def _first_code(parts: Parts, route: tuple[Candidate, ...]) -> str:
    """A new code; that of a test number is always the same."""
    if name := name_of(route[0].instance):
        return parts.settings.sms.test_numbers[name].code
    return make_code(parts.settings.otp.length)


def _code_of(parts: Parts, living: ChallengeRecord) -> str:
    if living.code_sealed is None:
        raise StoreError("a living challenge has lost its sealed code")
    return parts.keys.unseal(living.id, "code", living.code_sealed)


def _new_send(
    parts: Parts,
    rules: Rules,
    order: SendOrder,
    challenge: ChallengeRecord,
    route: tuple[Candidate, ...],
    asked: Admission,
    *,
    is_resend: bool,
) -> NewSend:
    life = timedelta(seconds=parts.settings.otp.life)
    sealed = None
    if order.message is not None:
        sealed = parts.keys.seal(challenge.id, "message", order.message, challenge.key_id)
    return NewSend(
        challenge=challenge,
        is_resend=is_resend,
        send_id=new_id(),
        token=new_id(),
        channel=order.channel,
        plan=parts.plan(order.channel, route, is_retry=False),
        life=life,
        cap=timedelta(seconds=parts.settings.otp.longest_life),
        renewal=min(_RENEWAL, life),
        asked=asked,
        client=parts.client_key(order.client),
        message_sealed=sealed,
        locale=order.locale,
        forced=rules.forced,
    )
