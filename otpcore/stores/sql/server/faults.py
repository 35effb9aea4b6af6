"""What an error of a database server means: for the connection, for the unit, and in words."""

from __future__ import annotations

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from otpcore.errors import StoreError
from otpcore.stores.sql.server.kinds import Kind
from otpcore.stores.sql.server.reasons import cause_of, words_of
from otpcore.stores.sql.urls import place_of

__all__ = ["Faults"]


class Faults:
    """Reads the errors of one engine.

    Args:
        patience: Seconds that a unit waits at most.
    """

    def __init__(self, engine: Engine, kind: Kind, patience: float) -> None:
        self._engine = engine
        self._kind = kind
        self._patience = patience
        self._operational = getattr(engine.dialect.dbapi, "OperationalError", DBAPIError)

    def is_lost(self, error: BaseException, connection: Connection | None) -> bool:
        """The connection is gone, or never came to be."""
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            return True
        cause = _driver_error(error)
        raw = connection.connection.dbapi_connection if connection is not None and not connection.invalidated else None
        lost: bool = self._engine.dialect.is_disconnect(cause, raw, None)  # type: ignore[arg-type] # the driver's error
        return lost or (isinstance(cause, self._operational) and self._kind.is_away(cause))

    def is_elsewhere(self, error: BaseException) -> bool:
        """This server takes no writes; the statement was refused, so nothing was done."""
        return _code(error) in self._kind.elsewhere

    def is_unprepared(self, error: BaseException) -> bool:
        """A prepared statement is in another session: a pooler hands sessions on, which nobody noticed before."""
        return _code(error) in self._kind.unprepared

    def passes(self, error: BaseException) -> bool:
        """The unit is worth another try, on a new connection if this one is lost."""
        if _code(error) in self._kind.again or self.is_elsewhere(error):
            return True
        cause = cause_of(_driver_error(error))
        return self.is_lost(error, None) and (cause is None or cause.passes)

    def explain(self, error: BaseException) -> StoreError:
        """A short text without statement, parameters and row values."""
        place = place_of(self._engine.url)
        if isinstance(error, PoolTimeoutError):
            return StoreError(f"{place}: all connections were busy for {self._patience:g} s")
        if self.is_elsewhere(error):
            return StoreError(
                f"{place} takes no writes ({_code(error)}): it is a standby, or was made read-only. Fix: let the URL lead "
                "to the primary"
            )
        if _code(error) in {*self._kind.again, *self._kind.too_slow}:
            return StoreError(
                f"{place}: others held what was asked for, or it was too slow ({self.short(error)}). Fix: try again; the "
                "server shows who holds locks"
            )
        cause = cause_of(_driver_error(error))
        if self.is_lost(error, None) or cause is not None:
            verb = "reached" if cause is None or cause.passes else "used"
            fix = f". Fix: {cause.fix}" if cause is not None else ""
            return StoreError(f"{place} cannot be {verb}: {words_of(_driver_error(error), self._engine.url)}{fix}")
        return StoreError(f"{place} refused: {self.short(error)}")

    def short(self, error: BaseException) -> str:
        """What happened, without what was asked: a server quotes values."""
        cause = _driver_error(error)
        if self.is_lost(error, None):
            return words_of(cause, self._engine.url)
        return f"{type(cause).__name__} ({_code(error) or 'no code'})"


def _code(error: BaseException) -> str:
    cause = _driver_error(error)
    if cause.args and isinstance(cause.args[0], int):  # MySQL's number says more than the SQLSTATE beside it
        return str(cause.args[0])
    return getattr(cause, "sqlstate", None) or ""


def _driver_error(error: BaseException) -> BaseException:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
