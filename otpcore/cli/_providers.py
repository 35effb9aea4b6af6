"""``otp providers``: what is installed, what is configured, what is broken and why."""

from __future__ import annotations

from typing import Any

import attrs

from otpcore._service import Setup
from otpcore.cli._exits import ExitCode
from otpcore.cli._host import load_host, load_instances, run
from otpcore.cli._options import Options, table, text
from otpcore.plugins import PROVIDERS, installed

__all__ = ["providers"]


def providers(options: Options) -> ExitCode:
    """List plugins and instances."""
    host = load_host(options)
    plugins = [attrs.asdict(plugin) for plugin in installed(PROVIDERS)]
    instances = run(_instances, host)
    options.say(
        {"installed": plugins, "instances": instances},
        table(
            ("plugin", "distribution", "version", "problem"),
            [(plugin["name"], plugin["distribution"], plugin["version"], plugin["problem"]) for plugin in plugins],
            title="installed",
        ),
        table(
            ("instance", "plugin", "channels", "code made by", "state"),
            [
                (one["instance"], one["distribution"], ", ".join(one["channels"]), one["code_owner"], _state(one))
                for one in instances
            ],
            title="configured",
        ),
    )
    return ExitCode.OK


async def _instances(host: Setup) -> list[dict[str, Any]]:
    async with load_instances(host) as loaded:
        usable = [
            {
                "instance": name,
                "distribution": one.distribution,
                "version": one.version,
                "display_name": one.info.display_name,
                "channels": sorted(map(str, one.channels)),
                "code_owner": str(one.info.code_owner),
                "error": None,
            }
            for name, one in loaded.providers.items()
        ]
        broken = [
            {
                "instance": name,
                "distribution": None,
                "version": None,
                "display_name": None,
                "channels": [],
                "code_owner": None,
                "error": str(error),
            }
            for name, error in loaded.broken.items()
        ]
    return [*usable, *broken]


def _state(one: dict[str, Any]) -> Any:
    return text(f"broken: {one['error']}", "red") if one["error"] else text("loaded", "green")
