"""What the switches page shows: what is in force, since and until when, who did it and why, and what a change concerns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import attrs

from otp_server.console.desk import Desk
from otp_server.console.trail import latest
from otp_server.console.words import plural
from otpcore import RoutingTable, parse_rules
from otpcore.operator import Change, InstanceState

__all__ = ["Concerned", "Instance", "Switch", "Switches", "concerned_by", "switches_of"]

_UNCLAIMED = "other numbers"
_BEYOND = "+999000000000"  # a number that no prefix of a country claims


@attrs.frozen(kw_only=True)
class Switch:
    """What an operator has switched.

    Args:
        target: A prefix or region; empty: all sending.
        state: ``paused``, ``denied`` or ``allowed``.
        since: When; None: it was not noted.
        until: It ends by itself then; None: it does not.
        change: Who did it and why; None: the trail does not know any more.
    """

    target: str
    state: str
    since: datetime | None
    until: datetime | None
    change: Change | None


@attrs.frozen(kw_only=True)
class Instance:
    """A provider instance, and who drained it.

    Args:
        of: How it stands.
        change: Who drained it and why; None: it is not drained, or the trail does not know any more.
    """

    of: InstanceState
    change: Change | None


@attrs.frozen(kw_only=True)
class Switches:
    """The page.

    Args:
        paused: The pause; None: sending is not paused.
        prefixes: What is denied or allowed.
        instances: All of them.
        allow: Whom alone the settings allow; none: everybody.
        deny: Whom the settings deny.
        none_at_all: Limits of the settings that let nothing pass.
        within: Seconds in which every process obeys a change.
    """

    paused: Switch | None
    prefixes: Sequence[Switch]
    instances: Sequence[Instance]
    allow: Sequence[str]
    deny: Sequence[str]
    none_at_all: Sequence[str]
    within: float

    @property
    def sentence(self) -> str:
        """What is in force."""
        denied = sum(one.state == "denied" for one in self.prefixes)
        drained = sum(one.of.drained for one in self.instances)
        parts = [
            *(["sending is paused"] if self.paused else []),
            *([plural(denied, "prefix or region is", "prefixes or regions are") + " denied"] if denied else []),
            *([plural(drained, "instance is", "instances are") + " drained"] if drained else []),
        ]
        if not parts:
            allowed = len(self.prefixes)
            return f"Nothing is switched off{f'; {allowed} allowed by hand' if allowed else ''}."
        told = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
        return f"{told[0].upper()}{told[1:]}."


@attrs.frozen(kw_only=True)
class Concerned:
    """Whom a change concerns, before it is made.

    Args:
        waiting: Sends that wait, to such numbers or all.
        accepted: Messages of the last hour that the instance took, or all instances.
        of: Of how many.
        left: Prefixes that no instance would serve any more.
        now: What is switched there now; None: nothing.
    """

    waiting: int
    accepted: int = 0
    of: int = 0
    left: Sequence[str] = ()
    now: Switch | None = None


async def switches_of(desk: Desk) -> Switches:
    """What is switched now."""
    operator = desk.operator
    seen = await operator.sending.show()
    states = await operator.instances.status()
    changes = await latest(operator, ["sending.deny", "sending.allow"]) if seen.prefixes else {}
    paused = await latest(operator, ["sending.pause"]) if seen.paused else {}
    drained = await latest(operator, ["instances.drain"]) if any(one.drained for one in states) else {}
    on = [*([seen.paused] if seen.paused else []), *seen.prefixes]
    switched = [
        Switch(
            target=one.prefix,
            state=one.state or "",
            since=one.since,
            until=one.until,
            change={**changes, **paused}.get(one.prefix),
        )
        for one in on
    ]
    return Switches(
        paused=next((one for one in switched if not one.target), None),
        prefixes=[one for one in switched if one.target],
        instances=[Instance(of=one, change=drained.get(one.instance) if one.drained else None) for one in states],
        allow=seen.allow,
        deny=seen.deny,
        none_at_all=seen.none_at_all,
        within=desk.server.otp_settings.routing.reload_every,
    )


async def concerned_by(desk: Desk, action: str, target: str) -> Concerned | None:
    """Whom a change concerns; None: there is no such instance.

    Raises:
        InvalidArgument: It is neither prefix nor region, or a whole number.
    """
    operator = desk.operator
    if action in ("drain", "take-back"):
        return await _of_an_instance(desk, target.casefold())
    waiting = (await operator.retries.count(target or None)).count
    now = next((one for one in (await switches_of(desk)).prefixes if one.target == target.upper()), None)
    states = await operator.instances.status()
    accepted = sum(one.accepted for one in states)
    return Concerned(waiting=waiting, accepted=accepted, of=accepted, now=now)


async def _of_an_instance(desk: Desk, name: str) -> Concerned | None:
    states = {one.instance: one for one in await desk.operator.instances.status()}
    if name not in states:
        return None
    out = {one.instance for one in states.values() if one.drained} | {name}
    return Concerned(
        waiting=states[name].queued,
        accepted=states[name].accepted,
        of=sum(one.accepted for one in states.values()),
        left=[] if states[name].drained else await _left(desk, states, out),
    )


async def _left(desk: Desk, states: Mapping[str, InstanceState], out: Collection[str]) -> Sequence[str]:
    """Prefixes, by channel, that somebody serves now and no one would without these."""
    found = []
    for channel, in_force in (await desk.operator.routes.show()).channels.items():
        if in_force.rules is None:
            continue
        table = parse_rules(in_force.rules)
        served = {one for one in table.instances if one not in states or not states[one].drained}
        now, then = table.restricted_to(served), table.restricted_to(served - set(out))
        found += [
            f"{prefix or _UNCLAIMED} over {channel}"
            for prefix in _prefixes(table)
            if now.candidates(prefix or _BEYOND) and not then.candidates(prefix or _BEYOND)
        ]
    return found


def _prefixes(table: RoutingTable) -> Sequence[str]:
    return list(dict.fromkeys(["", *(prefix for rule in table.rules for prefix in rule.prefixes)]))
