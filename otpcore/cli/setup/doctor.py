"""``otp doctor``: everything that can be checked without sending anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import attrs

from otpcore.cli.exits import CommandError, ExitCode, explain
from otpcore.cli.host import load_host, run
from otpcore.cli.layout import prose
from otpcore.cli.operate.routes import open_view
from otpcore.cli.options import Options
from otpcore.cli.setup.database import database_file, database_url
from otpcore.cli.setup.findings import Finding, Level
from otpcore.cli.setup.host_checks import CHECKS
from otpcore.cli.setup.key_states import keys_in_use
from otpcore.cli.setup.online import ask_vendors
from otpcore.cli.setup.routing_checks import ROUTING_CHECKS, SENDING, Routing
from otpcore.errors import OTPConfigurationError, OTPError
from otpcore.service.assembly import make_store, over_store, without_providers
from otpcore.service.setup import Setup
from otpcore.service.status_reading import read_status
from otpcore.stores.memory.store import MemoryStore

__all__ = ["doctor"]


ONLINE = "online"
"""What the vendors say of the accounts."""

_LATELY = 3600.0  # seconds in which answers are counted

_STYLES = {Level.OK: "green", Level.NOTE: "yellow", Level.PROBLEM: "red"}


def doctor(options: Options, *, online: bool) -> ExitCode:
    """Run every check and list what was found; what stops sending now comes first. ``online``: the vendors are asked too."""
    with options.progress("asking the vendors" if online else "looking"):
        found = _examined(options, online=online)
    problems = [one for _, one in found if one.level is Level.PROBLEM]
    is_well = not problems
    options.say(
        {"ok": is_well, "checks": [{"about": about, **attrs.asdict(one)} for about, one in found]},
        *(line for about, one in found for line in _lines(about, one)),
        "nothing stands in the way of sending" if is_well else f"problems: {len(problems)}; each has its fix above",
    )
    return ExitCode.OK if is_well else ExitCode.REFUSED


def _lines(about: str, one: Finding) -> Iterator[Any]:
    yield prose(f"{one.level}: {about}: {one.detail}", _STYLES[one.level])
    if one.fix:
        yield prose(f"fix: {one.fix}", indent="  ")


def _examined(options: Options, *, online: bool) -> list[tuple[str, Finding]]:
    try:
        host = load_host(options)
    except (OTPConfigurationError, CommandError) as error:
        told = explain(error)
        return [("settings", Finding(Level.PROBLEM, told.message, told.fix))]
    found = [(about, finding) for about, check in CHECKS.items() for finding in _guarded(lambda: check(host))]  # noqa: B023 - used up at once
    if any(finding.level is Level.PROBLEM for _, finding in found):
        return [
            *found,
            ("the rest", Finding(Level.NOTE, "rules, providers and retries are checked once this is well")),
        ]
    looked = run(_routing, host, online)
    first = [one for one in looked if one[0] in (SENDING, ONLINE)]
    return [*first, *found, *(one for one in looked if one not in first)]


def _guarded(check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """A refusal is a finding too."""
    try:
        return list(check())
    except (OTPError, OTPConfigurationError) as error:
        told = explain(error)
        return [Finding(Level.PROBLEM, told.message, told.fix)]


async def _routing(host: Setup, online: bool) -> list[tuple[str, Finding]]:
    try:
        async with AsyncExitStack() as stack:
            # looking must not make a store, with this user as its owner
            service = (
                over_store(host, MemoryStore())
                if _is_blank(host)
                else await stack.enter_async_context(without_providers(host))
            )
            view = await stack.enter_async_context(open_view(host, service))
            now = service.clock()
            scene = Routing(
                view=view,
                status=await read_status(service, _LATELY),
                keys_in_use=await keys_in_use(service),
                now=now,
                store=await service.store.diagnose() if service.store.durable and database_url(host) is None else {},
            )
            found = [(about, finding) for about, check in ROUTING_CHECKS.items() for finding in check(scene)]
            asked = await ask_vendors(host.settings, view.loaded) if online else []
            return [*found, *((ONLINE, finding) for finding in asked)]
    except (OTPError, OTPConfigurationError) as error:
        told = explain(error)
        return [("store", Finding(Level.PROBLEM, told.message, told.fix))]


def _is_blank(host: Setup) -> bool:
    """There is nothing to read: a store without content yet, or one that only its own process sees."""
    file = database_file(host)
    return not make_store(host.settings, host.store).durable or (file is not None and not file.exists())
