"""Holds what was opened until it is to be closed; under asyncio in a task of its own.

What a service opens has task groups in it, and these must be left in the task that entered them. A host may well open in
one task and close in another: pytest-asyncio does with each half of a fixture, and so do some frameworks' start-up hooks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import anyio

from otpcore.events import fields

__all__ = ["Lifetime", "begin"]

_logger = logging.getLogger("otpcore.service")


class Lifetime:
    """From what was opened to its closing. Made by ``begin``."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    @property
    def is_over(self) -> bool:
        """It was closed, or what it held broke down."""
        return False

    async def end(self) -> None:
        """Close; return when that is done."""
        await self._stack.aclose()


class _Task(Lifetime):
    """One in a task of its own."""

    def __init__(self, open_into: Callable[[AsyncExitStack], Awaitable[None]]) -> None:
        self._open_into = open_into
        self._opened = asyncio.Event()
        self._closing = asyncio.Event()
        self._task = asyncio.create_task(self._live(), name="otpcore service")
        self._task.add_done_callback(self._report)

    @property
    def is_over(self) -> bool:
        return self._task.done()

    async def opened(self) -> None:
        """Return when it is open, or raise what kept it from opening."""
        waiting = asyncio.create_task(self._opened.wait())
        try:
            await self._outlast(asyncio.wait({self._task, waiting}, return_when=asyncio.FIRST_COMPLETED))
        finally:
            waiting.cancel()
        if self._task.done():
            self._task.result()

    async def end(self) -> None:
        self._closing.set()
        await self._outlast(asyncio.wait({self._task}))
        self._task.result()

    async def _live(self) -> None:
        async with AsyncExitStack() as stack:
            await self._open_into(stack)
            self._opened.set()
            await self._closing.wait()

    def _report(self, task: asyncio.Task[None]) -> None:
        """What ended it while nobody waited."""
        if self._opened.is_set() and not self._closing.is_set() and not task.cancelled():
            name = type(task.exception()).__name__
            _logger.error("the service broke down and is closed: %s", name, extra=fields("service_ended", reason=name))

    async def _outlast(self, wait: Awaitable[object]) -> None:
        """Wait; whoever is cancelled meanwhile takes what is held down with him, and sees it end."""
        try:
            await wait
        except asyncio.CancelledError:
            self._task.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait({self._task})
            raise


async def begin(open_into: Callable[[AsyncExitStack], Awaitable[None]]) -> Lifetime:
    """Open, by pushing on the stack what is to be closed; what was pushed is closed if opening fails.

    Raises:
        Exception: Whatever kept it from opening.
    """
    if _under_asyncio():
        held = _Task(open_into)
        await held.opened()
        return held
    # Under trio no task can end while what it opened lives on, so that opening and closing are one task's there.
    async with AsyncExitStack() as stack:
        await open_into(stack)
        return Lifetime(stack.pop_all())


def _under_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
