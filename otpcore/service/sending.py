"""Start or repeat a send: from the caller's number to a recorded delivery and its failover."""

from __future__ import annotations

import logging
from datetime import timedelta

import attrs

from otpcore.codes import make_code
from otpcore.errors import DeliveryError, ErrorKind, ProviderError, RateLimited, StoreError
from otpcore.events import EventType, Work, fields
from otpcore.messages.payments import Payment
from otpcore.models import Challenge, ChallengeState, Channel, CodeOwner, RetryJob
from otpcore.phone.numbers import PhoneNumber, region_of
from otpcore.rate_limits.admission import Admission, Charge, LimitReason
from otpcore.service.charging import Origin, block_of, budget_of, charges_of, closed, neighbour_charges, stronger
from otpcore.service.extras import NOTHING_SAID, Extras, seal_extras
from otpcore.service.failover import Failover, report_ended
from otpcore.service.no_route import why_nobody
from otpcore.service.routes import Needs, Route, needs_of
from otpcore.service.service import Deadline, Service, new_id, recipient
from otpcore.stores.commands import Begun, CoolingDown, NewCode, NewSend, Raced, Refusal, Refused
from otpcore.stores.lifecycle import STOPS, is_living
from otpcore.stores.records import AuditRecord, ChallengeRecord, changed
from otpcore.stores.steps import Accepted, Ended, FailoverRef, Queued, Step

_logger = logging.getLogger("otpcore.sandbox")

_RENEWAL = timedelta(seconds=60)  # a resend that would leave less life is refused
_PAUSED_FOR = 60.0
"""Seconds after which a send may be tried again while sending is paused: nobody knows when it is resumed. A minute spares the
service the clients that ask all the time, and is soon enough for a person who waits."""
_NOT_SENT = "nothing was sent, and what the send was charged is given back as soon as the store answers"
_RACES = 5  # other callers that may be faster before we give up


@attrs.frozen(kw_only=True)
class SendOrder:
    """What a caller asked for, parsed; ``locale`` and ``app`` are empty where the caller named none.

    Args:
        code: The host's own, normalised; None: otpcore makes one, or sends the living one again.
        verifiable: False: the host's code or text is relayed, and nothing ever verifies it.
        payment: That the code confirms, and ``message`` tells of; None: it is bound to nothing.
        test: An operator tests this instance: no other is called, a drained one is, and nothing is tried again. None: it is no test.
        audit: The record of that.
    """

    phone: PhoneNumber
    channel: Channel
    purpose: str
    extras: Extras
    locale: str
    message: str | None = attrs.field(repr=False)
    code: str | None = attrs.field(default=None, repr=False)
    verifiable: bool
    app: str = ""
    payment: Payment | None = None
    test: str | None = None
    audit: AuditRecord | None = None


@attrs.frozen(kw_only=True)
class Sent:
    """What a send came to: the challenge to show, the retry that it left due, what providers refused, and whether it was none."""

    challenge: Challenge
    job: RetryJob | None = None
    errors: tuple[ProviderError, ...] = ()
    is_skipped: bool = False


async def send(service: Service, order: SendOrder, deadline: Deadline) -> Sent:
    """One send over one channel, over by the deadline.

    Raises:
        NoRouteError, RateLimited, DeliveryError, StoreError: As the public methods say.
    """
    if service.live.is_behind(order.extras.client):  # mostly it is not, and nothing is waited for
        with deadline.bounding(_NOT_SENT):
            await service.live.refresh()
            await service.live.note_client(order.extras.client)
    route = _route(service, order)
    if route.test_number and order.verifiable:  # whoever tests knows that code, and no other
        order = attrs.evolve(order, code=None)
    with service.span(Work.SEND, channel=order.channel) as span:
        with deadline.bounding(_NOT_SENT):
            started = await _start(service, order, route, deadline)
        if isinstance(started, Sent):
            sent = started
        else:
            failover, first = started  # all that is kept for as long as the provider takes
            sent = await _result(service, order, failover, await failover.run(first))
        span.note(challenge_id=sent.challenge.id, outcome=sent.challenge.state)
        return sent


def shown(record: ChallengeRecord, phone: PhoneNumber, channel: Channel, code: str | None = None) -> Challenge:
    """A stored challenge as the host sees it."""
    return Challenge(
        id=record.id,
        phone=phone,
        channel=channel,
        purpose=record.purpose,
        app=record.app,
        verifiable=record.verifiable,
        state=record.state,
        confirmed=record.confirmed,
        provider=record.provider,
        expires_at=record.expires_at,
        resend_at=record.cooldown(channel),
        code=code,
    )


async def _start(service: Service, order: SendOrder, route: Route, deadline: Deadline) -> Sent | tuple[Failover, Step]:
    """Begin, for as long as other callers are faster; the living challenge where nothing has to be sent."""
    subject, origin = _subject(service, order), _origin(service, order)
    asked = _admission(service, order, route, origin)
    living: ChallengeRecord | None = None  # the happy path does not look for one: ``begin`` finds out
    for _ in range(_RACES):
        if living is not None and _cooling(service, living, order.channel):
            return _skipped(service, order, living)
        if living is not None and _is_hosts(living) and order.code is None:
            route = _route(service, order, living)
        code = _code_for(service, order, route, living)
        challenge = living if living is not None else _fresh(service, order, subject, origin, code)
        new = _new_send(service, order, challenge, route, origin, asked, is_resend=living is not None)
        match await service.store.begin(new, service.store_now):
            case Begun() as begun:
                return _begun(service, order, new, begun, code, deadline)
            case CoolingDown(challenge=challenge):
                return _skipped(service, order, challenge)
            case Refused() as refused:
                raise _refused(service, order, refused)
            case Raced() as raced:
                if raced.expired is not None:
                    report_ended(service, None, raced.expired)
                living = await _living(service, subject) if raced.living is None else raced.living
    raise StoreError("other callers kept starting the same verification; try again")


def _begun(
    service: Service, order: SendOrder, new: NewSend, begun: Begun, code: str, deadline: Deadline
) -> tuple[Failover, Step]:
    """The failover of a send that began, and its first step."""
    if begun.expired is not None:
        report_ended(service, None, begun.expired)
    for reason in begun.noted:
        _report(service, order, EventType.LIMIT_NOTED, reason)
    service.emit(
        EventType.SEND_STARTED, begun.step.challenge, channel=order.channel, reason="resend" if new.is_resend else None
    )
    failover = Failover(
        service=service,
        ref=FailoverRef(challenge_id=new.challenge.id, channel=order.channel, send_id=new.send_id, token=new.token),
        phone=order.phone,
        code=code,
        message=order.message,
        extras=order.extras,
        plan=new.plan,
        deadline=deadline,
    )
    return failover, begun.step


def _skipped(service: Service, order: SendOrder, living: ChallengeRecord) -> Sent:
    """The same call again, too soon: the living challenge, and nothing is sent."""
    service.emit(EventType.SEND_SKIPPED, living, channel=order.channel, reason="cooldown")
    return Sent(challenge=shown(living, order.phone, order.channel), is_skipped=True)


async def _result(service: Service, order: SendOrder, failover: Failover, step: Step) -> Sent:
    """What the caller is told of a send whose failover has ended."""
    record = step.challenge
    if record is None:
        raise StoreError("the challenge was purged while it was being sent")
    code, job = None, None
    match step:
        case Ended() if record.state is ChallengeState.UNSENDABLE:
            raise failover.failure(record.reason, await _other_way(service, order, failover))
        case Accepted(delivery=delivery):
            if delivery.owner is CodeOwner.CORE:
                code = failover.code or None
        case Queued(due_at=due_at):
            job = RetryJob(challenge_id=record.id, channel=order.channel, due_at=due_at)
    return Sent(challenge=shown(record, order.phone, order.channel, code), job=job, errors=tuple(failover.errors))


async def _other_way(service: Service, order: SendOrder, failover: Failover) -> Channel | None:
    """Another channel, where this one cannot reach the number, a route over that one exists, and it has not failed yet.

    SMS and calls first, then the others in the order of the rules.
    """
    if not any(error.kind is ErrorKind.REJECTED_NUMBER for error in failover.errors):
        return None
    rules, needs = service.live.rules, _needs(service, order)
    others = [one for one in rules.channels if one != order.channel]
    others = [one for one in others if rules.route(recipient(order.phone, one), one, needs).candidates]
    if not others:
        return None
    try:
        views = await service.store.view(challenge_id=failover.ref.challenge_id)
    except StoreError:  # a hint is not worth another error
        return None
    failed = {one.channel for view in views for one in view.deliveries if one.outcome in STOPS}
    return next((one for one in others if one not in failed), None)


def _refused(service: Service, order: SendOrder, refused: Refused) -> RateLimited | DeliveryError:
    """The error for a send that a limit or the state of things refused."""
    _report(service, order, EventType.SEND_REFUSED, refused.reason, refused.challenge)
    wait = refused.retry_after
    if refused.reason == Refusal.BREAKER_OPEN:
        return DeliveryError(refused.reason, retry_after=wait)
    if wait is None and refused.reason == LimitReason.PAUSED:
        wait = _PAUSED_FOR
    return RateLimited(str(refused.reason), wait)


def _route(service: Service, order: SendOrder, living: ChallengeRecord | None = None) -> Route:
    """Who is to be tried, in order, also for a challenge that lives; the use of a test number is logged."""
    rules, needs = service.live.rules, _needs(service, order, living)
    forced = None if order.test is None else (order.test,)
    route = rules.route(order.phone, order.channel, needs, forced=forced, is_test=order.test is not None)
    if not route.candidates:
        raise why_nobody(rules, order.phone, order.channel, needs)
    if name := route.test_number:
        about = fields("test_number_used", phone=order.phone.masked, channel=order.channel, detail=name)
        _logger.warning("test number %s (%s) is used: no provider is called", name, order.phone, extra=about)
    return route


def _needs(service: Service, order: SendOrder, living: ChallengeRecord | None = None) -> Needs:
    own_code = order.code is not None or (living is not None and _is_hosts(living))
    return needs_of(
        message=order.message,
        locale=order.locale,
        purpose=order.purpose,
        settings=service.texts_of(order.app),
        own_code=own_code,
        relayed=not order.verifiable,
    )


def _is_hosts(challenge: ChallengeRecord) -> bool:
    """Whether the host made the code of a challenge."""
    return challenge.code_number > 0


async def _living(service: Service, subject: str) -> ChallengeRecord | None:
    latest = await service.store.latest(subject)
    return latest if latest is not None and is_living(latest, service.clock()) else None


def _cooling(service: Service, living: ChallengeRecord, channel: Channel) -> bool:
    cooldown = living.cooldown(channel)
    return cooldown is not None and cooldown > service.clock()


def _origin(service: Service, order: SendOrder) -> Origin:
    """Whose the send is."""
    e164 = order.phone.e164
    return Origin(
        e164=e164,
        phone_key=service.keys.phone_key(e164),
        client_key=service.client_key(order.extras.client),
        region=region_of(e164) if service.settings.limits.needs_region else "",
        channel=order.channel,
    )


def _admission(service: Service, order: SendOrder, route: Route, origin: Origin) -> Admission:
    """All limits of this send."""
    e164, limits = origin.e164, service.settings.limits
    is_budgeted = limits.unverified and order.verifiable
    charges = charges_of(origin, limits)
    neighbours: tuple[tuple[Charge, Charge], ...] = ()
    if limits.neighbours:
        neighbours = neighbour_charges(origin.phone_key, service.keys.block_key(block_of(e164)), limits)
    return Admission(
        charges=charges,
        neighbours=neighbours,
        barrier=stronger(service.live.switches.barrier(e164, service.clock()), closed(charges)),
        budget=budget_of(e164, origin.region, route.prefix) if is_budgeted else "",
        budget_rule=limits.budget_rule,
    )


def _report(
    service: Service, order: SendOrder, kind: EventType, reason: str, challenge: ChallengeRecord | None = None
) -> None:
    service.emit(
        kind,
        challenge,
        phone=order.phone.masked,
        channel=order.channel,
        purpose=order.purpose,
        app=order.app,
        reason=reason,
    )


def _fresh(service: Service, order: SendOrder, subject: str, origin: Origin, code: str) -> ChallengeRecord:
    keys, settings, challenge_id, now = service.keys, service.settings.otp, new_id(), service.clock()
    return ChallengeRecord(
        id=challenge_id,
        subject=subject,
        phone_key=origin.phone_key,
        phone_sealed=keys.seal(challenge_id, "phone", order.phone.e164),
        phone_masked=order.phone.masked,
        key_id=keys.current,
        purpose=order.purpose,
        app=order.app,
        verifiable=order.verifiable,
        state=ChallengeState.SENDING,
        max_attempts=settings.attempts,
        first_sent_at=now,
        expires_at=now + timedelta(seconds=settings.life),
        code_digest=keys.digest(challenge_id, code),
        code_sealed=keys.seal(challenge_id, "code", code),
        code_number=int(order.code is not None),
        locale=order.locale,
    )


def _subject(service: Service, order: SendOrder) -> str:
    """What a send would be a resend of: a code for a phone and a purpose; of what is only relayed, the very same message."""
    keys, e164 = service.keys, order.phone.e164
    if order.payment is not None:
        return keys.bound_subject(e164, order.purpose, order.app, *order.payment.said)
    if order.verifiable:
        return keys.subject(e164, order.purpose, order.app)
    return keys.relayed_subject(e164, order.app, order.purpose, order.locale, order.code or "", order.message or "")


def _code_for(service: Service, order: SendOrder, route: Route, living: ChallengeRecord | None) -> str:
    """The code to send; empty: a whole text is relayed, without any."""
    if order.code is not None or not order.verifiable:
        return order.code or ""
    return _first_code(service, route) if living is None else _code_of(service, living)


def _first_code(service: Service, route: Route) -> str:
    """A new code; that of a test number is always the same."""
    settings, name = service.settings, route.test_number
    return settings.sms.test_numbers[name].code if name else make_code(settings.otp.length)


def _new_code(service: Service, order: SendOrder, living: ChallengeRecord) -> NewCode | None:
    """The host's code where it is another than that of the living challenge; None: that one goes out again."""
    keys, code = service.keys, order.code
    if code is None or keys.matches(living.id, code, living.code_digest):
        return None
    return NewCode(
        digest=keys.digest(living.id, code, living.key_id), sealed=keys.seal(living.id, "code", code, living.key_id)
    )


def _code_of(service: Service, living: ChallengeRecord) -> str:
    if living.code_sealed is None:
        raise StoreError("a living challenge has lost its sealed code")
    return service.keys.unseal(living.id, "code", living.code_sealed)


def _new_send(
    service: Service,
    order: SendOrder,
    challenge: ChallengeRecord,
    route: Route,
    origin: Origin,
    asked: Admission,
    *,
    is_resend: bool,
) -> NewSend:
    life = timedelta(seconds=service.settings.otp.life)
    plan = service.plan(order.channel, route.candidates, is_retry=False)
    text = order.message
    sealed = None if text is None else service.keys.seal(challenge.id, "message", text, challenge.key_id)
    return NewSend(
        challenge=challenge,
        is_resend=is_resend,
        send_id=new_id(),
        token=new_id(),
        channel=order.channel,
        plan=plan if order.test is None else changed(plan, retry=None),
        life=life,
        cap=service.longest_life,
        renewal=min(_RENEWAL, life),
        asked=asked,
        client=origin.client_key,
        code=_new_code(service, order, challenge) if is_resend else None,
        message_sealed=sealed,
        extras_sealed=None if order.extras is NOTHING_SAID else seal_extras(service.keys, challenge, order.extras),
        locale=order.locale,
        forced=service.live.rules.forced if order.test is None else (order.test,),
        audit=order.audit,
    )
