"""Which routing rules are in force: a forced list, the store's setting, or the settings file's."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime

import attrs

from otpcore._settings_test_numbers import instance_of
from otpcore.config import Settings
from otpcore.errors import OTPConfigurationError
from otpcore.models import Channel
from otpcore.routing import RoutingTable, parse_rules

RULE_SETTINGS = {Channel.SMS: "otp_sms_provider", Channel.CALL: "otp_call_provider"}
"""The setting that holds the rules of each channel, in the store and in the settings file."""


class RuleSource(enum.StrEnum):
    """Where the rules in force come from, strongest first."""

    FORCED = "forced"
    DATABASE = "database"
    FILE = "file"


@attrs.frozen(kw_only=True)
class RulesInForce:
    """The rules of one channel, with all instances, before any is left out."""

    source: RuleSource
    table: RoutingTable


def rules_of_file(settings: Settings) -> dict[str, RoutingTable]:
    """The settings file's rules by setting name."""
    texts = {"otp_sms_provider": settings.otp_sms_provider, "otp_call_provider": settings.otp_call_provider}
    return {name: parse_rules(text) for name, text in texts.items() if text}


class Rules:
    """The rules in force.

    Each of the two settings counts on its own: the store's value, else the file's. Calls follow the SMS rules unless
    ``otp_call_provider`` is set somewhere.

    Args:
        settings: With the file's rules.
        forced: Ordered instance names that the host forced, or None.
        capable: Which loaded instances can do a channel.
        require: Starts the instances that a new rule names, or says why they cannot be.
        release: Told which instances the rules in force name, whenever they were looked at.
        report: Told the setting's name and what was wrong with its new value; None: it took force.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        forced: tuple[str, ...] | None,
        capable: Callable[[Channel], Collection[str]],
        require: Callable[[Collection[str]], Awaitable[None]],
        release: Callable[[Collection[str]], None] = lambda _: None,
        clock: Callable[[], datetime],
        report: Callable[[str, OTPConfigurationError | None], None],
    ) -> None:
        self.forced = forced
        self._settings = settings
        self._capable = capable
        self._require = require
        self._release = release
        self._clock = clock
        self._report = report
        self._file = rules_of_file(settings)
        self._seen: dict[str, str | None] = {}
        self._stored: dict[str, RoutingTable] = {}
        self._routes: dict[Channel, RoutingTable] = {}

    async def take_up(self, stored: Mapping[str, str], *, first: bool) -> None:
        """Put what is stored in force; what cannot work is reported, and the last good rules stay."""
        for name in RULE_SETTINGS.values():
            await self._adopt(name, stored.get(name), first=first)
        self._release(self._named())

    def in_force(self, channel: Channel) -> RulesInForce | None:
        """The rules of a channel and where they come from; None: there are none."""
        if self.forced is not None:
            return RulesInForce(source=RuleSource.FORCED, table=RoutingTable.of(self.forced))
        for name in dict.fromkeys((RULE_SETTINGS[channel], RULE_SETTINGS[Channel.SMS])):
            if name in self._stored:
                return RulesInForce(source=RuleSource.DATABASE, table=self._stored[name])
            if name in self._file:
                return RulesInForce(source=RuleSource.FILE, table=self._file[name])
        return None

    def route(self, e164: str, channel: Channel, *, forced: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Instances for a number, in order.

        What stands in for a provider at a test number goes before everything; a forced list, the host's or a stored one,
        before all rules.
        """
        if test_number := self._settings.sms.test_number(e164, self._clock().date()):
            return (instance_of(test_number),)
        forced = self.forced if forced is None else forced
        if forced is not None:
            capable = self._capable(channel)
            return tuple(name for name in forced if name in capable)
        fallback = self._settings.routing.fallback_to_default
        return self._table(channel).candidates(e164, fallback_to_default=fallback)

    def matched_prefix(self, e164: str, channel: Channel, *, forced: tuple[str, ...] | None = None) -> str:
        """The rule prefix by which ``route`` found these instances; empty: by default, or no rule did."""
        is_forced = (self.forced if forced is None else forced) is not None
        if is_forced or self._settings.sms.test_number(e164, self._clock().date()):
            return ""
        return self._table(channel).matched_prefix(e164)

    def _table(self, channel: Channel) -> RoutingTable:
        """The rules of a channel without the instances that cannot do it."""
        if channel not in self._routes:
            rules = self.in_force(channel)
            table = RoutingTable(()) if rules is None else rules.table
            self._routes[channel] = table.restricted_to(self._capable(channel))
        return self._routes[channel]

    async def _adopt(self, name: str, text: str | None, *, first: bool) -> None:
        """Put a new value of a stored setting in force, or with None the file's rules again, once its instances are started."""
        if text == self._seen.get(name):
            return
        self._seen[name] = text
        try:
            table = self._file.get(name) if text is None else parse_rules(text)
            if table is not None and self.forced is None:
                await self._require(table.instances)
        except OTPConfigurationError as error:
            self._report(name, error)
            if text is not None:
                return
        had = self._stored.pop(name, None) is not None
        if text is not None and table is not None:
            self._stored[name] = table
        self._routes.clear()
        if not first and (had or text is not None):
            self._report(name, None)

    def _named(self) -> frozenset[str]:
        """Every instance of the rules in force."""
        in_force = [rules for channel in Channel if (rules := self.in_force(channel)) is not None]
        return frozenset(name for rules in in_force for name in rules.table.instances)
