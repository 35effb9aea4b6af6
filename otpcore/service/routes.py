"""Who serves a number: the routing rules in force, and which of their instances can carry what a send asks for."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from datetime import datetime

import attrs

from otpcore.errors import OTPConfigurationError
from otpcore.messages.carrying import Carries, Feature
from otpcore.messages.texts import render_sms, segments, text_locale
from otpcore.models import Channel, CodeOwner, instance_of
from otpcore.phone.numbers import PhoneNumber
from otpcore.providers.provider import Provider
from otpcore.providers.requests import ProviderInfo
from otpcore.routing import RoutingTable, channel_of, parse_rules, rule_setting
from otpcore.service.switches import drained
from otpcore.settings.sections import OtpSettings
from otpcore.settings.tree import Settings
from otpcore.stores.steps import Candidate

__all__ = [
    "NO_NEEDS",
    "Needs",
    "Route",
    "RuleSource",
    "Rules",
    "RulesInForce",
    "needs_of",
]

_SHOWN_LOCALE = 35  # characters; no language tag in use is longer (RFC 5646, 4.4.1)


@attrs.frozen(kw_only=True)
class Needs:
    """What an instance must carry for one send, as the caller named it; the settings' own wishes stop nobody.

    Args:
        own_text: A text of the caller's.
        locale: The language that the caller named; empty: none was named.
        text_locale: The language in which otpcore words the text then; it falls back as the reference says.
        text: The SMS that leaves then, with a made-up code; empty: nothing was named.
        own_code: The host made the code.
        relayed: Nothing of it is verified.
    """

    own_text: bool = False
    own_code: bool = False
    relayed: bool = False
    locale: str = ""
    text_locale: str = ""
    text: str = attrs.field(default="", repr=False)

    def lacking(self, info: ProviderInfo, channel: Channel) -> str:
        """What of it an instance cannot carry over a channel, for people; empty: nothing."""
        carried, lacks = info.carried(channel), []
        if (self.own_code or self.relayed) and info.code_owner is CodeOwner.PROVIDER:
            lacks.append("a code of your own" if self.own_code else "a message without a code of its own")
        if self.own_text and not carried.takes(Feature.TEXT):
            lacks.append("a text of your own")
        words_text = info.words_text(channel)
        language = self.locale if words_text else self.text_locale
        if language and not carried.speaks(language):
            lacks.append(f"the language {language[:_SHOWN_LOCALE]!r}")
        if not lacks and self.text and channel is Channel.SMS and not words_text:
            lacks.extend(_too_much(carried, self.text))
        return " and ".join(lacks)


def _too_much(carried: Carries, text: str) -> Iterator[str]:
    """What of a text an instance refuses."""
    counted = segments(text)
    if carried.gsm_only and counted.encoding != "GSM-7":
        yield "letters beyond the GSM alphabet"
    if carried.most_parts is not None and counted.count > carried.most_parts:
        yield f"a text of {counted.count} SMS"


NO_NEEDS = Needs()


def needs_of(
    *,
    message: str | None,
    locale: str,
    purpose: str,
    settings: OtpSettings,
    own_code: bool = False,
    relayed: bool = False,
) -> Needs:
    """What a send asks for beyond a code that arrives, by what the caller named for it.

    Args:
        message: A text of the caller's, or None.
        locale: As the caller named it, or empty.
        own_code: The host made the code.
        relayed: Nothing of it is verified; without a code of the host's, the message is the whole text.

    Raises:
        InvalidArgument: The message has no place for the code.
    """
    if message is None and not locale:
        return Needs(own_code=True, relayed=relayed) if own_code else NO_NEEDS
    worded = locale
    if locale and message is None:
        worded = text_locale(
            locale=locale, purpose=purpose, templates=settings.templates, default_locale=settings.locale
        )
    text = render_sms(
        code="" if relayed and not own_code else "8" * settings.length,
        locale=locale or settings.locale,
        purpose=purpose,
        minutes=int(settings.life) // 60,
        app=settings.app,
        templates=settings.templates,
        message=message,
        web_otp_host=settings.web_otp_host,
        android_hash=settings.android_hash,
        default_locale=settings.locale,
    )
    return Needs(
        own_text=message is not None,
        own_code=own_code,
        relayed=relayed,
        locale=locale,
        text_locale=worded,
        text=text,
    )


@attrs.frozen(kw_only=True)
class Route:
    """Who is to be tried for one number over one channel, in order.

    Args:
        prefix: Of the rule by which they were found; empty: by default, by a forced list, or nobody was found.
        test_number: The name of the test number that this is; empty: it is an ordinary number.
        is_drained: There would be candidates, but for what an operator drains.
    """

    candidates: tuple[Candidate, ...]
    prefix: str = ""
    test_number: str = ""
    is_drained: bool = False


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
    return {name: parse_rules(text) for name, text in settings.rule_texts.items()}


_FIRST = (rule_setting(Channel.SMS), rule_setting(Channel.CALL))
_OF_A_SEND = 0.25
"""Of ``otp.send_timeout``: how long the send that reads new rules waits for an instance that they name to start."""


class Rules:
    """The rules in force, and the instances that an operator drains: the rules name them, and no route has them.

    Each channel's setting counts on its own: the store's value, else the file's. A channel whose ``otp_<channel>_provider`` is set
    nowhere follows the SMS rules, as far as their instances can do it.

    Args:
        settings: With the file's rules.
        forced: Ordered instance names that the host forced, or None.
        providers: Every loaded instance, by name.
        require: Starts the instances that a new rule names, or says why they cannot be; false: they take longer than these
            seconds.
        release: Told which instances the rules in force name, whenever they were looked at.
        report: Told the setting's name and what was wrong with its new value; None: it took force.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        forced: tuple[str, ...] | None,
        providers: Mapping[str, Provider],
        require: Callable[[Collection[str], float | None], Awaitable[bool]],
        release: Callable[[Collection[str]], None] = lambda _: None,
        clock: Callable[[], datetime],
        report: Callable[[str, OTPConfigurationError | None], None],
    ) -> None:
        self.forced = forced
        self._settings = settings
        self._providers = providers
        self._require = require
        self._release = release
        self._clock = clock
        self._report = report
        self._file = rules_of_file(settings)
        self._seen: dict[str, str | None] = {}
        self._unfinished: set[str] = set()
        self._stored: dict[str, RoutingTable] = {}
        self._routes: dict[Channel, RoutingTable] = {}
        self.drained: frozenset[str] = frozenset()

    async def take_up(self, stored: Mapping[str, str], *, first: bool) -> None:
        """Put what is stored in force; what cannot work is reported, and the last good rules stay.

        They stay too while an instance that the new ones name is still starting: that is looked at again the next time.
        """
        self.drained = frozenset(drained(stored))
        of_store = [name for name in stored if channel_of(name) is not None]
        for name in dict.fromkeys((*_FIRST, *self._file, *self._seen, *of_store)):
            await self._adopt(name, stored.get(name), first=first)
        self._release(self._named())

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Every channel that a setting or an instance names: SMS and calls, then the others in the order of the rules."""
        named = [channel for name in (*_FIRST, *self._file, *self._stored) if (channel := channel_of(name))]
        tables = [rules.table for channel in dict.fromkeys(named) if (rules := self.in_force(channel))]
        routed = [name for table in tables for name in table.instances if name in self._providers]
        able = [one for name in (*routed, *self._providers) for one in sorted(self._providers[name].channels)]
        return tuple(dict.fromkeys((*named, *map(Channel, self._settings.channels), *able)))

    def covers(self, channel: Channel) -> bool:
        """Whether rules say who serves this channel: its own, or those for SMS with an instance that can do it.

        Those for SMS are those for calls too, whether or not an instance can place them.
        """
        own = rule_setting(channel)
        if self.forced is not None or own in self._stored or own in self._file:
            return True
        return bool(self._table(channel).rules) or (channel is Channel.CALL and self.in_force(channel) is not None)

    @property
    def offered(self) -> tuple[Channel, ...]:
        """The channels that have rules of their own, or that an instance of those for SMS can do."""

        def has_own(channel: Channel) -> bool:
            name = rule_setting(channel)
            return self.forced is None and (name in self._stored or name in self._file)

        return tuple(one for one in self.channels if has_own(one) or self._table(one).rules)

    def in_force(self, channel: Channel) -> RulesInForce | None:
        """The rules of a channel and where they come from; None: there are none."""
        if self.forced is not None:
            return RulesInForce(source=RuleSource.FORCED, table=RoutingTable.of(self.forced))
        for name in dict.fromkeys((rule_setting(channel), rule_setting(Channel.SMS))):
            if name in self._stored:
                return RulesInForce(source=RuleSource.DATABASE, table=self._stored[name])
            if name in self._file:
                return RulesInForce(source=RuleSource.FILE, table=self._file[name])
        return None

    def route(
        self,
        phone: PhoneNumber,
        channel: Channel,
        needs: Needs = NO_NEEDS,
        *,
        forced: tuple[str, ...] | None = None,
        is_test: bool = False,
    ) -> Route:
        """Who serves a number over a channel and can carry what the send asks for.

        What stands in for a provider at a test number goes before everything; a forced list, the host's or a stored one,
        before all rules. An operator's test of an instance reaches a drained one too.
        """
        names, prefix, test_number = self._found(phone.e164, channel, forced)
        shown = phone.masked if prefix == phone.e164 else prefix  # a rule for one number: it is kept with deliveries
        known = [self._providers[name] for name in names if name in self._providers]
        able = tuple(
            Candidate(
                instance=provider.instance,
                owner=provider.info.code_owner,
                scope=provider.info.code_scope,
                prefix=shown,
            )
            for provider in known
            if (test_number or channel in provider.channels)
            and (needs is NO_NEEDS or not needs.lacking(provider.info, channel))
        )
        out = frozenset[str]() if is_test else self.drained
        candidates = tuple(one for one in able if one.instance not in out) if out else able
        is_drained = bool(able) and not candidates
        return Route(candidates=candidates, prefix=prefix, test_number=test_number, is_drained=is_drained)

    def drained_of(self, phone: PhoneNumber, channel: Channel, needs: Needs) -> tuple[str, ...]:
        """Who would serve a send, but for being drained; empty where somebody serves it."""
        if not self.route(phone, channel, needs).is_drained:
            return ()
        names, _, _ = self._found(phone.e164, channel, None)
        able = [self._providers[name] for name in names if name in self._providers and name in self.drained]
        return tuple(one.instance for one in able if channel in one.channels and not needs.lacking(one.info, channel))

    def unfit(self, phone: PhoneNumber, channel: Channel, needs: Needs) -> dict[str, str]:
        """Who serves a number and cannot carry what the send asks for, and what of it."""
        names, _, _ = self._found(phone.e164, channel, None)
        able = {name: self._providers[name] for name in names if name in self._providers and name not in self.drained}
        lacks = {name: needs.lacking(one.info, channel) for name, one in able.items() if channel in one.channels}
        return {name: what for name, what in lacks.items() if what}

    def _found(self, e164: str, channel: Channel, forced: tuple[str, ...] | None) -> tuple[tuple[str, ...], str, str]:
        """Instances in order, the prefix of the rule that names them, and the test number that this is."""
        sms = self._settings.sms
        if sms.test_numbers_on and (name := sms.test_number(e164, self._clock().date())):
            return (instance_of(name),), "", name
        forced = self.forced if forced is None else forced
        if forced is not None:
            return forced, "", ""
        table = self._table(channel)
        names = table.candidates(e164, fallback_to_default=self._settings.routing.fallback_to_default)
        return names, table.matched_prefix(e164), ""

    def _table(self, channel: Channel) -> RoutingTable:
        """The rules of a channel without the instances that cannot do it."""
        if (known := self._routes.get(channel)) is not None:
            return known
        rules = self.in_force(channel)
        able = {name for name, one in self._providers.items() if channel in one.channels}
        table = RoutingTable(()) if rules is None else rules.table.restricted_to(able)
        if table.rules:  # a word that nobody serves is not kept: a host's users may choose words
            self._routes[channel] = table
        return table

    async def _adopt(self, name: str, text: str | None, *, first: bool) -> None:
        """Put a new value of a stored setting in force, or with None the file's rules again, once its instances are started."""
        if text == self._seen.get(name) and name not in self._unfinished:
            return
        self._seen[name] = text
        self._unfinished.add(name)  # until the end: a caller's deadline, or its cancellation, may come first
        within = None if first else self._settings.otp.send_timeout * _OF_A_SEND
        failure: OTPConfigurationError | None = None
        try:
            table = self._file.get(name) if text is None else parse_rules(text)
            if table is not None and self.forced is None and not await self._require(table.instances, within):
                return
        except OTPConfigurationError as error:
            failure = error
        if text != self._seen[name] or name not in self._unfinished:  # another caller was faster, or read what is newer
            return
        self._unfinished.discard(name)
        if failure is not None:
            self._report(name, failure)
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
        in_force = [rules for channel in self.channels if (rules := self.in_force(channel)) is not None]
        return frozenset(name for rules in in_force for name in rules.table.instances)
