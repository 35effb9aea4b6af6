"""Who is refused whatever the providers do: denials of operators, and limits of the settings that let nothing through; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from otpcore.rate_limits.parsing import is_prefix
from otpcore.service.status import Obstacle, ObstacleKind, Stops
from otpcore.service.switches import Switch
from otpcore.settings.limits import LimitSettings

__all__ = ["refusing"]

_EVERY_NUMBER = "+"
_FIXES = {
    "limits.phone": 'in [limits]: phone = ["3/10m", "10/1d"]',
    "limits.country": "in [limits]: country = []",
    "limits.global": "in [limits]: global = []",
}
"""What ends each limit that can stop everybody when it is 0."""


def refusing(limits: LimitSettings, switches: Sequence[Switch], now: datetime) -> Iterator[Obstacle]:
    """What is denied now by an operator, and what of the settings refuses every number."""
    on = [switch for switch in switches if switch.prefix and switch.is_on(now)]
    denied = [switch for switch in on if not switch.allows]
    allowed = [switch.prefix for switch in on if switch.allows]
    for switch in denied:
        yield _denied(switch, allowed, _stops(switch.prefix, limits, denied, allowed))
    yield from _nothing_at_all(limits)
    if _EVERY_NUMBER in limits.deny and not limits.allow and not allowed:
        yield _of_settings(
            "limits.deny has +: every number is denied that did not verify before", "in [limits]: deny = []"
        )


def _stops(target: str, limits: LimitSettings, denied: Sequence[Switch], allowed: Sequence[str]) -> Stops:
    """A narrower allowance of an operator goes before a denial; only whom limits.allow names could be sent to anyway."""
    if allowed:
        return Stops.SOME
    if target == _EVERY_NUMBER:
        return Stops.EVERYBODY
    is_all = bool(limits.allow) and all(any(_covers(one.prefix, each) for one in denied) for each in limits.allow)
    return Stops.EVERYBODY if is_all else Stops.SOME


def _covers(target: str, narrow: str) -> bool:
    """Whoever the narrow target means is meant by the other; a region and the prefixes in it are not compared."""
    return target in (_EVERY_NUMBER, narrow) or (is_prefix(target) and narrow.startswith(target))


def _denied(switch: Switch, allowed: Sequence[str], stops: Stops) -> Obstacle:
    target = switch.prefix
    if target == _EVERY_NUMBER:
        detail = "every number is denied (+)" + (f", but those of {', '.join(allowed)}" if allowed else "")
    else:
        detail = f"numbers {'that begin' if is_prefix(target) else 'of the region'} {target} are denied"
    return Obstacle(
        kind=ObstacleKind.DENIED,
        stops=stops,
        detail=detail,
        fix=f"otp limits deny {target} --clear",
        since=switch.since,
        until=switch.until,
        prefix=target,
    )


def _nothing_at_all(limits: LimitSettings) -> Iterator[Obstacle]:
    """Limits of 0 that every number meets; those of a prefix, a country or a channel are somebody's choice of whom to serve."""
    for key in limits.none_at_all:
        if key in _FIXES and not (key == "limits.country" and limits.countries):
            yield _of_settings(f"{key} is 0: every number is denied, and waiting does not help", _FIXES[key])


def _of_settings(detail: str, fix: str) -> Obstacle:
    return Obstacle(kind=ObstacleKind.DENIED, stops=Stops.EVERYBODY, detail=detail, fix=fix, prefix=_EVERY_NUMBER)
