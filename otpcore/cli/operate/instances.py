"""``otp providers`` and ``otp instances``: what is installed and configured, how it stands, and draining it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from otpcore.cli.exits import ExitCode
from otpcore.cli.host import load_host, make_service, operate, operator_name, parse_channel, run
from otpcore.cli.layout import Rows, fields, table, text
from otpcore.cli.options import Options
from otpcore.clock import when
from otpcore.operator.loading import gateways, plugins
from otpcore.operator.results.upkeep import InstanceLoaded, InstanceState, InstanceTested, PluginFound

__all__ = ["drain", "providers", "status", "take_back", "test"]


def providers(options: Options) -> ExitCode:
    """List plugins and instances."""
    host = load_host(options)
    found, instances = plugins(), operate(host, lambda operator: operator.instances.list())
    is_sandbox, tables = host.settings.sms.sandbox, gateways()
    options.say(
        {
            "sandbox": is_sandbox,
            "installed": [one.to_dict() for one in found],
            "gateways": [one.to_dict() for one in tables],
            "instances": [one.to_dict() for one in instances],
        },
        text("sms.sandbox is on: none of them is called, the sandbox stands in", "yellow") if is_sandbox else "",
        _installed(found) if found else "no provider plugin is installed; pip install one, such as otp-twilio",
        _gateways(tables) if tables else "",
        table(
            ("instance", "distribution", "channels", "code made by", "state"),
            [
                (
                    one.instance,
                    one.distribution or (one.display_name if is_sandbox else None),
                    ", ".join(one.channels),
                    one.code_owner,
                    _loaded(one),
                )
                for one in instances
            ],
            title="configured",
        )
        if instances
        else "no instance is configured: neither otp_sms_provider nor [providers.NAME] names one",
    )
    return ExitCode.OK


def status(options: Options, window: float) -> ExitCode:
    """How each instance stands."""
    found = operate(load_host(options), lambda operator: operator.instances.status(window=window))
    options.say(
        {"instances": [one.to_dict() for one in found]},
        table(
            ("instance", "state", "accepted", "failed", "verified", "queued"),
            [(one.instance, _state(one), one.accepted, one.failed, one.verified, one.queued) for one in found],
        )
        if found
        else "no instance is configured",
    )
    return ExitCode.OK


def drain(options: Options, name: str, *, reason: str) -> ExitCode:
    """Take an instance out of all routes."""
    host = load_host(options)
    state = operate(host, lambda operator: operator.instances.drain(name, by=operator_name(), reason=reason))
    options.say(
        state.to_dict(),
        f"{state.instance} gets no new sends and no retries, in every process within "
        f"{host.settings.routing.reload_every:g} s; "
        "what it has sent is still verified",
    )
    return ExitCode.OK


def take_back(options: Options, name: str, *, reason: str) -> ExitCode:
    """Put an instance back into the routes."""
    state = operate(
        load_host(options),
        lambda operator: operator.instances.take_back(name, by=operator_name(), reason=reason),
    )
    options.say(state.to_dict(), f"{state.instance} is back in the routes of the rules that name it")
    return ExitCode.OK


def test(options: Options, name: str, phone: str, channel: str, *, reason: str) -> ExitCode:
    """Send one message through an instance."""
    host, word = load_host(options), parse_channel(channel)

    async def within() -> InstanceTested:
        async with make_service(host, "inline") as otp:
            return await otp.operator.instances.test(name, phone, word, by=operator_name(), reason=reason)

    with options.progress("sending"):
        found = run(within)
    document = found.to_dict()
    shown = {key.replace("_", " "): value for key, value in document.items() if key != "is_new"}
    note = (
        "" if found.is_new else "nothing was sent: this is the test before, and another one is sent after its cooldown"
    )
    options.say(document, fields({**shown, "seconds": f"{found.seconds:.1f}"}), note)
    return ExitCode.OK if found.outcome == "accepted" else ExitCode.REFUSED


def _installed(found: Sequence[PluginFound]) -> Rows:
    rows = [(one.name, one.distribution, one.version, one.problem) for one in found]
    return table(("plugin", "distribution", "version", "problem"), rows, title="installed")


def _gateways(found: Sequence[PluginFound]) -> Rows:
    """Tables come by the dozen: a row for each distribution."""
    rows = [
        (distribution, version, ", ".join(one.name for one in brought))
        for (distribution, version), brought in groupby(sorted(found, key=_whose), key=_whose)
    ]
    return table(("distribution", "version", "gateways"), rows, title="tables of gateways, for the plugin http")


def _whose(one: PluginFound) -> tuple[str, str]:
    return one.distribution, one.version


def _loaded(one: InstanceLoaded) -> Any:
    if one.error:
        message = one.error.partition("Fix: ")[0].rstrip(" .;:")
        return text(f"broken: {message}\nfix: {one.fix}", "red")
    if one.unconfirmed:
        return text(f"loaded; unconfirmed: {', '.join(one.unconfirmed)}", "yellow")
    return text("loaded", "green")


def _state(one: InstanceState) -> str:
    told = [f"drained since {when(one.drained_since)}"] if one.drained else []
    told += ["its breaker is open"] if one.is_open else []
    told += [f"misconfigured since {when(one.misconfigured_since)}"] if one.misconfigured_since else []
    return "; ".join(told) or "in use"
