"""The rows that read ahead, which are made for servers, over an SQLite file: what they note and send together needs no server.

What is a server's own stays untried here: locks, drivers, and what becomes of a connection.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
from pathlib import Path

import anyio.to_thread
from sqlalchemy import create_engine, event

from otpcore.clock import utc_now
from otpcore.stores.rows import OutrunError
from otpcore.stores.sql.columns import to_microseconds
from otpcore.stores.sql.opening import Opening
from otpcore.stores.sql.schema import TOUCH
from otpcore.stores.sql.server import rows as server_rows
from otpcore.stores.sql.server.postgres_rows import PostgresRows
from otpcore.stores.sql.server.wire import Exchanged, Landed, Wire
from otpcore.stores.sql.store import SqlStore

CLOCK = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
NOTHING = f"{TOUCH} WHERE version_num IS NULL"


class SqliteWire(Wire):
    """Runs each statement by itself, as a server does with a flight, and tells what was in each."""

    def __init__(self, raw, dialect):
        super().__init__(dialect)
        self.raw = raw
        self.flights = []
        self.loses_commit = False

    def _exchange(self, sent):
        self.flights.append([one.text for one in sent])
        landed = []
        for place, one in enumerate(sent):
            if self.loses_commit and one.text == "COMMIT":
                return Exchanged(landed, ConnectionError("gone"))
            try:
                cursor = self.raw.execute(one.text, one.values)
                found = cursor.fetchall()
            except sqlite3.Error as error:
                return Exchanged(landed, error, place)
            if one.is_sure and cursor.rowcount != 1:
                return Exchanged(landed, LookupError(one.text), place)
            landed.append(Landed(found, cursor.rowcount))
        return Exchanged(landed)

    def _checked(self, text):
        return f"{text} -- must change one row"

    def _is_outrun(self, error):
        return isinstance(error, LookupError | sqlite3.IntegrityError)  # a row of this key is there by now

    def _look(self):
        pass

    def _has_begun(self):
        return self.raw.in_transaction


class AheadDatabase:
    """Units run one after the other, each in a transaction of its own.

    Args:
        path: Of a migrated file.
        outrun: How many of the units are told at their end that another one was faster, and run again: from 0 to 1.
    """

    def __init__(self, path, outrun=0.0):
        self.place = str(path)
        self._outrun = outrun
        self._luck = random.Random(1)
        self._lock = threading.Lock()
        self._engine = create_engine(f"sqlite:///{path}", isolation_level="AUTOCOMMIT")
        event.listen(self._engine, "connect", _prepare)

    def prepare(self, *, migrate):
        pass

    def start(self):
        pass

    def facts(self):
        return {"place": self.place}

    async def write(self, unit, *, even_if_cancelled, otherwise=None, last=False):
        return await anyio.to_thread.run_sync(self._write, unit)

    async def read(self, unit):
        return await anyio.to_thread.run_sync(self._read, unit)

    async def fold_log(self):
        pass

    async def aclose(self):
        self._engine.dispose()

    def let_go(self):
        self._engine.dispose()

    def _read(self, unit):
        with self._lock, self._engine.connect() as connection:
            return unit(self._rows(connection, locking=False))

    def _write(self, unit):
        with self._lock, self._engine.connect() as connection:
            with contextlib.suppress(OutrunError):
                return self._transaction(connection, unit, is_careful=False)
            return self._transaction(connection, unit, is_careful=True)

    def _transaction(self, connection, unit, *, is_careful):
        rows = self._rows(connection, locking=True)
        rows.is_careful = is_careful
        rows.wire.begin("BEGIN IMMEDIATE")
        rows.wire.add("SELECT ?", (to_microseconds(utc_now()),), then=rows.begun)
        try:
            result = unit(rows)
            if not is_careful and self._luck.random() < self._outrun:
                rows.wire.add(NOTHING, is_sure=True)
            rows.wire.commit()
        except BaseException:
            rows.wire.rollback()
            raise
        return result

    def _rows(self, connection, *, locking):
        raw = connection.connection.dbapi_connection
        return PostgresRows(connection, SqliteWire(raw, connection.dialect), locking=locking)


def _prepare(raw, _):
    raw.create_function("greatest", 2, max)
    raw.execute("PRAGMA synchronous = OFF")


def ahead_store(path: Path, outrun: float = 0.0) -> SqlStore:
    """A store whose units read ahead, over a migrated file."""
    server_rows.CLOCKS["sqlite"] = CLOCK
    store = SqlStore(f"sqlite:///{path}")
    store._charges_apart = True
    store._opening = Opening(lambda _: AheadDatabase(path, outrun), migrate=None)
    return store
