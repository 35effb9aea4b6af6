"""One verification as a story: what was done, what came back, and what comes next, in one order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import attrs

from otp_server.console.outcomes import OUTCOMES, WHY_REFUSED
from otp_server.console.words import clock, lasting
from otpcore.operator import ChallengeSeen, DeliverySeen, Moment
from otpcore.stores import Outcome

__all__ = ["Step", "exact", "steps_of", "took"]


_EXACT = 10  # seconds; longer waits are told in whole ones


@attrs.frozen(kw_only=True)
class Step:
    """One line of a story.

    Args:
        at: When.
        word: Of its mark.
        title: What happened.
        detail: What else is known of it; empty: nothing.
        code: The vendor's, or empty.
        reference: The vendor's id, or empty.
        took: Seconds since the step before; None: it is the first, or has not happened yet.
        is_ahead: It has not happened yet.
    """

    at: datetime
    word: str
    title: str
    detail: str = ""
    code: str = ""
    reference: str = ""
    took: float | None = None
    is_ahead: bool = False


def steps_of(seen: ChallengeSeen, now: datetime) -> tuple[Step, ...]:
    """Everything that happened to a verification, and what comes next, by time."""
    found = sorted(_steps(seen, now), key=lambda one: (one.is_ahead, one.at))
    before: datetime | None = None
    made = []
    for one in found:
        known = before is not None and not one.is_ahead
        made.append(attrs.evolve(one, took=(one.at - before).total_seconds() if known and before else None))
        before = one.at
    return tuple(made)


def exact(now: datetime, moment: datetime) -> str:
    """A moment of today to the thousandth of a second; of another day as everywhere."""
    told = clock(now, moment)
    return f"{told}.{moment.microsecond // 1000:03d}" if moment.date() == now.date() and moment <= now else told


def took(seconds: float) -> str:
    """Between two steps: 249 ms, 4.1 s, 23 s, 1 min 07 s."""
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    return f"{seconds:.1f} s" if seconds < _EXACT else lasting(seconds)


def _steps(seen: ChallengeSeen, now: datetime) -> Iterator[Step]:
    told = f"Purpose {seen.purpose}" + (f", app {seen.app}" if seen.app else "")
    route = f" The application names the route: {', then '.join(seen.forced)}." if seen.forced is not None else ""
    yield Step(at=seen.first_sent_at, word="Started", title="Started", detail=f"{told}.{route}")
    for delivery in seen.deliveries:
        yield _handed_over(delivery, by_rules=seen.forced is None)
    for moment in seen.timeline:
        step = _moment(moment, seen, now)
        if step is not None:
            yield step
    yield from _end(seen, now)


def _handed_over(one: DeliverySeen, *, by_rules: bool) -> Step:
    """What an instance answered; that a message did not arrive comes later, with the receipt."""
    was_taken = one.outcome in (Outcome.ACCEPTED, Outcome.UNDELIVERED)
    word = OUTCOMES[Outcome.ACCEPTED if was_taken else one.outcome]
    told = f"{'A retry over' if one.is_retry else 'Over'} {one.channel}"
    if by_rules:
        told += f", by the rule for {one.prefix}" if one.prefix else ", by default"
    return Step(
        at=one.answered_at or one.recorded_at,
        word=word.word,
        title=word.told.format(one.provider),
        detail=f"{told}. {word.meaning}".rstrip() + (f" Price {one.price}." if one.price is not None else ""),
        code="" if was_taken else one.provider_code or "",
        reference=one.reference or "",
    )


def _moment(one: Moment, seen: ChallengeSeen, now: datetime) -> Step | None:
    match one.what:
        case "receipt" if one.result == "delivered":
            return Step(at=one.at, word="Delivered", title="Delivered", detail=f"Receipt from {one.provider}.")
        case "receipt":
            detail = f"Receipt from {one.provider}. It did not reach the phone."
            return Step(at=one.at, word="Undelivered", title="Undelivered", detail=detail, code=one.detail)
        case "refusal" | "noted":
            why = WHY_REFUSED.get(one.result, one.result)
            times = f", {one.detail}" if one.detail else ""
            if one.what == "noted":
                said = f"{why}{times}; it is only recorded.".capitalize()
                return Step(at=one.at, word="Recorded", title="A limit was passed", detail=said)
            return Step(
                at=one.at, word="Refused", title="Another send was refused", detail=f"{why}{times}.".capitalize()
            )
        case "approved":
            detail = f"Attempt {seen.attempts} of {seen.max_attempts}."
            return Step(at=one.at, word="Verified", title="Right code: verified", detail=detail)
        case "due" if seen.living:
            title = "Next try" if one.at > now else "Next try, due now"
            return Step(at=one.at, word="Waiting", title=title, detail=f"Over {one.channel}.", is_ahead=True)
    return None


def _end(seen: ChallengeSeen, now: datetime) -> Iterator[Step]:
    if seen.living:
        left = seen.max_attempts - seen.attempts
        detail = f"{left} of {seen.max_attempts} attempts left." if seen.verifiable else ""
        yield Step(at=seen.expires_at, word="Expired", title="The code ends", detail=detail, is_ahead=True)
    elif seen.approved_at is None and seen.state != "cancelled" and seen.expires_at <= now:
        tried = f"{seen.attempts} of {seen.max_attempts} attempts were used." if seen.attempts else "Nothing was typed."
        yield Step(at=seen.expires_at, word="Expired", title="The code ended", detail=tried if seen.verifiable else "")
