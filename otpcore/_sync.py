"""`OTPService`: the blocking twin of `AsyncOTPService`, for plain synchronous code, threads and forking servers."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio.lowlevel

from otpcore._service import AsyncOTPService
from otpcore.config import Settings, load_settings
from otpcore.hookspecs import utc_now

if TYPE_CHECKING:
    from concurrent.futures import Future

    from anyio.from_thread import BlockingPortal

    from otpcore._providers import ForcedProviders
    from otpcore.figures import PurgeCount
    from otpcore.interfaces import RetryRunner, Store
    from otpcore.models import Challenge, ReceiptRequest, ReceiptResult, RetryJob, Verification
    from otpcore.sandbox import SandboxMessage
    from otpcore.status import Status

T = TypeVar("T")

_services: weakref.WeakSet[OTPService] = weakref.WeakSet()
_inherited: list[object] = []  # what a fork left behind; closing it would join threads that the child does not have


class OTPService:
    """Sends one-time passcodes and verifies them, blocking.

    Construction does no I/O. It opens on first use (after a fork: again) and closes at exit, or with ``close``; any
    number of threads may share one. Arguments, results and errors are those of ``AsyncOTPService``.
    """

    def __init__(
        self,
        settings: Settings | Mapping[str, Any] | None = None,
        *,
        providers: ForcedProviders | None = None,
        store: Store | str | None = None,
        runner: RetryRunner | str | None = None,
        observers: Sequence[object] = (),
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._arguments: dict[str, Any] = {
            "providers": providers,
            "store": store,
            "runner": runner,
            "observers": observers,
            "clock": clock,
        }
        self._given_settings = settings
        self._lock = threading.Lock()
        self._open: _Open | None = None
        _services.add(self)

    @classmethod
    def from_settings(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        providers: ForcedProviders | None = None,
        store: Store | str | None = None,
        runner: RetryRunner | str | None = None,
        observers: Sequence[object] = (),
        clock: Callable[[], datetime] = utc_now,
    ) -> Self:
        """As ``AsyncOTPService.from_settings``."""
        return cls(
            load_settings(path), providers=providers, store=store, runner=runner, observers=observers, clock=clock
        )

    def __enter__(self) -> Self:
        self._opened()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Finish what is under way and close; the next use opens it again."""
        with self._lock:
            opened, self._open = self._open, None
        if opened is not None:
            opened.close()

    def send_sms(
        self,
        phone: str,
        *,
        purpose: str = "default",
        client: str | None = None,
        locale: str | None = None,
        message: str | None = None,
    ) -> Challenge:
        """As ``AsyncOTPService.send_sms``."""
        return self._run(
            lambda otp: otp.send_sms(phone, purpose=purpose, client=client, locale=locale, message=message)
        )

    def call(
        self,
        phone: str,
        *,
        purpose: str = "default",
        client: str | None = None,
        locale: str | None = None,
        message: str | None = None,
    ) -> Challenge:
        """As ``AsyncOTPService.call``."""
        return self._run(lambda otp: otp.call(phone, purpose=purpose, client=client, locale=locale, message=message))

    def verify(
        self,
        phone: str | None = None,
        code: str = "",
        *,
        challenge_id: str | None = None,
        purpose: str = "default",
        client: str | None = None,
    ) -> Verification:
        """As ``AsyncOTPService.verify``."""
        return self._run(lambda otp: otp.verify(phone, code, challenge_id=challenge_id, purpose=purpose, client=client))

    def cancel(self, challenge_id: str) -> bool:
        """As ``AsyncOTPService.cancel``."""
        return self._run(lambda otp: otp.cancel(challenge_id))

    def handle_receipt(self, instance: str, request: ReceiptRequest) -> ReceiptResult:
        """As ``AsyncOTPService.handle_receipt``."""
        return self._run(lambda otp: otp.handle_receipt(instance, request))

    def run_retry(self, job: RetryJob) -> RetryJob | None:
        """As ``AsyncOTPService.run_retry``."""
        return self._run(lambda otp: otp.run_retry(job))

    def purge(self, *, phone: str | None = None) -> PurgeCount:
        """As ``AsyncOTPService.purge``."""
        return self._run(lambda otp: otp.purge(phone=phone))

    def sandbox_inbox(self, phone: str | None = None) -> tuple[SandboxMessage, ...]:
        """As ``AsyncOTPService.sandbox_inbox``."""

        async def read(otp: AsyncOTPService) -> tuple[SandboxMessage, ...]:
            return otp.sandbox_inbox(phone)

        return self._run(read)

    def status(self, *, window: float = 3600.0) -> Status:
        """As ``AsyncOTPService.status``."""
        return self._run(lambda otp: otp.status(window=window))

    def diagnose(self) -> dict[str, Any]:
        """As ``AsyncOTPService.diagnose``."""
        return self._run(lambda otp: otp.diagnose())

    @property
    def settings(self) -> Settings:
        """As ``AsyncOTPService.settings``."""
        return asynchronous(self).settings

    def _run(self, use: Callable[[AsyncOTPService], Coroutine[Any, Any, T]]) -> T:
        _refuse_inside_a_loop()
        opened = self._opened()
        future: Future[T] = opened.portal.start_task_soon(use, opened.service)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C stops waiting here; what the call was doing must stop too, or closing waits for it
            raise

    def _opened(self) -> _Open:
        _refuse_inside_a_loop()
        with self._lock:
            if self._open is None:
                self._open = _Open(asynchronous(self))
            return self._open

    def _set_aside(self) -> None:
        """In the child of a fork: keep what the parent's threads own, untouched, and start anew on next use."""
        _inherited.append((self._open, self._lock))
        if self._open is not None:
            atexit.unregister(self._open.close)
            forget = getattr(self._open.store, "forget", None)
            if forget is not None:
                forget()
        self._open = None
        self._lock = threading.Lock()


def asynchronous(service: OTPService) -> AsyncOTPService:
    """A new ``AsyncOTPService`` with the same arguments, not open."""
    return AsyncOTPService(service._given_settings, **service._arguments)  # noqa: SLF001 - of this module


class _Open:
    """One portal for life, with the service opened in it."""

    def __init__(self, service: AsyncOTPService) -> None:
        from anyio.from_thread import start_blocking_portal  # noqa: PLC0415 - starts asyncio: at first use

        self.service = service
        with ExitStack() as stack:
            self.portal: BlockingPortal = stack.enter_context(start_blocking_portal("asyncio", name="otpcore"))
            context: AbstractContextManager[AsyncOTPService] = self.portal.wrap_async_context_manager(service)
            stack.enter_context(context)
            self._stack = stack.pop_all()
        self._closing = threading.Lock()
        atexit.register(self.close)  # without it the portal's thread keeps the process alive

    @property
    def store(self) -> object:
        """The store, for what a fork must set aside."""
        return self.service._parts.store  # noqa: SLF001 - the twin of this class

    def close(self) -> None:
        """Once."""
        with self._closing:
            atexit.unregister(self.close)
            self._stack.close()


def _refuse_inside_a_loop() -> None:
    try:
        anyio.lowlevel.current_token()
    except RuntimeError:
        return
    raise RuntimeError("OTPService blocks, and an event loop runs in this thread; use AsyncOTPService here")


def _after_fork() -> None:
    for service in list(_services):
        service._set_aside()  # noqa: SLF001 - the module's own class


os.register_at_fork(after_in_child=_after_fork)
