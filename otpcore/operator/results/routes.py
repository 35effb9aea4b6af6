"""What operators see of routing rules: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs

from otpcore.operator.results.shown import Shown

__all__ = [
    "Checked",
    "Explained",
    "First",
    "InForce",
    "Moved",
    "Preview",
    "RouteStepSeen",
    "RulesSeen",
    "RulesSet",
    "Version",
]


@attrs.frozen(kw_only=True)
class RouteStepSeen(Shown):
    """One instance of a route, or one that is left out.

    Args:
        instance: Its name.
        position: In the route, from 1; None: it is left out.
        reason: Why.
    """

    instance: str
    position: int | None
    reason: str


@attrs.frozen(kw_only=True)
class Explained(Shown):
    """Who serves one number over one channel, and why.

    Args:
        phone: Masked, or revealed.
        channel: Over which.
        source: Where the rules come from: ``forced``, ``database``, ``file``, or ``proposed``; None: there are none.
        rules: As they are understood; None: there are none.
        route: Who is tried, in order.
        steps: The route with its reasons, then who is left out and why.
        test_number: The name of the test number that it is: then no instance is called; None: it is none.
        refused: Why a send to this number would not even be routed; None: it would.
        proposed: The same under the rules that were proposed; None: none were.
    """

    phone: str = attrs.field(repr=False)
    channel: str
    source: str | None
    rules: str | None
    route: tuple[str, ...]
    steps: tuple[RouteStepSeen, ...]
    test_number: str | None = None
    refused: str | None = None
    proposed: Explained | None = None


@attrs.frozen(kw_only=True)
class InForce(Shown):
    """The rules of one channel.

    Args:
        source: Where they come from: ``forced``, ``database`` or ``file``; None: there are none.
        rules: As they are understood; None: there are none.
    """

    source: str | None
    rules: str | None


@attrs.frozen(kw_only=True)
class RulesSeen(Shown):
    """The rules in force, and every source, the strongest first.

    Args:
        channels: The rules in force, by channel.
        forced: The host's own list; None: it forces none.
        database: The stored rules, by setting.
        file: The rules of the settings file, by setting.
        refused: Why stored rules are not in force, by setting.
    """

    channels: Mapping[str, InForce]
    forced: tuple[str, ...] | None
    database: Mapping[str, str | None]
    file: Mapping[str, str | None]
    refused: Mapping[str, str]


@attrs.frozen(kw_only=True)
class Checked(Shown):
    """Rules that can work.

    Args:
        rules: As they are understood.
        instances: Whom they name.
        idle: Those of them that cannot do the channel, and are left out.
    """

    rules: str
    instances: tuple[str, ...]
    idle: tuple[str, ...]


@attrs.frozen(kw_only=True)
class RulesSet(Shown):
    """Rules that were written.

    Args:
        channel: Over which.
        setting: By which they are stored.
        rules: As they were written; None: the stored ones were removed, and the settings file's count again.
        idle: Instances that cannot do the channel, and are left out.
        forced: The host's own list, which goes before all rules; None: it forces none.
        within: Seconds in which every process follows.
    """

    channel: str
    setting: str
    rules: str | None
    idle: tuple[str, ...]
    forced: tuple[str, ...] | None
    within: float


@attrs.frozen(kw_only=True)
class Version(Shown):
    """Rules that were stored at some time.

    Args:
        number: Of the change that stored them; ``routes.restore(number)`` stores them again.
        at: Aware UTC.
        by: Who changed them.
        reason: In the operator's words, or empty.
        rules: As they were written; None: the stored ones were removed, and the settings file's counted.
        former: What was stored before; None: nothing was.
    """

    number: int
    at: datetime
    by: str
    reason: str
    rules: str | None
    former: str | None


@attrs.frozen(kw_only=True)
class Moved(Shown):
    """Challenges that other rules would send elsewhere.

    Args:
        before: The first instance under the rules in force; empty: no one serves them.
        after: The first under the rules that were proposed; empty: no one.
        count: How many challenges.
        share: Of all that were looked at, 0 to 1.
    """

    before: str
    after: str
    count: int
    share: float


@attrs.frozen(kw_only=True)
class First(Shown):
    """How many challenges an instance is the first for.

    Args:
        instance: Its name; empty: no one serves them.
        before: Under the rules in force.
        after: Under the rules that were proposed.
    """

    instance: str
    before: int
    after: int


@attrs.frozen(kw_only=True)
class Preview(Shown):
    """What other rules would change, by the recent challenges.

    Args:
        channel: Over which.
        since: The oldest that was looked at began then or later.
        examined: How many were looked at.
        unread: How many more could not be looked at: the keys that sealed them are not here.
        moved: What would go elsewhere, the most first.
        firsts: By instance, those that are first for the most now before the others.
    """

    channel: str
    since: datetime
    examined: int
    unread: int
    moved: tuple[Moved, ...]
    firsts: tuple[First, ...] = ()
