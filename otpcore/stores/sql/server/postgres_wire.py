"""Statements to PostgreSQL, many in one flight to the server and back, without a cursor for each.

libpq sends what is queued together, and the server answers together: a statement costs a tenth of what it costs on a cursor
of psycopg, whose own pipeline costs as much as its cursors (measured; see ``benchmarks/profiles.md``).
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Generator, Sequence
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql import psycopg as sqlalchemy_psycopg

from otpcore.stores.sql.server.wire import Cargo, Exchanged, Landed, Wire

__all__ = ["PostgresWire"]

_NAMED = "otpcore_prepared"  # where a connection's own dictionary keeps the names of its statements
_TEXT, _BINARY = 0, 1
_UNKNOWN, _BOOLEAN, _BYTEA, _BIGINT = 0, 16, 17, 20  # ids of types
_UNREAD = Landed([], 0)
_OUTRUN = ("22012", "23505")  # what `_checked` does; a row of this key is there by now


@functools.cache
def _dialect() -> Dialect:
    """Whose statements have numbered placeholders, as libpq takes them."""
    kind: Any = sqlalchemy_psycopg.PGDialect_psycopg
    made: Dialect = kind(paramstyle="numeric_dollar")
    return made


class PostgresWire(Wire):
    """One connection of psycopg during one unit of work.

    Args:
        raw: In autocommit mode.
        known: The connection's own dictionary.
        prepares: Statements are prepared once for the connection. Behind a pooler each is sent as a whole.
    """

    def __init__(self, raw: Any, known: dict[Any, Any], *, prepares: bool) -> None:
        super().__init__(_dialect())
        self._raw = raw
        self._libpq: Any = raw.pgconn
        self._names: dict[str, bytes] = known.setdefault(_NAMED, {})
        self._prepares = prepares
        self._reader: Any = None
        self._is_known = False

    def _has_begun(self) -> bool:
        return bool(self._libpq.transaction_status)

    def _look(self) -> None:
        """Reads without waiting: the server's farewell, and then the end behind that."""
        if self._is_known:
            return
        self._is_known = True
        try:
            for _ in range(2):
                self._libpq.consume_input()
        except _psycopg().Error:
            raise _psycopg().OperationalError(self._libpq.get_error_message()) from None

    def _is_outrun(self, error: Exception) -> bool:
        return getattr(error, "sqlstate", None) in _OUTRUN

    def _exchange(self, sent: Sequence[Cargo]) -> Exchanged:
        if not sent:
            return Exchanged([])
        errors, status = _psycopg().errors, _psycopg().pq.ExecStatus
        fresh: dict[str, bytes] = {}
        self._libpq.enter_pipeline_mode()
        try:
            prepared_before = [self._send(one, fresh) for one in sent]
            self._libpq.pipeline_sync()
            results = iter(self._raw.wait(_answers(self._libpq, status.PIPELINE_SYNC)))
        finally:
            self._leave()
        landed: list[Landed] = []
        for place, (one, name) in enumerate(zip(sent, prepared_before, strict=True)):
            parts = [next(results, None) for _ in range(2 if name else 1)]
            for result in parts:
                if result is None:
                    return Exchanged(landed, _psycopg().OperationalError("the connection is closed"))
                if result.status not in (status.COMMAND_OK, status.TUPLES_OK):
                    if not result.error_field(_SQLSTATE):  # libpq's own: the connection broke
                        return Exchanged(landed, _psycopg().OperationalError(self._libpq.get_error_message()))
                    return Exchanged(landed, errors.error_from_result(result, "utf-8"), place)
                if name:  # also where the statement itself fails
                    self._names[one.text] = name
            landed.append(_UNREAD if one.then is None else self._read(parts[-1]))
        return Exchanged(landed)

    def _send(self, one: Cargo, fresh: dict[str, bytes]) -> bytes | None:
        """The name under which the statement is being prepared; None: it is already, or never will be."""
        ways, formats, types = _ways(tuple(map(type, one.values)))
        values = [way(value) for way, value in zip(ways, one.values, strict=True)]
        text = one.text.encode()
        if not self._prepares or one.text == "ROLLBACK":  # which must not fail for anything
            self._libpq.send_query_params(text, values, types, formats)
            return None
        name = self._names.get(one.text) or fresh.get(one.text)
        new = None
        if name is None:
            new = name = fresh[one.text] = b"otpcore_%d" % (len(self._names) + len(fresh))
            self._libpq.send_prepare(name, text, types)
        self._libpq.send_query_prepared(name, values, formats)
        return new

    def _leave(self) -> None:
        """Whatever follows may be a cursor's. A connection of which answers are left is of no more use."""
        if self._libpq.status != _psycopg().pq.ConnStatus.OK:
            return
        try:
            self._libpq.exit_pipeline_mode()
        except _psycopg().Error:
            self._raw.close()

    def _read(self, result: Any) -> Landed:
        count = result.command_tuples
        if not result.nfields:
            return Landed([], count or 0)
        if self._reader is None:
            self._reader = _psycopg().adapt.Transformer(self._raw)
        self._reader.set_pgresult(result)
        return Landed(self._reader.load_rows(0, result.ntuples, tuple), count or 0)

    def _checked(self, text: str) -> str:
        """The server divides by how many rows there were."""
        return f"WITH done AS ({text} RETURNING 1) SELECT 1 / (CASE count(*) WHEN 1 THEN 1 ELSE 0 END) FROM done"  # noqa: S608 - ours


@functools.lru_cache(maxsize=1024)
def _ways(kinds: tuple[type, ...]) -> tuple[list[Callable[[Any], bytes | None]], list[int], list[int]]:
    """How values of these types are written, in which formats, and their types' ids where the server cannot tell.

    Text goes in binary, so that the server refuses a NUL instead of libpq ending there.
    """
    found = [_WAYS.get(kind) or (_TEXTUAL if issubclass(kind, str) else _BYTES) for kind in kinds]
    return [way[0] for way in found], [way[1] for way in found], [way[2] for way in found]


_TEXTUAL = (str.encode, _BINARY, _UNKNOWN)
_BYTES = (bytes, _BINARY, _BYTEA)
_WAYS: dict[type, tuple[Callable[[Any], bytes | None], int, int]] = {
    int: (b"%d".__mod__, _TEXT, _BIGINT),
    str: _TEXTUAL,
    bool: ({True: b"t", False: b"f"}.__getitem__, _TEXT, _BOOLEAN),
    type(None): (lambda _: None, _TEXT, _UNKNOWN),
}


def _answers(libpq: Any, sync: Any) -> Generator[Any, Any, list[Any]]:
    """All answers up to the sync, or to the end of the connection; run by psycopg, which waits as its host wants it."""
    wait = _psycopg().waiting.Wait
    readable = _psycopg().waiting.Ready.R
    while libpq.flush():
        if (yield wait.RW) & readable:
            libpq.consume_input()
    results: list[Any] = []
    ended = 0
    while ended < 2:  # noqa: PLR2004 - one ends each statement; there is no other in a row but on a closed connection
        while libpq.is_busy():
            if (yield wait.R):
                libpq.consume_input()
        result = libpq.get_result()
        ended = ended + 1 if result is None else 0
        if result is None:
            continue
        if result.status == sync:
            break
        results.append(result)
    return results


_SQLSTATE = 67  # PG_DIAG_SQLSTATE


@functools.cache
def _psycopg() -> Any:
    for name in ("adapt", "errors", "pq", "waiting"):
        importlib.import_module(f"psycopg.{name}")
    return importlib.import_module("psycopg")
