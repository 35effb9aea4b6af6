"""The provider instances: how they stand, and taking one out of all routes and back."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

from otpcore.errors import InvalidArgument, quoted
from otpcore.models import Outcome
from otpcore.operator.desk import Desk
from otpcore.operator.instance_tests import send_test
from otpcore.operator.loading import instances_of, seen_instances
from otpcore.operator.results.upkeep import InstanceLoaded, InstanceState, InstanceTested
from otpcore.providers.loading import forced_names, named_by
from otpcore.routing import channel_of
from otpcore.service.arguments import check_text
from otpcore.service.measures import checked_window
from otpcore.service.switches import drain_setting, drained

__all__ = ["AsyncInstances"]

_WINDOW = 3600.0  # seconds in which messages are counted


class AsyncInstances:
    """Look at the instances; drain one, so that it gets no new sends and no retries, and take it back."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def list(self) -> tuple[InstanceLoaded, ...]:
        """Every instance of the settings, loaded and started to look at it; what is broken says why."""
        async with instances_of(self._desk) as loaded:
            return seen_instances(loaded)

    async def status(self, *, window: float = _WINDOW) -> tuple[InstanceState, ...]:
        """How each instance stands, by what the store knows: none is loaded for it.

        Args:
            window: Seconds back from now in which messages are counted; at most ``storage.keep_deliveries``.

        Raises:
            InvalidArgument: It is no number.
        """
        service = self._desk.service
        now = service.clock()
        since = now - checked_window(window, service.settings.storage.keep_deliveries)
        found = await service.store.status(since, now)
        stored = await service.store.settings()
        out = drained(stored)
        breakers = {one.instance: one for one in found.breakers}
        threshold = service.settings.retry.breaker_threshold
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for one in found.deliveries:
            kind = "accepted" if one.outcome is Outcome.ACCEPTED else "failed"
            if one.outcome is not Outcome.OPEN:
                counts[one.instance][kind] += one.count
        for verified in found.verified:
            counts[verified.instance]["verified"] += verified.count
        for waiting in found.waiting:
            counts[waiting.instance]["queued"] += waiting.count
        names = sorted({*self._known(stored), *out, *breakers, *filter(None, counts)})
        return tuple(
            InstanceState(
                instance=name,
                drained=name in out,
                drained_since=out.get(name),
                failures=breakers[name].failures if name in breakers else 0,
                is_open=name in breakers and breakers[name].failures >= threshold,
                misconfigured_since=breakers[name].misconfigured_at if name in breakers else None,
                accepted=counts[name]["accepted"],
                failed=counts[name]["failed"],
                verified=counts[name]["verified"],
                queued=counts[name]["queued"],
            )
            for name in names
        )

    async def drain(self, name: str, *, by: str, reason: str = "") -> InstanceState:
        """Give it no new sends and no retries; checks, cancels and receipts of what it has sent go on.

        Args:
            name: Of an instance that rules, settings or the host name.
            by: Who does it.
            reason: Why.

        Raises:
            InvalidArgument: Nothing names such an instance.
        """
        instance = await self._checked(name)
        if instance not in drained(await self._desk.service.store.settings()):
            record = self._desk.record("instances.drain", by, reason, target=instance)
            since = self._desk.service.clock().isoformat()
            await self._desk.write_setting(drain_setting(instance), since, record, instance=instance)
        return await self._one(instance)

    async def take_back(self, name: str, *, by: str, reason: str = "") -> InstanceState:
        """Let it have sends and retries again.

        Args:
            name: Of the instance.
            by: Who does it.
            reason: Why.

        Raises:
            InvalidArgument: Nothing names such an instance, and none of that name is drained.
        """
        instance = await self._checked(name)
        record = self._desk.record("instances.take_back", by, reason, target=instance)
        await self._desk.write_setting(drain_setting(instance), None, record, instance=instance)
        return await self._one(instance)

    async def test(self, name: str, phone: str, channel: str = "sms", *, by: str, reason: str = "") -> InstanceTested:
        """Send one real message, with a code, through this instance and no other; what fails is not tried again.

        Limits, pauses and the breaker hold as for any send; a drained instance is called all the same. It is a verification of
        its own, with a purpose of its own, and needs the operator of an open service.

        Args:
            name: Of the instance.
            phone: Whose holder expects it, as a person writes it.
            channel: Its word, such as ``sms``, ``call`` or ``whatsapp``.
            by: Who does it.
            reason: Why.

        Raises:
            InvalidArgument: No such instance is loaded, or it cannot do the channel; or the number is one of the settings' tests.
            InvalidPhoneNumber: It cannot be sent to, or is not one number.
            RateLimited: Refused before anything was sent.
            DeliveryError: The instance's breaker is open, or it is busy with this number; it was not called.
        """
        check_text(name=name)
        return await send_test(self._desk, name.casefold(), phone, channel, by=by, reason=reason)

    async def _one(self, instance: str) -> InstanceState:
        return next((one for one in await self.status() if one.instance == instance), InstanceState(instance=instance))

    async def _checked(self, name: str) -> str:
        """The name as rules write it.

        Raises:
            InvalidArgument: As said.
        """
        check_text(name=name)
        stored = await self._desk.service.store.settings()
        instance = name.casefold()
        known = {*self._known(stored), *drained(stored)}
        if instance not in known:
            there = ", ".join(sorted(known))
            fix = f"name one of {there}" if there else "configure one, in [providers.<name>]"
            raise InvalidArgument(f"name: there is no instance {quoted(name)}. Fix: {fix}")
        return instance

    def _known(self, stored: Mapping[str, str]) -> set[str]:
        """Whom rules, settings or the host name."""
        settings = self._desk.service.settings
        texts = [
            *settings.rule_texts.values(),
            *(text for name, text in stored.items() if channel_of(name) is not None),
        ]
        return {*named_by(texts), *settings.providers, *(forced_names(self._desk.setup.providers) or ())}
