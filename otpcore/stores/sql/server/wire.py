"""Statements to a database server, many in one flight there and back.

An error ends the flight: what follows it is not run, not even a COMMIT.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from sqlalchemy import Dialect

from otpcore.stores.rows import OutrunError

__all__ = ["Cargo", "Exchanged", "Landed", "Wire"]


@attrs.frozen
class Landed:
    """What came of one statement: its rows as the driver reads them, and how many rows it changed or found."""

    rows: list[Any]
    count: int


@attrs.define(eq=False)
class Cargo:
    """One statement on its way, and who reads what comes of it."""

    text: str = attrs.field(repr=False)
    values: Sequence[Any] = attrs.field(repr=False)
    is_sure: bool
    then: Callable[[Landed], object] | None


@attrs.frozen
class Exchanged:
    """What came of a flight.

    Args:
        landed: Of each statement before the first that failed.
        error: The driver's; None: all went well.
        at: The place of the statement that it is about; None: it is about the connection.
    """

    landed: list[Landed]
    error: Exception | None = None
    at: int | None = None


class Wire(abc.ABC):
    """One connection during one unit of work.

    Args:
        dialect: Whose statements it takes.
    """

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._queue: list[Cargo] = []
        self.failed: Cargo | None = None
        """The statement that ended the last flight."""
        self.is_open = False
        """A transaction has begun, or may have."""
        self.is_ending = False
        """A COMMIT is on its way, or may have arrived."""

    def add(
        self,
        text: str,
        values: Sequence[Any] = (),
        *,
        is_sure: bool = False,
        then: Callable[[Landed], object] | None = None,
    ) -> Cargo:
        """Queue a statement.

        Args:
            is_sure: It must change exactly one row; if it does not, another unit was faster, and nothing is done.
            then: Gets what came of it.
        """
        cargo = Cargo(self._checked(text) if is_sure else text, values, is_sure, then)
        self._queue.append(cargo)
        return cargo

    def begin(self, *texts: str) -> None:
        """Queue the beginning of a transaction."""
        self.is_open = True
        for text in texts:
            self.add(text)

    def commit(self) -> None:
        """End the transaction together with what is queued.

        Raises:
            OutrunError: An expectation was broken; nothing was done.
        """
        if not self.is_open:
            return
        self._look()
        sent = [*self._queue, Cargo("COMMIT", (), is_sure=False, then=None)]
        self._queue = []
        self.is_ending = True
        done = self._exchange(sent)
        if done.error is None or (done.at is not None and done.at < len(sent) - 1):
            self.is_ending = False  # it is known whether it took place
        self._raise(done, sent)
        self.is_open = False

    def rollback(self) -> None:
        """Undo what was done, and forget what is queued."""
        self._queue = []
        if self.is_open and self._has_begun():  # else it never did
            sent = [Cargo("ROLLBACK", (), is_sure=False, then=None)]
            self._raise(self._exchange(sent), sent)
        self.is_open = False

    def fly(self) -> None:
        """Send what is queued, and wait for all answers.

        Raises:
            OutrunError: An expectation was broken.
        """
        self._look()
        self._send_all()

    def _send_all(self) -> None:
        sent, self._queue = self._queue, []
        done = self._exchange(sent)
        self._raise(done, sent)
        for one, landed in zip(sent, done.landed, strict=True):
            if one.then is not None:
                one.then(landed)

    def _raise(self, done: Exchanged, sent: Sequence[Cargo]) -> None:
        if done.error is None:
            return
        self.failed = None if done.at is None else sent[done.at]
        if self.failed is not None and self.failed.is_sure and self._is_outrun(done.error):
            raise OutrunError("another unit was faster") from None
        raise done.error

    @abc.abstractmethod
    def _exchange(self, sent: Sequence[Cargo]) -> Exchanged:
        """Send these, and wait for what comes of them."""

    @abc.abstractmethod
    def _checked(self, text: str) -> str:
        """A statement that fails unless it changes exactly one row."""

    @abc.abstractmethod
    def _is_outrun(self, error: Exception) -> bool:
        """It says that what must change one row did not."""

    @abc.abstractmethod
    def _look(self) -> None:
        """That the server has not hung up while nobody used the connection: then nothing was sent, not even a COMMIT."""

    @abc.abstractmethod
    def _has_begun(self) -> bool:
        """The server has, or may have, a transaction to undo."""
