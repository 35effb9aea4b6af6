"""The routing rules: what is in force and why, what others would do, and every version that was stored."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from types import EllipsisType

import anyio.lowlevel
import attrs

from otpcore.errors import InvalidArgument, InvalidPhoneNumber, SettingsError
from otpcore.models import Channel
from otpcore.operator.desk import Desk, check_prefix, checked_channel
from otpcore.operator.loading import RoutingView, instances_of, open_view
from otpcore.operator.results.routes import (
    Checked,
    Explained,
    First,
    InForce,
    Moved,
    Preview,
    RouteStepSeen,
    RulesSeen,
    RulesSet,
    Version,
)
from otpcore.operator.words import typed_rules
from otpcore.phone.numbers import PhoneNumber, parse_phone
from otpcore.providers.loading import Loaded, forced_names
from otpcore.routing import RouteStep, RoutingTable, format_rules, parse_rules, rule_setting
from otpcore.service.arguments import check_storable, check_text
from otpcore.service.measures import checked_count, checked_moment
from otpcore.service.routes import Needs, needs_of
from otpcore.service.service import recipient
from otpcore.stores.records import AuditRecord, ChallengeRecord

__all__ = ["AsyncRoutes"]

_SET = "routes.set"
_PROPOSED = "proposed"
_PAGE = 200  # records that are looked at in one go
_PREVIEWED = 10_000  # challenges
_AT_ONCE = 200  # challenges that are looked at before anybody else has a turn


class AsyncRoutes:
    """Look at the rules, try others, write them to the store, and go back. Running services follow within ``routing.reload_every``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def show(self) -> RulesSeen:
        """What is in force, and every source."""
        of_file = self._desk.service.settings.rule_texts
        async with open_view(self._desk) as view:
            in_force = {channel: view.rules.in_force(channel) for channel in view.rules.channels}
            names = [rule_setting(channel) for channel in in_force]
            return RulesSeen(
                channels={
                    str(channel): InForce(source=str(rules.source), rules=format_rules(rules.table))
                    if rules is not None
                    else InForce(source=None, rules=None)
                    for channel, rules in in_force.items()
                },
                forced=view.rules.forced,
                database={name: view.stored.get(name) for name in names},
                file={name: of_file.get(name) for name in names},
                refused={name: str(error) for name, error in view.refused.items()},
            )

    async def explain(
        self,
        phone: str,
        channel: str = "sms",
        *,
        locale: str = "",
        message: str | None = None,
        own_code: bool = False,
        proposed: str | None = None,
        reveal: bool = False,
    ) -> Explained:
        """Say who serves a number, and why.

        Args:
            phone: As a person writes it.
            channel: Its word, such as ``sms``, ``call`` or ``whatsapp``.
            locale: As for a send; empty: none is named.
            message: As for a send.
            own_code: The send has a code of the host's.
            proposed: Rules to be tried besides those in force.
            reveal: Show the full number.

        Raises:
            InvalidPhoneNumber: It is not one number.
            InvalidArgument: It is no word that a channel could have, or the message has no place for the code.
            RoutingSyntaxError: The proposed rules cannot be read.
        """
        service, over = self._desk.service, checked_channel(channel)
        number = recipient(self._desk.number(phone), over)
        check_storable(message=message)
        check_text(locale=locale)
        needs = needs_of(
            message=message, locale=locale, purpose="default", settings=service.settings.otp, own_code=own_code
        )
        proposed = None if proposed is None else _typed(proposed, "proposed")
        table = None if proposed is None else parse_rules(proposed)
        async with open_view(self._desk, *filter(None, [proposed])) as view:
            in_force = view.rules.in_force(over)
            source, rules = (str(in_force.source), in_force.table) if in_force is not None else (None, None)
            explained = self._explained(view, rules, source, number, over, needs, reveal=reveal)
            if table is None:
                return explained
            after = self._explained(view, table, _PROPOSED, number, over, needs, reveal=reveal)
            return attrs.evolve(explained, proposed=after)

    async def validate(self, rules: str, channel: str = "sms") -> Checked:
        """Read rules and load what they name.

        Args:
            rules: Such as ``Twilio;Mada:+35987``.
            channel: Its word, such as ``sms``, ``call`` or ``whatsapp``.

        Raises:
            RoutingSyntaxError: They cannot be read.
            OTPConfigurationError: An instance that they name cannot be used, or none of them can do the channel.
            InvalidArgument: It is no word that a channel could have, or the rules hold a whole number.
        """
        over = checked_channel(channel)
        return await self._checked(_typed(rules), over)

    async def set(
        self,
        rules: str | None,
        channel: str = "sms",
        *,
        replaces: str | EllipsisType | None = ...,
        by: str,
        reason: str = "",
    ) -> RulesSet:
        """Write rules to the store, once they are checked as ``validate`` does; None: remove the stored ones.

        Args:
            rules: Such as ``Twilio;Mada:+35987``; None: the settings file's count again.
            channel: Its word, such as ``sms``, ``call`` or ``whatsapp``.
            replaces: The stored rules that you have seen; None: there were none. Where others are stored by now, nothing is
                done. Not given: whatever is stored.
            by: Who does it.
            reason: Why.

        Raises:
            RoutingSyntaxError: They cannot be read.
            OTPConfigurationError: An instance that they name cannot be used, or none of them can do the channel.
            InvalidArgument: It is no word that a channel could have, the rules would store a whole number, or others are stored
                than they replace.
        """
        over = checked_channel(channel)
        record = self._desk.record(_SET, by, reason, target=str(over))
        rules = None if rules is None else _typed(rules)
        return await self._store(rules, over, replaces, record)

    async def preview(self, rules: str, since: datetime, channel: str = "sms") -> Preview:
        """The shares of recent challenges that other rules would send elsewhere.

        At most 10,000 challenges are looked at, the latest first. Instances that cannot do the channel, or are drained, are
        left out, as for a send.

        Args:
            rules: To be tried, such as ``Twilio;Mada:+35987``.
            since: Aware; only challenges that were sent since then.
            channel: Its word, such as ``sms``, ``call`` or ``whatsapp``.

        Raises:
            RoutingSyntaxError: They cannot be read.
            InvalidArgument: It is no word that a channel could have, or the time has no zone.
        """
        over, store = checked_channel(channel), self._desk.service.store
        since = checked_moment("since", since)
        rules = _typed(rules)
        proposed = parse_rules(rules)
        challenges = await store.recent(since, over, _PREVIEWED)
        async with open_view(self._desk, rules) as view:
            in_force = view.rules.in_force(over)
            usable = view.loaded.capable(over) - view.rules.drained
            before = RoutingTable(()) if in_force is None else in_force.table.restricted_to(usable)
            moves, unread = await self._moves(challenges, over, before, proposed.restricted_to(usable))
        return _preview(over, since, moves, unread)

    async def history(self, channel: str = "sms", *, limit: int = 50) -> tuple[Version, ...]:
        """The stored rules of a channel, the latest first.

        Args:
            channel: Its word, such as ``sms``, ``call`` or ``whatsapp``.
            limit: How many.

        Raises:
            InvalidArgument: It is no word that a channel could have.
        """
        over, limit = checked_channel(channel), checked_count("limit", limit)
        found: list[Version] = []
        below: int | None = None
        while len(found) < limit:
            page = await self._desk.service.store.audits(_PAGE, below=below, action=_SET)
            found += [_version(one) for one in page if one.target == over]
            if len(page) < _PAGE:
                break
            below = page[-1].number
        return tuple(found[:limit])

    async def restore(
        self, number: int, *, replaces: str | EllipsisType | None = ..., by: str, reason: str = ""
    ) -> RulesSet:
        """Store the rules again that a change of ``history`` stored.

        Args:
            number: Of that change.
            replaces: As for ``set``.
            by: Who does it.
            reason: Why.

        Raises:
            InvalidArgument: There is no such change of rules, or it was purged; or other rules are stored than these replace.
            OTPConfigurationError: An instance that they name cannot be used any more.
        """
        number = checked_count("number", number, least=0)
        found = await self._desk.service.store.audits(1, below=number + 1, action=_SET)
        if not found or found[0].number != number:
            raise InvalidArgument("number: no change of rules has it. Fix: take one that routes.history lists")
        over = checked_channel(found[0].target)
        record = self._desk.record(_SET, by, reason, target=str(over), restored=number)
        return await self._store(_version(found[0]).rules, over, replaces, record)

    async def _store(
        self, rules: str | None, channel: Channel, replaces: str | EllipsisType | None, record: AuditRecord
    ) -> RulesSet:
        idle: tuple[str, ...] = ()
        if rules is not None:
            idle = (await self._checked(rules, channel)).idle
        name = rule_setting(channel)
        is_written = await self._desk.write_setting(name, rules, record, expect=replaces)
        if not is_written and replaces is not ... and (await self._desk.service.store.settings()).get(name) != rules:
            raise InvalidArgument("replaces: others have been stored since. Fix: look at them, and decide again")
        return RulesSet(
            channel=str(channel),
            setting=name,
            rules=rules,
            idle=idle,
            forced=forced_names(self._desk.setup.providers),
            within=self._desk.within,
        )

    async def _checked(self, rules: str, channel: Channel) -> Checked:
        for prefix in (prefix for rule in parse_rules(rules).rules for prefix in rule.prefixes):
            check_prefix(prefix)
        async with instances_of(self._desk, rules) as loaded:
            return _checked(loaded, rules, channel)

    async def _moves(
        self, challenges: Sequence[ChallengeRecord], channel: Channel, before: RoutingTable, after: RoutingTable
    ) -> tuple[Counter[tuple[str, str]], int]:
        """How many have which first instance under both tables, and how many numbers could not be opened."""
        service = self._desk.service
        fallback = service.settings.routing.fallback_to_default
        moves: Counter[tuple[str, str]] = Counter()
        unread = 0
        for number, challenge in enumerate(challenges):
            if number % _AT_ONCE == 0:
                await anyio.lowlevel.checkpoint()
            try:
                e164 = recipient(service.phone_of(challenge), channel).e164
            except SettingsError:
                unread += 1
                continue
            routes = [table.candidates(e164, fallback_to_default=fallback) for table in (before, after)]
            first, second = (route[0] if route else "" for route in routes)
            moves[first, second] += 1
        return moves, unread

    def _explained(
        self,
        view: RoutingView,
        table: RoutingTable | None,
        source: str | None,
        number: PhoneNumber,
        channel: Channel,
        needs: Needs,
        *,
        reveal: bool,
    ) -> Explained:
        settings, now = self._desk.service.settings, self._desk.service.clock()
        steps = _steps(view, table, number.e164, channel, needs) if table is not None else ()
        return Explained(
            phone=number.e164 if reveal else number.masked,
            channel=str(channel),
            source=source,
            rules=format_rules(table) if table is not None else None,
            route=tuple(step.instance for step in steps if step.position is not None),
            steps=tuple(RouteStepSeen(**attrs.asdict(step)) for step in steps),
            test_number=settings.sms.test_number(number.e164, now.date()) or None,
            refused=_refusal(number.e164, require_valid=settings.otp.number_policy == "valid"),
        )


def _typed(rules: str, name: str = "rules") -> str:
    """Rules as they were typed or pasted, by the name of the argument."""
    check_text(**{name: rules})
    return typed_rules(rules)


def _checked(loaded: Loaded, rules: str, channel: Channel) -> Checked:
    table = parse_rules(rules)
    for name in table.instances:
        if name in loaded.broken:
            raise loaded.broken[name]
    able = loaded.capable(channel)
    idle = tuple(name for name in table.instances if name not in able)
    if len(idle) == len(table.instances):
        raise SettingsError(
            f"no instance of these rules can send over {channel}. Fix: name one that can, as `otp providers` shows"
        )
    return Checked(rules=format_rules(table), instances=tuple(table.instances), idle=idle)


def _steps(view: RoutingView, table: RoutingTable, e164: str, channel: Channel, needs: Needs) -> Sequence[RouteStep]:
    """The route and its reasons: the rules', then what of them is broken, then who is drained."""
    lacking = {name: needs.lacking(one.info, channel) for name, one in view.loaded.providers.items()}
    steps = table.explain(
        e164,
        capable=view.loaded.capable(channel),
        unfit={name: what for name, what in lacking.items() if what},
        fallback_to_default=view.setup.settings.routing.fallback_to_default,
        channel=channel,
    )
    broken = view.loaded.broken
    told = [
        attrs.evolve(step, reason=f"not loaded: {broken[step.instance]}") if step.instance in broken else step
        for step in steps
    ]
    return _without(view.rules.drained, told)


def _without(drained: Collection[str], steps: Sequence[RouteStep]) -> Sequence[RouteStep]:
    """The steps, those of drained instances left out of the route."""
    route = [step for step in steps if step.position is not None and step.instance not in drained]
    return [
        *(attrs.evolve(step, position=position) for position, step in enumerate(route, 1)),
        *(
            attrs.evolve(step, position=None, reason="draining") if step.position is not None else step
            for step in steps
            if step not in route
        ),
    ]


def _refusal(e164: str, *, require_valid: bool) -> str | None:
    """Why a send would not even be routed: validity belongs to sending, and rules may be asked about any number."""
    try:
        parse_phone(e164, require_valid=require_valid)
    except InvalidPhoneNumber as error:
        return str(error)
    return None


def _preview(channel: Channel, since: datetime, moves: Counter[tuple[str, str]], unread: int) -> Preview:
    examined = moves.total()
    moved = [
        Moved(before=before, after=after, count=count, share=count / examined)
        for (before, after), count in moves.most_common()
        if before != after
    ]
    firsts: dict[str, list[int]] = {}
    for both, count in moves.items():
        for side, instance in enumerate(both):
            firsts.setdefault(instance, [0, 0])[side] += count
    return Preview(
        channel=str(channel),
        since=since,
        examined=examined,
        unread=unread,
        moved=tuple(moved),
        firsts=tuple(
            First(instance=instance, before=firsts[instance][0], after=firsts[instance][1])
            for instance in sorted(firsts, key=lambda one: (-firsts[one][0], -firsts[one][1], one))
        ),
    )


def _version(record: AuditRecord) -> Version:
    detail = json.loads(record.detail)
    return Version(
        number=record.number,
        at=record.at,
        by=record.by,
        reason=record.reason,
        rules=detail["after"],
        former=detail["before"],
    )
