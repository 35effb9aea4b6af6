"""What operators switch, as it is stored: the pause, prefixes and regions that are denied or allowed, instances that are drained."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import attrs

from otpcore.events import fields

__all__ = [
    "PAUSED",
    "PREFIX",
    "Switch",
    "drain_setting",
    "drained",
    "prefix_setting",
    "stored_switches",
    "switch_text",
]

_logger = logging.getLogger("otpcore.limits")

PAUSED = "paused"
"""The stored setting that pauses all sending."""
PREFIX = "limits.prefix."
"""How the stored settings of prefixes and regions begin."""
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
    return f"{PREFIX}{prefix}"


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


def _read(stored: Mapping[str, str]) -> Iterator[Switch]:
    for name, text in sorted(stored.items()):
        if name != PAUSED and not name.startswith(PREFIX):
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
        prefix = "" if name == PAUSED else name.removeprefix(PREFIX)
        yield Switch(prefix=prefix, allows=word == _ALLOW, until=ends_at, since=begun_at)


def _moment(text: str) -> datetime | None:
    """A time; one without a zone is UTC."""
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
