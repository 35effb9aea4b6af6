"""Worker threads for blocking hooks: a fixed number of slots, each given back by the thread itself when it ends."""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import anyio
import anyio.lowlevel

__all__ = ["NoThreadError", "ThreadSlots"]

T = TypeVar("T")


class NoThreadError(Exception):
    """The system would not start a thread; the function was not called."""


class ThreadSlots:
    """How many blocking calls may run at once; safe for any number of event loops and threads.

    anyio's own limiter is not used: under asyncio it frees an abandoned call's slot at once, so that a vendor that hangs
    could collect any number of threads. Neither are its threads: at exit the interpreter would wait for one that hangs.
    A thread of its own a call costs about a tenth of a millisecond, beside a vendor's answer nothing.

    Args:
        slots: At least 1.
    """

    def __init__(self, slots: int) -> None:
        if slots < 1:
            raise ValueError("at least one thread slot is needed")
        self._lock = threading.Lock()
        self._free = slots
        self._waiting: deque[_Signal] = deque()

    async def acquire(self) -> None:
        """Wait, in order of arrival, until a slot is free, and take it. ``run`` must follow at once."""
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = _Signal()
            self._waiting.append(turn)
        try:
            await turn.wait()
        except BaseException:
            with self._lock:
                still_waiting = turn in self._waiting
                if still_waiting:
                    self._waiting.remove(turn)
            if not still_waiting:  # handed over, but cancelled before this task could run
                self._give_back()
            raise

    async def run(self, function: Callable[[], T]) -> T:
        """Call the function in a thread, within the caller's context variables; takes the slot that was acquired.

        A cancelled caller leaves at once. The thread goes on and keeps the slot until the function returns.

        Raises:
            NoThreadError: It was not called.
            BaseException: What the function raised.
        """
        context = contextvars.copy_context()
        if "sniffio" in sys.modules:  # the variable that says "an event loop runs here" is not true in the thread
            context.run(sys.modules["sniffio"].current_async_library_cvar.set, None)
        answered = _Signal()
        outcome: Future[T] = Future()

        def body() -> None:
            try:
                outcome.set_result(context.run(function))
            except BaseException as error:  # noqa: BLE001 - raised again in the task that waits
                outcome.set_exception(error)
            finally:
                self._give_back()
                answered.set()

        try:
            threading.Thread(target=body, name="otpcore-hook", daemon=True).start()
        except RuntimeError:
            self._give_back()
            raise NoThreadError from None
        await answered.wait()
        return outcome.result()

    def _give_back(self) -> None:
        with self._lock:
            while self._waiting:
                if self._waiting.popleft().set():
                    return
            self._free += 1


class _Signal:
    """An event of the running loop that any thread may set."""

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._loop: Any = anyio.lowlevel.current_token().native_token

    async def wait(self) -> None:
        await self._event.wait()

    def set(self) -> bool:
        """Wake who waits, without waiting for the loop; False when that loop has ended."""
        post = getattr(self._loop, "call_soon_threadsafe", None) or self._loop.run_sync_soon  # asyncio, trio
        with contextlib.suppress(RuntimeError):
            post(self._event.set)
            return True
        return False
