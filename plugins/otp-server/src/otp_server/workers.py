"""Several processes that do the same work: begun, watched, replaced when they die, and ended together."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import attrs

__all__ = ["Crew", "Work"]

_SPAWN = multiprocessing.get_context("spawn")  # threads and event loops survive no fork
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_FIRST_REST, _LONGEST_REST = 1.0, 30.0  # seconds before one that died at once is replaced
_WELL = 10.0  # seconds after which a death is no sequel of the one before
_FAILED = 70
Work = Callable[..., None]
"""What each process does: it is given the arguments of its crew, and ``ready``, which it calls once it works."""


@attrs.define(eq=False)
class _Worker:
    """One process, and what it has to say."""

    process: BaseProcess
    channel: Connection
    begun: float
    is_ready: bool = False
    failure: Exception | None = None


@attrs.define(eq=False, kw_only=True)
class Crew:
    """Processes that share what they are given, such as a socket that listens.

    Args:
        work: Done by each; a function of a module, since the processes begin anew. It ends in good order with SIGTERM, and
            at once with a second one.
        given: Its arguments.
        count: How many processes.
        patience: Seconds in which they end, before they are killed.
        announce: Called once, when all of them work.
        note: Tells people what happens.
    """

    work: Work
    given: tuple[Any, ...]
    count: int
    patience: float
    announce: Callable[[], None]
    note: Callable[[str], None]
    _workers: list[_Worker] = attrs.field(factory=list, init=False)
    _rest: float = attrs.field(default=_FIRST_REST, init=False)
    _due: list[float] = attrs.field(factory=list, init=False)
    _is_announced: bool = attrs.field(default=False, init=False)
    _asked_at: float | None = attrs.field(default=None, init=False)

    def run(self) -> None:
        """Work until SIGTERM or SIGINT.

        Raises:
            Exception: What kept the first of them from working at all; no other was begun.
        """
        with _told_of_signals() as signals:
            self._hire()
            try:
                while self._workers or self._due:
                    self._hear(signals)
                    self._look()
            finally:
                for one in self._workers:
                    one.process.kill()
                    one.process.join()

    def _hire(self) -> None:
        ours, theirs = _SPAWN.Pipe(duplex=False)
        process = _SPAWN.Process(target=_begin, args=(theirs, self.work, self.given), name="otp serve")
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Ctrl-C is for this process, which tells the others
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            theirs.close()
        self._workers.append(_Worker(process, ours, time.monotonic()))

    def _hear(self, signals: int) -> None:
        """Wait for a signal, a word, a death, or the time to do something."""
        sources: list[Any] = [signals, *(one.process.sentinel for one in self._workers)]
        sources += [one.channel for one in self._workers if not (one.is_ready or one.channel.closed)]
        for source in wait(sources, self._until()):
            if source == signals:
                for number in os.read(signals, 64):
                    self._end(signal.Signals(number))
        for one in self._workers:
            self._listen(one)

    def _until(self) -> float | None:
        times = [*self._due, *([] if self._asked_at is None else [self._asked_at + self.patience])]
        return max(min(times) - time.monotonic(), 0) if times else None

    def _listen(self, one: _Worker) -> None:
        with contextlib.suppress(EOFError, OSError):
            if not one.channel.closed and one.channel.poll():
                one.failure = one.channel.recv()
                one.is_ready = one.failure is None
                one.channel.close()
                return
        if not one.process.is_alive():
            one.channel.close()

    def _end(self, number: signal.Signals) -> None:
        """Ask all of them to end; asked again, they end at once."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            self.note(f"{number.name}: finishing what is under way; another one stops at once")
        self._due.clear()
        for one in self._workers:
            if one.process.is_alive():
                one.process.terminate()

    def _look(self) -> None:
        """See who has died, who is missing, and whether all are there."""
        now = time.monotonic()
        for one in [one for one in self._workers if not one.process.is_alive()]:
            one.process.join()
            self._workers.remove(one)
            if self._asked_at is None:
                self._replace(one, now)
        if self._asked_at is not None:
            if now >= self._asked_at + self.patience:
                for one in self._workers:
                    one.process.kill()
            return
        for _ in [due for due in self._due if due <= now]:
            self._hire()
        self._due = [due for due in self._due if due > now]
        if self._workers and all(one.is_ready for one in self._workers):
            self._complete()

    def _complete(self) -> None:
        missing = self.count - len(self._workers) - len(self._due)
        for _ in range(missing):
            self._hire()
        if not missing and not self._due and not self._is_announced:
            self._is_announced = True
            self.announce()

    def _replace(self, gone: _Worker, now: float) -> None:
        """Another one takes its place, later and later where they die at once."""
        if not self._is_announced and gone.failure is not None and not self._workers:
            raise gone.failure
        why = type(gone.failure).__name__ if gone.failure is not None else f"exit code {gone.process.exitcode}"
        if now - gone.begun >= _WELL:
            self._rest = 0.0
        self.note(f"a worker died ({why}); another one takes its place")
        self._due.append(now + self._rest)
        self._rest = min(max(self._rest * 2, _FIRST_REST), _LONGEST_REST)


@contextlib.contextmanager
def _told_of_signals() -> Iterator[int]:
    """Where the numbers of the signals that come can be read."""
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
    old = signal.set_wakeup_fd(writes)
    try:
        yield reads
    finally:
        signal.set_wakeup_fd(old)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reads)
        os.close(writes)


def _begin(channel: Connection, work: Work, given: tuple[Any, ...]) -> None:
    """The life of one process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        work(*given, ready=lambda: channel.send(None))
    except Exception as error:  # noqa: BLE001 - it is told by the process that began this one
        with contextlib.suppress(Exception):
            channel.send(error)
        sys.exit(_FAILED)
