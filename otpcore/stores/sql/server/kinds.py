"""What differs from one database server to another: drivers, error codes, how a connection and a transaction begin."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import attrs
from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from otpcore.errors import SettingsError
from otpcore.stores.sql.server.bounds import bounded_psycopg, bounded_pymysql
from otpcore.stores.sql.server.mysql_wire import MULTI_STATEMENTS
from otpcore.stores.sql.server.rows import clock_of
from otpcore.stores.sql.urls import is_server, parse_url

__all__ = ["CONNECTIONS", "LEVEL", "Kind", "check_engine", "kind_of", "make_engine"]

LEVEL = "READ COMMITTED"
CONNECTIONS = 8
_SHARE = 0.9  # of the patience: the server gives up first, so that it can say why


@attrs.frozen(kw_only=True)
class Kind:
    """One sort of server.

    Args:
        extra: The extra of otpcore that brings the driver.
        again: The server's own codes for "somebody else was in the way; run it again": serialization failures, deadlocks,
            lock timeouts.
        too_slow: Its codes for a statement that took too long.
        elsewhere: Its codes for "not here": a node that takes no writes, since another became the primary. Nothing was done.
        unprepared: Its codes for a prepared statement that another session has: a pooler stands between.
        is_away: Whether an operational error says that the server, or the connection to it, is gone.
        arguments: For the driver's connect, from the seconds that a unit waits at most and the URL's parameters.
        meet: Looks at a new connection, and limits its waits if it is ours to set; whether it is one of a pooler's.
        autocommits: Connections are in autocommit mode, and a read needs no transaction.
        opening: The statements that begin a transaction; the last asks for the server's clock. From the seconds that a unit
            waits at most, and whether the session is not ours, so that level and limits are set for the transaction.
        bounded: Within the block, a connection waits until a monotonic time at most.
        unusable: Why a raw connection or its database cannot be used, with the fix; empty: it can.
    """

    name: str
    driver: str
    extra: str
    again: frozenset[str]
    too_slow: frozenset[str]
    elsewhere: frozenset[str]
    unprepared: frozenset[str]
    is_away: Callable[[BaseException | None], bool]
    arguments: Callable[[float, Mapping[str, Any]], dict[str, Any]]
    meet: Callable[[Any, float, bool], bool]
    autocommits: bool
    opening: Callable[[float, bool], Sequence[str]]
    bounded: Callable[[Any, float], AbstractContextManager[None]]
    unusable: Callable[[Any], str]


# PostgreSQL

_OLDEST_LIBPQ = 140_000  # the first with a pipeline
_TIMEOUTS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
_BEGIN = f"BEGIN ISOLATION LEVEL {LEVEL}"


def _limits(patience: float, *, for_transaction: bool) -> str:
    """Sets the timeouts of the server that nobody else has set: not the URL, the role, or the server's settings."""
    values = ", ".join(f"('{name}', '{int(patience * _SHARE * 1000)}')" for name in _TIMEOUTS)
    wanted = f"(VALUES {values}) AS wanted (name, value)"
    setting = f"set_config(name, value, {str(for_transaction).lower()})"
    return f"SELECT count({setting}) FROM {wanted} WHERE current_setting(name) = '0'"  # noqa: S608 - all of it is ours


def _postgres_arguments(patience: float, given: Mapping[str, Any]) -> dict[str, Any]:
    ours = {
        "connect_timeout": max(2, int(patience)),
        "tcp_user_timeout": int(patience * 1000),  # a server that has gone without a word is found out
        "fallback_application_name": "otpcore",
        "client_encoding": "UTF8",  # a database in SQL_ASCII would say nothing, and hand over bytes
    }
    arguments = {name: value for name, value in ours.items() if name not in given}
    if "prepare_threshold" in given:
        arguments["prepare_threshold"] = _threshold(str(given["prepare_threshold"]))
    return arguments


def _threshold(text: str) -> int | None:
    if text.lower() == "none":
        return None
    if not text.isdecimal():
        raise SettingsError("storage.url: prepare_threshold is a number of executions, or none")
    return int(text)


def _postgres_meet(raw: Any, patience: float, is_ours: bool) -> bool:
    """A pooler makes up the process id that it tells at the connect, since it has no server process yet."""
    told = raw.info.backend_pid
    look = f"SELECT pg_backend_pid() = {told}"
    if is_ours:  # for the session, which is nobody else's; a pooler would hand the values on to its other clients
        look += f", ({_limits(patience, for_transaction=False)} AND pg_backend_pid() = {told})"
    with raw.cursor() as cursor:
        is_direct = cursor.execute(look, prepare=False).fetchone()[0]
    raw.commit()
    return not is_direct


def _postgres_opening(patience: float, sets_limits: bool) -> Sequence[str]:
    clock = clock_of("postgresql")
    return _BEGIN, f"{clock}, ({_limits(patience, for_transaction=True)})" if sets_limits else clock


def _postgres_is_away(error: BaseException | None) -> bool:
    """Psycopg's connection errors have no SQLSTATE; 57P: it is shutting down or starting up; 08: the connection broke.

    25P03 and 25P04: the server ended the session, since it waited too long for the next statement.
    """
    state = getattr(error, "sqlstate", None)
    return state is None or state.startswith(("57P", "08")) or state in ("25P03", "25P04")


def _postgres_unusable(raw: Any) -> str:
    if (version := importlib.import_module("psycopg.pq").version()) < _OLDEST_LIBPQ:
        found = version // 10_000
        return f"psycopg is built on libpq {found}, which sends one statement at a time. Fix: pip install 'psycopg[binary]', or libpq 14 or newer"
    server = raw.info.parameter_status("server_encoding") or "UTF8"
    if server not in ("UTF8", "SQL_ASCII"):
        return (
            f"the database is in {server}, which cannot hold every language. Fix: CREATE DATABASE … ENCODING 'UTF8' "
            "TEMPLATE template0, and name that one"
        )
    if raw.info.encoding != "utf-8":
        return f"the connection is in {raw.info.encoding}. Fix: client_encoding=utf8 in the URL, or in connect_args of the host's engine"
    return ""


POSTGRES = Kind(
    name="PostgreSQL",
    driver="psycopg",
    extra="postgres",
    again=frozenset({"40001", "40P01", "55P03"}),
    too_slow=frozenset({"57014"}),
    elsewhere=frozenset({"25006"}),
    unprepared=frozenset({"26000", "42P05"}),
    is_away=_postgres_is_away,
    arguments=_postgres_arguments,
    meet=_postgres_meet,
    autocommits=True,
    opening=_postgres_opening,
    bounded=bounded_psycopg,
    unusable=_postgres_unusable,
)

# MariaDB and MySQL

_MYSQL_AWAY = frozenset({0, 1040, 1053, 1203, 1927, 2003, 2006, 2013, 2014, 2055})
"""Too many connections, ER_SERVER_SHUTDOWN, ER_CONNECTION_KILLED, and the client's own codes for a server that is gone or
out of step."""

_MYSQL_ELSEWHERE = frozenset({"1047", "1290", "1792", "1836", "3100"})
"""A node of Galera that has lost the others; read_only of the server, of the transaction, of InnoDB; group replication."""

_BOOLEANS = {"ssl_disabled", "ssl_verify_cert", "ssl_verify_identity"}


def _mysql_arguments(patience: float, given: Mapping[str, Any]) -> dict[str, Any]:
    seconds = max(2, int(patience))
    ours = {"connect_timeout": seconds, "read_timeout": seconds, "write_timeout": seconds, "charset": "utf8mb4"}
    arguments: dict[str, Any] = {name: value for name, value in ours.items() if name not in given}
    flags = importlib.import_module("pymysql.constants.CLIENT")
    arguments["client_flag"] = int(given.get("client_flag", 0)) | flags.FOUND_ROWS | MULTI_STATEMENTS
    for name in _BOOLEANS & given.keys():  # SQLAlchemy leaves them text, and PyMySQL takes any text as true
        arguments[name] = str(given[name]).lower() in ("1", "true", "yes", "on")
    return arguments


def _mysql_meet(raw: Any, patience: float, is_ours: bool) -> bool:
    if is_ours:
        name = "innodb_lock_wait_timeout"
        seconds = max(1, int(patience * _SHARE))
        with raw.cursor() as cursor:
            # What the URL's init_command has set differs from the server's, and stands.
            cursor.execute(f"SET {name} = IF(@@session.{name} = @@global.{name}, {seconds}, @@session.{name})")
    return False


def _mysql_opening(_: float, sets_level: bool) -> Sequence[str]:
    level = (f"SET TRANSACTION ISOLATION LEVEL {LEVEL}",) if sets_level else ()
    return *level, "START TRANSACTION", clock_of("mysql")


def _mysql_is_away(error: BaseException | None) -> bool:
    return bool(error is not None and error.args and error.args[0] in _MYSQL_AWAY)


def _mysql_unusable(raw: Any) -> str:
    if raw.charset == "utf8mb4":
        return ""
    return f"the connection is in {raw.charset}. Fix: charset=utf8mb4 in the URL, or none: it is what the driver takes"


MYSQL = Kind(
    name="MariaDB or MySQL",
    driver="pymysql",
    extra="mysql",
    again=frozenset({"1205", "1213", "1020", "40001"}),
    too_slow=frozenset({"1317", "1969", "3024"}),
    elsewhere=_MYSQL_ELSEWHERE,
    unprepared=frozenset(),
    is_away=_mysql_is_away,
    arguments=_mysql_arguments,
    meet=_mysql_meet,
    autocommits=False,
    opening=_mysql_opening,
    bounded=bounded_pymysql,
    unusable=_mysql_unusable,
)

_KINDS = {"postgresql": POSTGRES, "mysql": MYSQL, "mariadb": MYSQL}
_WORKING = "create_engine('postgresql+psycopg://…') or create_engine('mariadb+pymysql://…')"


def kind_of(engine: Engine) -> Kind:
    """Of a server."""
    return _KINDS[engine.dialect.name]


def check_engine(engine: Any) -> None:
    """Accept a host's engine that this store can use.

    Raises:
        SettingsError: It is none, or of another driver, or of SQLite.
    """
    if not isinstance(engine, Engine):
        what = f"{type(engine).__name__} cannot be used"
        raise SettingsError(f"store: {what}. Fix: pass an Engine, such as {_WORKING}, or the URL as text")
    name, driver = engine.dialect.name, engine.dialect.driver
    if not is_server(engine.url):
        raise SettingsError(
            f"store: an Engine for {name} cannot be used; for SQLite pass the URL, since otpcore writes the file from a "
            "thread of its own"
        )
    if engine.dialect.is_async or driver != _KINDS[name].driver:
        waits = "for asyncio " if engine.dialect.is_async else ""
        raise SettingsError(
            f"store: an Engine {waits}of the driver {driver} cannot be used. Fix: pass {_WORKING}, or the URL"
        )


def make_engine(text: str, patience: float) -> Engine:
    """An engine of our own. What the URL says stands, and ours is added.

    Raises:
        SettingsError: The URL cannot be used, or the driver is not installed.
    """
    url = parse_url(text)
    kind = _KINDS[url.get_backend_name()]
    if "+" not in url.drivername:
        url = url.set(drivername=f"{url.drivername}+{kind.driver}")
    if url.get_driver_name() != kind.driver:
        raise SettingsError(
            f"storage.url: {kind.name} is reached through {kind.driver}: {url.get_backend_name()}+{kind.driver}://…"
        )
    arguments = kind.arguments(patience, url.query)
    wrong = ""
    try:
        _refuse_unknown(url)
        return create_engine(
            url,
            isolation_level="AUTOCOMMIT" if kind.autocommits else LEVEL,
            paramstyle="format",
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_timeout=patience,
            pool_reset_on_return=None,  # a unit ends its transaction itself, and hears of a connection that is lost
            hide_parameters=True,  # they hold sealed codes and keyed look-ups
            connect_args=arguments,
        )
    except (ImportError, NoSuchModuleError) as error:
        raise SettingsError(
            f"storage.url: {kind.name} needs {kind.driver}. Fix: pip install 'otpcore[{kind.extra}]'"
        ) from error
    except (ArgumentError, TypeError, ValueError) as error:
        wrong = (
            str(error) if isinstance(error, _UnknownParameterError) else "a parameter after the '?' has no good value"
        )
    raise SettingsError(f"storage.url: {wrong}. Fix: correct what follows the '?'")  # not chained: it may quote a value


class _UnknownParameterError(ValueError):
    """The URL has a parameter that the driver does not know."""


def _refuse_unknown(url: URL) -> None:
    if url.get_backend_name() == "postgresql":
        options = importlib.import_module("psycopg.pq").Conninfo.get_defaults()
        known = {option.keyword.decode() for option in options} | {"prepare_threshold"}
    else:
        connect = importlib.import_module("pymysql.connections").Connection
        known = {*inspect.signature(connect).parameters, "ssl_check_hostname", "ssl_capath", "ssl_cipher"}
    for name in sorted(set(url.query) - known):
        raise _UnknownParameterError(f"{name[:40]} is no parameter of {url.get_driver_name()}")
