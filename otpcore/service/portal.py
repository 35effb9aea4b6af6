"""The event loop of a blocking service, in a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

from otpcore.events import fields

__all__ = ["SHUTTING_DOWN", "open_portal", "waiting"]

_logger = logging.getLogger("otpcore.service")

_NAME = "otpcore"
_NO_THREADS = "interpreter shutdown"  # CPython's words, since 3.12

SHUTTING_DOWN = (
    "the interpreter is shutting down, so OTPService cannot be opened any more. Fix: call its open() before; an atexit "
    "handler that is registered after OTPService was imported may then still use it"
)


@contextlib.contextmanager
def open_portal() -> Iterator[BlockingPortal]:
    """A loop of asyncio that any thread can hand work to, until the block ends.

    Raises:
        RuntimeError: The interpreter is shutting down.
    """
    from anyio.from_thread import start_blocking_portal  # noqa: PLC0415 - starts asyncio: at first use

    _warn_where_threads_stand_still()
    start_thread = _native_start()
    portal = start_blocking_portal("asyncio", name=_NAME) if start_thread is None else _portal_in(start_thread)
    with contextlib.ExitStack() as stack:
        try:
            opened = stack.enter_context(portal)
        except RuntimeError as error:
            if _NO_THREADS not in str(error):
                raise
            raise RuntimeError(SHUTTING_DOWN) from None
        yield opened


@contextlib.contextmanager
def waiting() -> Iterator[None]:
    """Around each wait for the loop's thread: without anything else to do, gevent's hub would give up at once."""
    if _patched() is None:
        yield
        return
    from gevent import get_hub  # noqa: PLC0415 - a host of its own kind

    watcher = get_hub().loop.async_()
    watcher.start(lambda: None)
    try:
        yield
    finally:
        watcher.stop()
        watcher.close()


def _warn_where_threads_stand_still() -> None:
    """In uWSGI threads run during requests alone, unless it is told otherwise; nothing would go wrong, and nothing be retried."""
    options = getattr(sys.modules.get("uwsgi"), "opt", None)
    if isinstance(options, dict) and not {"enable-threads", "threads"} & set(options):
        _logger.warning(
            "uWSGI runs no threads between requests, so retries and upkeep stand still. Fix: enable-threads = true",
            extra=fields("threads_stand_still"),
        )


def _patched() -> Any:
    """gevent's, where it has put greenlets in the place of threads; None: threads are what they are."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey if monkey is not None and monkey.is_module_patched("threading") else None


def _native_start() -> Callable[..., Any] | None:
    """What starts a real thread where gevent would start a greenlet in its host's thread.

    asyncio, as Django asks it, would find a loop running there.
    """
    monkey = _patched()
    return None if monkey is None else monkey.get_original("_thread", "start_new_thread")


@contextlib.contextmanager
def _portal_in(start_thread: Callable[..., Any]) -> Iterator[BlockingPortal]:
    from concurrent.futures import Future  # noqa: PLC0415 - of gevent's locks, which wait without holding its hub

    import anyio  # noqa: PLC0415 - as above
    from anyio.from_thread import BlockingPortal  # noqa: PLC0415 - as above

    opened: Future[BlockingPortal] = Future()
    ended: Future[None] = Future()

    async def serve() -> None:
        async with BlockingPortal() as portal:
            opened.set_result(portal)
            await portal.sleep_until_stopped()

    def run() -> None:
        try:
            anyio.run(serve)
        except BaseException as error:  # noqa: BLE001 - a thread has nobody to raise it to
            if not opened.done():
                opened.set_exception(error)
        finally:
            ended.set_result(None)

    start_thread(run, ())
    portal = opened.result()
    try:
        yield portal
    finally:
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            portal.call(portal.stop)
        ended.result()
