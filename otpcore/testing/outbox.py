"""An outbox for tests of a host: a provider that keeps what it was asked to send."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from otpcore.errors import ErrorKind, ProviderError
from otpcore.models import Channel
from otpcore.providers.delivered import DeliveredMessage, message_of
from otpcore.providers.hooks import hookimpl
from otpcore.providers.requests import DeliveryReceipt, DeliveryRequest, ProviderInfo
from otpcore.runners.inline import InlineRunner
from otpcore.testing.clock import FakeClock

if TYPE_CHECKING:
    from otpcore.service.asynchronous import AsyncOTPService
    from otpcore.service.blocking import OTPService

__all__ = ["Outbox"]

_TEST_KEY = "b3RwY29yZS50ZXN0aW5nIGtleSwgbmV2ZXIgZm9yIHVzZXJzISE"


@attrs.define(eq=False)
class Outbox:
    """Takes every SMS, call and message, and keeps it.

    Use it as a provider object: ``AsyncOTPService(outbox.settings, providers=outbox.providers, clock=outbox.clock)``, or
    take the ready services of ``service()`` and ``blocking_service()``. The store is in memory, the clock stands still
    until ``outbox.clock.advance``. Retries of the ready services run within the send, and nobody waits for them: the clock
    moves on to each of them. With ``runner="background"`` they run when the clock has been advanced to them.

    Attributes:
        channels: What it delivers, such as ``frozenset({Channel.SMS, Channel("whatsapp")})``; None: SMS and calls.
        messages: Every one that it took, oldest first.
        clock: Of the service; several outboxes may share one.
    """

    channels: frozenset[Channel] | None = attrs.field(default=None, kw_only=True)
    messages: list[DeliveredMessage] = attrs.field(factory=list)
    clock: FakeClock = attrs.field(factory=FakeClock)
    _failures: list[tuple[ProviderError, bool]] = attrs.field(factory=list)

    @property
    def code(self) -> str:
        """The code of the latest message."""
        return self.messages[-1].code

    @property
    def settings(self) -> dict[str, Any]:
        """Settings with keys for tests, the memory store and no limits between sends."""
        return {
            "keys": {"index": _TEST_KEY, "code": {"test": _TEST_KEY}, "current": "test"},
            "storage": {"store": "memory"},
            "retry": {"runner": "inline"},
            "limits": {"phone": []},
        }

    @property
    def providers(self) -> Mapping[str, object]:
        """This outbox as the only provider."""
        return {"outbox": self}

    def service(self, settings: Mapping[str, Any] | None = None, **arguments: Any) -> AsyncOTPService:
        """A service that sends into this outbox.

        Args:
            settings: Sections that take the place of those for tests; one of ``retry`` names its ``runner`` too.
            arguments: Of ``AsyncOTPService``, such as ``observers``, ``runner`` or ``providers`` (several outboxes).
        """
        from otpcore.service.asynchronous import AsyncOTPService  # noqa: PLC0415 - heavy: at first use

        return AsyncOTPService(**self._completed(settings, arguments))

    def blocking_service(self, settings: Mapping[str, Any] | None = None, **arguments: Any) -> OTPService:
        """The blocking twin of ``service``."""
        from otpcore.service.blocking import OTPService  # noqa: PLC0415 - heavy: at first use

        return OTPService(**self._completed(settings, arguments))

    def fail(
        self, kind: ErrorKind | str, *, times: int = 1, retry_after: float | None = None, delivered: bool = False
    ) -> None:
        """Answer the next sends with this kind of error.

        Args:
            delivered: The message reaches the person all the same, as happens with ``ambiguous``.
        """
        error = ProviderError(ErrorKind(kind), "asked for by the test", retry_after)
        self._failures.extend((error, delivered) for _ in range(times))

    @hookimpl
    def describe(self) -> ProviderInfo:
        """A provider of plain text."""
        return ProviderInfo(display_name="Outbox", channels=self.channels)

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Keep the message."""
        return self._take(request)

    @hookimpl
    async def call(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Keep the call."""
        return self._take(request)

    @hookimpl
    async def send_message(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Keep the message."""
        return self._take(request)

    def _take(self, request: DeliveryRequest) -> DeliveryReceipt:
        error, delivered = self._failures.pop(0) if self._failures else (None, True)
        if delivered:
            self.messages.append(message_of(request, self.clock()))
        if error is not None:
            raise error
        return DeliveryReceipt(reference=request.delivery_id)

    def _completed(self, settings: Mapping[str, Any] | None, arguments: dict[str, Any]) -> dict[str, Any]:
        from otpcore.stores.memory.store import MemoryStore  # noqa: PLC0415 - heavy: at first use

        given = {**self.settings, **(settings or {})}
        completed = {"settings": given, "providers": self.providers, "clock": self.clock, **arguments}
        if given["storage"] == self.settings["storage"]:
            completed.setdefault("store", MemoryStore(is_of_a_test=True))
        clock, runner = completed["clock"], completed.get("runner") or given["retry"].get("runner")
        if runner == "inline" and isinstance(clock, FakeClock):
            completed["runner"] = InlineRunner(sleep=partial(_let_pass, clock))
        return completed


async def _let_pass(clock: FakeClock, seconds: float) -> None:
    clock.advance(seconds)
