"""`OTPService`: the blocking twin of `AsyncOTPService`, for plain synchronous code, threads and forking servers."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio.lowlevel

from otpcore.clock import utc_now
from otpcore.models import World
from otpcore.service.asynchronous import AsyncOTPService, service_of
from otpcore.service.portal import SHUTTING_DOWN, open_portal, waiting
from otpcore.service.setup import Setup
from otpcore.settings.tree import Settings, load_settings

if TYPE_CHECKING:
    from concurrent.futures import Future

    from anyio.from_thread import BlockingPortal

    from otpcore.messages.payments import Payment
    from otpcore.models import Challenge, ReceiptResult, RetryDue, RetryElsewhere, RetryJob, RetryOver, Verification
    from otpcore.operator.blocking import Operator
    from otpcore.providers.delivered import DeliveredMessage
    from otpcore.providers.loading import ForcedProviders
    from otpcore.providers.requests import ReceiptRequest
    from otpcore.runners.contract import RetryRunner
    from otpcore.service.status import Status
    from otpcore.stores.contract import Store
    from otpcore.stores.counts import PurgeCount

T = TypeVar("T")

_services: weakref.WeakSet[OTPService] = weakref.WeakSet()
_still_open: set[_Open] = set()
_exiting = threading.Event()
_inherited: list[object] = []  # what a fork left behind; closing it would join threads that the child does not have


class OTPService:
    """Sends one-time passcodes and verifies them, blocking.

    Construction does no I/O. It opens with ``open``, or on first use (after a fork: again), and closes at exit, or with
    ``close``; any number of threads may share one. Arguments, results and errors are those of ``AsyncOTPService``.
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
        self._setup = Setup(
            given=settings, providers=providers, store=store, runner=runner, observers=tuple(observers), clock=clock
        )
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
            load_settings(path),
            providers=providers,
            store=store,
            runner=runner,
            observers=tuple(observers),
            clock=clock,
        )

    def __enter__(self) -> Self:
        self._opened()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """Open now instead of on first use: retries that another process left go on, and wrong settings show at the start.

        Call it where your server starts a worker process, after any fork. Nothing happens where it is open.

        Raises:
            OTPConfigurationError: Something must be mended before anything can be sent.
            StoreError: The store cannot be used.
        """
        self._opened()

    def close(self) -> None:
        """Finish what is under way and close; the next use opens it again."""
        with self._lock:
            opened, self._open = self._open, None
        if opened is not None:
            opened.close()

    def send(
        self,
        phone: str,
        *,
        channel: str = "sms",
        purpose: str = "default",
        client: str | None = None,
        locale: str | None = None,
        message: str | None = None,
        code: str | None = None,
        payment: Payment | None = None,
        verifiable: bool = True,
        app: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> Challenge:
        """As ``AsyncOTPService.send``."""
        return self._run(
            lambda otp: otp.send(
                phone,
                channel=channel,
                purpose=purpose,
                client=client,
                locale=locale,
                message=message,
                code=code,
                payment=payment,
                verifiable=verifiable,
                app=app,
                metadata=metadata,
            )
        )

    def send_sms(
        self,
        phone: str,
        *,
        purpose: str = "default",
        client: str | None = None,
        locale: str | None = None,
        message: str | None = None,
        code: str | None = None,
        payment: Payment | None = None,
        verifiable: bool = True,
        app: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> Challenge:
        """As ``AsyncOTPService.send_sms``."""
        return self._run(
            lambda otp: otp.send_sms(
                phone,
                purpose=purpose,
                client=client,
                locale=locale,
                message=message,
                code=code,
                payment=payment,
                verifiable=verifiable,
                app=app,
                metadata=metadata,
            )
        )

    def call(
        self,
        phone: str,
        *,
        purpose: str = "default",
        client: str | None = None,
        locale: str | None = None,
        message: str | None = None,
        code: str | None = None,
        payment: Payment | None = None,
        verifiable: bool = True,
        app: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> Challenge:
        """As ``AsyncOTPService.call``."""
        return self._run(
            lambda otp: otp.call(
                phone,
                purpose=purpose,
                client=client,
                locale=locale,
                message=message,
                code=code,
                payment=payment,
                verifiable=verifiable,
                app=app,
                metadata=metadata,
            )
        )

    def verify(
        self,
        phone: str | None = None,
        code: str = "",
        *,
        challenge_id: str | None = None,
        purpose: str = "default",
        client: str | None = None,
        app: str = "",
        payment: Payment | None = None,
    ) -> Verification:
        """As ``AsyncOTPService.verify``."""
        return self._run(
            lambda otp: otp.verify(
                phone,
                code,
                challenge_id=challenge_id,
                purpose=purpose,
                client=client,
                app=app,
                payment=payment,
            )
        )

    def cancel(self, challenge_id: str) -> bool:
        """As ``AsyncOTPService.cancel``."""
        return self._run(lambda otp: otp.cancel(challenge_id))

    def handle_receipt(self, instance: str, request: ReceiptRequest) -> ReceiptResult:
        """As ``AsyncOTPService.handle_receipt``."""
        return self._run(lambda otp: otp.handle_receipt(instance, request))

    def run_retry(self, job: RetryJob) -> RetryDue | RetryElsewhere | RetryOver:
        """As ``AsyncOTPService.run_retry``."""
        return self._run(lambda otp: otp.run_retry(job))

    def purge(self, *, phone: str | None = None) -> PurgeCount:
        """As ``AsyncOTPService.purge``."""
        return self._run(lambda otp: otp.purge(phone=phone))

    def sandbox_inbox(self, phone: str | None = None) -> tuple[DeliveredMessage, ...]:
        """As ``AsyncOTPService.sandbox_inbox``."""

        async def read(otp: AsyncOTPService) -> tuple[DeliveredMessage, ...]:
            return otp.sandbox_inbox(phone)

        return self._run(read)

    def status(self, *, window: float = 3600.0) -> Status:
        """As ``AsyncOTPService.status``."""
        return self._run(lambda otp: otp.status(window=window))

    def diagnose(self) -> dict[str, Any]:
        """As ``AsyncOTPService.diagnose``."""
        return self._run(lambda otp: otp.diagnose())

    @property
    def operator(self) -> Operator:
        """As ``AsyncOTPService.operator``, blocking."""
        from otpcore.operator.blocking import operator_through  # noqa: PLC0415 - no send needs it

        return operator_through(lambda use: self._run(lambda otp: use(otp.operator)))

    @property
    def settings(self) -> Settings:
        """As ``AsyncOTPService.settings``."""
        return service_of(self._setup).settings

    def _run(self, use: Callable[[AsyncOTPService], Coroutine[Any, Any, T]]) -> T:
        _refuse_inside_a_loop()
        opened = self._opened()
        with waiting():
            future: Future[T] = opened.portal.start_task_soon(use, opened.service)
            try:
                return future.result()
            except BaseException:
                future.cancel()  # Ctrl-C stops waiting; what the call was doing must stop too, or closing waits for it
                raise

    def _opened(self) -> _Open:
        _refuse_inside_a_loop()
        with self._lock:
            if (
                self._open is None or self._open.is_closed
            ):  # at exit it is closed, and a host's own handler may run later
                self._open = _Open(service_of(self._setup))
            return self._open

    def _set_aside(self) -> None:
        """In the child of a fork: keep what the parent's threads own, untouched, and start anew on next use."""
        _inherited.append((self._open, self._lock))
        if self._open is not None:
            _still_open.discard(self._open)
            forget = getattr(self._open.store, "forget", None)
            if forget is not None:
                forget()
        self._open = None
        self._lock = threading.Lock()


class _Open:
    """One portal for life, with the service opened in it."""

    def __init__(self, service: AsyncOTPService) -> None:
        if _exiting.is_set():
            raise RuntimeError(SHUTTING_DOWN)
        self.service = service
        self.is_closed = False
        with ExitStack() as stack, waiting():
            self.portal: BlockingPortal = stack.enter_context(open_portal())
            context: AbstractContextManager[AsyncOTPService] = self.portal.wrap_async_context_manager(service)
            stack.enter_context(context)
            self._stack = stack.pop_all()
        self._closing = threading.Lock()
        _still_open.add(self)
        self._finalizer = _at_the_end_of_a_child(self.close)

    @property
    def store(self) -> object:
        """The store as it was made, for what a fork must set aside."""
        return self.service._service.store.within(World.REAL)  # noqa: SLF001 - the twin of this class

    def close(self) -> None:
        """Once."""
        with self._closing:
            self.is_closed = True
            _still_open.discard(self)
            if self._finalizer is not None:
                self._finalizer.cancel()
            with waiting():
                self._stack.close()


def _at_the_end_of_a_child(close: Callable[[], None]) -> Any:
    """In a child of ``multiprocessing``, which runs no handlers at exit: its own way to have something done. None elsewhere."""
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is None or util is None or process.parent_process() is None:
        return None
    return util.Finalize(None, close, exitpriority=100)


def _refuse_inside_a_loop() -> None:
    try:
        anyio.lowlevel.current_token()
    except RuntimeError:
        return
    raise RuntimeError("OTPService blocks, and an event loop runs in this thread; use AsyncOTPService here")


def _after_fork() -> None:
    for service in list(_services):
        service._set_aside()  # noqa: SLF001 - the module's own class


def _close_all() -> None:
    """After the handlers of whoever imported this; a portal that stays open would keep the process alive."""
    _exiting.set()
    for opened in list(_still_open):
        opened.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_close_all)
