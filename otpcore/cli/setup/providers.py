"""``otp providers``: what is installed, what is configured, what is broken and why."""

from __future__ import annotations

from typing import Any

import attrs

from otpcore.cli.exits import ExitCode
from otpcore.cli.host import load_host, load_instances, run
from otpcore.cli.layout import table, text
from otpcore.cli.options import Options
from otpcore.errors import OTPConfigurationError
from otpcore.providers.provider import PROVIDERS, Provider, installed
from otpcore.service.setup import Setup

__all__ = ["providers"]


def providers(options: Options) -> ExitCode:
    """List plugins and instances."""
    host = load_host(options)
    plugins = [attrs.asdict(plugin) for plugin in installed(PROVIDERS)]
    instances = run(_instances, host)
    is_sandbox = host.settings.sms.sandbox
    options.say(
        {"sandbox": is_sandbox, "installed": plugins, "instances": instances},
        text("sms.sandbox is on: none of them is called, the sandbox stands in", "yellow") if is_sandbox else "",
        table(
            ("plugin", "distribution", "version", "problem"),
            [(plugin["name"], plugin["distribution"], plugin["version"], plugin["problem"]) for plugin in plugins],
            title="installed",
        )
        if plugins
        else "no provider plugin is installed; pip install one, such as otp-twilio",
        table(
            ("instance", "plugin", "channels", "code made by", "state"),
            [
                (
                    one["instance"],
                    one["distribution"] or (one["display_name"] if is_sandbox else None),
                    ", ".join(one["channels"]),
                    one["code_owner"],
                    _state(one),
                )
                for one in instances
            ],
            title="configured",
        )
        if instances
        else "no instance is configured: neither otp_sms_provider nor [providers.NAME] names one",
    )
    return ExitCode.OK


async def _instances(host: Setup) -> list[dict[str, Any]]:
    async with load_instances(host) as loaded:
        usable = [_instance(name, one, None) for name, one in loaded.providers.items()]
        return [*usable, *(_instance(name, None, error) for name, error in loaded.broken.items())]


def _instance(name: str, one: Provider | None, error: OTPConfigurationError | None) -> dict[str, Any]:
    return {
        "instance": name,
        "distribution": one.distribution if one else None,
        "version": one.version if one else None,
        "display_name": one.info.display_name if one else None,
        "channels": sorted(map(str, one.channels)) if one else [],
        "code_owner": str(one.info.code_owner) if one else None,
        "error": str(error) if error else None,
    }


def _state(one: dict[str, Any]) -> Any:
    return text(f"broken: {one['error']}", "red") if one["error"] else text("loaded", "green")
