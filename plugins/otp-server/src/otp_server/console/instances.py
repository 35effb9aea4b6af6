"""The provider instances as the console tells of them: how each stands, since when, and what it said last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import attrs

from otpcore import AsyncOperator, BreakerStatus, Obstacle, ObstacleKind
from otpcore.operator import DeliveryListed, InstanceLoaded, InstanceState

__all__ = ["OUTCOMES", "InstanceSeen", "Receipts", "recent", "seen", "sentence"]

OUTCOMES: Mapping[str, tuple[str, str]] = {
    "accepted": ("Accepted", "Accepted"),
    "open": ("Open", "No answer yet"),
    "undelivered": ("Undelivered", "Undelivered"),
    "ambiguous": ("Unclear", "Unclear"),
    "unavailable": ("Refused", "Unavailable"),
    "throttled": ("Refused", "Throttled"),
    "misconfigured": ("Refused", "Account refused"),
    "rejected_number": ("Refused", "Number rejected"),
    "blocked": ("Refused", "Blocked"),
    "limit_reached": ("Refused", "Limit reached"),
}
"""Of a message: the state by which ``macros.html`` knows it, and what it is called."""

_DAY = timedelta(days=1)
_HOUR = 3600.0  # seconds
_LATEST = 200  # deliveries that are looked through for errors and receipts
_BAD = ("Broken", "Misconfigured", "Left out")
_OF_AN_INSTANCE = (ObstacleKind.BREAKER_OPEN, ObstacleKind.MISCONFIGURED)


@attrs.frozen(kw_only=True)
class InstanceSeen:
    """One instance.

    Args:
        name: As rules write it.
        word: How it stands, as ``macros.html`` knows it.
        since: Since when; None: unknown.
        loaded: What it is and can do; None: nothing loads it any more.
        stands: What the store knows.
        breaker: Whether it is left out.
        said: The vendor's code and the provider's words of its last failure, or empty.
        day: What became of its messages in a day: ``accepted`` and ``delivered``.
    """

    name: str
    word: str
    since: datetime | None
    loaded: InstanceLoaded | None
    stands: InstanceState
    breaker: BreakerStatus
    said: str
    day: Mapping[str, int]

    @property
    def is_bad(self) -> bool:
        """Somebody has to do something."""
        return self.word in _BAD

    @property
    def receipts(self) -> str:
        """Whether its vendor reports what arrives: ``seen``, ``none``, or empty where nothing was accepted."""
        return "" if not self.day["accepted"] else "seen" if self.day["delivered"] else "none"


async def seen(operator: AsyncOperator, now: datetime) -> tuple[InstanceSeen, ...]:
    """All of them: those that need somebody first, then by name."""
    status = await operator.status(window=_HOUR)
    stands = {one.instance: one for one in await operator.instances.status(window=_HOUR)}
    loaded = {one.instance: one for one in await operator.instances.list()}
    breakers = {one.instance: one.breaker for one in status.routes}
    said = {one.instance: one for one in status.obstacles if one.kind in _OF_AN_INSTANCE}
    days = await _days(operator, now)
    found = [
        _one(
            name,
            loaded.get(name),
            stands.get(name, InstanceState(instance=name)),
            breakers.get(name, BreakerStatus()),
            said.get(name),
            days.get(name, Counter()),
        )
        for name in {*stands, *loaded}
    ]
    return tuple(sorted(found, key=lambda one: (not one.is_bad, one.name)))


def sentence(found: Sequence[InstanceSeen], told: str = "") -> str:
    """What state all of them are in.

    Args:
        found: All of them.
        told: Since when the first of them does not work, in words.
    """
    bad = [one for one in found if one.is_bad]
    if not found:
        return "No provider is set up."
    if len(bad) == 1:
        return _of_one(bad[0], told)
    if bad:
        return f"{len(bad)} of {len(found)} providers do not work."
    counted = Counter("works" if one.word in ("Working", "Warning") else one.word for one in found)
    working, drained, quiet = counted["works"], counted["Drained"], counted["Ready"] + counted["Unused"]
    parts = [
        f"{working} of {len(found)} providers works" if working == 1 else f"{working} of {len(found)} providers work",
        *([f"{drained} {'is' if drained == 1 else 'are'} drained"] if drained else []),
        *([f"{quiet} had nothing to send in the last hour"] if quiet else []),
    ]
    if quiet == len(found):
        return f"{'The provider is' if quiet == 1 else f'All {quiet} providers are'} ready. Nothing was sent in the last hour."
    if working == len(found):
        return "The provider works." if working == 1 else f"All {working} providers work."
    return ", ".join(parts) + "."


def _of_one(one: InstanceSeen, told: str) -> str:
    since = f" since {told}" if told else ""
    words = {
        "Broken": f"{one.name} cannot be loaded",
        "Misconfigured": f"{one.name} has refused our account{since}",
        "Left out": f"{one.name} has been left out{since}",
    }
    return words[one.word] + (f": {one.said}." if one.said else ".")


async def _days(operator: AsyncOperator, now: datetime) -> dict[str, Counter[str]]:
    """What each took in a day, and of how much it is known that it arrived."""
    days: dict[str, Counter[str]] = {}
    for step in await operator.series(now - _DAY, now, _HOUR, apart_by=["instance"]):
        of_one = days.setdefault(step.instance or "", Counter())
        of_one.update(accepted=step.accepted, delivered=step.delivered)
    return days


def _one(
    name: str,
    loaded: InstanceLoaded | None,
    stands: InstanceState,
    breaker: BreakerStatus,
    obstacle: Obstacle | None,
    day: Mapping[str, int],
) -> InstanceSeen:
    word, since = _standing(loaded, stands, breaker)
    last = ", ".join(filter(None, (obstacle.provider_code, obstacle.words))) if obstacle is not None else ""
    return InstanceSeen(
        name=name,
        word=word,
        since=since,
        loaded=loaded,
        stands=stands,
        breaker=breaker,
        said=last,
        day={"accepted": day["accepted"], "delivered": day["delivered"]} if day else {"accepted": 0, "delivered": 0},
    )


def _standing(
    loaded: InstanceLoaded | None, stands: InstanceState, breaker: BreakerStatus
) -> tuple[str, datetime | None]:
    if loaded is not None and loaded.error:
        return "Broken", None
    if stands.drained:
        return "Drained", stands.drained_since
    if stands.misconfigured_since is not None:
        return "Misconfigured", stands.misconfigured_since
    if stands.is_open:
        return "Left out", breaker.open_since
    if stands.failures:
        return "Warning", None
    if stands.accepted:
        return "Working", None
    return ("Unused", None) if loaded is None else ("Ready", None)


@attrs.frozen(kw_only=True)
class Receipts:
    """What the latest messages of an instance tell.

    Args:
        looked_at: How many they are.
        errors: Those that were not accepted, the latest first.
        latest: When a receipt said last that one had arrived; None: none did.
    """

    looked_at: int
    errors: tuple[DeliveryListed, ...]
    latest: datetime | None


async def recent(operator: AsyncOperator, name: str, now: datetime) -> Receipts:
    """Of the last day."""
    page = await operator.deliveries.list(instance=name, since=now.astimezone(UTC) - _DAY, limit=_LATEST)
    arrived = [one.delivered_at for one in page.items if one.delivered_at is not None]
    errors = tuple(one for one in page.items if one.outcome not in ("accepted", "open"))
    return Receipts(looked_at=len(page.items), errors=errors[:10], latest=max(arrived, default=None))
