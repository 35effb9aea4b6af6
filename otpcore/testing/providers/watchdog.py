"""Ends a test whose event loop stands still: a signal interrupts what blocks it, and no thread is needed."""

from __future__ import annotations

import signal
import sysconfig
import threading
import time
import traceback
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import pytest

import otpcore
from otpcore.providers.provider import load_provider

__all__ = ["Watchdog"]

_BLOCKS = (
    "your hook blocks the event loop: use `def` (a plain hook runs in a thread of its own) or `otpcore.http`. Nothing "
    "else could run for {limit:g} s (`watchdog` of the suite); it stands at {place}"
)
_LOADS = (
    "loading takes longer than {limit:g} s (`watchdog` of the suite): no I/O at import, in the factory and in "
    "`describe`; it stands at {place}"
)
_OF_OTHERS = (
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    str(Path(otpcore.__file__).parent),
    "<",
)
_LATER = 0.25  # seconds by which a loop that goes on ends the test itself before the signal comes
_WAITING = ("asyncio", "anyio", "trio", "_pytest")
_PRIMITIVES = ("selectors", "queue", "threading", "concurrent.futures._base")


class _BlockedError(BaseExceptionGroup[KeyboardInterrupt]):
    """Raised where the loop stands still.

    A group round a ``KeyboardInterrupt``: ``otpcore`` lets that pass, as it ends the caller, while event loops take it
    for the error of one task, so that the run goes on.
    """

    def __new__(cls) -> Self:
        return super().__new__(cls, "the watchdog of the contract suite", [KeyboardInterrupt()])


class Watchdog:
    """A context that fails the test when it has taken ``limit`` seconds and what runs does not let go.

    It needs the main thread and a system with timers by signals; elsewhere it does nothing. A timer that runs already,
    such as pytest-timeout's, goes on afterwards.

    Args:
        limit: Seconds.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._words = _BLOCKS
        self._is_armed = False
        self._has_fired = False
        self._place = ""
        self._before: Any = None

    def __enter__(self) -> Self:
        if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGALRM, self._bark)
            self._began = time.monotonic()
            self._before = signal.setitimer(signal.ITIMER_REAL, self._limit + _LATER, self._limit)
            self._is_armed = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_armed:
            self._is_armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._handler)
            left, interval = self._before
            if left:
                signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - self._began), 0.001), interval)
        if self._has_fired:
            raise pytest.fail.Exception(
                self._words.format(limit=self._limit, place=self._place), pytrace=False
            ) from None  # where it stood is in the words; the event loop's own lines say nothing more

    def _bark(self, _number: int, frame: FrameType | None) -> None:
        if self._is_armed and not _is_idle(frame):
            self._has_fired = True
            if not self._place:
                self._place = _place_of(frame)
                self._words = _LOADS if _is_loading(frame) else _BLOCKS
            raise _BlockedError


def _is_idle(frame: FrameType | None) -> bool:
    """Whether an event loop waits for something to happen: then it ends the test itself."""
    while frame is not None and frame.f_globals.get("__name__") in _PRIMITIVES:
        frame = frame.f_back
    return frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in _WAITING


def _is_loading(frame: FrameType | None) -> bool:
    """Whether a provider is being loaded."""
    while frame is not None and frame.f_code is not load_provider.__code__:
        frame = frame.f_back
    return frame is not None


def _place_of(frame: FrameType | None) -> str:
    """The innermost line that its author wrote, as far as paths tell: none of Python, otpcore and what is installed."""
    lines = traceback.extract_stack(frame)
    own = [line for line in lines if not line.filename.startswith(_OF_OTHERS)]
    line = (own or lines)[-1]
    return f"{line.filename}:{line.lineno} in {line.name}"
