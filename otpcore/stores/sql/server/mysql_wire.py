"""Statements to MariaDB and MySQL, many in one flight there and back, as one text where the connection takes that.

The server stops at the first that fails. The driver writes the values into each text by itself, as it always does.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Dialect

from otpcore.stores.sql.server.wire import Cargo, Exchanged, Landed, Wire

__all__ = ["MULTI_STATEMENTS", "MySqlWire", "positional"]

MULTI_STATEMENTS = 1 << 16
"""The client's flag (CLIENT_MULTI_STATEMENTS) of a connection that takes several statements in one text."""

_CLIENTS = 2000
_CHECK = "SELECT IF(ROW_COUNT() = 1, 1, (SELECT 1 UNION SELECT 2))"
_OUTRUN = (1242, 1062)  # what `_CHECK` does; a row of this key is there by now


@functools.cache
def positional(dialect: Dialect) -> Dialect:
    """The same, with placeholders in the order of the values; a host's own engine has named ones."""
    if dialect.paramstyle == "format":
        return dialect
    made = copy.copy(dialect)
    made.paramstyle, made.positional = "format", True
    return made


class MySqlWire(Wire):
    """One connection of PyMySQL during one unit of work.

    Args:
        raw: Not in autocommit mode.
        dialect: The engine's, which knows the server's version.
    """

    def __init__(self, raw: Any, dialect: Dialect) -> None:
        super().__init__(positional(dialect))
        self._raw = raw
        self._takes_many = bool(raw.client_flag & MULTI_STATEMENTS)
        self._has_flown = False

    def commit(self) -> None:
        """As the others; what would be a connection's first flight must not be its last, too: nobody knew whether it arrived."""
        if self.is_open and not self._has_flown:
            self.fly()
        super().commit()

    def _exchange(self, sent: Sequence[Cargo]) -> Exchanged:
        if not sent:
            return Exchanged([])
        self._has_flown = True
        landed: list[Landed] = []
        try:
            with self._raw.cursor() as cursor:
                results = self._results(cursor, [text for one in sent for text in self._texts(cursor, one)])
                for one in sent:
                    came = next(results)
                    if one.is_sure:
                        next(results)
                    landed.append(came)
        except self._raw.Error as error:
            return Exchanged(landed, error, len(landed) if _is_answer(error) else None)
        return Exchanged(landed)

    def _results(self, cursor: Any, texts: Sequence[str]) -> Iterator[Landed]:
        for together in ["; ".join(texts)] if self._takes_many else texts:
            cursor.execute(together)
            has_next: object = True
            while has_next:
                yield Landed(list(cursor.fetchall()) if cursor.description else [], cursor.rowcount)
                has_next = cursor.nextset()

    @staticmethod
    def _texts(cursor: Any, one: Cargo) -> Sequence[str]:
        text = cursor.mogrify(one.text, one.values) if one.values else one.text
        return (text, _CHECK) if one.is_sure else (text,)

    def _checked(self, text: str) -> str:
        """A look of its own, which follows the statement."""
        return text

    def _is_outrun(self, error: Exception) -> bool:
        return bool(error.args) and error.args[0] in _OUTRUN

    def _look(self) -> None:
        """Nothing: ``commit`` has heard of the server before."""

    def _has_begun(self) -> bool:
        return self._has_flown


def _is_answer(error: Exception) -> bool:
    """The server itself refused; the client's own codes are between 2000 and 2999."""
    code = error.args[0] if error.args else 0
    return isinstance(code, int) and code != 0 and not _CLIENTS <= code < _CLIENTS + 1000
