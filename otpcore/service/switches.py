"""What operators switch in the store: the pause, and prefixes and regions that are denied or allowed; and whom the settings deny."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

import attrs

from otpcore.events import fields
from otpcore.rate_limits.admission import Barrier, LimitReason
from otpcore.service.charging import TargetMap
from otpcore.settings.tree import LimitSettings

__all__ = [
    "PAUSED",
    "Switch",
    "Switches",
    "drain_setting",
    "drained",
    "prefix_setting",
    "stored_switches",
    "switch_text",
]

_logger = logging.getLogger("otpcore.limits")

PAUSED = "paused"
"""The stored setting that pauses all sending."""
_PREFIX = "limits.prefix."
_DRAINED = "drained."
_ON, _DENY, _ALLOW = "on", "deny", "allow"
_SWITCHED = (
    "switched"  # no end; a process of an older version cannot read it, and so lets the switch hold, as it should
)


@attrs.frozen(kw_only=True)
class Switch:
    """One switch.

    Args:
        prefix: Or a region such as ``CN``; empty: the pause.
        allows: It is allowed.
        until: It ends by itself then; None: somebody ends it.
        since: When it was switched; None: nobody noted it.
    """

    prefix: str = ""
    allows: bool = False
    until: datetime | None = None
    since: datetime | None = None

    def is_on(self, now: datetime) -> bool:
        """It has not ended."""
        return self.until is None or self.until > now


def prefix_setting(prefix: str) -> str:
    """The stored setting of one prefix or region."""
    return f"{_PREFIX}{prefix}"


def drain_setting(instance: str) -> str:
    """The stored setting by which an instance gets no new sends; its value says since when."""
    return f"{_DRAINED}{instance}"


def drained(stored: Mapping[str, str]) -> dict[str, datetime | None]:
    """The instances that get no new sends, by name, and since when each; None: that cannot be read."""
    found: dict[str, datetime | None] = {}
    for name, since in sorted(stored.items()):
        if name.startswith(_DRAINED):
            try:
                found[name.removeprefix(_DRAINED)] = _moment(since)
            except ValueError:
                found[name.removeprefix(_DRAINED)] = None
    return found


def switch_text(switch: Switch) -> str:
    """A switch as it is stored; ``stored_switches`` reads it."""
    word = _ON if not switch.prefix else _ALLOW if switch.allows else _DENY
    until = _SWITCHED if switch.until is None else switch.until.astimezone(UTC).isoformat()
    if switch.since is not None:
        return f"{word} until {until} since {switch.since.astimezone(UTC).isoformat()}"
    return word if switch.until is None else f"{word} until {until}"


def stored_switches(stored: Mapping[str, str]) -> tuple[Switch, ...]:
    """All switches among the stored settings, ended ones too; what cannot be read is logged and left out."""
    return tuple(_read(stored))


class Switches:
    """The switches in force.

    A pause goes before everything. Then the narrowest prefix or region that an operator switched decides, for verified phones
    too: an emergency has no exceptions. Then the narrowest one of ``limits.allow`` and ``limits.deny``; where none matches, an
    empty ``limits.allow`` lets everybody pass. Whom the settings refuse passes once the phone has verified before.

    Args:
        report: Told of each switch that was changed, in words.
    """

    def __init__(self, settings: LimitSettings, report: Callable[[str], None] = lambda _: None) -> None:
        self._listed = TargetMap({**dict.fromkeys(settings.deny, False), **dict.fromkeys(settings.allow, True)})
        self._is_open = not settings.allow
        self._report = report
        self._texts: dict[str, str] = {}
        self._pause: Switch | None = None
        self._switched = TargetMap[Switch]({})

    def take_up(self, stored: Mapping[str, str], *, first: bool) -> None:
        """Put what is stored in force."""
        texts = {name: text for name, text in stored.items() if name == PAUSED or name.startswith(_PREFIX)}
        if texts == self._texts:
            return
        before, self._texts = self._texts, texts
        switches = stored_switches(texts)
        self._pause = next((switch for switch in switches if not switch.prefix), None)
        self._switched = TargetMap({switch.prefix: switch for switch in switches if switch.prefix})
        if not first:
            for name in sorted(name for name in {**before, **texts} if before.get(name) != texts.get(name)):
                self._report(f"{name.removeprefix(_PREFIX)}: {texts.get(name, 'no longer switched')}")

    def barrier(self, e164: str, now: datetime) -> Barrier | None:
        """What keeps a number from being sent to; None: nothing."""
        if self._pause is not None and self._pause.is_on(now):
            return Barrier(reason=LimitReason.PAUSED, ends_at=self._pause.until)
        switch = next((one for one in self._switched.matches(e164) if one.is_on(now)), None)
        if switch is not None:
            return None if switch.allows else Barrier(reason=LimitReason.DENIED, ends_at=switch.until)
        if next(self._listed.matches(e164), self._is_open):
            return None
        return Barrier(reason=LimitReason.DENIED, unless_verified=True)


def _read(stored: Mapping[str, str]) -> Iterator[Switch]:
    for name, text in sorted(stored.items()):
        if name != PAUSED and not name.startswith(_PREFIX):
            continue
        word, _, times = text.partition(" until ")
        until, _, since = times.partition(" since ")
        try:
            ends_at = _moment("" if until == _SWITCHED else until)
            begun_at = _moment(since)
        except ValueError:
            about = fields("switch_unreadable", detail=name)
            _logger.error(
                "the stored %s cannot be read, it holds until it is switched again: %s", name, text, extra=about
            )
            ends_at = begun_at = None
        if word not in ({_ON} if name == PAUSED else {_ALLOW, _DENY}):
            about = fields("switch_unreadable", detail=name)
            _logger.error("the stored %s is left out, it cannot be read: %s", name, text, extra=about)
            continue
        prefix = "" if name == PAUSED else name.removeprefix(_PREFIX)
        yield Switch(prefix=prefix, allows=word == _ALLOW, until=ends_at, since=begun_at)


def _moment(text: str) -> datetime | None:
    """A time; one without a zone is UTC."""
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
