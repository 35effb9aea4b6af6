"""Why a database server cannot be used: its own words, and what mends that."""

from __future__ import annotations

import re

import attrs
from sqlalchemy import URL

__all__ = ["Cause", "cause_of", "words_of"]

_LONGEST = 300


@attrs.frozen
class Cause:
    """One reason for which no connection comes to be.

    Args:
        fix: What mends it.
        passes: It may be over in a moment, so it is worth another try.
    """

    fix: str
    passes: bool = False


_LOGIN = Cause("correct user and password in storage.url")
_AWAY = Cause("see that the server runs, and that host and port in storage.url are right", passes=True)
_NAME = Cause("correct the host in storage.url, or see to the name server", passes=True)
_FULL = Cause(
    "raise the server's limit of connections, or end some; each process of otpcore holds up to 8", passes=True
)
_TLS = Cause("see to the certificates, or change what storage.url says of TLS (sslmode, ssl_…)")
_MISSING = Cause("create it (CREATE DATABASE …), or correct the name in storage.url")
_ADMITTED = Cause(
    "let the server admit this user from this machine: a line of pg_hba.conf on PostgreSQL, the user's host on MariaDB"
)
_STARTING = Cause("wait until it has started", passes=True)
_READ_ONLY = Cause("let storage.url name the server that may be written to", passes=True)
_OPTIONS = Cause(
    "a pooler stands before the server and refuses the options in storage.url: remove them, or name them in the "
    "pooler's ignore_startup_parameters"
)
_RIGHTS = Cause(
    "GRANT SELECT, INSERT, UPDATE, DELETE on our tables, and on PostgreSQL USAGE on our sequences, to the user of storage.url; "
    "`otp db upgrade` runs as a user who may also make and change tables"
)
_LOCKED = Cause("let the server's administrator unlock this user: ALTER USER … ACCOUNT UNLOCK")
_EXPIRED = Cause("give this user a new password (ALTER USER … IDENTIFIED BY …), and write it in storage.url")
_STRANGER = Cause("correct host and port in storage.url: something else answers there")
_PARAMETER = Cause("correct the parameters of storage.url, which follow its '?'")

# libpq hands over no SQLSTATE of a connection that was refused, only the words; the first that fits decides.
_POSTGRES = (
    (r"unsupported startup parameter", _OPTIONS),
    (r"invalid port number", Cause("correct the port in storage.url: a number from 1 to 65535")),
    (r"invalid connection option|invalid \w+ value|invalid (integer )?value .* for connection option", _PARAMETER),
    (
        r"authentication failed|no password supplied|role .* does not exist|role .* is not permitted to log in|28P01",
        _LOGIN,
    ),
    (r"no pg_hba\.conf entry|pg_hba\.conf rejects", _ADMITTED),
    (r"database .* does not exist|no such database", _MISSING),
    (r"permission denied for database", Cause("GRANT CONNECT ON DATABASE … TO the user of storage.url")),
    (r"too many clients|too many connections|remaining connection slots|no more connections allowed", _FULL),
    (r"read-only|read only|hot standby mode|not in hot standby", _READ_ONLY),
    (r"starting up|shutting down|not yet accepting|in recovery mode", _STARTING),
    (r"could not translate host name|failed to resolve host|[Nn]ame or service not known|name resolution", _NAME),
    (
        r"connection refused|timeout expired|timed out|could not connect|unreachable|no such file or directory.*socket|is the server running",
        _AWAY,
    ),
    (r"invalid response to SSL negotiation", _STRANGER),
    (r"\bSSL\b|certificate|\bTLS\b", _TLS),
)

# PyMySQL's own error, which has no code: the greeting of a server has the number 0.
_NO_GREETING = re.compile(r"Packet sequence number wrong - got \d+ expected 0")

# Of statements; their words quote no value.
_SQLSTATES = {
    "42501": _RIGHTS,
    "3F000": Cause("create the schema that search_path names, or correct search_path in storage.url or of its user"),
}

# Codes of the server, and of the client (from 2000 on).
_MYSQL = {
    1040: _FULL,
    1203: _FULL,
    1226: _FULL,
    1044: Cause("GRANT … ON the database TO the user of storage.url"),
    1045: _LOGIN,
    1698: _LOGIN,
    1142: _RIGHTS,
    1143: _RIGHTS,
    1227: _RIGHTS,
    1820: _EXPIRED,
    1862: _EXPIRED,
    3118: _LOCKED,
    4151: _LOCKED,
    1049: _MISSING,
    1130: _ADMITTED,
    1129: Cause("the server blocks this machine after errors: run mariadb-admin flush-hosts"),
    1053: _STARTING,
    2002: _AWAY,
    2003: _AWAY,
    2026: _TLS,
    3159: Cause("the server wants TLS: set ssl_ca in storage.url, and no ssl_disabled"),
}


_CLOSED = "the connection is closed"
"""PyMySQL says nothing but 0, when it is used after it was lost."""


def cause_of(error: BaseException) -> Cause | None:
    """Why no connection came to be; None: for another reason than those that are known."""
    code = error.args[0] if error.args else None
    if isinstance(code, int):
        return _NAME if "Errno -" in str(error) else _MYSQL.get(code)
    if sqlstate := getattr(error, "sqlstate", None):  # of a statement
        return _SQLSTATES.get(sqlstate)
    words = " ".join(str(error).split())
    if _NO_GREETING.match(words):
        return _STRANGER
    return next((cause for pattern, cause in _POSTGRES if re.search(pattern, words, re.IGNORECASE)), None)


def words_of(error: BaseException, url: URL) -> str:
    """The server's or the driver's own reason, on one line, without the passwords of the URL."""
    told = error.args[1] if len(error.args) > 1 and isinstance(error.args[0], int) else str(error)
    silent = _CLOSED if error.args[:1] == (0,) else type(error).__name__
    words = " ".join(str(told).splitlines()[:1] or [silent])
    words = re.sub(r"^.*failed: (?=\S)|^FATAL:\s+|^ERROR:\s+", "", words)
    words = re.sub(r"^(FATAL|ERROR):\s+", "", " ".join(words.split()))
    for secret in filter(
        None, (url.password, *_texts(url, "password"), *_texts(url, "passwd"), *_texts(url, "sslpassword"))
    ):
        words = words.replace(str(secret), "***")
    return words.rstrip(".")[:_LONGEST]


def _texts(url: URL, name: str) -> tuple[str, ...]:
    value = url.query.get(name, ())
    return (value,) if isinstance(value, str) else tuple(value)
