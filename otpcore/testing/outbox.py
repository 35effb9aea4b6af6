"""An outbox for tests of a host: a provider that keeps what it was asked to send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from otpcore.errors import ErrorKind, ProviderError
from otpcore.hookspecs import hookimpl
from otpcore.models import Channel, DeliveryReceipt, DeliveryRequest, ProviderInfo
from otpcore.testing.clock import FakeClock

if TYPE_CHECKING:
    from otpcore._service import AsyncOTPService
    from otpcore._sync import OTPService

__all__ = ["Outbox", "OutboxMessage"]

_TEST_KEY = "b3RwY29yZS50ZXN0aW5nIGtleSwgbmV2ZXIgZm9yIHVzZXJzISE"


@attrs.frozen(kw_only=True)
class OutboxMessage:
    """One message that a person would have received; readable, since a test wants to read it."""

    phone: str
    channel: Channel
    code: str
    text: str
    purpose: str
    locale: str


@attrs.define(eq=False)
class Outbox:
    """Takes every SMS and call, and keeps it.

    Use it as a provider object: ``AsyncOTPService(outbox.settings, providers=outbox.providers, clock=outbox.clock)``, or
    take the ready services of ``service()`` and ``blocking_service()``. The store is in memory, the clock stands still
    until ``outbox.clock.advance``.
    """

    messages: list[OutboxMessage] = attrs.field(factory=list)
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
        """A service that sends into this outbox; ``settings`` are merged over those for tests."""
        from otpcore._service import AsyncOTPService  # noqa: PLC0415 - heavy: at first use

        return AsyncOTPService({**self.settings, **(settings or {})}, **self._defaults(arguments))

    def blocking_service(self, settings: Mapping[str, Any] | None = None, **arguments: Any) -> OTPService:
        """The blocking twin of ``service``."""
        from otpcore._sync import OTPService  # noqa: PLC0415 - heavy: at first use

        return OTPService({**self.settings, **(settings or {})}, **self._defaults(arguments))

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
        return ProviderInfo(display_name="Outbox")

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Keep the message."""
        return self._take(request)

    @hookimpl
    async def call(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Keep the call."""
        return self._take(request)

    def _take(self, request: DeliveryRequest) -> DeliveryReceipt:
        error, delivered = self._failures.pop(0) if self._failures else (None, True)
        if delivered:
            self.messages.append(
                OutboxMessage(
                    phone=request.recipient.e164,
                    channel=request.channel,
                    code=request.code or "",
                    text=request.text or "",
                    purpose=request.purpose,
                    locale=request.locale,
                )
            )
        if error is not None:
            raise error
        return DeliveryReceipt(reference=request.delivery_id)

    def _defaults(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"providers": self.providers, "clock": self.clock, **arguments}
