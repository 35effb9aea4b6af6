"""What a provider or an observer may implement.

A provider is any object that carries some of these methods, each marked with ``@hookimpl``; each takes exactly one
positional request object and may be ``async def`` or blocking (then it runs in a worker thread). A provider raises
``ProviderError`` with the ``ErrorKind`` that fits; any other exception counts as ``ambiguous``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs
import pluggy

from otpcore.clock import utc_now
from otpcore.models import Receipt
from otpcore.providers.addresses import ReceiptAddresses
from otpcore.providers.requests import (
    AccountState,
    CancelRequest,
    CheckRequest,
    CheckResult,
    DeliveryReceipt,
    DeliveryRequest,
    OutcomeRequest,
    ProviderInfo,
    ReceiptAnswer,
    ReceiptRequest,
)
from otpcore.settings.network import Network

if TYPE_CHECKING:
    from otpcore.events import Event

__all__ = ["ObserverHooks", "ProviderContext", "ProviderHooks", "hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("otpcore")
hookimpl = pluggy.HookimplMarker("otpcore")

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class ProviderContext:
    """What a provider factory gets: ``create_provider(context) -> object``.

    Args:
        instance: The name under which it is configured, such as ``"twilio_eu"``.
        settings: The instance's own settings; secrets stay out of repr.
        clock: Aware UTC; use it instead of ``datetime.now``.
        timeout: Seconds the core allows one call; the HTTP client's own timeouts fit into it.
        max_connections: How many calls may be in flight at once.
        network: The way to the vendor, as ``http.*`` and the instance's ``proxy`` and ``ca_file`` say; ``otpcore.http`` goes
            it by itself.
        directory: Where the settings file lies; a path in the settings that is not absolute begins there. None: there is no
            such file, and it begins in the current directory.
        addresses: Behind ``receipt_url``. None: there are no addresses for receipts.
        transport: For tests: a transport of httpx, such as ``httpx.MockTransport``, that ``otpcore.http`` takes instead of
            the network, whatever it would take there. None: the network.
    """

    instance: str
    settings: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    clock: Callable[[], datetime] = utc_now
    timeout: float = 5.0
    max_connections: int = 256
    network: Network = attrs.field(factory=Network)
    directory: str | None = None
    addresses: ReceiptAddresses | None = None
    transport: Any = None

    @property
    def logger(self) -> logging.Logger:
        """``otpcore.providers.<instance>``."""
        return logging.getLogger(f"otpcore.providers.{self.instance}")

    def receipt_url(self, delivery_id: str) -> str | None:
        """Where the vendor may report what becomes of this delivery, and of no other: pass it on with the message.

        For vendors that sign nothing (``ProviderInfo.signs_receipts``): who knows the address may report. Treat it as a
        secret, in logs and errors too. It has some 100 characters: the setting ``otp.receipts_url``, the instance's name,
        the delivery id and 22 characters of proof, with slashes between them.

        Returns:
            None where the setting is not set: then the vendor is told of no address, and nothing is reported.
        """
        return self.addresses.address(self.instance, delivery_id) if self.addresses is not None else None

    def structure(self, cls: type[T]) -> T:
        """The settings as a frozen attrs class; every error names ``providers.<instance>.<key>``.

        A text that is hidden (``repr=False``) is a credential: one line, without spaces around it, or a key in PEM.

        Raises:
            SettingsError: A key is unknown, missing or of the wrong type, or a credential cannot be right.
        """
        from otpcore.providers.credentials import check_secrets  # noqa: PLC0415 - needed at start only
        from otpcore.settings.structuring import structure  # noqa: PLC0415 - the same

        prefix = f"providers.{self.instance}"
        read = structure(self.settings, cls, prefix=prefix)
        check_secrets(read, prefix=prefix)
        return read


class ProviderHooks(Protocol):
    """Hooks that are called on the one chosen instance, never broadcast."""

    @hookspec(firstresult=True)
    def describe(self) -> ProviderInfo:
        """Say what this instance is. Plain ``def``, no I/O; called once at load."""

    @hookspec(firstresult=True)
    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open clients and push their closing on the stack. Optional.

        Called before anything is sent or checked, and again if the instance is needed after it was closed: one that no
        rule names any more is closed when its last code has expired.
        """

    @hookspec(firstresult=True)
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Hand one SMS to the vendor.

        Raises:
            ProviderError: It was not, or nobody knows.
        """

    @hookspec(firstresult=True)
    async def call(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Hand one voice call to the vendor.

        Raises:
            ProviderError: It was not, or nobody knows.
        """

    @hookspec(firstresult=True)
    async def send_message(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Hand one message to the vendor, over a channel that is neither SMS nor a call: ``request.channel`` says over which.

        Called for the other channels that ``describe`` names in ``ProviderInfo.channels``, such as ``whatsapp``.

        Raises:
            ProviderError: It was not, or nobody knows.
        """

    @hookspec(firstresult=True)
    async def check_code(self, request: CheckRequest) -> CheckResult:
        """Ask the vendor about a code that it owns. Exactly where ``describe`` says ``CodeOwner.PROVIDER``.

        Raises:
            ProviderError: The vendor did not answer.
        """

    @hookspec(firstresult=True)
    async def cancel(self, request: CancelRequest) -> None:
        """End a verification at the vendor. Optional; "already gone" returns normally.

        Raises:
            ProviderError: It may still verify.
        """

    @hookspec(firstresult=True)
    async def report_outcome(self, request: OutcomeRequest) -> None:
        """Tell the vendor how a challenge ended whose code it carried. Optional; only with ``CodeOwner.CORE``.

        Called when all is decided, for each message or verification once at most: nothing waits for it, nothing is repeated,
        and what a crash cut off is not made up for. "Already gone" returns normally.

        Raises:
            ProviderError: The vendor did not take it, which is logged.
        """

    @hookspec(firstresult=True)
    async def check_account(self) -> AccountState:
        """Ask the vendor whether it knows the account and its credentials. Optional; costs nothing and sends nothing.

        Called by ``otp doctor --online``, and never while anything is sent.

        Raises:
            ProviderError: ``misconfigured`` where the account cannot be used as it is set up here; its summary says what is
                wrong. Any other kind: the vendor did not answer.
        """

    @hookspec(firstresult=True)
    async def parse_receipt(self, request: ReceiptRequest) -> Receipt | Sequence[Receipt] | ReceiptAnswer:
        """Prove the signature of a delivery callback, then read it. Optional; no I/O.

        A request may hold one receipt, several, or none, and may have to be answered with a text (``ReceiptAnswer``). Of a
        vendor that asks whether it may send, both answers come back (``Receipt.denial``); otpcore chooses.

        Raises:
            ReceiptRefused: It is not signed by this account, too old, or not a receipt.
        """


class ObserverHooks(Protocol):
    """Hooks that are broadcast, each observer on its own."""

    @hookspec
    def otp_event(self, event: Event) -> None:
        """Something happened. Plain ``def``, quick; an exception is logged and goes no further."""
