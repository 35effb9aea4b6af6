"""``otp db``: the tables."""

from __future__ import annotations

from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.host import load_host
from otpcore.cli.options import Options
from otpcore.operator.findings.places import database_url
from otpcore.service.setup import Setup

__all__ = ["current", "upgrade"]


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


def _url(host: Setup) -> str:
    url = database_url(host)
    if url is None:
        raise CommandError(
            "there are no tables to look after: the store is not otpcore's own for SQL databases",
            "use the host's own migrations, or what its store brings",
            ExitCode.CONFIGURATION,
        )
    return url
