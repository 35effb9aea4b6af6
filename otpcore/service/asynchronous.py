"""`AsyncOTPService`: send, call, verify and cancel from asyncio or trio."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from otpcore.clock import utc_now
from otpcore.messages.payments import Payment
from otpcore.models import (
    Challenge,
    Channel,
    ReceiptResult,
    RetryDue,
    RetryElsewhere,
    RetryJob,
    RetryOver,
    Verification,
)
from otpcore.phone.numbers import PhoneNumber, look_up_phone
from otpcore.providers.delivered import DeliveredMessage
from otpcore.providers.loading import ForcedProviders
from otpcore.providers.requests import ReceiptRequest
from otpcore.providers.sandbox import inbox_of
from otpcore.runners.contract import RetryRunner
from otpcore.service.arguments import Clients, check_text, findable, guess_of, order_of
from otpcore.service.assembly import make_runner, open_service
from otpcore.service.diagnosing import diagnosis
from otpcore.service.following_up import follow_up
from otpcore.service.lifetime import Lifetime, begin
from otpcore.service.receipts import receive
from otpcore.service.retries import Retries
from otpcore.service.sending import send
from otpcore.service.service import Deadline, Service
from otpcore.service.setup import Setup
from otpcore.service.status import Status
from otpcore.service.status_reading import read_status
from otpcore.service.upkeep import purge
from otpcore.service.verifying import cancel, verify
from otpcore.settings.tree import Settings, load_settings
from otpcore.stores.contract import Store
from otpcore.stores.counts import PurgeCount

if TYPE_CHECKING:
    from otpcore.operator.asynchronous import AsyncOperator

__all__ = ["AsyncOTPService", "service_of"]


class AsyncOTPService:
    """Sends one-time passcodes and verifies them. Use it as ``async with AsyncOTPService.from_settings() as otp:``.

    Construction does no I/O. One service serves any number of concurrent callers of one event loop.

    Args:
        settings: ``Settings``, or a plain mapping of the same shape; None reads settings file and environment.
        providers: Forces providers instead of routing rules: instance names in order, or a mapping of instance name to
            provider object.
        store: A store, or the name of one; None: ``storage.store``.
        runner: A retry runner, or the name of one; None: ``retry.runner``.
        observers: Objects with an ``otp_event`` hook, told of every event.
        clock: Now, aware, in any time zone; a test passes its own.
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
        self._clients = Clients()
        self._open_service: Service | None = None
        self._lifetime: Lifetime | None = None

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
        """A service that reads this settings file and the environment.

        Args:
            path: None: ``OTPCORE_SETTINGS_FILE``, else ``otpcore.toml`` (``.yaml``, ``.json``) in the current directory.

        Raises:
            SettingsError: A setting is wrong, or the file is missing.
        """
        found = load_settings(path)
        return cls(found, providers=providers, store=store, runner=runner, observers=observers, clock=clock)

    async def __aenter__(self) -> Self:
        if self._lifetime is not None and not self._lifetime.is_over:
            raise RuntimeError("this AsyncOTPService is open already")
        self._lifetime = await begin(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lifetime, self._lifetime, self._open_service = self._lifetime, None, None
        if lifetime is not None:
            await lifetime.end()

    async def send(
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
        """Send a code over a channel, or the living one again.

        Within the cooldown (30 s), which each channel has for itself, the same request sends nothing and returns the living
        challenge. After it the same code goes out again, or the one that is given then: another code replaces the first, of
        which nothing verifies any more from then on, also where it arrives later. Attempts that are used up stay used up.

        Args:
            phone: With a leading ``+``, unless ``otp.default_region`` is set.
            channel: ``sms``, ``call``, or another word that a provider of the rules declares, such as ``whatsapp``.
            purpose: What the code is for, in at most 100 characters; codes of different purposes do not verify one another.
            client: Who asks, such as the client's IP address; sends and failed verifications are then counted for it. Of an
                address nothing else counts: no port, no brackets. Providers hear of it, for vendors that look for fraud.
            locale: BCP 47 tag of the text; None: ``otp.locale``. Instances whose vendor words the text and cannot be told
                this language are left out.
            message: A text of your own; it must contain ``{code}``. Instances that cannot carry it are left out.
            code: A code of your own, as text of 4 to 10 digits; None: otpcore makes one, or sends the living one again. Instances
                whose vendor makes the codes are left out. Within the cooldown nothing is sent, and the first code stays. A
                test number keeps the code that the settings give it.
            payment: The payment that the code confirms, and it alone: the text says to whom and how much, and ``verify`` must be
                told the same. Instances that cannot carry a text of otpcore's words are left out.
            verifiable: False: only relay what is yours, a ``code``, a whole ``message`` without a place for one, or both.
                ``verify`` never finds it, and it neither replaces nor holds up a code that is verified. The same message again
                is a resend of it; another one is a send of its own.
            app: Which of your apps asks, as a word of at most 40 letters, digits, ``.``, ``_`` and ``-``. Codes of different apps
                do not verify one another; ``otp.apps.<app>`` gives each its texts. The limits of a phone are one for all.
            metadata: What else providers may have use for, by name, such as ``{"payee": "Shop", "amount": "9.90 EUR"}``: at most
                10 texts of at most 200 characters, with names of at most 40. What is passed on, each plugin's page says.

        Returns:
            The challenge; ``state`` is ``queued`` when no provider is known to have taken it and a retry is due, and
            ``unsendable`` when the ``inline`` runner's retries have failed, which this call has waited for.

        Raises:
            InvalidPhoneNumber: It cannot be sent to, or is not one number.
            InvalidArgument: An argument is no text, the channel is no word, the code is not 4 to 10 digits, the message has no
                place for the code, nothing is there to be relayed, metadata is too much, or a payment comes with a
                message or is to be relayed.
            NoRouteError: Nobody serves the channel (``no_rules``) or this number over it, an operator has drained those who do
                (``drained``), or none of them can carry what was asked for (``cannot_carry``).
            RateLimited: Refused before anything was sent; ``retry_after`` says for how long.
            DeliveryError: Nothing could be sent, and nothing is tried again.
            StoreError: The store did not do its work.
        """
        said = {"message": message, "code": code, "payment": payment, "verifiable": verifiable}
        return await self._send(
            phone, channel=channel, purpose=purpose, client=client, locale=locale, app=app, metadata=metadata, **said
        )

    async def send_sms(
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
        """``send`` by SMS."""
        said = {"message": message, "code": code, "payment": payment, "verifiable": verifiable}
        return await self._send(
            phone,
            channel=Channel.SMS,
            purpose=purpose,
            client=client,
            locale=locale,
            app=app,
            metadata=metadata,
            **said,
        )

    async def call(
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
        """``send`` by a voice call, which speaks the code."""
        said = {"message": message, "code": code, "payment": payment, "verifiable": verifiable}
        return await self._send(
            phone,
            channel=Channel.CALL,
            purpose=purpose,
            client=client,
            locale=locale,
            app=app,
            metadata=metadata,
            **said,
        )

    async def verify(
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
        """Say whether a typed code is right; a right one is accepted once.

        Pass ``challenge_id`` where you can: it ties the code to the session that asked for it.

        Args:
            phone: Whose code. None is fine with ``challenge_id``.
            code: As typed; spaces, marks, what nobody sees and other digits than ASCII do not matter.
            challenge_id: Of the ``Challenge`` that was sent.
            purpose: As given when it was sent.
            client: As given when it was sent.
            app: As given when it was sent.
            payment: As given when it was sent. With ``challenge_id`` alone one that is missing, or another, counts as a
                wrong code, whatever the code.

        Returns:
            The verification; it unpacks as ``(request_valid, code_valid)`` and is true only when approved.

        Raises:
            InvalidPhoneNumber: It is not one number; whether it can be sent to does not matter.
            InvalidArgument: The code or another argument is no text, or neither phone nor ``challenge_id`` is given.
            RateLimited: ``locked`` after too many failures in a row.
            ProviderError: The vendor that owns the code did not answer.
            SettingsError: The challenge was begun under a code key that is missing here.
            StoreError: The store did not do its work.
        """
        service = self._service
        asked: dict[str, Any] = {"challenge_id": challenge_id, "purpose": purpose, "client": client, "app": app}
        guess = guess_of(service.settings.otp, self._clients, phone, code, payment=payment, **asked)
        return await verify(service, guess, Deadline(service.settings.otp.send_timeout))

    async def cancel(self, challenge_id: str) -> bool:
        """End a living challenge: nothing more is sent and its code no longer verifies. False: there is none."""
        service = self._service
        return await cancel(service, findable(challenge_id), Deadline(service.settings.otp.send_timeout))

    async def handle_receipt(self, instance: str, request: ReceiptRequest) -> ReceiptResult:
        """Take in what a vendor reports about messages: call this where your application receives its callbacks.

        A receipt of a delivered message confirms it. One of a message that was not delivered lets the next instance try
        at once, within this call, while the code lives. The same receipt again changes nothing, and neither does one for
        a message that nobody knows; both are answers of 2xx for the vendor. A request may hold several: they are taken in
        in their order.

        Args:
            instance: Whose callback URL was called.
            request: As it arrived, with the public URL.

        Returns:
            What to answer the vendor: ``status``, ``text`` and ``headers``; and what became of each receipt.

        Raises:
            ReceiptRefused: It is not signed by this vendor account, too old, not a receipt, or contradicts itself. Nothing
                was changed; where only one of several receipts contradicts itself, the others count.
            UnknownProviderError: There is no such instance, or its plugin reads no receipts.
            ProviderError: The plugin failed to read it; the vendor may try again.
            StoreError: The store did not do its work; the vendor may try again.
        """
        check_text(instance=instance)
        return await receive(self._service, instance, request, self._runner.submit)

    async def run_retry(self, job: RetryJob) -> RetryDue | RetryElsewhere | RetryOver:
        """Claim and run one due retry, for retry runners with a queue of their own, as ``RetryHost.run_retry`` does."""
        _ = self._service  # refuses, unless it is open
        return await self._retries.run_retry(job)

    async def purge(self, *, phone: str | None = None) -> PurgeCount:
        """Remove what is older than ``storage.keep_*``; with ``phone``, everything about one person."""
        return await purge(self._service, self._look_up(phone) if phone is not None else None)

    def sandbox_inbox(self, phone: str | None = None) -> tuple[DeliveredMessage, ...]:
        """What people would have received from this service, newest last; with ``phone``, what this one would have.

        Only with ``sms.sandbox``. The newest thousand are kept, in memory and by this service alone.

        Raises:
            InvalidPhoneNumber: It is not one number.
            SettingsError: The sandbox is off.
        """
        return inbox_of(self._service.sandbox, self._look_up(phone) if phone is not None else None)

    async def status(self, *, window: float = 3600.0) -> Status:
        """What stops sending now; what each instance did lately, by rule prefix; what waits, and who runs retries.

        Changes nothing.

        Args:
            window: Seconds back from now in which deliveries are counted; at most ``storage.keep_deliveries``.
        """
        return await read_status(self._service, window)

    async def diagnose(self) -> dict[str, Any]:
        """Facts about this service for people: store, rules, providers, and those that could not be loaded."""
        return await diagnosis(self._service)

    @property
    def operator(self) -> AsyncOperator:
        """What operators see and change: switches, limits, rules, challenges, retries, instances, the audit trail."""
        from otpcore.operator.asynchronous import operator_within  # noqa: PLC0415 - no send needs it

        return operator_within(self._service, self._setup)

    @property
    def store(self) -> Store:
        """The open store, as the world of these settings sees it: for services that stand on it (lists, records, outbox)."""
        return self._service.store

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels that the rules in force offer, whether or not their providers work now; a test number takes any."""
        return self._service.live.rules.offered

    @property
    def settings(self) -> Settings:
        """The settings, read if they were not yet.

        Raises:
            SettingsError: A setting is wrong.
        """
        return self._setup.settings

    async def _open(self, stack: AsyncExitStack) -> None:
        stack.callback(setattr, self, "_open_service", None)  # it was closed, or what it held broke down
        service = await open_service(self._setup, stack)
        self._retries = Retries(service=service)
        self._runner = make_runner(self._setup)
        await self._runner.start(stack, self._retries)
        self._open_service = service

    async def _send(self, phone: str, **asked: Any) -> Challenge:
        service = self._service
        order = order_of(service.settings.otp, self._clients, phone, **asked)
        deadline = Deadline(service.settings.otp.send_timeout)
        sent = await send(service, order, deadline)
        is_over = sent.job is None and service.sandbox is None
        return sent.challenge if is_over else await follow_up(service, order, sent, deadline, self._runner.submit)

    def _look_up(self, phone: str) -> PhoneNumber:
        return look_up_phone(phone, default_region=self._service.settings.otp.default_region)

    @property
    def _service(self) -> Service:
        if self._open_service is None:
            raise RuntimeError("this AsyncOTPService is not open; use it as `async with AsyncOTPService(...) as otp:`")
        return self._open_service


def service_of(setup: Setup) -> AsyncOTPService:
    """A new service, not open."""
    made = AsyncOTPService()
    made._setup = setup  # noqa: SLF001 - it is this module that keeps it
    return made
