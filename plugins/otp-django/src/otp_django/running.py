"""The services of a process: ``otp`` for plain code, ``aotp`` for coroutines; made from ``OTPCORE`` at first use."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from asgiref.sync import sync_to_async

from otp_django import conf
from otpcore import AsyncOTPService, OTPConfigurationError, OTPError, OTPService

__all__ = ["AsyncFace", "aotp", "forget", "otp", "running_here", "service", "stand_in"]

P = ParamSpec("P")
R = TypeVar("R")


class _Held:
    """What is open in this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.made: OTPService | None = None
        self.of_test: OTPService | None = None
        self.of_loop: tuple[asyncio.AbstractEventLoop, AsyncOTPService] | None = None


_held = _Held()


def service() -> OTPService:
    """The process's own ``OTPService``; it opens at first use. For ``otp --app otp_django.running:service`` too.

    Raises:
        OTPConfigurationError: A setting is wrong.
    """
    with _held.lock:
        if _held.of_test is not None:
            return _held.of_test
        if _held.made is None:
            _held.made = OTPService(conf.load_to_send())
        return _held.made


def forget() -> None:
    """Close what is open; the next use reads the settings anew. For tests that change them."""
    with _held.lock:
        made, _held.made = _held.made, None
    if made is not None:
        made.close()


@contextlib.contextmanager
def stand_in(other: OTPService) -> Iterator[None]:
    """Within the block, ``otp`` and ``aotp`` are another service, in every thread; it is closed afterwards."""
    before, _held.of_test = _held.of_test, other
    try:
        yield
    finally:
        _held.of_test = before
        other.close()


@contextlib.asynccontextmanager
async def running_here() -> AsyncIterator[None]:
    """Within the block an ``AsyncOTPService`` is open on this event loop, and ``aotp`` is it.

    Raises:
        OTPConfigurationError: Something must be corrected before anything can be sent.
        StoreError: The store cannot be used.
    """
    async with AsyncOTPService(conf.load_to_send()) as opened:
        _held.of_loop = asyncio.get_running_loop(), opened
        try:
            yield
        finally:
            _held.of_loop = None


def _without_frames(method: Callable[P, R]) -> Callable[P, R]:
    """The method; its errors come without the frames below: Django's error pages and mails show what is in frames.

    What they show would be codes, numbers and the database's URL. The text of the errors says what is needed.
    """

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except (OTPError, OTPConfigurationError) as error:
            told = conf.spelling().retold(error).with_traceback(None)
        del args, kwargs
        raise told from None

    return call


class _Face:
    """Whatever the service of the moment has."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(service(), name)
        return _without_frames(found) if callable(found) and name != "operator" else found

    def __repr__(self) -> str:
        return "<otp_django.otp>"


def _awaited(
    method: Callable[Concatenate[AsyncOTPService, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[AsyncFace, P], Coroutine[Any, Any, R]]:
    name = method.__name__

    async def call(_: AsyncFace, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return cast("R", await _called(name, args, kwargs))
        except (OTPError, OTPConfigurationError) as error:
            told = conf.spelling().retold(error).with_traceback(None)
        del args, kwargs
        raise told from None

    functools.update_wrapper(call, method)  # the arguments and words of the method
    return call


async def _called(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    here = _held.of_loop
    if _held.of_test is None and here is not None and here[0] is asyncio.get_running_loop():
        return await getattr(here[1], name)(*args, **kwargs)
    return await sync_to_async(lambda: getattr(service(), name)(*args, **kwargs), thread_sensitive=False)()


class AsyncFace:
    """The methods of ``AsyncOTPService``, for async views.

    Under ``otp_django.asgi`` they run on the server's own event loop. On any other loop, such as the one that Django
    makes for an async view under WSGI, the process's ``OTPService`` does the work, and a thread waits for it.
    """

    send = _awaited(AsyncOTPService.send)
    send_sms = _awaited(AsyncOTPService.send_sms)
    call = _awaited(AsyncOTPService.call)
    verify = _awaited(AsyncOTPService.verify)
    cancel = _awaited(AsyncOTPService.cancel)
    handle_receipt = _awaited(AsyncOTPService.handle_receipt)
    purge = _awaited(AsyncOTPService.purge)
    status = _awaited(AsyncOTPService.status)
    diagnose = _awaited(AsyncOTPService.diagnose)

    def __repr__(self) -> str:
        return "<otp_django.aotp>"


if TYPE_CHECKING:
    otp: OTPService
else:
    otp = _Face()
"""The process's ``OTPService``."""

aotp = AsyncFace()
"""The same for coroutines."""
