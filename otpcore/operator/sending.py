"""The switches of an operator: the pause, and prefixes and regions that are denied or allowed."""

from __future__ import annotations

from datetime import timedelta

from otpcore.operator.desk import Desk, checked_target
from otpcore.operator.results.limits import SwitchesSeen, SwitchState
from otpcore.service.measures import checked_seconds
from otpcore.service.switches import PAUSED, Switch, prefix_setting, stored_switches, switch_text
from otpcore.stores.records import AuditRecord

__all__ = ["AsyncSending"]


class AsyncSending:
    """Stop sending and go on: all of it, or to prefixes and regions. Every process obeys within ``routing.reload_every``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def show(self) -> SwitchesSeen:
        """Everything that is switched, and whom the settings refuse."""
        desk = self._desk
        now, limits = desk.service.clock(), desk.service.settings.limits
        on = [one for one in stored_switches(await desk.service.store.settings()) if one.is_on(now)]
        return SwitchesSeen(
            paused=next((self._state(one) for one in on if not one.prefix), None),
            prefixes=tuple(self._state(one) for one in on if one.prefix),
            allow=tuple(limits.allow),
            deny=tuple(limits.deny),
            none_at_all=tuple(limits.none_at_all),
        )

    async def pause(self, *, for_: float | None = None, by: str, reason: str = "") -> SwitchState:
        """Stop all sending; codes are still verified, and retries wait.

        Args:
            for_: Seconds; None: until ``resume``.
            by: Who does it.
            reason: Why.

        Raises:
            InvalidArgument: An argument cannot be meant.
        """
        return await self._switch(Switch(), for_, self._desk.record("sending.pause", by, reason))

    async def resume(self, *, by: str, reason: str = "") -> SwitchState:
        """End a pause.

        Args:
            by: Who does it.
            reason: Why.
        """
        await self._tidy()
        await self._desk.write_setting(PAUSED, None, self._desk.record("sending.resume", by, reason))
        return SwitchState(within=self._desk.within)

    async def deny(self, prefix: str, *, for_: float | None = None, by: str, reason: str = "") -> SwitchState:
        """Send nothing to numbers that begin so or belong to the region, verified ones too; what is queued for them ends.

        Args:
            prefix: Such as ``+35987``, or a region such as ``BG``; ``+`` is everybody.
            for_: Seconds; None: until it is switched again.
            by: Who does it.
            reason: Why.

        Raises:
            InvalidArgument: It is neither prefix nor region, or a whole number; or another argument cannot be meant.
        """
        switch = Switch(prefix=checked_target(prefix))
        return await self._switch(switch, for_, self._desk.record("sending.deny", by, reason, target=switch.prefix))

    async def allow(self, prefix: str, *, for_: float | None = None, by: str, reason: str = "") -> SwitchState:
        """End the denial of a prefix or region, and send there whatever the settings deny.

        Arguments and errors are those of ``deny``.
        """
        switch = Switch(prefix=checked_target(prefix), allows=True)
        return await self._switch(switch, for_, self._desk.record("sending.allow", by, reason, target=switch.prefix))

    async def clear(self, prefix: str, *, by: str, reason: str = "") -> SwitchState:
        """Leave a prefix or region to the settings again.

        Args:
            prefix: As for ``deny``.
            by: Who does it.
            reason: Why.

        Raises:
            InvalidArgument: It is neither prefix nor region, or a whole number.
        """
        target = checked_target(prefix)
        await self._tidy()
        record = self._desk.record("sending.clear", by, reason, target=target)
        await self._desk.write_setting(prefix_setting(target), None, record)
        return SwitchState(prefix=target, within=self._desk.within)

    async def _switch(self, switch: Switch, lasts: float | None, record: AuditRecord) -> SwitchState:
        """Write a switch; one that says the same keeps the time since when it does."""
        if lasts is not None:
            lasts = checked_seconds("for_", lasts, fix="give seconds, or None: until it is ended")
        since = now = self._desk.service.clock()
        for there in await self._tidy():
            if (there.prefix, there.allows) == (switch.prefix, switch.allows):
                since = there.since or now
        until = None if lasts is None else now + timedelta(seconds=lasts)
        lasting = Switch(prefix=switch.prefix, allows=switch.allows, until=until, since=since)
        name = prefix_setting(switch.prefix) if switch.prefix else PAUSED
        await self._desk.write_setting(name, switch_text(lasting), record)
        return self._state(lasting)

    async def _tidy(self) -> list[Switch]:
        """Remove the switches that have ended by themselves; the others."""
        store, now = self._desk.service.store, self._desk.service.clock()
        switches = stored_switches(await store.settings())
        for ended in (one for one in switches if not one.is_on(now)):
            await store.write_setting(prefix_setting(ended.prefix) if ended.prefix else PAUSED, None)
        return [one for one in switches if one.is_on(now)]

    def _state(self, switch: Switch) -> SwitchState:
        state = "paused" if not switch.prefix else "allowed" if switch.allows else "denied"
        return SwitchState(
            prefix=switch.prefix, state=state, until=switch.until, since=switch.since, within=self._desk.within
        )
