"""Keeps a fork away from work on SQLite: a child must not inherit a transaction, nor a connection."""

from __future__ import annotations

import os
import threading
import weakref
from types import TracebackType
from typing import Protocol

__all__ = ["ForkGate", "Forkable", "watch"]


class Forkable(Protocol):
    """Something that holds connections."""

    gate: ForkGate

    def let_go(self) -> None:
        """Close all connections; nobody is at work, and they are opened again when needed."""

    def forget(self) -> None:
        """In the child: the threads are gone; be as if never opened."""


class ForkGate:
    """Work enters and leaves; a fork waits until nobody is inside, and keeps everybody out until it is done."""

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.Lock())
        self._inside = 0
        self._closed = False

    def __enter__(self) -> None:
        with self._condition:
            while self._closed:
                self._condition.wait()
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._condition:
            self._inside -= 1
            if not self._inside:
                self._condition.notify_all()

    def close(self) -> None:
        """Wait until nobody is inside; nobody enters until ``open``."""
        self._condition.acquire()
        self._closed = True
        while self._inside:
            self._condition.wait()

    def open(self) -> None:
        """Let work in again."""
        self._closed = False
        self._condition.notify_all()
        self._condition.release()


def watch(one: Forkable) -> None:
    """Mind this one at every fork, as long as it exists."""
    with _lock:
        _watched.add(one)


_lock = threading.Lock()
_watched: weakref.WeakSet[Forkable] = weakref.WeakSet()
_held: list[Forkable] = []


def _before() -> None:
    _lock.acquire()
    _held[:] = _watched
    for one in _held:
        one.gate.close()
        one.let_go()


def _after_in_parent() -> None:
    for one in _held:
        one.gate.open()
    _held.clear()
    _lock.release()


def _after_in_child() -> None:
    for one in _held:
        one.gate.open()
        one.forget()
    _held.clear()
    _lock.release()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
