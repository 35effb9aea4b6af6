"""The one thread that writes an SQLite file: units of work that wait together share one transaction."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar, cast

import anyio
import attrs
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from otpcore.errors import StoreError
from otpcore.retrying import backoff
from otpcore.stores.rows import Rows
from otpcore.stores.sql.forking import ForkGate
from otpcore.stores.waiting import Waiter, new_waiter, wake

__all__ = ["GroupWriter", "is_busy", "raw_connection"]

T = TypeVar("T")

_MAX_BATCH = 256
# Where many write, more are on their way: a transaction of their own would cost them more than it costs to wait for them.
_CROWD = 8  # so many in the last transaction are many
_GATHERING = 0.0002  # seconds for each of those, at most, and no longer than others keep coming
_LONGEST_GATHERING = 0.02
_LULL = 0.0005  # seconds without anybody
_FIRST_PAUSE = 0.0005
_LONGEST_PAUSE = 0.01
_PAUSE_GROWTH = 1.5


class PendingRows(Rows, Protocol):
    """Rows that may keep something back."""

    def finish(self) -> None:
        """Write it; the transaction is about to be committed."""


class Link(Protocol):
    """How the writer reaches its file."""

    def connect(self) -> Connection:
        """A connection in autocommit mode, with a busy timeout of 0."""

    def rows(self, connection: Connection) -> PendingRows:
        """The rows of a transaction that begins."""

    def is_current(self) -> bool:
        """The file is still the one that was connected to."""

    def explain(self, error: BaseException) -> BaseException:
        """The error as callers shall see it."""


@attrs.define(eq=False)
class _Job(Generic[T]):
    """One unit of work and whoever waits for it."""

    unit: Callable[[Rows], T]
    even_if_cancelled: bool
    submitted: float
    waiter: Waiter
    otherwise: Callable[[Rows, T | None], object] | None = None
    abandoned: bool = False
    finished: bool = False
    result: T | None = None
    error: BaseException | None = None


class GroupWriter:
    """Runs units of work in the order in which they came, as many as wait in one ``BEGIN IMMEDIATE`` transaction.

    Callers await an event and hold no thread; nobody hears "done" before the commit. If anything in a transaction fails (a
    unit, a full disk, a refused commit), it is rolled back and its units run again one by one, so that each fails alone: a
    unit must be repeatable and return plain values. Savepoints would save the second run, and cost two statements a unit.

    Args:
        link: How the file is reached.
        gate: Held during each transaction; a fork waits for it.
        patience: Seconds a unit waits at most for other processes that write to the file.
    """

    def __init__(self, link: Link, gate: ForkGate, patience: float) -> None:
        self._link = link
        self._gate = gate
        self._patience = patience
        self._connection: Connection | None = None
        self._waiting: deque[_Job[Any]] = deque()
        self._arrival = threading.Condition()
        self._end: _Job[None] | None = None
        self._thread = threading.Thread(target=self._work, name="otpcore-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def run(
        self,
        unit: Callable[[Rows], T],
        *,
        even_if_cancelled: bool = False,
        otherwise: Callable[[Rows, T | None], object] | None = None,
    ) -> T:
        """Run one unit and return its result once it is committed.

        A caller that is cancelled before its transaction begins takes its unit back, unless ``even_if_cancelled``. One that is
        cancelled later hears of no result: then ``otherwise`` follows, in a transaction after it.

        Raises:
            StoreError: The database refused, or was locked for too long.
        """
        job = self._job(unit, even_if_cancelled=even_if_cancelled)
        job.otherwise = otherwise
        with self._arrival:
            if self._end is not None:
                raise StoreError("the store is closed")
            self._waiting.append(job)
            self._arrival.notify()
        try:
            await job.waiter.wait()
        except BaseException:
            with self._arrival:
                job.abandoned = True
                self._follow([job])
            raise
        if job.error is not None:
            raise job.error
        return cast("T", job.result)

    async def aclose(self) -> None:
        """Finish what waits, close the connection, end the thread."""
        end = self._job(lambda _: None, even_if_cancelled=True)
        with self._arrival:
            self._end = end
            self._arrival.notify()
        with anyio.CancelScope(shield=True):
            await end.waiter.wait()
        self._thread.join()

    def let_go(self) -> None:
        """Close the connection; only while the gate is closed. The next transaction opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _job(self, unit: Callable[[Rows], T], *, even_if_cancelled: bool) -> _Job[T]:
        return _Job(
            unit=unit,
            even_if_cancelled=even_if_cancelled,
            submitted=time.monotonic(),
            waiter=new_waiter(),
        )

    def _work(self) -> None:
        before = 0
        while jobs := self._next_batch(gathering=min(before * _GATHERING, _LONGEST_GATHERING) * (before >= _CROWD)):
            before = len(jobs)
            self._serve(jobs, together=True)
            del jobs
        with self._gate:
            self.let_go()
        if self._end is not None:
            wake([self._end.waiter])

    def _next_batch(self, *, gathering: float) -> list[_Job[Any]]:
        """Whoever waits, at least one, and those who come within so many seconds; empty when the store closes."""
        with self._arrival:
            while not self._waiting and self._end is None:
                self._arrival.wait()
        there, until = 0, time.monotonic() + gathering
        while gathering and there < len(self._waiting) < _MAX_BATCH and time.monotonic() < until:
            there = len(self._waiting)
            time.sleep(_LULL)
        with self._arrival:
            return self._take()

    def _take(self) -> list[_Job[Any]]:
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), _MAX_BATCH))]

    def _serve(self, jobs: list[_Job[Any]], *, together: bool) -> None:
        """Run jobs in one transaction and wake their callers; if it is lost, run them one by one."""
        pauses = backoff(_FIRST_PAUSE, _LONGEST_PAUSE, growth=_PAUSE_GROWTH)
        while jobs := self._still_wanted(jobs):
            try:
                with self._gate:
                    self._transaction(jobs)
            except BaseException as error:  # noqa: BLE001 - each waiter is told; the writer goes on
                if is_busy(error):
                    # Short jittered sleeps of our own: SQLite's busy handler is unfair and lets single callers wait long.
                    time.sleep(next(pauses))
                    if together and len(jobs) < _MAX_BATCH:
                        with self._arrival:
                            jobs += self._take()
                    continue
                if len(jobs) > 1:
                    for job in jobs:
                        self._serve([job], together=False)
                    return
                jobs[0].error = self._link.explain(error)
            with self._arrival:
                for job in jobs:
                    job.finished = True
                self._follow(jobs)
            wake(job.waiter for job in jobs)
            return

    def _follow(self, jobs: Iterable[_Job[Any]]) -> None:
        """What is to follow those that were committed and of which nobody heard; the lock is held."""
        for job in jobs:
            if job.finished and job.abandoned and job.error is None and job.otherwise is not None:
                unit = _after(job.otherwise, job.result)
                job.otherwise = None
                self._waiting.append(
                    _Job(unit=unit, even_if_cancelled=True, submitted=time.monotonic(), waiter=job.waiter)
                )
                self._arrival.notify()

    def _still_wanted(self, jobs: Iterable[_Job[Any]]) -> list[_Job[Any]]:
        """The jobs to run; those that waited too long for other processes are told so."""
        wanted = [job for job in jobs if job.even_if_cancelled or not job.abandoned]
        overdue = time.monotonic() - self._patience
        late = [job for job in wanted if job.submitted < overdue]
        for job in late:
            job.error = StoreError(
                f"the database was locked by another process for {self._patience:g} s; is something holding it open?"
            )
        wake(job.waiter for job in late)
        return [job for job in wanted if job.submitted >= overdue]

    def _transaction(self, jobs: list[_Job[Any]]) -> None:
        """Run jobs between BEGIN and COMMIT. Any exception means that nothing was committed."""
        connection = self._connected()
        raw = raw_connection(connection)
        try:
            raw.execute("BEGIN IMMEDIATE")
            rows = self._link.rows(connection)
            for job in jobs:
                job.error = None
                job.result = job.unit(rows)
            rows.finish()
            raw.execute("COMMIT")
        except BaseException as error:
            with contextlib.suppress(sqlite3.Error):
                raw.rollback()  # after an error the transaction may be gone already
            if _is_trouble(error):
                self.let_go()  # whatever ails this connection, the next one may be well
            raise

    def _connected(self) -> Connection:
        if self._connection is not None and not self._link.is_current():
            self.let_go()
        if self._connection is None:
            self._connection = self._link.connect()
        return self._connection


def _after(otherwise: Callable[[Rows, Any], object], result: Any) -> Callable[[Rows], object]:
    """What follows a result, as a unit."""
    return lambda rows: otherwise(rows, result)


def raw_connection(connection: Connection) -> sqlite3.Connection:
    """The driver's connection, for BEGIN and COMMIT: SQLAlchemy's own ways cost more than the work."""
    return cast("sqlite3.Connection", connection.connection.dbapi_connection)


def _cause(error: BaseException) -> BaseException | None:
    """The driver's error behind SQLAlchemy's."""
    return error.orig if isinstance(error, DBAPIError) else error


def is_busy(error: BaseException) -> bool:
    """Another connection is in the way for now."""
    code = getattr(_cause(error), "sqlite_errorcode", sqlite3.SQLITE_OK)
    return bool(code & 0xFF == sqlite3.SQLITE_BUSY)


def _is_trouble(error: BaseException) -> bool:
    """The file or the disk is the matter, not what this unit wrote."""
    return type(_cause(error)) in (sqlite3.OperationalError, sqlite3.DatabaseError) and not is_busy(error)
