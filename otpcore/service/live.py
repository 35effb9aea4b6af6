"""What the store's settings say while the service runs: rules and switches, read together again and again."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from otpcore.errors import OTPConfigurationError, StoreError
from otpcore.events import EventType, fields
from otpcore.rate_limits.admission import Barrier, LimitReason
from otpcore.service.charging import TargetMap, none_at_all, stronger
from otpcore.service.obstacles import CLIENT_MISSING, CLIENT_SEEN, NOTE_CLIENT_EVERY
from otpcore.service.overdue import OverdueWatch
from otpcore.service.routes import Rules
from otpcore.service.switches import PAUSED, PREFIX, Switch, stored_switches
from otpcore.settings.tree import LimitSettings
from otpcore.stores.lifecycle import is_due

if TYPE_CHECKING:
    from otpcore.service.service import Service

__all__ = ["LiveSettings", "Switches"]

_logger = logging.getLogger("otpcore.live")
_service_logger = logging.getLogger("otpcore.service")


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
        texts = {name: text for name, text in stored.items() if name == PAUSED or name.startswith(PREFIX)}
        if texts == self._texts:
            return
        before, self._texts = self._texts, texts
        switches = stored_switches(texts)
        self._pause = next((switch for switch in switches if not switch.prefix), None)
        self._switched = TargetMap({switch.prefix: switch for switch in switches if switch.prefix})
        if not first:
            for name in sorted(name for name in {**before, **texts} if before.get(name) != texts.get(name)):
                self._report(f"{name.removeprefix(PREFIX)}: {texts.get(name, 'no longer switched')}")

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


class LiveSettings:
    """Rules and switches in force, as of a moment ago.

    Args:
        service: Whose they are; it is told of what changes.
    """

    def __init__(self, service: Service) -> None:
        settings = service.settings
        self.rules = Rules(
            settings=settings,
            forced=service.forced,
            providers=service.providers,
            require=service.instances.require,
            release=service.instances.release,
            clock=service.clock,
            report=self._report_rules,
        )
        self.switches = Switches(settings.limits, self._report_switch)
        self._service = service
        self._overdue = OverdueWatch(service)
        self._every = timedelta(seconds=settings.routing.reload_every)
        self._read_at: datetime | None = None
        self._noted_at: dict[str, datetime] = {}
        self._is_away = False

    def is_behind(self, client: str | None) -> bool:
        """Whether it is time to ``refresh``, or to ``note_client``."""
        now = self._service.clock()
        return is_due(self._read_at, self._every, now) or self._notes(client, now)

    async def refresh(self, *, force: bool = False) -> None:
        """Ask the store again, if the last time is long enough ago. A store that does not answer changes nothing.

        Raises:
            StoreError: It does not answer the first time.
        """
        now = self._service.clock()
        if not force and not is_due(self._read_at, self._every, now):
            return
        first = self._read_at is None
        self._read_at = now
        try:
            stored = await self._service.store.settings()
        except StoreError:
            if first:
                raise
            if not self._is_away:
                _logger.warning(
                    "the store does not give its rules and switches; the last ones stay in force",
                    extra=fields("settings_not_read"),
                )
            self._is_away = True
            return
        if self._is_away:
            _logger.warning("the store gives its rules and switches again", extra=fields("settings_read_again"))
            self._is_away = False
        self.switches.take_up(stored, first=first)
        await self.rules.take_up(stored, first=first)
        await self._overdue.look()

    def barrier(self, e164: str, channel: str) -> Barrier | None:
        """What keeps a number from being sent to again: a switch, a denial of the settings, a limit of none at all."""
        service = self._service
        switched = self.switches.barrier(e164, service.clock())
        return stronger(switched, none_at_all(e164, channel, service.settings.limits))

    async def note_client(self, client: str | None) -> None:
        """Write when a host's send last named its client, or none, and never which; a store that is away stops no send.

        So an operator hears when none ever does, and ``limits.client`` is blind. Of each process and kind it is written
        once in ten minutes: two rows that hardly ever change.
        """
        now = self._service.clock()
        if not self._notes(client, now):
            return
        note = CLIENT_SEEN if client else CLIENT_MISSING
        self._noted_at[note] = now
        with contextlib.suppress(StoreError):
            name = self._service.settings.world.mark(note)
            await self._service.store.write_setting(name, now.isoformat(timespec="seconds"))

    def _notes(self, client: str | None, now: datetime) -> bool:
        watched = self._service.is_host and self._service.settings.limits.client
        noted_at = self._noted_at.get(CLIENT_SEEN if client else CLIENT_MISSING)
        return bool(watched) and is_due(noted_at, NOTE_CLIENT_EVERY, now)

    def _report_rules(self, name: str, error: OTPConfigurationError | None) -> None:
        if error is None:
            self._service.emit(EventType.RULES_CHANGED, detail=name)
        else:
            about = fields("rules_refused", reason=type(error).__name__, detail=name)
            _service_logger.error("the stored %s is refused, the last good one stays: %s", name, error, extra=about)
            self._service.emit(EventType.RULES_REFUSED, detail=name, reason=type(error).__name__)

    def _report_switch(self, change: str) -> None:
        self._service.emit(EventType.SWITCHES_CHANGED, detail=change)
