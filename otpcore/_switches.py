"""What operators switch in the store: the pause, and prefixes that are denied or allowed; and whom the settings deny."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

import attrs

from otpcore._logs import fields
from otpcore.admission import Barrier, LimitReason
from otpcore.config import LimitSettings
from otpcore.limits import PrefixMap

__all__ = ["PAUSED", "Switch", "Switches", "prefix_setting", "stored_switches", "switch_text"]

_logger = logging.getLogger("otpcore.limits")

PAUSED = "paused"
"""The stored setting that pauses all sending."""
_PREFIX = "limits.prefix."
_ON, _DENY, _ALLOW = "on", "deny", "allow"


@attrs.frozen(kw_only=True)
class Switch:
    """One switch.

    Args:
        prefix: Empty: the pause.
        allows: The prefix is allowed.
        until: It ends by itself then; None: somebody ends it.
    """

    prefix: str = ""
    allows: bool = False
    until: datetime | None = None

    def is_on(self, now: datetime) -> bool:
        """It has not ended."""
        return self.until is None or self.until > now


def prefix_setting(prefix: str) -> str:
    """The stored setting of one prefix."""
    return f"{_PREFIX}{prefix}"


def switch_text(switch: Switch) -> str:
    """A switch as it is stored; ``stored_switches`` reads it."""
    word = _ON if not switch.prefix else _ALLOW if switch.allows else _DENY
    return word if switch.until is None else f"{word} until {switch.until.astimezone(UTC).isoformat()}"


def stored_switches(stored: Mapping[str, str]) -> tuple[Switch, ...]:
    """All switches among the stored settings, ended ones too; what cannot be read is logged and left out."""
    return tuple(_read(stored))


class Switches:
    """The switches in force.

    A pause goes before everything. Then the longest prefix that an operator switched decides, for verified phones too: an
    emergency has no exceptions. Then the longest one of ``limits.allow`` and ``limits.deny``; where none matches, an
    empty ``limits.allow`` lets everybody pass. Whom the settings refuse passes once the phone has verified before.

    Args:
        report: Told of each switch that was changed, in words.
    """

    def __init__(self, settings: LimitSettings, report: Callable[[str], None] = lambda _: None) -> None:
        self._listed = PrefixMap({**dict.fromkeys(settings.deny, False), **dict.fromkeys(settings.allow, True)})
        self._is_open = not settings.allow
        self._report = report
        self._texts: dict[str, str] = {}
        self._pause: Switch | None = None
        self._switched = PrefixMap[Switch]({})

    def take_up(self, stored: Mapping[str, str], *, first: bool) -> None:
        """Put what is stored in force."""
        texts = {name: text for name, text in stored.items() if name == PAUSED or name.startswith(_PREFIX)}
        if texts == self._texts:
            return
        before, self._texts = self._texts, texts
        switches = stored_switches(texts)
        self._pause = next((switch for switch in switches if not switch.prefix), None)
        self._switched = PrefixMap({switch.prefix: switch for switch in switches if switch.prefix})
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
        word, _, until = text.partition(" until ")
        try:
            ends_at = datetime.fromisoformat(until) if until else None
        except ValueError:
            about = fields("switch_unreadable", detail=name)
            _logger.error(
                "the stored %s cannot be read, it holds until it is switched again: %s", name, text, extra=about
            )
            ends_at = None
        if word not in ({_ON} if name == PAUSED else {_ALLOW, _DENY}):
            about = fields("switch_unreadable", detail=name)
            _logger.error("the stored %s is left out, it cannot be read: %s", name, text, extra=about)
            continue
        if ends_at is not None and ends_at.tzinfo is None:
            ends_at = ends_at.replace(tzinfo=UTC)
        yield Switch(prefix="" if name == PAUSED else name.removeprefix(_PREFIX), allows=word == _ALLOW, until=ends_at)
