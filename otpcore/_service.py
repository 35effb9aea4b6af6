"""`AsyncOTPService`: send, call, verify and cancel from asyncio or trio."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

import attrs

from otpcore._instances import Instances
from otpcore._live import LiveSettings
from otpcore._logs import fields
from otpcore._parts import Parts, make_keys, make_store, make_telemetry
from otpcore._providers import ForcedProviders, forced_names, load_instance, load_providers
from otpcore._receiving import receive
from otpcore._retries import Retries, purge
from otpcore._rules import RULE_SETTINGS, Rules
from otpcore._sending import SendOrder, send, shown
from otpcore._status import read_status
from otpcore._switches import Switches
from otpcore._verifying import Guess, cancel, require_id, verify
from otpcore.config import Settings, load_settings
from otpcore.errors import OTPConfigurationError, SettingsError
from otpcore.events import EventType
from otpcore.figures import PurgeCount
from otpcore.hookspecs import utc_now
from otpcore.interfaces import RetryRunner, Store
from otpcore.messages import check_message, normalise_code
from otpcore.models import Challenge, Channel, ReceiptRequest, ReceiptResult, RetryJob, Verification
from otpcore.phone import PhoneNumber, parse_phone
from otpcore.plugins import RETRY_RUNNERS, Observers, Provider, load_target
from otpcore.sandbox import Sandbox, SandboxMessage
from otpcore.status import Status

_logger = logging.getLogger("otpcore.service")

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_TYPED_MAX = 64  # characters of a typed code that are looked at; no code is nearly so long


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
        clock: Aware UTC now; a test passes its own.
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
        self._given_settings = settings
        self._given_providers = providers
        self._given_store = store
        self._given_runner = runner
        self._observers = tuple(observers)
        self._clock = clock
        self._sandbox: Sandbox | None = None
        self._stack: AsyncExitStack | None = None

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
        return cls(
            load_settings(path), providers=providers, store=store, runner=runner, observers=observers, clock=clock
        )

    async def __aenter__(self) -> Self:
        if self._stack is not None:
            raise RuntimeError("this AsyncOTPService is open already")
        async with AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.__aexit__(kind, error, trace)

    async def send_sms(
        self,
        phone: str,
        *,
        purpose: str = "default",
        client: str | None = None,
        locale: str | None = None,
        message: str | None = None,
    ) -> Challenge:
        """Send a code by SMS, or send the living one again.

        Within the cooldown (30 s) the same call sends nothing and returns the living challenge. After it the same code
        goes out again.

        Args:
            phone: With a leading ``+``, unless ``otp.default_region`` is set.
            purpose: What the code is for; codes of different purposes do not verify one another.
            client: Who asks, such as the client's IP address; sends and failed verifications are then counted for it.
            locale: BCP 47 tag of the text; None: ``otp.locale``.
            message: A text of your own; it must contain ``{code}``.

        Returns:
            The challenge; ``state`` is ``queued`` when nothing was sent yet and a retry is due.

        Raises:
            InvalidPhoneNumber: The number cannot exist.
            NoRouteError: Nobody serves it.
            RateLimited: Refused before anything was sent; ``retry_after`` says for how long.
            DeliveryError: Nothing could be sent and nothing more will be tried.
            StoreError: The store did not do its work.
        """
        return await self._send(Channel.SMS, phone, purpose, client, locale, message)

    async def call(
        self,
        phone: str,
        *,
        purpose: str = "default",
        client: str | None = None,
        locale: str | None = None,
        message: str | None = None,
    ) -> Challenge:
        """Speak a code in a voice call; while a challenge lives, its own code over the other channel.

        Arguments, result and errors are those of ``send_sms``.
        """
        return await self._send(Channel.CALL, phone, purpose, client, locale, message)

    async def verify(
        self,
        phone: str | None = None,
        code: str = "",
        *,
        challenge_id: str | None = None,
        purpose: str = "default",
        client: str | None = None,
    ) -> Verification:
        """Say whether a typed code is right; a right one is accepted once.

        Pass ``challenge_id`` where you can: it ties the code to the session that asked for it.

        Args:
            phone: Whose code. None is fine with ``challenge_id``.
            code: As typed; spaces, hyphens and other digits than ASCII do not matter.
            challenge_id: Of the ``Challenge`` that was sent.
            purpose: As given when it was sent.
            client: As given when it was sent.

        Returns:
            The verification; it unpacks as ``(request_valid, code_valid)`` and is true only when approved.

        Raises:
            InvalidPhoneNumber: The number cannot exist.
            RateLimited: ``locked`` after too many failures in a row.
            ProviderError: The vendor that owns the code did not answer.
            SettingsError: The challenge was begun under a code key that is missing here.
            StoreError: The store did not do its work.
        """
        parts = self._parts
        require_id(parts.settings.otp.verify_by, challenge_id)
        _check_storable(purpose=purpose)
        if phone is None and challenge_id is None:
            raise TypeError("verify needs a phone or a challenge_id")
        number = self._parse(phone) if phone is not None else None
        guess = Guess(
            phone=number,
            challenge_id=_findable(challenge_id) if challenge_id is not None else None,
            purpose=purpose,
            client=client,
            code=normalise_code(code[:_TYPED_MAX]),
        )
        return await verify(parts, guess)

    async def cancel(self, challenge_id: str) -> bool:
        """End a living challenge: nothing more is sent and its code no longer verifies. False: there is none."""
        return await cancel(self._parts, _findable(challenge_id))

    async def handle_receipt(self, instance: str, request: ReceiptRequest) -> ReceiptResult:
        """Take in what a vendor reports about a message: call this where your application receives its callbacks.

        A receipt of a delivered message confirms it. One of a message that was not delivered lets the next instance try
        at once, within this call, while the code lives. The same receipt again changes nothing, and neither does one for
        a message that nobody knows; both are answers of 2xx for the vendor.

        Args:
            instance: Whose callback URL was called.
            request: As it arrived, with the public URL.

        Raises:
            ReceiptRefused: It is not signed by this vendor account, too old, or not a receipt. Nothing was changed.
            UnknownProviderError: There is no such instance, or its plugin reads no receipts.
            ProviderError: The plugin failed to read it; the vendor may try again.
            StoreError: The store did not do its work; the vendor may try again.
        """
        taken = await receive(self._parts, self._live, instance, request)
        if taken.job is not None:
            await self._runner.submit(taken.job)
        return taken.result

    async def run_retry(self, job: RetryJob) -> RetryJob | None:
        """Claim and run one due retry, for retry runners with a queue of their own.

        Returns:
            The job that is due next for this send, as in ``RetryHost.run_retry``, or None.
        """
        self._opened()
        return await self._retries.run_retry(job)

    async def purge(self, *, phone: str | None = None) -> PurgeCount:
        """Remove what is older than ``storage.keep_*``; with ``phone``, everything about one person."""
        parts = self._parts
        return await purge(parts, self._parse(phone) if phone is not None else None)

    def sandbox_inbox(self, phone: str | None = None) -> tuple[SandboxMessage, ...]:
        """What people would have received from this service, newest last; with ``phone``, what this one would have.

        Only with ``sms.sandbox``. The newest thousand are kept, in memory and by this service alone.

        Raises:
            InvalidPhoneNumber: The number cannot exist.
            SettingsError: The sandbox is off.
        """
        self._opened()
        if self._sandbox is None:
            raise SettingsError("sms.sandbox: is off, so there is no inbox; what was sent went to the providers")
        number = self._parse(phone) if phone is not None else None
        return tuple(message for message in self._sandbox.inbox if number in (None, message.phone))

    async def status(self, *, window: float = 3600.0) -> Status:
        """What each instance did lately, by rule prefix; what waits now, and who runs retries. Changes nothing.

        Args:
            window: Seconds back from now in which deliveries are counted; at most ``storage.keep_deliveries``.
        """
        return await read_status(self._parts, window)

    async def diagnose(self) -> dict[str, Any]:
        """Facts about this service for people: store, rules, providers, and those that could not be loaded."""
        parts = self._parts
        return {
            "sandbox": self._sandbox is not None,
            "store": dict(await parts.store.diagnose()),
            "rules": {
                str(channel): str(rules.source) if (rules := self._rules.in_force(channel)) else "none"
                for channel in Channel
            },
            "providers": {
                name: {"distribution": one.distribution, "version": one.version, "channels": sorted(one.channels)}
                for name, one in parts.providers.items()
            },
            "broken": {name: str(error) for name, error in parts.instances.broken.items()},
            "retries": {str(channel): parts.policy(channel) is not None for channel in Channel},
        }

    @property
    def settings(self) -> Settings:
        """The settings, read if they were not yet.

        Raises:
            SettingsError: A setting is wrong.
        """
        given = self._given_settings
        if not isinstance(given, Settings):
            given = load_settings() if given is None else Settings.from_mapping(given)
            self._given_settings = given
        return given

    async def _open(self, stack: AsyncExitStack) -> None:
        settings = self.settings
        self._sandbox = Sandbox() if settings.sms.sandbox else None
        if self._sandbox is not None:
            _logger.warning(
                "sms.sandbox is on: no provider is called, and nothing is sent to anybody", extra=fields("sandbox_on")
            )
        keys = make_keys(settings)
        store = make_store(settings, self._given_store)
        await store.start(stack)
        stored = await store.settings()
        loaded = load_providers(
            settings,
            forced=self._given_providers,
            stored_rules=[stored[name] for name in RULE_SETTINGS.values() if name in stored],
            clock=self._clock,
            sandbox=self._sandbox,
        )
        instances = Instances(
            loaded,
            load=self._load_instance,
            longest_life=timedelta(seconds=settings.otp.longest_life),
            clock=self._clock,
        )
        await instances.open(stack, loaded.needed)
        telemetry = make_telemetry(settings)
        self._open_parts = Parts(
            settings=settings,
            store=store,
            keys=keys,
            instances=instances,
            observers=Observers([*filter(None, [telemetry]), *self._observers]),
            clock=self._clock,
            telemetry=telemetry,
        )
        self._rules = Rules(
            settings=settings,
            forced=forced_names(self._given_providers),
            capable=instances.capable,
            require=instances.require,
            release=instances.release,
            clock=self._clock,
            report=self._report_rules,
        )
        self._live = LiveSettings(
            rules=self._rules,
            switches=Switches(settings.limits, self._report_switch),
            read=store.settings,
            every=settings.routing.reload_every,
            clock=self._clock,
        )
        await self._live.refresh(force=True)
        self._retries = Retries(parts=self._open_parts, live=self._live)
        self._runner = self._make_runner(settings)
        await self._runner.start(stack, self._retries)

    def _load_instance(self, name: str) -> Provider:
        """One that a new rule names; what its files say of it now, if they said nothing when they were read."""
        settings = self.settings
        if name not in settings.providers and settings.files:
            settings = load_settings(settings.files[0])
        return load_instance(name, settings, self._clock, sandbox=self._sandbox)

    def _make_runner(self, settings: Settings) -> RetryRunner:
        given = self._given_runner
        if given is None or isinstance(given, str):
            factory = load_target(RETRY_RUNNERS, given or settings.retry.runner)
            given = factory(settings)
        runner: RetryRunner = given
        return runner

    def _report_rules(self, name: str, error: OTPConfigurationError | None) -> None:
        if error is None:
            self._open_parts.emit(EventType.RULES_CHANGED, detail=name)
        else:
            about = fields("rules_refused", reason=type(error).__name__, detail=name)
            _logger.error("the stored %s is refused, the last good one stays: %s", name, error, extra=about)
            self._open_parts.emit(EventType.RULES_REFUSED, detail=name, reason=type(error).__name__)

    def _report_switch(self, change: str) -> None:
        self._open_parts.emit(EventType.SWITCHES_CHANGED, detail=change)

    async def _send(
        self,
        channel: Channel,
        phone: str,
        purpose: str,
        client: str | None,
        locale: str | None,
        message: str | None,
    ) -> Challenge:
        parts = self._parts
        _check_storable(purpose=purpose, locale=locale, message=message)
        if message is not None:
            check_message(message)
        order = SendOrder(
            phone=self._parse(phone),
            channel=channel,
            purpose=purpose,
            client=client,
            locale=locale or parts.settings.otp.locale,
            message=message,
        )
        sent = await send(parts, self._live, order)
        if self._sandbox is not None:  # nobody else calls back
            for instance, report in self._sandbox.reports(sent.challenge.id):
                await self.handle_receipt(instance, report)
        if sent.job is None:
            return sent.challenge
        await self._runner.submit(sent.job)
        views = await parts.store.view(challenge_id=sent.challenge.id)
        return shown(views[0].challenge, order.phone, channel) if views else sent.challenge

    def _parse(self, phone: str) -> PhoneNumber:
        otp = self._parts.settings.otp
        return parse_phone(phone, default_region=otp.default_region, require_valid=otp.number_policy == "valid")

    @property
    def _parts(self) -> Parts:
        self._opened()
        return self._open_parts

    def _opened(self) -> None:
        if self._stack is None:
            raise RuntimeError("this AsyncOTPService is not open; use it as `async with AsyncOTPService(...) as otp:`")


def _check_storable(**texts: str | None) -> None:
    """Refuse what no database keeps, by the name of the argument; the driver's own error would quote it."""
    for name, text in texts.items():
        if text is not None and _UNSTORABLE.search(text):
            raise ValueError(f"{name}: holds half a character (a lone surrogate) or a NUL, which cannot be stored")


def _findable(challenge_id: str) -> str:
    """An id from a request as it may be looked for: one that could not have been stored names no challenge."""
    return "" if _UNSTORABLE.search(challenge_id) else challenge_id


@attrs.frozen(kw_only=True)
class Setup:
    """What a host gave its service, for the command line to make its own from: never the runner, the clock or open state."""

    settings: Settings
    providers: ForcedProviders | None = None
    store: Store | str | None = None
    observers: tuple[object, ...] = ()


def setup_of(service: AsyncOTPService) -> Setup:
    """What a service was given.

    Raises:
        SettingsError: Its settings are wrong.
    """
    return Setup(
        settings=service.settings,
        providers=service._given_providers,  # noqa: SLF001 - of this module
        store=service._given_store,  # noqa: SLF001 - of this module
        observers=service._observers,  # noqa: SLF001 - of this module
    )
