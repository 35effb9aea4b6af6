"""Everything that can be checked without sending anything, of a host before it is opened or while it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial

import anyio.to_thread

from otpcore.errors import OTPConfigurationError, OTPError
from otpcore.operator.desk import Desk
from otpcore.operator.findings.checks import Found, Level
from otpcore.operator.findings.host import CHECKS, OF_SETTINGS
from otpcore.operator.findings.key_states import keys_in_use
from otpcore.operator.findings.online import ask_vendors
from otpcore.operator.findings.places import database_file, database_url
from otpcore.operator.findings.routing import ROUTING_CHECKS, SENDING, Routing
from otpcore.operator.fixes import told_of
from otpcore.operator.loading import open_view
from otpcore.operator.results.upkeep import Finding
from otpcore.service.assembly import make_store, over_store, without_providers
from otpcore.service.setup import Setup
from otpcore.service.status_reading import read_status
from otpcore.stores.memory.store import MemoryStore

__all__ = ["examine", "examined"]

_ONLINE = "online"
"""What the vendors say of the accounts."""

_LATELY = 3600.0  # seconds in which answers are counted


async def examine(setup: Setup, *, online: bool) -> tuple[Finding, ...]:
    """Look at a host that nobody has opened; looking makes no store, with this user as its owner."""
    of_host = await _host(setup)
    if _is_bad(of_host):
        return _told([*of_host, _rest()])
    try:
        async with AsyncExitStack() as stack:
            service = (
                over_store(setup, MemoryStore())
                if _is_blank(setup)
                else await stack.enter_async_context(without_providers(setup))
            )
            looked = await _content(Desk(service=service, setup=setup, is_live=False), online=online)
    except (OTPError, OTPConfigurationError) as error:
        looked = [("store", Found(Level.PROBLEM, *told_of(error)))]
    return _told(_in_order(of_host, looked))


async def examined(desk: Desk, *, online: bool) -> tuple[Finding, ...]:
    """Look at a host that is open."""
    of_host = await _host(desk.setup)
    if _is_bad(of_host):
        return _told([*of_host, _rest()])
    try:
        looked = await _content(desk, online=online)
    except (OTPError, OTPConfigurationError) as error:
        looked = [("store", Found(Level.PROBLEM, *told_of(error)))]
    return _told(_in_order(of_host, looked))


async def _host(setup: Setup) -> list[tuple[str, Found]]:
    """What needs nothing open; it looks at files, and at a server's tables."""
    found: list[tuple[str, Found]] = []
    for about, check in CHECKS.items():
        one = await anyio.to_thread.run_sync(_guarded, partial(check, setup))
        found += [(about, finding) for finding in one]
    return found


async def _content(desk: Desk, *, online: bool) -> list[tuple[str, Found]]:
    service = desk.service
    async with open_view(desk) as view:
        scene = Routing(
            view=view,
            status=await read_status(service, _LATELY),
            keys_in_use=await keys_in_use(service),
            now=service.clock(),
            store=await service.store.diagnose() if service.store.durable and database_url(desk.setup) is None else {},
        )
        found = [(about, one) for about, check in ROUTING_CHECKS.items() for one in check(scene)]
        asked = await ask_vendors(service.settings, view.loaded) if online else []
        return [*found, *((_ONLINE, one) for one in asked)]


def _guarded(check: Callable[[], Iterator[Found]]) -> list[Found]:
    """A refusal is found too."""
    try:
        return list(check())
    except (OTPError, OTPConfigurationError) as error:
        return [Found(Level.PROBLEM, *told_of(error))]


def _is_bad(found: Sequence[tuple[str, Found]]) -> bool:
    """The rest cannot be looked at; what another distribution reads of the settings is not needed for it."""
    return any(one.level is Level.PROBLEM for about, one in found if about != OF_SETTINGS)


def _rest() -> tuple[str, Found]:
    return "the rest", Found(Level.NOTE, "rules, providers and retries are checked once this is well")


def _in_order(of_host: Sequence[tuple[str, Found]], looked: Sequence[tuple[str, Found]]) -> list[tuple[str, Found]]:
    """What stops sending now, and what the vendors say, come first."""
    first = [one for one in looked if one[0] in (SENDING, _ONLINE)]
    return [*first, *of_host, *(one for one in looked if one not in first)]


def _told(found: Sequence[tuple[str, Found]]) -> tuple[Finding, ...]:
    return tuple(Finding(about=about, level=str(one.level), detail=one.detail, fix=one.fix) for about, one in found)


def _is_blank(setup: Setup) -> bool:
    """There is nothing to read: a store without content yet, or one that only its own process sees."""
    file = database_file(setup)
    return not make_store(setup.settings, setup.store).durable or (file is not None and not file.exists())
