"""Database URLs as people write them, and which of them are a server's."""

from __future__ import annotations

import re

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from otpcore.errors import SettingsError

__all__ = ["is_server", "parse_url", "place_of"]

_SERVERS = frozenset({"postgresql", "mariadb", "mysql"})
_SEVERAL_HOSTS = re.compile(
    r"(?P<start>[a-z0-9+]+://(?:[^/?#]*@)?)(?P<hosts>[^/?#@]*,[^/?#@]*)(?P<path>[^?#]*)\??(?P<query>.*)"
)


def parse_url(text: str) -> URL:
    """The URL; ``postgres://`` is ``postgresql://``, and several hosts may stand with commas, both as libpq takes them.

    Raises:
        SettingsError: It is none. Its text is not quoted: it may hold a password.
    """
    if several := _SEVERAL_HOSTS.fullmatch(text):
        hosts = "&".join(f"host={one}" for one in several["hosts"].split(","))
        text = f"{several['start']}{several['path'] or '/'}?{hosts}&{several['query']}".rstrip("&")
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = None
    if url is None:  # not chained: the cause quotes the text
        raise SettingsError(f"storage.url: {_not_one(text)}")
    name, _, driver = url.drivername.partition("+")
    return url.set(drivername=f"postgresql{driver and '+'}{driver}") if name == "postgres" else url


def _not_one(text: str) -> str:
    """Why a text is no URL. Before the last @ there are a user and a password, of which nothing is said."""
    start, there, _ = text.partition("://")
    if not there or start.partition("+")[0].casefold() not in {*_SERVERS, "postgres"}:
        return "not a database URL; for example sqlite:////var/lib/otp/otp.sqlite3"
    return (
        "not a database URL: what follows :// cannot be read. Fix: write @ : / ? # [ ] and % in user and password as %40 "
        "%3A %2F %3F %23 %5B %5D and %25, and the port as a number, as in postgresql://user:password@host:5432/database"
    )


def is_server(url: URL) -> bool:
    """The URL is that of a server that this store knows."""
    return url.get_backend_name() in _SERVERS


def place_of(url: URL) -> str:
    """Where a database is, without user and password."""
    named = url.query.get("host", ())
    hosts = (named,) if isinstance(named, str) else named
    host = f"{url.host}{f':{url.port}' if url.port else ''}" if url.host else ",".join(hosts) or "localhost"
    return f"{url.get_backend_name()}://{host}/{url.database or ''}"
