"""Routing rules: parse, format, and say who serves a number, and why; pure.

::

    rules    = rule *( ";" rule )
    rule     = instance [ ":" prefix *( "," prefix ) ]
    instance = ALPHA *( ALPHA / DIGIT / "-" / "_" )          ; matched without regard to case
    prefix   = "+" ( "1"…"9" ) *14DIGIT                      ; ASCII digits

White space around tokens does not matter. ``Twilio;Mada:+35987,+35988;Sinch`` sends numbers that begin with +35987 or
+35988 through Mada, all others through Twilio, then Sinch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping

import attrs

from otpcore.errors import RoutingSyntaxError
from otpcore.models import Channel

__all__ = [
    "RULE_SETTING",
    "RouteStep",
    "RoutingTable",
    "Rule",
    "channel_of",
    "format_rules",
    "parse_rules",
    "rule_setting",
]

RULE_SETTING = re.compile(r"otp_([a-z][a-z0-9_]{0,19})_provider")
"""The setting that holds the rules of a channel, in the store and in the settings file."""

_INSTANCE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_LONGEST_NAME = 64  # every store has room for it, and every screen
_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}")
_SPACE = re.compile(r"\s*")

# The beginning to cut off a number, and what finds the route of that beginning; both made once, as a look-up is hot.
_Lookup = tuple[slice, Callable[[str], tuple[str, ...] | None]]

_INCAPABLE = {Channel.SMS: "cannot send SMS", Channel.CALL: "cannot place calls"}


@attrs.frozen(kw_only=True)
class Rule:
    """One clause of the rules.

    Args:
        instance: Casefolded instance name.
        prefixes: Beginnings of E.164 numbers, each with its ``+``. Empty: a default, for numbers nobody else claims.
    """

    instance: str
    prefixes: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class RouteStep:
    """Where one instance stands in the route of one number.

    Args:
        instance: Casefolded instance name.
        position: 1-based place in the route; None when it is left out.
        reason: Why, for people.
    """

    instance: str
    position: int | None
    reason: str


@attrs.frozen
class RoutingTable:
    """Rules, ready for look-ups. Make one with ``parse_rules`` or ``RoutingTable.of``.

    Building costs time in proportion to the prefixes, a look-up costs at most one dict access for each *length* a
    prefix may have: build a table once per channel, not once per send.

    Args:
        rules: The clauses in written order.
        instances: Casefolded names of all instances, in the order in which they are first named.
    """

    rules: tuple[Rule, ...]
    instances: tuple[str, ...] = attrs.field(init=False, eq=False, repr=False)
    _defaults: tuple[str, ...] = attrs.field(init=False, eq=False, repr=False)
    _lookups: tuple[_Lookup, ...] = attrs.field(init=False, eq=False, repr=False)

    @instances.default
    def _first_seen(self) -> tuple[str, ...]:
        return _once(rule.instance for rule in self.rules)

    @_defaults.default
    def _without_prefixes(self) -> tuple[str, ...]:
        return tuple(rule.instance for rule in self.rules if not rule.prefixes)

    @_lookups.default
    def _one_for_each_length(self) -> tuple[_Lookup, ...]:
        return _lookups_by_length(self.rules)

    @classmethod
    def of(cls, names: Iterable[str]) -> RoutingTable:
        """The table of a forced list: these instances in this order for every number.

        Raises:
            RoutingSyntaxError: The list is empty, or a name is not one or comes twice.
        """
        names = tuple(names)
        text = ";".join(names)
        column = 1
        for name in names:
            if not _INSTANCE.fullmatch(name):
                raise _error("a provider name is ASCII letters, digits, - and _, a letter first", text, column)
            column += len(name) + 1
        return parse_rules(text)

    def restricted_to(self, capable: Collection[str]) -> RoutingTable:
        """The table without the instances that cannot do a channel, as if they had not been written.

        Args:
            capable: Names of the instances that can. Nobody may be left: then there are no candidates at all.
        """
        keep = {name.casefold() for name in capable}
        if keep.issuperset(self.instances):
            return self
        return RoutingTable(tuple(rule for rule in self.rules if rule.instance in keep))

    def candidates(self, e164: str, *, fallback_to_default: bool = False) -> tuple[str, ...]:
        """The route of a number: who is tried, in order; none of them twice, nobody at all if nobody serves it.

        The most specific prefix comes first, then written order. The defaults serve only numbers without a match.

        Args:
            e164: The number with its ``+``.
            fallback_to_default: Append the defaults after a match too.
        """
        for beginning, find in self._lookups:
            route = find(e164[beginning])
            if route is not None:
                return _once((*route, *self._defaults)) if fallback_to_default else route
        return self._defaults

    def matched_prefix(self, e164: str) -> str:
        """The longest rule prefix that the number begins with; empty when it is served by default instances."""
        return next((e164[beginning] for beginning, find in self._lookups if find(e164[beginning]) is not None), "")

    def explain(
        self,
        e164: str,
        *,
        capable: Collection[str] | None = None,
        unfit: Mapping[str, str] | None = None,
        fallback_to_default: bool = False,
        channel: Channel | None = None,
    ) -> tuple[RouteStep, ...]:
        """Say of every instance why it is in or out: first the route in its order, then those left out as written.

        Args:
            e164: The number with its ``+``.
            capable: Names of the instances that can do the channel; None: all of them.
            unfit: What of the send's wishes an instance cannot carry, by name. It is left out of the route once the rules
                have chosen it, and nobody takes its place.
            fallback_to_default: As for ``candidates``.
            channel: Only for the wording about those that cannot do it.
        """
        able = self if capable is None else self.restricted_to(capable)
        chosen = able.candidates(e164, fallback_to_default=fallback_to_default)
        unfit = {} if unfit is None else unfit
        route = tuple(name for name in chosen if name not in unfit)
        matching = {name: _longest_match(able.rules, name, e164) for name in chosen}
        taken = [
            RouteStep(instance=name, position=position, reason=_why_taken(matching[name], any(matching.values())))
            for position, name in enumerate(route, 1)
        ]
        reasons = {
            name: f"cannot carry {unfit[name]}" if name in chosen else _why_left_out(able.rules, name)
            for name in able.instances
            if name not in route
        }
        left_out = [
            RouteStep(instance=name, position=None, reason=reasons.get(name) or _incapable(channel))
            for name in self.instances
            if name not in route
        ]
        return (*taken, *left_out)


def rule_setting(channel: Channel) -> str:
    """The name of the setting that holds the rules of a channel."""
    return f"otp_{channel}_provider"


def channel_of(setting: str) -> Channel | None:
    """The channel whose rules a setting holds; None: it holds no rules."""
    found = RULE_SETTING.fullmatch(setting)
    return Channel(found[1]) if found else None


def parse_rules(text: str) -> RoutingTable:
    """Read routing rules.

    Raises:
        RoutingSyntaxError: They cannot be read, or name an instance twice without prefixes or twice with the same one.
    """
    rules: list[Rule] = []
    seen: set[tuple[str, str]] = set()
    end = 0
    while not rules or end < len(text):
        rule, end = _parse_rule(text, end + 1 if rules else 0, seen)
        rules.append(rule)
    return RoutingTable(tuple(rules))


def format_rules(table: RoutingTable) -> str:
    """Write a table as rules: ``parse_rules(format_rules(table)) == table`` (a table without rules becomes ``""``)."""
    return ";".join(
        f"{rule.instance}:{','.join(rule.prefixes)}" if rule.prefixes else rule.instance for rule in table.rules
    )


def _parse_rule(text: str, at: int, seen: set[tuple[str, str]]) -> tuple[Rule, int]:
    """One rule from ``at`` on, and where it ends: at its ";" or at the end of the text."""
    at = _skip_space(text, at)
    name = _INSTANCE.match(text, at)
    if not name:
        raise _error("a provider name is expected here, beginning with an ASCII letter", text, at + 1)
    if len(name[0]) > _LONGEST_NAME:
        raise _error(f"a provider name has at most {_LONGEST_NAME} characters", text, at + _LONGEST_NAME + 1)
    instance = name[0].casefold()
    end = _skip_space(text, name.end())
    if text[end : end + 1] == ":":
        prefixes, end = _parse_prefixes(text, end + 1, instance, seen)
        return Rule(instance=instance, prefixes=prefixes), end
    if end < len(text) and text[end] != ";":
        raise _error("not part of a provider name; ':' or ';' is expected here", text, end + 1)
    if (instance, "") in seen:
        raise _error(f"{instance} is named twice without prefixes", text, at + 1)
    seen.add((instance, ""))
    return Rule(instance=instance), end


def _parse_prefixes(text: str, at: int, instance: str, seen: set[tuple[str, str]]) -> tuple[tuple[str, ...], int]:
    prefixes = []
    while True:
        at = _skip_space(text, at)
        prefix = _PREFIX.match(text, at)
        if not prefix:
            raise _no_prefix(text, at)
        if (instance, prefix[0]) in seen:
            raise _error(f"{instance} has the prefix {prefix[0]} twice", text, at + 1)
        seen.add((instance, prefix[0]))
        prefixes.append(prefix[0])
        end = _skip_space(text, prefix.end())
        follower = text[end : end + 1]
        if follower in ("", ";"):
            return tuple(prefixes), end
        if follower != ",":
            long = end == prefix.end() and follower in "0123456789"
            problem = "a prefix has at most 15 digits" if long else "not part of a prefix; ',' or ';' is expected here"
            raise _error(problem, text, end + 1)
        at = end + 1


def _no_prefix(text: str, at: int) -> RoutingSyntaxError:
    if text[at : at + 1] != "+":
        return _error("a prefix is expected here, beginning with +", text, at + 1)
    return _error("a country code is expected after +, as ASCII digits, the first not 0", text, at + 2)


def _skip_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _error(problem: str, text: str, column: int) -> RoutingSyntaxError:
    # Line breaks and control characters, one blank each: otherwise the caret would stand under something else.
    shown = "".join(character if character.isprintable() else " " for character in text)
    return RoutingSyntaxError(problem, shown, column)


def _lookups_by_length(rules: tuple[Rule, ...]) -> tuple[_Lookup, ...]:
    """For each length of a prefix, longest first: prefix to the *whole* route, so that the first hit is the answer."""
    owners: dict[int, dict[str, tuple[str, ...]]] = {}
    for rule in rules:
        own: tuple[str, ...] = (rule.instance,)
        for prefix in rule.prefixes:
            same_length = owners.setdefault(len(prefix), {})
            same_length[prefix] = same_length[prefix] + own if prefix in same_length else own
    joined: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[str, ...]] = {}
    lookups: list[_Lookup] = []
    for length in sorted(owners):
        routes = owners[length]
        for prefix, own in routes.items():
            shorter = _first_hit(lookups, prefix)
            if (own, shorter) not in joined:
                joined[own, shorter] = _once((*own, *shorter))
            routes[prefix] = joined[own, shorter]
        lookups.insert(0, (slice(length), routes.get))
    return tuple(lookups)


def _first_hit(lookups: Iterable[_Lookup], text: str) -> tuple[str, ...]:
    for beginning, find in lookups:
        route = find(text[beginning])
        if route is not None:
            return route
    return ()


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _longest_match(rules: tuple[Rule, ...], instance: str, e164: str) -> str:
    prefixes = (prefix for rule in rules if rule.instance == instance for prefix in rule.prefixes)
    return max((prefix for prefix in prefixes if e164.startswith(prefix)), key=len, default="")


def _why_taken(match: str, any_match: bool) -> str:
    if match:
        return f"prefix {match} matches"
    return "default; tried after the prefixes that match" if any_match else "default; no prefix matches"


def _incapable(channel: Channel | None) -> str:
    """Why an instance is in no route of this channel; None: of one that nobody named."""
    if channel is None:
        return "cannot do this channel"
    return _INCAPABLE.get(channel, f"cannot send over {channel}")


def _why_left_out(rules: tuple[Rule, ...], instance: str) -> str:
    own = [rule for rule in rules if rule.instance == instance]
    if not all(rule.prefixes for rule in own):
        return "default; not reached because a prefix matched"
    prefixes = [prefix for rule in own for prefix in rule.prefixes]
    if len(prefixes) == 1:
        return f"prefix {prefixes[0]} does not match"
    return f"none of its {len(prefixes)} prefixes matches"
