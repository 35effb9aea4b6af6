"""What the rules page shows: what is in force and since when, what other rules would move, and where they cannot be read."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import attrs

from otp_server.console.desk import Desk
from otp_server.console.words import plural
from otpcore import PhoneNumber, RoutingSyntaxError, RoutingTable, parse_rules
from otpcore.operator import Explained, Preview, Version

__all__ = ["CutOut", "Effect", "InPlace", "Sample", "clauses", "cut_out", "effect_of", "in_place", "name_of"]

_NAMES = {"sms": "text messages", "call": "calls"}
_HISTORY = 20
_LOOKED_BACK = timedelta(hours=1)
_MADE_UP = 12  # samples of prefixes
_LONG = 13  # digits of one, with its plus sign
_AROUND = 14  # letters shown on each side of a mistake; both fit a phone
_BY_RULE = ("default;", "prefix ", "none of its ")  # reasons that the rules themselves give
_DEFAULTS = ("+12025550100", "+447700900100", "+4915100000000", "+919900000000", "+819000000000", "+999000000000")


@attrs.frozen(kw_only=True)
class InPlace:
    """How the rules of one channel stand.

    Args:
        channel: Its word.
        channels: All that may have rules.
        source: Where those in force come from: ``forced``, ``database`` or ``file``; None: there are none.
        rules: Those in force; None: there are none.
        stored: Those in the store; None: none are.
        file: Those of the settings file; None: it has none.
        lent: Those of text messages, which serve a channel without rules of its own; None: there are none.
        refused: Why the stored ones are not in force, or empty.
        history: What was stored, the latest first.
    """

    channel: str
    channels: Sequence[str]
    source: str | None
    rules: str | None
    stored: str | None
    file: str | None
    lent: str | None
    refused: str
    history: Sequence[Version]

    @property
    def version(self) -> Version | None:
        """Who put them in force; None: it is not known, or they are of the settings file."""
        is_stored = self.source == "database" and self.history and self.history[0].rules == self.stored
        return self.history[0] if is_stored else None

    @property
    def is_lent(self) -> bool:
        """Those in force are the rules of text messages."""
        own = {"database": self.stored, "file": self.file, "forced": ""}
        return self.source is not None and own.get(self.source) is None

    @property
    def otherwise(self) -> str:
        """What would be in force if none were stored; empty: nothing."""
        return self.file or self.lent or ""

    @property
    def sentence(self) -> str:
        """Who serves whom."""
        name = name_of(self.channel).capitalize()
        if self.source == "forced":
            return "The host names its providers itself. No rules are in force."
        if self.rules is None:
            return f"{name} go to no one: there are no rules."
        table = parse_rules(self.rules)
        own = {prefix for rule in table.rules for prefix in rule.prefixes}
        defaults = [rule.instance for rule in table.rules if not rule.prefixes]
        if not defaults:
            return f"{name} go to no one but for {plural(len(own), 'prefix', 'prefixes')}."
        then = f", then {' and '.join(filter(None, [', '.join(defaults[1:-1]), defaults[-1]]))}" if defaults[1:] else ""
        elsewhere = (
            f"; {plural(len(own), 'prefix has', 'prefixes have')} a way of {'its' if len(own) == 1 else 'their'} own"
        )
        return f"{name} go to {defaults[0]}{then}{elsewhere if own else ''}."


@attrs.frozen(kw_only=True)
class Sample:
    """What becomes of one number.

    Args:
        shown: The masked number, or the prefix for which one was made up; empty: one that no prefix claims.
        is_made_up: It is no one's.
        prefix: Of the new rules, by which it goes; empty: by default.
        before: Its route now.
        after: Under the new rules.
        left_out: Who would be in neither, and why.
        refused: Why nothing is sent to it at all, or empty.
    """

    shown: str
    is_made_up: bool
    prefix: str
    before: Sequence[str]
    after: Sequence[str]
    left_out: Sequence[tuple[str, str]]
    refused: str

    @property
    def moves(self) -> bool:
        """Another instance is first."""
        return self.before[:1] != self.after[:1]


@attrs.frozen(kw_only=True)
class Effect:
    """What rules would change.

    Args:
        rules: As they are understood.
        preview: By the sends of the last hour.
        samples: What becomes of single numbers.
        more: How many prefixes have no sample here.
        idle: Instances that cannot do the channel.
    """

    rules: str
    preview: Preview
    samples: Sequence[Sample]
    more: int
    idle: Sequence[str]

    @property
    def moved(self) -> int:
        """How many sends of the last hour would have another first instance."""
        return sum(one.count for one in self.preview.moved)

    @property
    def prefixes(self) -> Sequence[str]:
        """Whose numbers would; empty among them: those that no prefix claims."""
        return [one.shown for one in self.samples if one.is_made_up and one.moves]

    @property
    def unserved(self) -> int:
        """How many sends of the last hour no one would serve any more."""
        return sum(one.count for one in self.preview.moved if not one.after)

    @property
    def stranded(self) -> Sequence[Sample]:
        """Those whom no one would serve any more."""
        return [one for one in self.samples if one.before and not one.after]

    @property
    def sentence(self) -> str:
        """What the change would do."""
        examined = self.preview.examined
        if not examined:
            moves = plural(sum(one.moves for one in self.samples), "sample")
            return f"This change moves {moves}. The last hour had no sends."
        sends = plural(examined, "send")
        if not self.moved:
            return f"This change moves none of {sends}."
        return f"This change moves {self.moved:,} of {sends} to another first instance."


@attrs.frozen(kw_only=True)
class CutOut:
    """Where rules cannot be read.

    Args:
        column: From 1.
        problem: What is wrong there.
        text: The letters around it.
        caret: Blanks and a caret, to stand below.
    """

    column: int
    problem: str
    text: str
    caret: str


def name_of(channel: str) -> str:
    """What goes over a channel, in people's words."""
    return _NAMES.get(channel, f"{channel} messages")


async def in_place(desk: Desk, channel: str) -> InPlace | None:
    """How the rules of a channel stand; None: there is no such channel."""
    routes = desk.operator.routes
    seen = await routes.show()
    able = {word for one in await desk.operator.instances.list() for word in one.channels}
    channels = list(dict.fromkeys([*seen.channels, *sorted(able)]))
    if channel not in channels:
        return None
    in_force = seen.channels.get(channel)
    setting = f"otp_{channel}_provider"
    return InPlace(
        channel=channel,
        channels=channels,
        source=in_force.source if in_force is not None else None,
        rules=in_force.rules if in_force is not None else None,
        stored=seen.database.get(setting),
        file=seen.file.get(setting),
        lent=seen.channels["sms"].rules if channel != "sms" else None,
        refused=seen.refused.get(setting, ""),
        history=await routes.history(channel, limit=_HISTORY),
    )


async def effect_of(desk: Desk, place: InPlace, rules: str, phones: Sequence[str]) -> Effect:
    """What these rules would change.

    Args:
        desk: The console's.
        place: How the rules stand.
        rules: To be tried.
        phones: Numbers that somebody wants to know about; none: one is made up for each prefix.

    Raises:
        RoutingSyntaxError: They cannot be read.
        OTPConfigurationError: An instance that they name cannot be used, or none of them can do the channel.
        InvalidArgument: They hold a whole number.
        InvalidPhoneNumber: One of the numbers is none.
    """
    routes = desk.operator.routes
    checked = await routes.validate(rules, place.channel)
    after = parse_rules(checked.rules)
    before = parse_rules(place.rules) if place.rules is not None else RoutingTable(())
    preview = await routes.preview(checked.rules, datetime.now(UTC) - _LOOKED_BACK, place.channel)
    made_up = {} if phones else _made_up(before, after)
    numbers: Sequence[tuple[str, str | None]] = [(one, None) for one in phones]
    numbers = numbers or [(made_up[prefix], prefix) for prefix in [*made_up][:_MADE_UP]]
    samples = [await _sample(desk, place.channel, checked.rules, phone, prefix) for phone, prefix in numbers]
    return Effect(
        rules=checked.rules,
        preview=preview,
        samples=[one for one in samples if one is not None],
        more=max(0, len(made_up) - _MADE_UP),
        idle=checked.idle,
    )


def cut_out(error: RoutingSyntaxError) -> CutOut:
    """The place of a mistake."""
    at = min(error.column - 1, len(error.text))
    begin, end = max(0, at - _AROUND), min(len(error.text), at + _AROUND)
    before = "…" * (begin > 0)
    return CutOut(
        column=error.column,
        problem=error.problem,
        text=f"{before}{error.text[begin:end]}{'…' * (end < len(error.text))}",
        caret=f"{' ' * (len(before) + at - begin)}^",
    )


def clauses(before: str, after: str) -> Sequence[tuple[str, bool]]:
    """The clauses of rules, each with whether it stands elsewhere, or not at all, in the others."""
    old, new = before.split(";"), after.split(";")
    same: set[int] = set()
    for block in difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks():
        same.update(range(block.a, block.a + block.size))
    return [(clause, number not in same) for number, clause in enumerate(old)]


def _made_up(before: RoutingTable, after: RoutingTable) -> Mapping[str, str]:
    """A number for each prefix of both, those that move first, and one that none of them claims; by prefix."""
    prefixes = dict.fromkeys(prefix for table in (after, before) for rule in table.rules for prefix in rule.prefixes)
    found = {prefix: prefix.ljust(_LONG, "0") for prefix in prefixes}
    unclaimed = [one for one in _DEFAULTS if not any(table.matched_prefix(one) for table in (before, after))]
    if unclaimed:
        found[""] = unclaimed[0]

    def stays(prefix: str) -> bool:
        return before.candidates(found[prefix])[:1] == after.candidates(found[prefix])[:1]

    return {prefix: found[prefix] for prefix in sorted(found, key=lambda one: (stays(one), one == "", one))}


async def _sample(desk: Desk, channel: str, rules: str, phone: str, prefix: str | None) -> Sample | None:
    """What becomes of a number; it is masked before anybody sees it. None: no number begins with this prefix."""
    now = await desk.operator.routes.explain(phone, channel, proposed=rules, reveal=True)
    if not now.phone.startswith(prefix or ""):
        return None
    then = now.proposed or now
    return Sample(
        shown=PhoneNumber(now.phone).masked if prefix is None else prefix,
        is_made_up=prefix is not None,
        prefix=parse_rules(rules).matched_prefix(now.phone),
        before=now.route,
        after=then.route,
        left_out=_left_out(then),
        refused="" if prefix is not None else now.refused or "",
    )


def _left_out(one: Explained) -> Sequence[tuple[str, str]]:
    """Who is not in the route for another reason than the prefix."""
    return [
        (step.instance, step.reason)
        for step in one.steps
        if step.position is None and not step.reason.startswith(_BY_RULE)
    ]
