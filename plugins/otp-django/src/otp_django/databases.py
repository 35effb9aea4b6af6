"""Where otpcore keeps its data: an SQLAlchemy URL for one of the project's ``DATABASES``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.db import connections
from django.utils.connection import ConnectionDoesNotExist
from sqlalchemy import URL

from otpcore import SettingsError

__all__ = ["is_in_memory", "is_of_a_test", "storage_url"]

_INSTEAD = "OTPCORE['storage'] = {'url': ...} names another place"
_TLS = ("ca", "cert", "key")  # of OPTIONS["ssl"] of MySQL, as the driver takes them
_MADE_BY_RUNNER = "file:memorydb_"  # ``DatabaseCreation`` of Django's SQLite begins a test's name so
_OF_DJANGO = {
    "postgresql": frozenset({"pool", "isolation_level", "server_side_binding", "cursor_factory", "client_encoding"}),
    "mysql": frozenset({"charset", "isolation_level", "init_command", "sql_mode", "use_unicode", "conv"}),
}
"""Options that say how Django works with its own connections; otpcore's are set up by itself."""


def storage_url(alias: str) -> str:
    """The URL. It holds the password, as what it is made from does.

    On a server, otpcore's tables are in the same database as Django's; its connections are its own, outside every
    transaction of a request. Of SQLite it takes a file of its own beside Django's: a file has one writer, and a request
    that has begun to write would wait for a send that waits for the request.

    Raises:
        SettingsError: There is no such database, or otpcore cannot keep anything there.
    """
    try:
        connection = connections[alias]
    except ConnectionDoesNotExist:
        known = ", ".join(sorted(connections))
        raise SettingsError(f"OTPCORE: database: DATABASES has no such alias; it has {known}") from None
    made = _MADE.get(connection.vendor)
    if made is None:
        raise SettingsError(
            f"OTPCORE: database: otpcore keeps nothing in {connection.vendor}; it works with SQLite, PostgreSQL, "
            f"MariaDB and MySQL. Fix: {_INSTEAD}"
        )
    return made(alias, connection.settings_dict)


def is_in_memory(alias: str) -> bool:
    """An SQLite database that only Django's own connection sees, as in its tests."""
    name = str(connections[alias].settings_dict["NAME"])
    return connections[alias].vendor == "sqlite" and (name in ("", ":memory:") or "mode=memory" in name)


def is_of_a_test(alias: str) -> bool:
    """A database in memory that Django's test runner has made in the place of the project's, or cloned from that."""
    return alias in connections and str(connections[alias].settings_dict["NAME"]).startswith(_MADE_BY_RUNNER)


def _sqlite(alias: str, database: Mapping[str, Any]) -> str:
    if is_in_memory(alias):
        raise SettingsError(
            f"OTPCORE: database: DATABASES['{alias}'] is in memory, where only Django's own connection sees it. "
            f"Fix: in tests use otp_django.testing; else name a file, or {_INSTEAD}"
        )
    name = str(database["NAME"])
    if name.startswith("file:"):
        raise SettingsError(
            f"OTPCORE: database: DATABASES['{alias}'] is an URI of SQLite. Fix: name the file by its path, or "
            f"{_INSTEAD}"
        )
    path = Path(name).resolve()
    return f"sqlite:///{quote(path.with_name(f'{path.stem}.otp.sqlite3').as_posix())}"


def _postgresql(alias: str, database: Mapping[str, Any]) -> str:
    options = dict(database.get("OPTIONS") or {})
    if role := options.pop("assume_role", None):
        options["options"] = f"{options.get('options', '')} -c role={role}".strip()
    return _url("postgresql", alias, database, _carried("postgresql", alias, options), socket="host")


def _mysql(alias: str, database: Mapping[str, Any]) -> str:
    options = dict(database.get("OPTIONS") or {})
    tls = options.pop("ssl", None) or {}
    if not isinstance(tls, Mapping) or not {*tls} <= {*_TLS}:
        raise SettingsError(
            f"OTPCORE: database: OPTIONS['ssl'] of '{alias}' may name {', '.join(_TLS)} here. Fix: {_INSTEAD}"
        )
    query = {f"ssl_{name}": str(value) for name, value in tls.items()} | _carried("mysql", alias, options)
    return _url("mysql", alias, database, query, socket="unix_socket")


def _carried(vendor: str, alias: str, options: Mapping[str, Any]) -> dict[str, str]:
    """Options of the connection, such as ``sslmode``.

    Raises:
        SettingsError: One of them cannot be said in a URL; to leave it out could be to leave out the encryption.
    """
    told = {name: value for name, value in options.items() if name not in _OF_DJANGO[vendor]}
    for name, value in told.items():
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise SettingsError(
                f"OTPCORE: database: OPTIONS['{name}'] of '{alias}' cannot be said in a URL. Fix: {_INSTEAD}"
            )
    return {name: str(value) for name, value in told.items()}


def _url(vendor: str, alias: str, database: Mapping[str, Any], query: dict[str, str], *, socket: str) -> str:
    host = str(database.get("HOST") or "")
    is_socket = host.startswith("/")
    port = str(database.get("PORT") or "")
    if port and not port.isdecimal():
        raise SettingsError(f"OTPCORE: database: PORT of '{alias}' must be one number. Fix: {_INSTEAD}")
    url = URL.create(
        vendor,
        username=database.get("USER") or None,
        password=database.get("PASSWORD") or None,
        host=None if is_socket else host or None,
        port=int(port) if port else None,
        database=database.get("NAME") or None,
        query={**query, socket: host} if is_socket else query,
    )
    return url.render_as_string(hide_password=False)


_MADE: Mapping[str, Callable[[str, Mapping[str, Any]], str]] = {
    "sqlite": _sqlite,
    "postgresql": _postgresql,
    "mysql": _mysql,
}
"""By ``vendor`` of Django's connection, which those of GeoDjango and of wrappers have too."""
