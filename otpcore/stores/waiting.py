"""How a task waits for a thread: woken with one call into its event loop, however many wait there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

import anyio
import anyio.lowlevel
import attrs

__all__ = ["Waiter", "new_waiter", "wake"]


class Waiter(Protocol):
    """One task that waits."""

    loop: Any

    def wait(self) -> Awaitable[None]:
        """Until it is woken; only the task that made it may."""

    def set(self) -> None:
        """Wake it; only in its event loop."""


def new_waiter() -> Waiter:
    """For the running task."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    # A trio loop may be the guest of an asyncio one; it runs in a callback, which is no task.
    return _Event() if task is None else _Future(asyncio.get_running_loop())


def wake(waiters: Iterable[Waiter]) -> None:
    """Wake them from any thread; those whose loop has ended wait no more."""
    of_loop: dict[Any, list[Waiter]] = {}
    for waiter in waiters:
        of_loop.setdefault(waiter.loop, []).append(waiter)
    for loop, there in of_loop.items():
        post: Callable[..., object] = getattr(loop, "call_soon_threadsafe", None) or loop.run_sync_soon
        try:
            post(_set_all, there)
        except RuntimeError:  # the loop has ended
            continue


def _set_all(waiters: Iterable[Waiter]) -> None:
    for waiter in waiters:
        waiter.set()


class _Future:
    """Under asyncio a bare future: anyio's event costs as much as the statement that is waited for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._future: asyncio.Future[None] = loop.create_future()

    def wait(self) -> Awaitable[None]:
        return self._future

    def set(self) -> None:
        if not self._future.done():  # cancelled with its task
            self._future.set_result(None)


@attrs.define(eq=False)
class _Event:
    """Under any other event loop that anyio knows."""

    loop: Any = attrs.field(factory=lambda: anyio.lowlevel.current_token().native_token)
    _event: anyio.Event = attrs.field(factory=anyio.Event)

    def wait(self) -> Awaitable[None]:
        return self._event.wait()

    def set(self) -> None:
        self._event.set()
