"""How one person stands: what became of their latest verification, and whether they may ask again and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import attrs

from otp_server.console.outcomes import REASONS, end_of, outcome_of
from otp_server.console.timeline import took
from otp_server.console.words import clock
from otpcore import Settings
from otpcore.operator import ChallengeSeen, LimitsSeen

__all__ = ["Again", "Lead", "again_of", "again_told", "is_spent", "lead_of"]

_TIMES = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth"}


@attrs.frozen(kw_only=True)
class Lead:
    """The first sentences of a page.

    Args:
        heading: Goes on behind the number: "verified at 14:31:52."
        more: The sentences after it.
    """

    heading: str
    more: str = ""


@attrs.frozen(kw_only=True)
class Again:
    """Whether this person may ask for a code.

    Args:
        may: Now.
        at: When they may; None: now, or once somebody acts.
        why: What is in the way, for people; empty: nothing.
    """

    may: bool
    at: datetime | None = None
    why: str = ""


@attrs.frozen(kw_only=True)
class _Obstacle:
    why: str
    until: datetime | None


def is_spent(seen: ChallengeSeen) -> bool:
    """It lives, and no attempt is left."""
    return seen.living and seen.verifiable and seen.attempts >= seen.max_attempts


def lead_of(seen: ChallengeSeen, now: datetime) -> Lead:
    """What became of a verification, in a sentence, and how."""
    tried = [outcome_of(one).told.format(one.provider) for one in seen.deliveries]
    told = [f"{', then '.join(tried)}."] if tried else ["No instance was called."]
    return Lead(heading=_heading(seen, now), more=" ".join([*told, *_more(seen, now)]))


def _heading(seen: ChallengeSeen, now: datetime) -> str:
    if seen.approved_at is not None:
        attempt = _TIMES.get(seen.attempts)
        tried = f", on the {attempt} try" if attempt else ""
        return f"verified at {clock(now, seen.approved_at)}{tried}."
    if is_spent(seen):
        return "has no attempts left."
    match end_of(seen).text:
        case "Cancelled":
            return "did not verify: it was cancelled."
        case "Expired":
            typed = "typed no right code" if seen.attempts else "typed no code"
            return f"{typed}; it ended at {clock(now, seen.expires_at)}."
        case "Not sent":
            return "could not be sent a code."
        case "Waiting":
            return "waits for the next try."
        case "Sending":
            return "is being sent a code."
        case "Undelivered":
            return "was not reached."
        case "Relayed":
            return "was relayed a message."
    arrived = any(one.delivered_at for one in seen.deliveries)
    return "has the code and has not typed it yet." if arrived else "was sent a code and has not typed it yet."


def _more(seen: ChallengeSeen, now: datetime) -> Iterator[str]:
    if seen.approved_at is not None:
        yield f"{took((seen.approved_at - seen.first_sent_at).total_seconds())} from the first send to the right code."
    if seen.reason is not None and seen.approved_at is None:
        yield f"Sending ended: {REASONS.get(seen.reason, seen.reason)}."
    waits = [one.due_at for one in seen.retries]
    if waits and seen.living:
        due = min(waits)
        yield f"The next try is due at {clock(now, due)}." if due > now else "The next try is due now."
    if seen.living and seen.verifiable and not is_spent(seen):
        yield f"The code verifies until {clock(now, seen.expires_at)}."


def again_of(limits: LimitsSeen, latest: ChallengeSeen | None, settings: Settings, now: datetime) -> Again:
    """Whether and when this person may ask for a code again, as far as the phone's own limits say.

    Args:
        limits: Of the phone.
        latest: The latest verification; None: none is kept.
        settings: What is enforced.
        now: The present moment.
    """
    found = [*_obstacles(limits, settings, now), *_of_latest(latest, now)]
    if not found:
        return Again(may=True)
    for_good = [one for one in found if one.until is None]
    if for_good:
        return Again(may=False, why=for_good[0].why)
    last = max(found, key=lambda one: one.until or now)
    return Again(may=False, at=last.until, why=last.why)


def again_told(again: Again, now: datetime) -> str:
    """The same as a sentence."""
    if again.may:
        return "They may ask for a code now."
    if again.at is not None:
        return f"They may ask for a code again at {_whole(clock(now, again.at))}."
    return "They may not ask for a code until somebody acts."


def _whole(text: str) -> str:
    """Not to be broken over two lines."""
    return text.replace(" ", "\u00a0")


def _obstacles(limits: LimitsSeen, settings: Settings, now: datetime) -> Iterator[_Obstacle]:
    if limits.barrier == "paused":
        yield _Obstacle(why="sending is paused", until=None)
    elif limits.barrier is not None:
        yield _Obstacle(why="the number is denied", until=None)
    for lock in limits.failures:
        if lock.locked:
            yield _Obstacle(why="locked after wrong codes", until=lock.locked_until)
    for one in limits.sends:
        is_full = one.limit is not None and one.count >= one.limit and one.window_ends_at > now
        if is_full and one.reason != "channel":
            yield _Obstacle(why=_USED_UP.get(one.reason, "a limit is used up"), until=one.window_ends_at)
    if settings.limits.unverified_mode == "enforce":
        for budget in limits.budgets:
            if budget.used >= budget.limit:
                yield _Obstacle(why="too many sends there were not verified", until=budget.window_ends_at)


def _of_latest(latest: ChallengeSeen | None, now: datetime) -> Iterator[_Obstacle]:
    if latest is None or not latest.living:
        return
    if is_spent(latest):
        yield _Obstacle(why="the code has no attempts left", until=latest.expires_at)
    cooling = [until for until in latest.cooldowns.values() if until > now]
    if cooling:
        yield _Obstacle(why="a message has just gone out", until=min(cooling))


_USED_UP = {
    "phone": "this phone's sends are used up",
    "prefix": "the sends to its prefix are used up",
    "country": "the sends to its country are used up",
    "global": "all sends are used up",
}
