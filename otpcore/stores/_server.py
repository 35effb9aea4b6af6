"""A database server (PostgreSQL, MariaDB, MySQL): one unit of work is one transaction, run in a worker thread."""

from __future__ import annotations

import contextlib
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import attrs
from anyio.lowlevel import RunVar
from sqlalchemy import URL, Connection, Engine, RootTransaction, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool

from otpcore.errors import SettingsError, StoreError
from otpcore.stores import _schema
from otpcore.stores._forking import ForkGate
from otpcore.stores._mysql_rows import MySqlRows
from otpcore.stores._server_rows import ServerRows, clock_of
from otpcore.stores._tables import from_microseconds
from otpcore.stores.rows import OutrunError, Rows

__all__ = ["ServerDatabase"]

T = TypeVar("T")
_logger = logging.getLogger("otpcore.stores.sql")

_LEVEL = "READ COMMITTED"
_CONNECTIONS = 8
_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 0.25
_PAUSE_GROWTH = 2.0


@attrs.frozen(kw_only=True)
class _Kind:
    """What differs from one server to another.

    Args:
        extra: The extra of otpcore that brings the driver.
        again: The server's own codes for "somebody else was in the way; run it again": serialization failures, deadlocks,
            lock timeouts.
        is_away: Whether an operational error says that the server, or the connection to it, is gone.
        arguments: For the driver's connect, from the seconds that a unit waits at most.
        opening: Begins a transaction of the right isolation level and asks for the server's clock, in one round trip.
            Empty: the driver takes one statement at a time, and the level takes statements to set it and to set it back.
    """

    name: str
    driver: str
    extra: str
    rows: type[ServerRows]
    again: frozenset[str]
    is_away: Callable[[BaseException | None], bool]
    arguments: Callable[[float], dict[str, Any]]
    opening: str


def _postgres_arguments(patience: float) -> dict[str, Any]:
    limit = int(patience * 1000)
    return {
        "connect_timeout": max(2, int(patience)),
        "options": f"-c statement_timeout={limit} -c lock_timeout={limit} -c idle_in_transaction_session_timeout={limit}",
        "tcp_user_timeout": limit,  # a server that has gone without a word is found out
        "application_name": "otpcore",
    }


def _mysql_arguments(patience: float) -> dict[str, Any]:
    seconds = max(2, int(patience))
    return {
        "connect_timeout": seconds,
        "read_timeout": seconds,
        "write_timeout": seconds,
        "init_command": f"SET innodb_lock_wait_timeout = {seconds}",
    }


_MYSQL_AWAY = frozenset({0, 1053, 1927, 2003, 2006, 2013, 2014, 2055})
"""ER_SERVER_SHUTDOWN, ER_CONNECTION_KILLED, and the client's own codes for a server that is gone or out of step."""


def _postgres_is_away(error: BaseException | None) -> bool:
    """Psycopg's connection errors have no SQLSTATE; 57P: it is shutting down or starting up; 08: the connection broke."""
    state = getattr(error, "sqlstate", None)
    return state is None or state.startswith(("57P", "08"))


def _mysql_is_away(error: BaseException | None) -> bool:
    return bool(error is not None and error.args and error.args[0] in _MYSQL_AWAY)


_POSTGRES = _Kind(
    name="PostgreSQL",
    driver="psycopg",
    extra="postgres",
    rows=ServerRows,
    again=frozenset({"40001", "40P01", "55P03"}),
    is_away=_postgres_is_away,
    arguments=_postgres_arguments,
    opening=f"BEGIN ISOLATION LEVEL {_LEVEL}; {clock_of('postgresql')}",
)
_MYSQL = _Kind(
    name="MariaDB or MySQL",
    driver="pymysql",
    extra="mysql",
    rows=MySqlRows,
    again=frozenset({"1205", "1213", "1020", "40001"}),
    is_away=_mysql_is_away,
    arguments=_mysql_arguments,
    opening="",
)
_KINDS = {"postgresql": _POSTGRES, "mysql": _MYSQL, "mariadb": _MYSQL}


@attrs.frozen
class _Transaction:
    """One that was begun on a connection which leaves transactions alone."""

    _raw: Any

    def commit(self) -> None:
        self._raw.execute("COMMIT")

    def rollback(self) -> None:
        self._raw.execute("ROLLBACK")


class ServerDatabase:
    """One database on a server: opened once, used from any event loop and thread, closed once.

    Args:
        engine: The host's own, which is used as it is and never closed; or a URL, for an engine of our own.
        patience: Seconds that a unit waits at most: for a connection, for locks, for a server that is away.
        gate: Held for all work with our own engine, so that a fork inherits no connection.
    """

    def __init__(self, engine: Engine | str, *, patience: float, gate: ForkGate) -> None:
        self._patience = patience
        self._gate = gate
        self._is_ours = isinstance(engine, str)
        self._engine = _make_engine(engine, patience) if isinstance(engine, str) else engine
        dialect = self._engine.dialect
        self._kind = _KINDS[dialect.name]
        self._errors: tuple[type[BaseException], ...] = (DBAPIError, getattr(dialect.dbapi, "Error", DBAPIError))
        self._operational = getattr(dialect.dbapi, "OperationalError", DBAPIError)
        self._failures = (*self._errors, PoolTimeoutError)
        opens, given = bool(self._kind.opening), not self._is_ours
        self._source = self._engine.execution_options(isolation_level="AUTOCOMMIT") if opens and given else self._engine
        self._migrating = self._engine.execution_options(isolation_level=_LEVEL) if opens else self._engine
        # For one transaction: what is set for a connection would have to be set back, and that can fail after the commit.
        self._level = f"SET TRANSACTION ISOLATION LEVEL {_LEVEL}" if given and not opens else ""
        self._limiter: RunVar[anyio.CapacityLimiter] = RunVar(f"otpcore_server_{id(self)}")

    @property
    def place(self) -> str:
        """Where it is, without user and password."""
        url = self._engine.url
        host = f"{url.host or 'localhost'}{f':{url.port}' if url.port else ''}"
        return f"{url.get_backend_name()}://{host}/{url.database or ''}"

    def prepare(self, *, migrate: bool) -> None:
        """Bring or check the schema. Blocks.

        Raises:
            StoreError: The server cannot be reached, or the tables are not those of this version.
        """
        with self._gate, self._explained():
            self._refuse_autocommit()
            if migrate and _schema.is_older(self._look_at_revision()):
                with self._migrating.begin() as connection, self._alone(connection):
                    if _schema.is_older(_schema.revision_of(connection)):
                        _schema.migrate(connection)
            _schema.check(self._look_at_revision(), self.place)

    def start(self) -> None:
        """Nothing to start: connections are opened when they are needed."""

    def revision(self) -> str | None:
        """Of the tables; None: there are none. Blocks."""
        with self._gate, self._explained():
            return self._look_at_revision()

    async def write(self, unit: Callable[[Rows], T], *, even_if_cancelled: bool) -> T:
        """Run a unit in a transaction; return when it is committed."""
        scope = anyio.CancelScope(shield=even_if_cancelled)
        with scope:
            return await self._in_thread(lambda: self._write(unit))
        raise AssertionError("nobody cancels this scope")

    async def read(self, unit: Callable[[Rows], T]) -> T:
        """Run a unit that changes nothing; each of its statements sees what is committed by then."""
        return await self._in_thread(lambda: self._read(unit))

    async def fold_log(self) -> None:
        """Nothing: a server's logs are its operator's."""

    async def aclose(self) -> None:
        """Close our connections."""
        if self._is_ours:
            with self._gate:
                self._engine.dispose()

    def let_go(self) -> None:
        """Close all connections, so that a child inherits none; the gate is closed."""
        if self._is_ours:
            self._engine.dispose()

    def facts(self) -> Mapping[str, str]:
        """For ``otp doctor``."""
        with self._gate, self._explained(), self._source.connect() as connection:
            version = ".".join(map(str, connection.dialect.server_version_info or ()))
        return {"place": self.place, "server": f"{self._engine.dialect.name} {version}"}

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """In one of as many threads as there are connections; a caller that is cancelled meanwhile waits for its end."""
        limiter = self._limiter.get(None)
        if limiter is None:
            limiter = anyio.CapacityLimiter(_threads(self._engine))
            self._limiter.set(limiter)
        return await anyio.to_thread.run_sync(work, limiter=limiter)

    def _write(self, unit: Callable[[Rows], T]) -> T:
        return self._patiently(lambda: self._transaction(unit))

    def _read(self, unit: Callable[[Rows], T]) -> T:
        def look() -> T:
            with self._connected(self._source) as connection:
                self._set_level(connection)
                return unit(self._kind.rows(connection, locking=False))

        return self._patiently(look)

    def _set_level(self, connection: Connection) -> None:
        if self._level:
            connection.exec_driver_sql(self._level)

    def _begin(self, connection: Connection) -> tuple[_Transaction | RootTransaction, datetime | None]:
        """A transaction; and when it began by the server's clock, where that comes with it."""
        if not self._kind.opening:
            return connection.begin(), None
        raw: Any = connection.connection.dbapi_connection
        with raw.cursor() as cursor:
            cursor.execute(self._kind.opening, prepare=False)  # two statements cannot be prepared as one
            cursor.nextset()
            (begun_at,) = cursor.fetchone()
        return _Transaction(raw), from_microseconds(int(begun_at))

    def _transaction(self, unit: Callable[[Rows], T]) -> T:
        with self._connected(self._source) as connection:
            transaction, begun_at = self._begin(connection)
            try:
                self._set_level(connection)
                result = unit(self._kind.rows(connection, locking=True, begun_at=begun_at))
            except BaseException:
                with contextlib.suppress(*self._errors):
                    transaction.rollback()
                raise
            try:
                transaction.commit()
            except self._errors as error:
                if self._is_lost(error, connection):  # nobody knows whether it was committed: never run it again
                    raise _UnknownCommitError from error
                raise
            return result

    @contextlib.contextmanager
    def _connected(self, engine: Engine) -> Iterator[Connection]:
        """A connection; one that turns out to be lost does not go back to the pool."""
        connection = engine.connect()
        try:
            yield connection
        except self._errors as error:
            if self._is_lost(error, connection) and not connection.invalidated:
                connection.invalidate()
            raise
        finally:
            with contextlib.suppress(*self._errors):  # lost as it is given back: what it was for is done
                connection.close()

    def _patiently(self, work: Callable[[], T]) -> T:
        """Run again what lost against another transaction, or a connection before its commit."""
        deadline = time.monotonic() + self._patience
        pause = _FIRST_PAUSE
        failure: Exception = StoreError(f"{self.place}: no time to wait")
        while True:
            try:
                with self._gate:
                    return work()
            except OutrunError as error:
                failure = error
            except _UnknownCommitError as error:
                failure = StoreError(
                    f"{self.place}: the connection was lost at the commit; nobody knows whether it took place"
                )
                failure.__cause__ = error.__cause__
                break
            except PoolTimeoutError as error:
                failure = self._explain(error)
                break
            except self._errors as error:
                failure = self._explain(error)
                if not (self._code(error) in self._kind.again or self._is_lost(error, None)):
                    break
            if time.monotonic() + pause > deadline:
                break
            time.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE)
        raise failure  # outside the handlers: a driver's error quotes the values of the row

    @contextlib.contextmanager
    def _alone(self, connection: Connection) -> Iterator[None]:
        """One migration at a time."""
        with _schema.lock(connection, self._patience):
            yield

    def _refuse_autocommit(self) -> None:
        if self._level:
            with self._connected(self._source) as connection:
                if connection.exec_driver_sql("SELECT @@autocommit").scalar():
                    raise SettingsError(f"{self.place}: the engine commits each statement; give one without AUTOCOMMIT")

    def _look_at_revision(self) -> str | None:
        with self._connected(self._source) as connection:
            return _schema.revision_of(connection)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        failure = None
        try:
            yield
        except self._failures as error:
            failure = self._explain(error)
        if failure is not None:
            raise failure

    def _explain(self, error: BaseException) -> StoreError:
        """A short text without statement, parameters and row values."""
        if isinstance(error, PoolTimeoutError):
            return StoreError(f"{self.place}: all connections were busy for {self._patience:g} s")
        if self._is_lost(error, None):
            return StoreError(
                f"{self.place} cannot be reached; is the server running, and are user and password right?"
            )
        cause = error.orig if isinstance(error, DBAPIError) else error
        return StoreError(f"{self.place} refused: {type(cause).__name__} ({self._code(error) or 'no code'})")

    def _is_lost(self, error: BaseException, connection: Connection | None) -> bool:
        """The connection is gone, or never came to be."""
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            return True
        cause = error.orig if isinstance(error, DBAPIError) else error
        raw = connection.connection.dbapi_connection if connection is not None and not connection.invalidated else None
        lost: bool = self._engine.dialect.is_disconnect(cause, raw, None)  # type: ignore[arg-type] # the driver's error
        return lost or (isinstance(cause, self._operational) and self._kind.is_away(cause))

    def _code(self, error: BaseException) -> str:
        cause = error.orig if isinstance(error, DBAPIError) else error
        state = getattr(cause, "sqlstate", None)
        return str(state or (cause.args[0] if cause is not None and cause.args else ""))


class _UnknownCommitError(Exception):
    """The connection was lost while the transaction was being committed."""


def _threads(engine: Engine) -> int:
    """As many as there are connections: a thread that waited for one would only be in the way of others."""
    size = engine.pool.size() if isinstance(engine.pool, QueuePool) else 0
    return min(size or _CONNECTIONS, _CONNECTIONS)  # 0: the host's pool has no bound


def _make_engine(url: str, patience: float) -> Engine:
    parsed = _parsed(url)
    kind = _KINDS[parsed.get_backend_name()]
    if "+" not in parsed.drivername:
        parsed = parsed.set(drivername=f"{parsed.drivername}+{kind.driver}")
    if parsed.get_driver_name() != kind.driver:
        raise SettingsError(
            f"storage.url: {kind.name} is reached through {kind.driver}: {parsed.get_backend_name()}+{kind.driver}://…"
        )
    try:
        return create_engine(
            parsed,
            isolation_level="AUTOCOMMIT" if kind.opening else _LEVEL,
            paramstyle="format",
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=patience,
            hide_parameters=True,  # they hold sealed codes and keyed look-ups
            connect_args=kind.arguments(patience),
        )
    except (ImportError, NoSuchModuleError) as error:
        raise SettingsError(
            f"storage.url: {kind.name} needs {kind.driver}. Fix: pip install 'otpcore[{kind.extra}]'"
        ) from error


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):  # not chained: its text may quote a password
        raise SettingsError("storage.url: not a database URL") from None
