"""``otp db`` and ``otp purge``: the tables, and what is too old to keep."""

from __future__ import annotations

from pathlib import Path

import attrs

from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.host import load_host, parse_number, run
from otpcore.cli.options import Options
from otpcore.phone.numbers import PhoneNumber
from otpcore.service import upkeep as _upkeep
from otpcore.service.assembly import without_providers
from otpcore.service.setup import Setup
from otpcore.stores.counts import PurgeCount

__all__ = ["current", "database_file", "database_url", "purge", "upgrade"]


def upgrade(options: Options) -> ExitCode:
    """Run the missing migrations."""
    from otpcore.stores.sql import store as sql  # noqa: PLC0415 - heavy: a host's own store may do without

    url = _url(load_host(options))
    with options.progress("upgrading the tables"):
        revision = sql.upgrade(url)
    options.say({"revision": revision}, f"the tables are at {revision}")
    return ExitCode.OK


def current(options: Options) -> ExitCode:
    """Compare the tables with what this version works with."""
    from otpcore.stores.sql import store as sql  # noqa: PLC0415 - heavy: as above
    from otpcore.stores.sql.schema import HEAD  # noqa: PLC0415 - heavy: as above

    revision = sql.current(_url(load_host(options)))
    is_current = revision == HEAD
    options.say(
        {"revision": revision, "head": HEAD, "is_current": is_current},
        f"the tables are at {revision or 'no revision: there are none yet'}",
        "" if is_current else f"this version works with {HEAD}: run `otp db upgrade`",
    )
    return ExitCode.OK if is_current else ExitCode.REFUSED


def purge(options: Options, phone: str | None, *, confirmed: bool) -> ExitCode:
    """Remove what is old, or one person, once somebody has said yes."""
    host = load_host(options)
    number = parse_number(host.settings, phone) if phone is not None else None
    if number is not None:
        shown = number.e164 if options.reveal else number.masked
        options.confirm(
            f"Erase everything about {shown}? Its codes stop verifying, and nothing brings it back.",
            f"everything about {shown} would be erased",
            confirmed=confirmed,
        )
    with options.progress("purging"):
        count = run(_purge, host, number)
    options.say(
        attrs.asdict(count),
        f"removed {count.challenges} challenges, {count.deliveries} deliveries, {count.receipts} receipts, "
        f"{count.counters} counters, {count.refusals} refusals, {count.verified} phones that verified",
    )
    return ExitCode.OK


def database_url(host: Setup) -> str | None:
    """Where the SQL store keeps its tables; None: another store is used, or one that the host made itself.

    Raises:
        SettingsError: The settings do not say.
    """
    name = host.store if host.store is not None else host.settings.store_name
    return host.settings.database_url if name == "sql" else None


def database_file(host: Setup) -> Path | None:
    """The file in which the SQL store keeps its tables; None: another store, or a server's."""
    from otpcore.stores.sql.store import database_path  # noqa: PLC0415 - heavy: a host's own store may do without

    url = database_url(host)
    return database_path(url) if url is not None else None


def _url(host: Setup) -> str:
    url = database_url(host)
    if url is None:
        raise CommandError(
            "there are no tables to look after: the store is not otpcore's own for SQL databases",
            "use the host's own migrations, or what its store brings",
            ExitCode.CONFIGURATION,
        )
    return url


async def _purge(host: Setup, number: PhoneNumber | None) -> PurgeCount:
    async with without_providers(host) as service:
        return await _upkeep.purge(service, number)
