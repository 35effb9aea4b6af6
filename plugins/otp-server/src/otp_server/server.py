"""`Server`: what every part of the service works with, opened and closed together."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from types import TracebackType
from typing import Self

import anyio
import attrs
from anyio.abc import TaskGroup

from otp_server.keys import ApiKeys, Kind
from otp_server.measures import Measures
from otp_server.received import Shared
from otp_server.settings import ServerSettings, check
from otp_server.vault import Records, Vault
from otp_server.webhooks.attempts import Attempts
from otp_server.webhooks.calling import network_of
from otp_server.webhooks.teller import Teller
from otpcore import AsyncOTPService, Settings
from otpcore.stores import World

__all__ = ["Server"]


class Server:
    """A service and its sandbox twin, the server's own records, and its settings. ``async with`` opens it.

    Args:
        service: Not open; the server opens and closes it.
        opens: False: the service is its host's, who has opened it before the server is opened, and closes it afterwards.
    """

    def __init__(self, service: AsyncOTPService, *, opens: bool = True) -> None:
        self._opens = opens
        self.otp_settings: Settings = service.settings
        self.settings: ServerSettings = check(service.settings)
        self._network = network_of(service.settings)
        self.vault = Vault(service.settings)
        self.measures = Measures()
        self._live = service
        self._test = service if service.settings.sms.sandbox else AsyncOTPService(_sandboxed(service.settings))

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            if self._opens:
                await stack.enter_async_context(self._live)
            if self._test is not self._live:
                with _without_a_warning():
                    await stack.enter_async_context(self._test)
            self.tasks: TaskGroup = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(self._end_tasks)  # they end before the services that they work with
            self.records = Records(store=self._live.store.within(World.REAL), vault=self.vault)
            self.keys = ApiKeys(self.records)
            self.inbox = Shared(server=self)
            if not self.is_sandbox:
                self.tasks.start_soon(self.inbox.run)
            self.teller = Teller(self.settings, self.vault, Attempts(self.records), self._network)
            if self.settings.tells_anybody:
                self._tell()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    @property
    def service(self) -> AsyncOTPService:
        """The service as it is set up."""
        return self._live

    @property
    def sandbox(self) -> AsyncOTPService:
        """The service that reaches nobody: the same one, where the settings say so."""
        return self._test

    def service_of(self, kind: Kind) -> AsyncOTPService:
        """The service that a key of this kind works with."""
        return self._test if kind is Kind.TEST else self._live

    @property
    def is_sandbox(self) -> bool:
        """The settings say that nobody is reached."""
        return self._test is self._live

    @property
    def patience(self) -> int:
        """Seconds that what is under way may take, when the server ends."""
        return math.ceil(self.otp_settings.otp.send_timeout) + 5

    def _tell(self) -> None:
        """Work through the outboxes of both worlds."""
        self.tasks.start_soon(self.teller.run, Kind.TEST, self._test.store)
        if self._test is not self._live:
            self.tasks.start_soon(self.teller.run, Kind.LIVE, self._live.store)

    def _end_tasks(self) -> None:
        self.tasks.cancel_scope.cancel()


@contextmanager
def _without_a_warning() -> Iterator[None]:
    """That no one is reached is true of test keys alone: a warning of it would read as if it were of all."""

    def is_another(record: logging.LogRecord) -> bool:
        return getattr(record, "otp_event", "") != "sandbox_on"

    logger = logging.getLogger("otpcore.service")
    logger.addFilter(is_another)
    try:
        yield
    finally:
        logger.removeFilter(is_another)


def _sandboxed(settings: Settings) -> Settings:
    """As these, but for the sandbox: that keys say so by themselves is no mistake in production either.

    Where a host names providers instead of rules, the sandbox has a rule of its own.
    """
    return attrs.evolve(
        settings,
        environment="development",
        otp_sms_provider=settings.otp_sms_provider if settings.rule_texts else "sandbox",
        sms=attrs.evolve(settings.sms, sandbox=True, test_numbers_on=()),
    )
