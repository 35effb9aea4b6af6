"""What a hook call costs, and how many of them one send makes; what reading a setting costs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping
from typing import Any
from unittest import mock

import pluggy

from benchmarks.measuring import each, phones
from benchmarks.ours import Gateway, opened, settings
from benchmarks.plan import Case, Results, World
from benchmarks.tables import Table, figure
from otpcore.providers.checks import register
from otpcore.providers.hooks import ProviderHooks

__all__ = ["CALLS", "DIRECT", "HOOK", "MEASURES", "NOTE", "READ", "SETTING", "TITLE", "cases", "tables"]

TITLE = "Hooks"
NOTE = "A hook call through pluggy with one implementation, beside the same method called directly."
SETTING = ""
DIRECT, HOOK, READ, CALLS = (
    "direct call",
    "hook call, one implementation",
    "reading one setting",
    "hook calls in one send",
)


def cases(world: World) -> Iterator[Case]:
    for name in (DIRECT, HOOK, READ):
        parameters = {"name": name, "calls": world.sizes.calls}
        yield Case(scenario="hooks", setting=SETTING, name=name, measure="hooks.call", parameters=parameters)
    parameters = {"directory": world.directory}
    yield Case(scenario="hooks", setting=SETTING, name=CALLS, measure="hooks.count", parameters=parameters, once=True)


def call(name: str, calls: int) -> Mapping[str, Any]:
    gateway = Gateway()
    relay = register(gateway, ProviderHooks, "a provider", "gateway", "").relay
    tree = settings({"store": "memory"})
    functions = {
        DIRECT: lambda _: gateway.describe(),
        HOOK: lambda _: relay.describe(),
        READ: lambda _: tree.otp.life,
    }
    return each(functions[name], range(calls))


def count(directory: str) -> Mapping[str, Any]:
    """How many hook calls one warm send makes, and whether dynaconf was loaded for it."""
    return asyncio.run(_count(directory))


MEASURES = {"hooks.call": call, "hooks.count": count}


def tables(results: Results) -> Iterator[Table]:
    rows = [[name, figure(results.value("hooks", SETTING, name, "cpu"))] for name in (DIRECT, HOOK, READ)]
    rows.append([CALLS, figure(results.value("hooks", SETTING, CALLS, "count"))])
    yield Table(title="hooks: microseconds, and how many", head=["", "us"], rows=rows)


async def _count(directory: str) -> Mapping[str, Any]:
    real, calls = pluggy.HookCaller.__call__, []

    def counted(self: pluggy.HookCaller, **arguments: Any) -> Any:
        calls.append(self.name)
        return real(self, **arguments)

    async with opened({"store": "memory"}, directory, gateway=Gateway()) as otp:
        numbers = iter(phones())
        await otp.send_sms(next(numbers))
        with mock.patch.object(pluggy.HookCaller, "__call__", counted):
            await otp.send_sms(next(numbers))
    return {"count": len(calls), "dynaconf": "dynaconf" in sys.modules, "errors": 0}
