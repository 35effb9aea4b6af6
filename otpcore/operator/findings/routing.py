"""What ``otp doctor`` checks once settings, keys and store are well: the store's content, rules, providers, retries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

import attrs

from otpcore.clock import when
from otpcore.models import Channel
from otpcore.operator.findings import checks as _checks
from otpcore.operator.findings import wishes as _wishes
from otpcore.operator.findings.checks import Found, Level
from otpcore.operator.findings.key_states import KeyStanding, key_states
from otpcore.operator.fixes import told_of
from otpcore.operator.loading import RoutingView
from otpcore.phone.numbers import begins_numbers
from otpcore.providers.provider import PROVIDERS, installed
from otpcore.routing import channel_of, format_rules, rule_setting
from otpcore.service.assembly import make_store
from otpcore.service.no_route import command_over
from otpcore.service.status import ObstacleKind, Status, Stops
from otpcore.stores.counts import KeyUse

__all__ = ["ROUTING_CHECKS", "SENDING", "Routing"]

SENDING = "sending"
"""What stops sending now is found under this name, and told first."""


@attrs.frozen(kw_only=True)
class Routing:
    """What the checks of rules, providers and retries look at.

    Args:
        status: What is in the way, what waits, and who runs retries.
        keys_in_use: What the kept challenges were written under.
        store: What a store that a plugin or the host brings says of itself; empty: it is one of ours.
    """

    view: RoutingView
    status: Status
    keys_in_use: tuple[KeyUse, ...]
    now: datetime
    store: Mapping[str, str]


def _kept_keys(routing: Routing) -> Iterator[Found]:
    if routing.view.setup.settings.needs_throw_away_keys:
        return  # what the sandbox wrote under keys that are gone is nobody's loss
    for state in key_states(routing.view.setup.settings, routing.keys_in_use):
        key_id, count, until = state.key_id, state.challenges, when(state.until)
        if state.standing is KeyStanding.MISSING:
            yield Found(
                Level.PROBLEM,
                f"{count} challenges were written under {key_id}, which is not listed here: "
                "their codes do not verify and are not retried here",
                f"list it under [keys.code] again, until {until}",
            )
        elif state.standing is KeyStanding.NEEDED:
            yield Found(Level.OK, f"{key_id} is read for {count} challenges, until {until}")
        elif state.standing is KeyStanding.WAITING:
            yield Found(
                Level.NOTE,
                f"{key_id} is readable and not yet used",
                f"otp keys rotate --use {key_id}, once every process lists it",
            )
        elif state.standing is KeyStanding.UNUSED:
            yield Found(Level.NOTE, f"nothing needs {key_id} any more", f"otp keys rotate --retire {key_id}")


def _store_facts(routing: Routing) -> Iterator[Found]:
    if routing.store:
        yield Found(Level.OK, "; ".join(f"{name}: {value}" for name, value in routing.store.items()))


def _over(channel: Channel | None) -> str:
    """How a command is told of a channel; SMS need not be said."""
    return "" if channel in (None, Channel.SMS) else f" --channel {channel}"


def _other_rules(channel: Channel) -> str:
    return (
        "correct what `otp providers` shows as broken, or name an instance that can, as it shows too, with "
        f"`otp routes set RULES{_over(channel)}`"
    )


def _is_served(view: RoutingView, channel: Channel) -> bool:
    """Whether an instance of the rules can do it."""
    in_force = view.rules.in_force(channel)
    return in_force is not None and bool(view.loaded.capable(channel).intersection(in_force.table.instances))


def _instead(channel: Channel, working: Sequence[Channel]) -> str:
    """What works already, for SMS: it is what a send goes over where nothing is said."""
    ways = " or ".join(f"`{command_over(one)}`" for one in working)
    return f"send with {ways}; for SMS " if channel is Channel.SMS and ways else ""


def _rules(routing: Routing) -> Iterator[Found]:
    view = routing.view
    for name, error in view.refused.items():
        yield Found(
            Level.PROBLEM, f"the stored {name} is refused: {error}", f"otp routes set --clear{_over(channel_of(name))}"
        )
    working = [channel for channel in view.rules.channels if _is_served(view, channel)]
    for channel in view.rules.channels:
        in_force = view.rules.in_force(channel)
        if in_force is None:
            level = Level.PROBLEM if channel is Channel.SMS and not working else Level.NOTE
            yield Found(
                level,
                f"{channel}: no rules, so nothing goes over it",
                f"{_instead(channel, working)}`otp routes set RULES{_over(channel)}`, or {rule_setting(channel)} above "
                "the first [section]",
            )
        elif channel not in working:
            has_own = rule_setting(channel) in {**view.setup.settings.rule_texts, **view.stored}
            # Rules that are written for SMS may be meant for another channel, whose instances can all be used.
            is_meant = bool(working) and view.loaded.broken.keys().isdisjoint(in_force.table.instances)
            wanted = not is_meant if channel is Channel.SMS else has_own
            level = Level.PROBLEM if wanted else Level.NOTE
            fix = _instead(channel, working) + _other_rules(channel)
            yield Found(level, f"{channel}: no instance of the rules can do it", fix)
        else:
            yield Found(Level.OK, f"{channel}: {format_rules(in_force.table)} (from: {in_force.source})")
    yield from _idle_prefixes(view)


def _idle_prefixes(view: RoutingView) -> Iterator[Found]:
    """Those that no number can match, which nobody is told of otherwise."""
    for channel in view.rules.channels:
        in_force = view.rules.in_force(channel)
        prefixes = (prefix for rule in in_force.table.rules for prefix in rule.prefixes) if in_force else ()
        idle = ", ".join(dict.fromkeys(prefix for prefix in prefixes if not begins_numbers(prefix)))
        if idle:
            fix = f"correct it with `otp routes set RULES{_over(channel)}`, or where the rules stand in the settings"
            yield Found(Level.NOTE, f"{channel}: no country's numbers begin with {idle}", fix)


def _providers(routing: Routing) -> Iterator[Found]:
    view = routing.view
    in_force = [rules for channel in view.rules.channels if (rules := view.rules.in_force(channel)) is not None]
    routed = {name for rules in in_force for name in rules.table.instances}
    for name, one in view.loaded.providers.items():
        of_host = one.info.display_name if view.setup.settings.sms.sandbox else "the host's own"
        version = f"{one.distribution} {one.version}".strip() or of_host
        yield Found(Level.OK, f"{name}: {version}; {', '.join(sorted(one.channels))}")
    for name, error in view.loaded.broken.items():
        message, fix = told_of(error)
        yield Found(Level.PROBLEM if name in routed else Level.NOTE, f"{name}: {message}", fix)
    for plugin in installed(PROVIDERS):
        if plugin.problem:
            yield Found(Level.NOTE, plugin.problem, "uninstall all but one of them")


def _carrying(routing: Routing) -> Iterator[Found]:
    view = routing.view
    routed = {}
    for channel in view.rules.channels:
        in_force = view.rules.in_force(channel)
        able = view.loaded.capable(channel)
        names = [name for name in in_force.table.instances if name in able] if in_force is not None else []
        routed[channel] = {name: view.loaded.providers[name].info for name in names}
    known = {*view.setup.settings.providers, *view.loaded.providers, *view.loaded.broken}
    yield from _wishes.carrying(view.setup.settings.otp, routed, known)


def _alphabets(routing: Routing) -> Iterator[Found]:
    view, in_force = routing.view, routing.view.rules.in_force(Channel.SMS)
    able = view.loaded.capable(Channel.SMS)
    names = able.intersection(in_force.table.instances if in_force is not None else ())
    yield from _checks.alphabets(view.setup.settings.otp, {name: view.loaded.providers[name].info for name in names})


def _receipts(routing: Routing) -> Iterator[Found]:
    view = routing.view
    if not view.setup.settings.sms.sandbox:
        infos = {name: one.info for name, one in view.loaded.providers.items()}
        yield from _checks.receipts(view.setup.settings.otp.receipts_url, infos)


_RUN_BY = {
    "background": "in the host's own process, while its service is open",
    "inline": "by whoever sends, who waits for them",
    "worker": "by `otp worker`, which must run",
}


def _retries(routing: Routing) -> Iterator[Found]:
    settings = routing.view.setup.settings
    runner = settings.retry.runner
    where = _RUN_BY.get(runner, f"by the plugin {runner}")
    for channel in routing.view.rules.channels:
        chosen = settings.retrying(channel)
        section = channel if channel in (Channel.SMS, Channel.CALL) else f"channels.{channel}"
        if chosen.is_retried:
            yield Found(Level.OK, f"{channel}: up to {chosen.max_retries} retries, run {where}")
        else:
            fix = f"in [{section}]: max_retries = 20" if chosen.retry else f"in [{section}]: retry = true"
            yield Found(Level.NOTE, f"{channel}: not retried when no provider takes it", fix)


def _workers(routing: Routing) -> Iterator[Found]:
    host = routing.view.setup
    settings = host.settings
    if not make_store(settings, host.store).durable:
        return  # only its own process sees who works there
    yield from _checks.workers(
        routing.status.workers,
        routing.now,
        retried=settings.retries_anything,
        runner=settings.retry.runner,
    )


def _clocks(routing: Routing) -> Iterator[Found]:
    if routing.status.workers:
        yield from _checks.clock(routing.now, {}, routing.status.workers)


def _sending(routing: Routing) -> Iterator[Found]:
    """What is in the way now; the sandbox and the rules have checks of their own."""
    for obstacle in routing.status.obstacles:
        if obstacle.kind not in (ObstacleKind.SANDBOX, ObstacleKind.NO_RULES):
            level = Level.NOTE if obstacle.stops is Stops.NOBODY else Level.PROBLEM
            yield Found(level, obstacle.told, obstacle.fix)


ROUTING_CHECKS: dict[str, Callable[[Routing], Iterator[Found]]] = {
    SENDING: _sending,
    "kept keys": _kept_keys,
    "store": _store_facts,
    "rules": _rules,
    "providers": _providers,
    "carrying": _carrying,
    "alphabets": _alphabets,
    "receipts": _receipts,
    "retries": _retries,
    "workers": _workers,
    "clock": _clocks,
}
"""What looks at rules, providers and the store's content."""
