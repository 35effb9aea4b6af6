"""What this process last saw or wrote, from which a unit of work guesses what a look would show.

Nothing is decided upon a guess unless the server finds, at the commit, that it was right.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

__all__ = ["Recall", "ServerClock"]

_DOCS, _HASHES, _RECORDS, _SUBJECTS = 2048, 8192, 8192, 8192
"""So many challenges with all that hangs on them, other hashes, records that were read, and subjects at most."""

_DECAY = 1e-4
"""Seconds a second by which a bound of the server's clock gets wider: more than two clocks drift apart."""

Fields = Mapping[str, str]


class ServerClock:
    """The server's clock, as far as this process can tell: at least so much, and hardly less.

    An answer that came a while ago says that the server's clock has gone on by as much as ours has since. Of all answers the
    one that took least time on its way counts.
    """

    def __init__(self) -> None:
        self._ahead: float | None = None
        self._since = 0.0

    def now(self) -> int | None:
        """Microseconds since 1970; None: no answer came yet."""
        ahead = self._ahead
        return None if ahead is None else int((time.monotonic() + ahead) * 1e6)

    def heard(self, microseconds: int, *, was_wrong: bool = False) -> None:
        """An answer with the server's time has just come; ``was_wrong``: the server says that a guess was."""
        here = time.monotonic()
        ahead = microseconds / 1e6 - here
        before = self._ahead
        if before is not None and not was_wrong:
            ahead = max(ahead, before - _DECAY * (here - self._since))
        self._ahead, self._since = ahead, here


class Recall:
    """The memory of one world. Of any thread.

    Hashes by their keys, the newest challenge of a subject, and records by kind and text. What was noted longest ago is
    forgotten first.
    """

    def __init__(self, clock: ServerClock) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._docs: dict[str, Fields] = {}
        self._hashes: dict[str, Fields] = {}
        self._subjects: dict[str, str] = {}
        self._records: dict[tuple[Any, str], Any] = {}

    def hash(self, key: str) -> Fields | None:
        """As it last was; never changed."""
        return self._table(key)[0].get(key)

    def newest(self, subject: str) -> str | None:
        """The newest challenge of a subject; empty: there was none; None: nobody knows."""
        return self._subjects.get(subject)

    def record(self, kind: Any, text: str) -> Any:
        """The record of a text, or None."""
        return self._records.get((kind, text))

    def note(
        self,
        hashes: Mapping[str, Fields],
        subjects: Mapping[str, str],
        records: Mapping[tuple[Any, str], Any],
    ) -> None:
        """So it is now. An empty hash is what is guessed of one that nobody knows."""
        with self._lock:
            for key, fields in hashes.items():
                table, most = self._table(key)
                table.pop(key, None)
                if fields:
                    _put(table, most, key, fields)
            for subject, newest in subjects.items():
                self._subjects.pop(subject, None)
                _put(self._subjects, _SUBJECTS, subject, newest)
            for name, record in records.items():
                if name not in self._records:
                    _put(self._records, _RECORDS, name, record)

    def note_field(self, key: str, field: str, value: str) -> None:
        """One field of a hash; of others in it nothing is known but what was."""
        with self._lock:
            table, most = self._table(key)
            _put(table, most, key, {**table.get(key, {}), field: value})

    def forget(self) -> None:
        """Nothing is known any more."""
        with self._lock:
            for table in (self._docs, self._hashes, self._subjects, self._records):
                table.clear()

    def _table(self, key: str) -> tuple[dict[str, Fields], int]:
        return (self._docs, _DOCS) if key.startswith("ch:") else (self._hashes, _HASHES)


def _put(table: dict[Any, Any], most: int, key: Any, value: Any) -> None:
    table[key] = value
    if len(table) > most:
        del table[next(iter(table))]
