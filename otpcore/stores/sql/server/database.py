"""A database server (PostgreSQL, MariaDB, MySQL): one unit of work is one transaction, run in a worker thread."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool

from otpcore.errors import SettingsError, StoreError
from otpcore.events import fields
from otpcore.retrying import backoff
from otpcore.stores.crew import Crew, still_wanted
from otpcore.stores.rows import OutrunError, Rows
from otpcore.stores.sql import schema as _schema
from otpcore.stores.sql.forking import ForkGate
from otpcore.stores.sql.server.ahead_rows import AheadRows
from otpcore.stores.sql.server.faults import Faults
from otpcore.stores.sql.server.kinds import CONNECTIONS, LEVEL, kind_of, make_engine
from otpcore.stores.sql.server.mysql_rows import MySqlRows
from otpcore.stores.sql.server.mysql_wire import MySqlWire
from otpcore.stores.sql.server.postgres_rows import PostgresRows
from otpcore.stores.sql.server.postgres_wire import PostgresWire
from otpcore.stores.sql.server.seen import SEEN, Seen
from otpcore.stores.sql.server.wire import Wire
from otpcore.stores.sql.urls import place_of
from otpcore.stores.trouble import note_trouble

__all__ = ["ServerDatabase"]

T = TypeVar("T")
_logger = logging.getLogger("otpcore.stores.sql")

_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 0.25


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
        self._engine = make_engine(engine, patience) if isinstance(engine, str) else engine
        self._kind = kind_of(self._engine)
        dialect = self._engine.dialect
        self._faults = Faults(self._engine, self._kind, patience)
        self._errors: tuple[type[BaseException], ...] = (DBAPIError, getattr(dialect.dbapi, "Error", DBAPIError))
        self._failures = (*self._errors, PoolTimeoutError)
        opens, given = self._kind.autocommits, not self._is_ours
        self._source = self._engine.execution_options(isolation_level="AUTOCOMMIT") if opens and given else self._engine
        self._migrating = self._engine.execution_options(isolation_level=LEVEL) if opens else self._engine
        # Of a read; what is set for a connection would have to be set back, and that can fail after the commit.
        self._level = f"SET TRANSACTION ISOLATION LEVEL {LEVEL}" if given and not opens else ""
        # As many threads as there are connections: one that waited for a connection would only be in the way of others.
        self._crew = Crew(self.place, size=_threads(self._engine), patience=patience)
        self._prepares = True
        self._is_well = True
        self._distrusted = -math.inf  # connections that are older are not used again
        self._end = threading.local()
        if self._is_ours:
            event.listen(self._engine, "do_connect", self._connect)

    @property
    def place(self) -> str:
        """Where it is, without user and password."""
        return place_of(self._engine.url)

    def prepare(self, *, migrate: bool) -> None:
        """Bring or check the schema. Blocks.

        Raises:
            StoreError: The server cannot be reached, or the tables are not those of this version.
            SettingsError: The database or the engine is not one that can be used.
        """
        with self._gate, self._explained():
            self._look_at_connection()
            if migrate and _schema.is_older(self._look_at_revision()):
                self._migrate()
            _schema.check(self._look_at_revision(), self.place)

    def start(self) -> None:
        """Nothing to start: connections are opened when they are needed."""

    def revision(self) -> str | None:
        """Of the tables; None: there are none. Blocks."""
        with self._gate, self._explained():
            return self._look_at_revision()

    async def write(
        self,
        unit: Callable[[Rows], T],
        *,
        even_if_cancelled: bool,
        otherwise: Callable[[Rows, T | None], object] | None = None,
        last: bool = False,
    ) -> T:
        """Run a unit in a transaction; return when it is committed."""
        return await self._crew.run(
            lambda is_wanted: self._write(unit, is_wanted),
            even_if_cancelled=even_if_cancelled,
            otherwise=None if otherwise is None else lambda result: self._after(otherwise, result),
            last=last,
        )

    async def read(self, unit: Callable[[Rows], T]) -> T:
        """Run a unit that changes nothing; each of its statements sees what is committed by then."""
        return await self._crew.run(lambda _: self._read(unit))

    async def fold_log(self) -> None:
        """Nothing: a server's logs are its operator's."""

    async def aclose(self) -> None:
        """Finish what waits, and close our connections."""
        await self._crew.aclose()
        if self._is_ours:
            with self._gate:
                self._engine.dispose()

    def let_go(self) -> None:
        """Close all connections, so that a child inherits none; the gate is closed."""
        if self._is_ours:
            self._engine.dispose()

    def try_to_write(self) -> None:
        """Find out whether this server takes writes, and change nothing. Blocks.

        Raises:
            StoreError: It does not, as a standby does not.
        """
        with self._gate, self._explained(), self._connected(self._source) as connection:
            rows = self._begin(connection)
            try:
                rows.now(None)
                connection.exec_driver_sql(_schema.TOUCH)
            finally:
                rows.wire.rollback()

    def facts(self) -> Mapping[str, str]:
        """For ``otp doctor``."""
        with self._gate, self._explained(), self._connected(self._source) as connection:
            version = ".".join(map(str, connection.dialect.server_version_info or ()))
            is_pooled = connection.info[SEEN].is_pooled
        facts = {"place": self.place, "server": f"{self._engine.dialect.name} {version}"}
        return {**facts, "pooler": "yes, so no statement is prepared"} if is_pooled else facts

    def _write(self, unit: Callable[[Rows], T], is_wanted: Callable[[], bool]) -> T:
        return self._patiently(lambda: self._transaction(unit, is_wanted), is_wanted)

    def _after(self, otherwise: Callable[[Rows, T | None], object], result: T | None) -> None:
        self._write(lambda rows: otherwise(rows, result), lambda: True)

    def _read(self, unit: Callable[[Rows], T]) -> T:
        def look() -> T:
            with self._connected(self._source) as connection, self._reading(connection):
                self._set_level(connection)
                return unit(self._rows(connection, locking=False))

        return self._patiently(look)

    def _reading(self, connection: Connection) -> contextlib.AbstractContextManager[object]:
        """Ends the transaction that the driver begins by itself; on PostgreSQL none is begun."""
        return contextlib.nullcontext() if self._kind.autocommits else connection.begin()

    def _set_level(self, connection: Connection) -> None:
        if self._level:
            connection.exec_driver_sql(self._level)

    def _rows(self, connection: Connection, *, locking: bool) -> AheadRows:
        raw: Any = connection.connection.dbapi_connection
        if not self._kind.autocommits:
            return MySqlRows(connection, MySqlWire(raw, connection.dialect), locking=locking)
        wire = PostgresWire(raw, connection.info, prepares=raw.prepare_threshold is not None)
        return PostgresRows(connection, wire, locking=locking)

    def _begin(self, connection: Connection) -> AheadRows:
        """The rows of a transaction, which begins with the first flight, together with what that brings."""
        rows = self._rows(connection, locking=True)
        *begins, clock = self._kind.opening(self._patience, not self._is_ours or connection.info[SEEN].is_pooled)
        rows.is_careful = getattr(self._end, "is_careful", False)
        rows.wire.begin(*begins)
        rows.wire.add(clock, then=rows.begun)
        return rows

    def _transaction(self, unit: Callable[[Rows], T], is_wanted: Callable[[], bool]) -> T:
        with self._connected(self._source) as connection:
            rows = self._begin(connection)
            wire = rows.wire
            try:
                result = unit(rows)
                still_wanted(is_wanted)
            except BaseException:
                self._roll_back(wire, connection)
                raise
            try:
                wire.commit()
            except OutrunError:
                self._roll_back(wire, connection)
                raise
            except self._errors as error:
                if self._faults.is_lost(error, connection) and wire.is_ending:
                    self._drop(connection, error)  # nobody knows whether it was committed: never run it again
                    raise _UnknownCommitError(self._faults.short(error)) from None
                self._roll_back(wire, connection)
                raise
            return result

    def _roll_back(self, wire: Wire, connection: Connection) -> None:
        """Where that fails, the connection is of no more use."""
        try:
            wire.rollback()
        except self._errors:
            connection.invalidate()

    def _connect(self, dialect: Any, _: Any, arguments: Any, options: dict[str, Any]) -> Any:
        """A new connection of our own engine, within the time that is left; the drivers want whole seconds."""
        most = int(float(options["connect_timeout"])) or math.inf
        return dialect.connect(
            *arguments,
            **{**options, "connect_timeout": max(1, min(most, math.ceil(self._deadline() - time.monotonic())))},
        )

    def _deadline(self) -> float:
        """Monotonic; of the unit that this thread is at, else of one that begins now."""
        end: float = getattr(self._end, "at", math.inf)
        return end if end < math.inf else time.monotonic() + self._patience

    @contextlib.contextmanager
    def _connected(self, engine: Engine, *, bounded: bool = True) -> Iterator[Connection]:
        """A connection that waits for no answer longer than its unit may; one that turns out to be lost is dropped."""
        connection = self._taken(engine)
        try:
            raw: Any = connection.connection.dbapi_connection
            with self._kind.bounded(raw, self._deadline() if bounded else math.inf), self._unprepared(connection, raw):
                yield connection
        except self._errors as error:
            if self._faults.is_lost(error, connection) or self._faults.is_elsewhere(error):
                self._drop(connection, error)
            raise
        finally:
            self._give_back(connection)

    def _taken(self, engine: Engine) -> Connection:
        """From the pool; none that is older than the last loss."""
        while True:
            connection = engine.connect()
            seen = connection.info.get(SEEN)
            if seen is None or seen.since >= self._distrusted:
                return connection
            connection.invalidate()
            connection.close()

    @contextlib.contextmanager
    def _unprepared(self, connection: Connection, raw: Any) -> Iterator[None]:
        """Within the block, psycopg prepares nothing where the next transaction may find itself in another session."""
        if SEEN not in connection.info:
            since = time.monotonic()
            is_pooled = self._kind.meet(raw, self._patience, self._is_ours)
            connection.info[SEEN] = Seen(since, is_pooled)
        if not self._kind.autocommits or (self._prepares and not connection.info[SEEN].is_pooled):
            yield
            return
        threshold, raw.prepare_threshold = raw.prepare_threshold, None
        try:
            yield
        finally:
            raw.prepare_threshold = threshold

    def _drop(self, connection: Connection, error: BaseException) -> None:
        """Give up this connection, and those that were made before now: what ended it may have ended them."""
        seen = None if connection.invalidated else connection.info.get(SEEN)
        connection.invalidate()
        if seen is None or seen.since >= self._distrusted:
            self._distrusted = time.monotonic()
        if self._is_well:  # once, until something is done again
            self._is_well = False
            _logger.warning(
                "database: %s: %s; connecting anew",
                self.place,
                self._faults.short(error),
                extra=fields("connections_lost", reason=type(error).__name__),
            )

    def _give_back(self, connection: Connection) -> None:
        """To the pool. What it is given back without, it would roll back itself, and print a traceback if that fails."""
        try:
            if not (self._is_ours or connection.invalidated or connection.in_transaction()):
                connection.begin()
            connection.close()
        except self._errors:  # lost as it is given back: what it was for is done
            if not connection.closed:
                connection.invalidate()
                connection.close()

    def _patiently(self, work: Callable[[], T], is_wanted: Callable[[], bool] = lambda: True) -> T:
        """Run again what lost against another transaction, or a connection before its commit."""
        deadline = self._end.at = time.monotonic() + self._patience
        self._end.is_careful = False
        pauses = backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        failure: Exception
        while True:
            try:
                with self._gate:
                    result = work()
            except OutrunError as error:
                self._end.is_careful = True
                failure = error
            except _UnknownCommitError as error:
                failure = StoreError(
                    f"{self.place}: the connection was lost at the commit; nobody knows whether it took place ({error})"
                )
                break
            except PoolTimeoutError as error:
                failure = self._faults.explain(error)
                break
            except self._errors as error:
                failure = self._faults.explain(error)
                if self._faults.is_unprepared(error):
                    self._prepares = False
                elif not self._faults.passes(error):
                    break
            else:
                self._is_well = True
                note_trouble(None)
                return result
            note_trouble(failure)
            pause = next(pauses)
            if time.monotonic() + pause > deadline or not is_wanted():
                break
            time.sleep(pause)
        raise failure  # outside the handlers: a driver's error quotes the values of the row

    def _migrate(self) -> None:
        """One process at a time. It may take as long as it needs, once it has its lock."""
        with (
            self._connected(self._migrating, bounded=False) as connection,
            connection.begin(),
            _schema.lock(connection, self._patience),
        ):
            if _schema.is_older(_schema.revision_of(connection)):
                _schema.migrate(connection)

    def _look_at_connection(self) -> None:
        try:
            with self._connected(self._source) as connection:
                wrong = self._kind.unusable(connection.connection.dbapi_connection)
                if not wrong and self._level and connection.exec_driver_sql("SELECT @@autocommit").scalar():
                    wrong = "the engine commits each statement; give one without AUTOCOMMIT"
        except TypeError:  # SQLAlchemy's own first look at a server, which answered in bytes
            wrong = "the connection has no encoding. Fix: connect_args={'client_encoding': 'utf8'} of the host's engine"
        if wrong:
            raise SettingsError(f"{self.place}: {wrong}")

    def _look_at_revision(self) -> str | None:
        with self._connected(self._source) as connection:
            return _schema.revision_of(connection)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        failure = None
        self._end.at = time.monotonic() + self._patience
        try:
            yield
        except self._failures as error:
            failure = self._faults.explain(error)
        if failure is not None:
            raise failure


class _UnknownCommitError(Exception):
    """The connection was lost while the transaction was being committed."""


def _threads(engine: Engine) -> int:
    """As many as there are connections."""
    size = engine.pool.size() if isinstance(engine.pool, QueuePool) else 0
    return min(size or CONNECTIONS, CONNECTIONS)  # 0: the host's pool has no bound
