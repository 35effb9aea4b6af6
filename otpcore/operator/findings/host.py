"""What ``otp doctor`` checks first: what needs no provider, and nothing of the store but its place."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import distribution
from pathlib import Path

from otpcore.clock import utc_now
from otpcore.errors import OTPConfigurationError, SettingsError
from otpcore.operator.findings import checks as _checks
from otpcore.operator.findings import wishes as _wishes
from otpcore.operator.findings.checks import Found, Level
from otpcore.operator.findings.places import database_file, database_url
from otpcore.operator.fixes import told_of
from otpcore.providers.discovery import CHECKS as CHECKS_OF_OTHERS
from otpcore.providers.discovery import import_target, installed
from otpcore.service.assembly import make_keys, make_store
from otpcore.service.setup import Setup
from otpcore.settings.files import read_settings
from otpcore.settings.tree import Settings

__all__ = ["CHECKS", "OF_SETTINGS"]


def _settings(host: Setup) -> Iterator[Found]:
    settings = host.settings
    yield from _refused_by_others(settings)
    if not settings.files and settings.keys.missing:
        yield Found(
            Level.NOTE,
            "there are no keys, and no settings file was read",
            "run `otp init`, or name one with --settings or --app",
        )
    else:
        read = ", ".join(settings.files) or "what the host and the environment say"
        yield Found(Level.OK, f"{read} (environment: {settings.environment})")
    origins = read_settings(settings.files[0]).origins.items() if settings.files else ()
    with_keys = {origin for key, origin in origins if key.startswith("keys.")}
    for file in map(Path, settings.files):
        readable = stat.S_IRGRP | stat.S_IROTH
        is_secret = "secrets" in file.name or str(file) in with_keys
        if os.name == "posix" and is_secret and file.stat().st_mode & readable:
            yield Found(Level.NOTE, f"other users can read {file}", f"chmod 600 {shlex.quote(str(file))}")


def _refused_by_others(settings: Settings) -> Iterator[Found]:
    """What a distribution beside otpcore reads of them, such as the section ``server``, and would not start with."""
    for plugin in installed(CHECKS_OF_OTHERS):
        try:
            check = import_target(plugin, CHECKS_OF_OTHERS, subject=f"the settings of {plugin.origin}")
            check(settings)
        except OTPConfigurationError as error:
            yield Found(Level.PROBLEM, *told_of(error))


def _keys(host: Setup) -> Iterator[Found]:
    if host.settings.needs_throw_away_keys:
        told = "there are none: every process of the sandbox makes its own"
        yield Found(Level.NOTE, told, host.settings.makes_keys)
        return
    make_keys(host.settings)
    keys = host.settings.keys
    yield Found(Level.OK, f"codes are protected by {keys.current}; readable: {', '.join(keys.code)}")


def _store(host: Setup) -> Iterator[Found]:
    store = make_store(host.settings, host.store)
    if not store.durable:
        yield Found(Level.NOTE, "the store forgets everything when its process ends", 'in [storage]: store = "sql"')
    elif (url := database_url(host)) is None:
        yield Found(Level.OK, f"the host's or a plugin's own: {type(store).__name__}")
    elif (file := database_file(host)) is not None and not file.parent.is_dir():
        yield Found(Level.PROBLEM, f"the directory {file.parent} does not exist", "create it, or correct storage.url")
    elif file is not None and not file.exists():
        yield Found(Level.NOTE, f"there is no {file} yet; the first start makes it")
    else:
        yield from _tables(url, file)


def _tables(url: str, file: Path | None) -> Iterator[Found]:
    from otpcore.stores.sql import store as sql  # noqa: PLC0415 - heavy: a host's own store may do without
    from otpcore.stores.sql.schema import HEAD  # noqa: PLC0415 - heavy: as above

    place, revision = file or "the server's database", sql.current(url)
    if revision == HEAD:
        facts = {} if file is not None else sql.examine(url)
        told = f"{facts['place']} ({facts['server']})" if facts else place
        pooler = f"; a pooler stands before it: {facts['pooler']}" if "pooler" in facts else ""
        yield Found(Level.OK, f"{told}, tables at {revision}{pooler}")
    elif file is not None:
        yield Found(
            Level.NOTE, f"{place}, tables at {revision}; the next start brings them to {HEAD}", "otp db upgrade"
        )
    else:
        yield Found(
            Level.PROBLEM, f"{place} has tables at {revision or 'no revision'} instead of {HEAD}", "otp db upgrade"
        )


def _sandbox(host: Setup) -> Iterator[Found]:
    sms, today = host.settings.sms, datetime.now(UTC).date()
    if sms.sandbox:
        yield Found(
            Level.NOTE, "sms.sandbox is on: no provider is called, nothing is sent", "in [sms]: sandbox = false"
        )
    for name in sms.test_numbers_on:
        last_day = sms.test_numbers[name].until
        if sms.test_numbers[name].is_over(today):
            found = f"test number {name}: its last day was {last_day}, it is an ordinary number now"
            yield Found(Level.NOTE, found, "take it out of sms.test_numbers_on")
        else:
            yield Found(Level.NOTE, f"test number {name}: its fixed code works until the end of {last_day} (UTC)")
    if not sms.sandbox and not sms.test_numbers_on:
        yield Found(Level.OK, "off, and no test number is switched on")


def _clock(host: Setup) -> Iterator[Found]:
    files = [Path(__file__), *map(Path, host.settings.files)]
    with suppress(SettingsError):  # of a URL that cannot be used the store's own check tells
        if (database := database_file(host)) is not None:
            files += [database, database.with_name(f"{database.name}-wal")]
    written = {str(file): datetime.fromtimestamp(file.stat().st_mtime, UTC) for file in files if file.exists()}
    yield from _checks.clock(utc_now(), written)


def _credentials(host: Setup) -> Iterator[Found]:
    yield from _checks.credentials(host.settings)


def _network(host: Setup) -> Iterator[Found]:
    yield from _checks.network(host.settings, os.environ)


def _limits(host: Setup) -> Iterator[Found]:
    yield from _checks.limits(host.settings.limits)


def _number_data(_: Setup) -> Iterator[Found]:
    found = distribution("phonenumbers")
    file = Path(str(found.locate_file("phonenumbers/__init__.py")))
    installed = datetime.fromtimestamp(file.stat().st_mtime, UTC) if file.exists() else utc_now()
    yield from _checks.number_data(found.version, installed, utc_now())


def _texts(host: Setup) -> Iterator[Found]:
    yield from _wishes.texts(host.settings.otp)


OF_SETTINGS = "settings"
"""What findings about settings are called that could all be read."""

CHECKS: dict[str, Callable[[Setup], Iterator[Found]]] = {
    OF_SETTINGS: _settings,
    "keys": _keys,
    "store": _store,
    "sandbox": _sandbox,
    "clock": _clock,
    "credentials": _credentials,
    "network": _network,
    "limits": _limits,
    "number data": _number_data,
    "texts": _texts,
}
"""What needs no store and no provider; the rest waits for them."""
