"""``otp routes``: check, explain, show and set routing rules."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import attrs

from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.host import load_host, load_instances, parse_channel, parse_number, run
from otpcore.cli.layout import table
from otpcore.cli.operate.switches import check_no_whole_number
from otpcore.cli.options import Options
from otpcore.errors import InvalidPhoneNumber, OTPConfigurationError
from otpcore.models import Channel
from otpcore.phone.numbers import parse_phone
from otpcore.providers.loading import Loaded, forced_names
from otpcore.routing import RouteStep, RoutingTable, channel_of, format_rules, parse_rules, rule_setting
from otpcore.service.assembly import without_providers
from otpcore.service.routes import Asked, Rules, RulesInForce, asked_of
from otpcore.service.service import Service, recipient
from otpcore.service.setup import Setup

__all__ = ["RoutingView", "check", "explain", "open_view", "set_rules", "show"]

_DOES = {Channel.SMS: "send SMS", Channel.CALL: "place calls"}  # else: send over it


@attrs.frozen(kw_only=True)
class RoutingView:
    """What routing rests on, as this command sees it.

    Args:
        stored: The settings in the store.
        refused: Why a stored rule is not in force, by setting.
    """

    host: Setup
    stored: Mapping[str, str]
    loaded: Loaded
    rules: Rules
    refused: Mapping[str, OTPConfigurationError]


@asynccontextmanager
async def open_view(host: Setup, service: Service) -> AsyncIterator[RoutingView]:
    """Load every instance that anything names, the store's rules too; a broken one stops nobody."""
    stored = await service.store.settings()
    texts = [text for name, text in stored.items() if channel_of(name) is not None]
    async with load_instances(host, *texts) as loaded:
        refused: dict[str, OTPConfigurationError] = {}

        def report(name: str, error: OTPConfigurationError | None) -> None:
            if error is not None:
                refused[name] = error

        rules = Rules(
            settings=host.settings,
            forced=forced_names(host.providers),
            providers=loaded.providers,
            require=loaded.require,
            clock=service.clock,
            report=report,
        )
        await rules.take_up(stored, first=True)
        yield RoutingView(host=host, stored=stored, loaded=loaded, rules=rules, refused=refused)


def check(options: Options, rules: str, word: str) -> ExitCode:
    """Parse a rule for the channel of this word, and load what it names."""
    channel = parse_channel(word)
    checked, idle = run(_check, load_host(options), rules, channel)
    options.say(
        {"valid": True, "rules": format_rules(checked), "instances": list(checked.instances), "idle": idle},
        f"valid: {format_rules(checked)}",
        _idle_note(idle, channel),
    )
    return ExitCode.OK


def explain(options: Options, phone: str, word: str, *, locale: str, message: str | None, own_code: bool) -> ExitCode:
    """Say who serves a number, and why.

    Args:
        word: Of the channel.
        locale: As for a send; empty: none is named.
        message: As for a send.
        own_code: The send has a code of the host's.
    """
    channel, host = parse_channel(word), load_host(options)
    number = recipient(parse_number(host.settings, phone), channel)
    asked = asked_of(message=message, locale=locale, purpose="default", settings=host.settings.otp, own_code=own_code)
    in_force, steps = run(_explain, host, number.e164, channel, asked)
    source = str(in_force.source) if in_force is not None else None
    shown = number.e164 if options.reveal else number.masked
    refused = _refusal(host, number.e164)
    route = [step.instance for step in steps if step.position is not None]
    test_number = host.settings.sms.test_number(number.e164, datetime.now(UTC).date())
    options.say(
        {
            "phone": shown,
            "channel": str(channel),
            "test_number": test_number,
            "source": source,
            "rules": format_rules(in_force.table) if in_force is not None else None,
            "route": route,
            "refused": refused,
            "steps": [attrs.asdict(step) for step in steps],
        },
        f"{shown} by {channel}: {', then '.join(route) or 'nobody'}"
        + (f" (rules: {source})" if source else " (no rules)"),
        table(("order", "instance", "why"), [(step.position, step.instance, step.reason) for step in steps]),
        f"but a send to it is refused: {refused}" if refused else "",
        f"but it is the test number {test_number}: none of them is called" if test_number else "",
    )
    return ExitCode.OK if route else ExitCode.REFUSED


def _refusal(host: Setup, e164: str) -> str | None:
    """Why a send would not even be routed: validity belongs to sending, and rules may be asked about any number."""
    try:
        parse_phone(e164, require_valid=host.settings.otp.number_policy == "valid")
    except InvalidPhoneNumber as error:
        return str(error)
    return None


def show(options: Options) -> ExitCode:
    """Show what is in force, and every source."""
    document = run(_show, load_host(options))
    options.say(
        document,
        table(
            ("channel", "in force from", "rules"),
            [(word, rules["source"], rules["rules"]) for word, rules in document["channels"].items()],
        ),
        table(
            ("source", "setting", "rules"),
            [
                ("host's list", "providers=", ";".join(document["forced"] or ())),
                *(
                    (source, name, document[source][name])
                    for source in ("database", "file")
                    for name in document[source]
                ),
            ],
            title="strongest first",
        ),
        *(f"refused, the file's rules count instead: {name}: {why}" for name, why in document["refused"].items()),
    )
    return ExitCode.OK


def set_rules(options: Options, rules: str | None, word: str, *, clear: bool) -> ExitCode:
    """Write or clear the stored rules of the channel of this word."""
    if clear == (rules is not None):
        raise CommandError("give either RULES or --clear", "see `otp routes set --help`", ExitCode.USAGE)
    channel, host = parse_channel(word), load_host(options)
    name, idle = rule_setting(channel), run(_set, host, rules, channel)
    wait = f"{host.settings.routing.reload_every:g} s"
    said = "cleared; the file's rules count again" if clear else "set"
    forced = forced_names(host.providers)
    options.say(
        {"setting": name, "rules": rules, "idle": idle, "forced": list(forced) if forced else None},
        f"{name} {said}; running services follow within {wait}",
        _idle_note(idle, channel),
        f"but this host forces {', '.join(forced)}, which goes before all rules" if forced else "",
    )
    return ExitCode.OK


async def _check(host: Setup, rules: str, channel: Channel) -> tuple[RoutingTable, list[str]]:
    """The rule as it is understood, and the instances that have nothing to do on this channel."""
    async with load_instances(host, rules) as loaded:
        return _checked(loaded, rules, channel)


def _checked(loaded: Loaded, rules: str, channel: Channel) -> tuple[RoutingTable, list[str]]:
    checked = parse_rules(rules)
    for name in checked.instances:
        if name in loaded.broken:
            raise loaded.broken[name]
    return checked, [name for name in checked.instances if name not in loaded.capable(channel)]


async def _explain(
    host: Setup, e164: str, channel: Channel, asked: Asked
) -> tuple[RulesInForce | None, list[RouteStep]]:
    async with without_providers(host) as service, open_view(host, service) as view:
        in_force = view.rules.in_force(channel)
        if in_force is None:
            return None, []
        steps = in_force.table.explain(
            e164,
            capable=view.loaded.capable(channel),
            unfit={
                name: what for name, one in view.loaded.providers.items() if (what := asked.lacking(one.info, channel))
            },
            fallback_to_default=host.settings.routing.fallback_to_default,
            channel=channel,
        )
        broken = view.loaded.broken
        return in_force, [
            attrs.evolve(step, reason=f"not loaded: {broken[step.instance]}") if step.instance in broken else step
            for step in steps
        ]


async def _show(host: Setup) -> dict[str, Any]:
    async with without_providers(host) as service, open_view(host, service) as view:
        of_file, channels = host.settings.rule_texts, view.rules.channels
        in_force = {channel: view.rules.in_force(channel) for channel in channels}
        names = [rule_setting(channel) for channel in channels]
        return {
            "channels": {
                str(channel): {
                    "source": str(rules.source) if rules is not None else None,
                    "rules": format_rules(rules.table) if rules is not None else None,
                }
                for channel, rules in in_force.items()
            },
            "forced": list(view.rules.forced) if view.rules.forced is not None else None,
            "database": {name: view.stored.get(name) for name in names},
            "file": {name: of_file.get(name) for name in names},
            "refused": {name: str(error) for name, error in view.refused.items()},
        }


async def _set(host: Setup, rules: str | None, channel: Channel) -> list[str]:
    async with without_providers(host) as service:
        idle: list[str] = []
        if rules is not None:
            check_no_whole_number(prefix for rule in parse_rules(rules).rules for prefix in rule.prefixes)
            async with load_instances(host, rules) as loaded:
                idle = _checked(loaded, rules, channel)[1]
        await service.store.write_setting(rule_setting(channel), rules)
        return idle


def _idle_note(idle: list[str], channel: Channel) -> str:
    does = _DOES.get(channel, f"send over {channel}")
    return f"note: {', '.join(idle)} cannot {does}, and is left out" if idle else ""
