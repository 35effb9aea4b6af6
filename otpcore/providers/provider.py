"""Loads provider plugins, each guarded and on its own, and makes the one targeted hook call.

A hook call reaches exactly the object of the chosen instance, because each instance has a ``PluginManager`` of its own.
Whatever a plugin does, what leaves here is an answer of the right type or a ``ProviderError`` that holds nothing readable.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar, cast

import anyio
import attrs

from otpcore.errors import ErrorKind, ProviderError, ReceiptRefused, SettingsError
from otpcore.events import fields
from otpcore.models import Channel
from otpcore.providers import checks as _hook_checks
from otpcore.providers import discovery as _discovery
from otpcore.providers.addresses import ReceiptAddresses, proven
from otpcore.providers.answers import Answers, UnusableAnswerError, secrets_of
from otpcore.providers.checks import explained, fix_of, raised_at, register
from otpcore.providers.discovery import (
    HTTP_GATEWAYS,
    PROVIDERS,
    RETRY_RUNNERS,
    SIMULATORS,
    STORES,
    InstalledPlugin,
    installed,
)
from otpcore.providers.guard import EscapedError, clean_error, ends_the_caller
from otpcore.providers.hooks import ProviderContext, ProviderHooks
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
    send_hook,
)
from otpcore.providers.threads import NoThreadError, ThreadSlots

__all__ = [
    "HTTP_GATEWAYS",
    "PROVIDERS",
    "RETRY_RUNNERS",
    "SIMULATORS",
    "STORES",
    "InstalledPlugin",
    "Provider",
    "installed",
    "load_provider",
    "load_target",
    "provider_from_object",
]

T = TypeVar("T")

_logger = logging.getLogger("otpcore.plugins")

_LONGEST_SUMMARY = 200  # characters of what a provider says of an account


def load_target(group: str, name: str) -> Any:
    """Import what an entry point, or an in-house ``module:attribute``, names.

    Raises:
        UnknownProviderError: No such provider is installed.
        PluginLoadError: No such plugin is installed in another group, the name is claimed twice, or importing it failed.
    """
    subject = f"plugin {name!r}"
    return _discovery.import_target(_discovery.find(group, name, subject=subject), group, subject=subject)


def load_provider(instance: str, plugin: str | None, context: ProviderContext, *, thread_slots: int = 32) -> Provider:
    """Import a plugin, let its factory make the provider, and check that declaration and hooks agree. No I/O.

    Args:
        instance: The name under which it is configured.
        plugin: Entry-point name or ``module:factory``; None: the instance name.
        context: For the factory.
        thread_slots: How many of its blocking hooks may run at once.

    Raises:
        SettingsError: The plugin refused its settings; passed on untouched.
        UnknownProviderError: It is not installed.
        PluginLoadError: Anything else; with instance, distribution, version, cause and fix.
    """
    subject = f"provider {instance!r}"
    found = _discovery.find(PROVIDERS, plugin or instance, subject=subject, section=f"providers.{instance}")
    factory = _discovery.import_target(found, PROVIDERS, subject=subject)
    return _make(instance, found, factory, context, thread_slots)


def provider_from_object(
    instance: str, obj: object, *, thread_slots: int = 32, addresses: ReceiptAddresses | None = None
) -> Provider:
    """The provider around an object that a host hands in; the same checks as for a plugin.

    Args:
        instance: The name under which it is called.
        obj: Carries the hooks.
        thread_slots: How many of its blocking hooks may run at once.
        addresses: Prove its receipts where its vendor signs nothing.

    Raises:
        PluginLoadError: Declaration and hooks do not agree.
    """
    origin = InstalledPlugin(name=instance, target=_type_name(obj))
    return _wrap(instance, origin, obj, thread_slots, addresses)


@attrs.define(eq=False, kw_only=True)
class Provider:
    """One instance that can be called. Made by ``load_provider`` and ``provider_from_object``.

    Every call raises ``ProviderError`` with the instance filled in and nothing else; only what ends the caller passes
    through (its cancellation, and in the main thread ``KeyboardInterrupt`` and ``SystemExit``). A blocking hook runs in a
    worker thread; one that is still running at the timeout is abandoned.

    Args:
        instance: The name under which it is configured.
        info: What ``describe`` said.
        channels: What it delivers.
        distribution: Such as ``"otp-mada"``; empty for an in-house one.
        version: Of the distribution.
        can_cancel: It implements ``cancel``.
        reads_receipts: It implements ``parse_receipt``.
        checks_account: It implements ``check_account``.
        reports_outcomes: It implements ``report_outcome``.
    """

    instance: str
    info: ProviderInfo = attrs.field(repr=False)
    channels: frozenset[Channel]
    distribution: str
    version: str
    can_cancel: bool
    reads_receipts: bool
    checks_account: bool
    reports_outcomes: bool
    _hooks: _hook_checks.Hooks = attrs.field(repr=False)
    _slots: ThreadSlots = attrs.field(repr=False)
    _addresses: ReceiptAddresses | None = attrs.field(repr=False)
    _answers: Answers = attrs.field(repr=False)
    _raised: set[str] = attrs.field(factory=set, init=False, repr=False)

    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Let it open its clients; their closing goes on the stack.

        Raises:
            SettingsError: The plugin refused a setting now.
            PluginLoadError: It did not start.
        """
        if "start" not in self._hooks.implemented:
            return
        failure = None
        try:
            await self._answer("start", {"exit_stack": exit_stack})
        except SettingsError:
            raise
        except NoThreadError:
            failure = self._hooks.load_error("no worker thread could be started for start", "raise the thread limit")
        except BaseException as error:
            if ends_the_caller(error):
                raise
            origin = error.origin if isinstance(error, EscapedError) else error
            failure = self._hooks.load_error(f"start raised {explained(origin)}", fix_of(origin))
        if failure is not None:
            raise failure  # outside the handler: the original may quote settings, and must not travel along as context

    async def send(self, request: DeliveryRequest, timeout: float) -> DeliveryReceipt:
        """Hand over one message or call, by the hook of its channel.

        Args:
            request: What, to whom, over which channel.
            timeout: Seconds; after them the outcome is ``ambiguous``, or ``unavailable`` when no thread was free.

        Raises:
            ProviderError: It was not sent, or nobody knows.
        """
        receipt = await self._call(send_hook(request.channel), request, timeout, DeliveryReceipt)
        return self._checked(partial(self._answers.taken, receipt, request))

    async def check_code(self, request: CheckRequest, timeout: float) -> CheckResult:
        """Ask the vendor about a code that it owns.

        Raises:
            ProviderError: The vendor did not answer, within ``timeout`` seconds or at all.
        """
        return await self._call("check_code", request, timeout, CheckResult)

    async def cancel(self, request: CancelRequest, timeout: float) -> None:
        """End a verification at the vendor; "already gone" is success. Only where ``can_cancel``.

        Raises:
            ProviderError: It may still verify.
        """
        await self._call("cancel", request, timeout, type(None))

    async def report_outcome(self, request: OutcomeRequest, timeout: float) -> None:
        """Tell the vendor how a challenge ended. Only where ``reports_outcomes``.

        Raises:
            ProviderError: It did not take it, within ``timeout`` seconds or at all.
        """
        await self._call("report_outcome", request, timeout, type(None))

    async def check_account(self, timeout: float) -> AccountState:
        """Ask the vendor about the account; nothing is sent. Only where ``checks_account``.

        Raises:
            ProviderError: It cannot be used as it is set up here, or the vendor did not answer within ``timeout`` seconds:
                never ``ambiguous``, because asking sends nothing.
        """
        failure = None
        try:
            state = await self._call("check_account", None, timeout, AccountState)
        except ProviderError as error:
            if error.kind is not ErrorKind.AMBIGUOUS:
                raise
            failure = ProviderError(
                ErrorKind.UNAVAILABLE, error.summary, error.retry_after, error.provider_code, self.instance
            )
        if failure is not None:
            raise failure
        words = (state.summary, state.warning, state.fix)
        if not all(type(one) is str for one in words):
            raise self._error(ErrorKind.UNAVAILABLE, "answered a summary, warning or fix that is no text")
        return AccountState(**{name: getattr(state, name)[:_LONGEST_SUMMARY] for name in ("summary", "warning", "fix")})

    async def parse_receipt(self, request: ReceiptRequest, timeout: float) -> ReceiptAnswer:
        """Prove and read a delivery callback. Only where ``reads_receipts``.

        Raises:
            ReceiptRefused: It must not be believed.
            ProviderError: The plugin failed to read it, within ``timeout`` seconds or at all.
        """
        request = proven(request, self.instance, self.info, self._addresses)
        read: object = await self._call("parse_receipt", request, timeout, object)
        return self._checked(partial(self._answers.reported, read, request.delivery_id))

    def _checked(self, check: Callable[[], T]) -> T:
        """An answer that can be used."""
        try:
            return check()
        except UnusableAnswerError as error:
            problem = str(error)
        raise self._error(ErrorKind.AMBIGUOUS, problem)

    async def _call(self, hook: str, request: object, timeout: float, expected: type[T]) -> T:
        """One hook call under a deadline; each way in which it can go wrong gets its kind."""
        if hook not in self._hooks.implemented:
            raise self._error(ErrorKind.MISCONFIGURED, f"does not implement {hook}")
        if timeout <= 0:
            raise self._error(ErrorKind.UNAVAILABLE, "no time was left to call it")
        progress = _Progress()
        failed: BaseException | None = None
        with anyio.move_on_after(timeout):
            try:
                answer = await self._answer(hook, {} if request is None else {"request": request}, progress)
            except BaseException as error:
                if ends_the_caller(error):
                    raise
                failed = error
            else:
                if issubclass(type(answer), expected):  # isinstance would believe what the answer says of itself
                    return cast("T", answer)
                failed = self._error(
                    ErrorKind.AMBIGUOUS, f"answered {_type_name(answer)} instead of {expected.__name__}"
                )
        if failed is not None:
            # Outside the handler: the original and its cause may quote the number, the code or a credential, and would
            # be the context of what is raised, and of what the host's logging says of a handler that fails.
            failure, failed = self._failure_of(hook, request, failed), None
            raise failure
        if progress.waiting_for_thread:
            raise self._error(ErrorKind.UNAVAILABLE, f"no worker thread was free within {timeout:g} s")
        raise self._error(ErrorKind.AMBIGUOUS, f"no answer within {timeout:g} s")

    def _failure_of(self, hook: str, request: object, error: BaseException) -> ProviderError | ReceiptRefused:
        """What a hook raised, as the error that leaves here; a plugin may raise anything, and unknown means ambiguous."""
        if isinstance(error, ProviderError):
            return clean_error(error, self.instance, secrets_of(request, in_parts=True))
        if isinstance(error, ReceiptRefused) and hook == "parse_receipt":
            return ReceiptRefused(error.fault, str(error.summary), self.instance)
        if isinstance(error, NoThreadError):
            return self._error(ErrorKind.UNAVAILABLE, "no worker thread could be started")
        origin = error.origin if isinstance(error, EscapedError) else error
        # Type and place only: the text and the traceback's text may quote what the plugin held.
        about = fields("provider_raised", instance=self.instance, reason=type(origin).__name__)
        where = f"{hook} raised {raised_at(origin)}"
        level = logging.DEBUG if where in self._raised else logging.ERROR  # the same bug is told once, not once a send
        self._raised.add(where)
        _logger.log(level, "provider %s: %s", self.instance, where, extra=about)
        return self._error(ErrorKind.AMBIGUOUS, f"raised {type(origin).__name__}")

    def _answer(self, hook: str, arguments: dict[str, Any], progress: _Progress | None = None) -> Awaitable[Any]:
        """What the hook answers, in a thread if it blocks. The one place that decides."""
        call = getattr(self._hooks.relay, hook)
        if hook in self._hooks.asynchronous:
            return cast("Awaitable[Any]", call(**arguments))
        return self._answer_in_thread(partial(call, **arguments), progress or _Progress())

    async def _answer_in_thread(self, call: Callable[[], Any], progress: _Progress) -> Any:
        progress.waiting_for_thread = True
        await self._slots.acquire()
        progress.waiting_for_thread = False
        answer = await self._slots.run(partial(_contained, call))
        # A decorator may hide that the hook is asynchronous: then the thread only made the coroutine.
        return await answer if inspect.isawaitable(answer) else answer

    def _error(self, kind: ErrorKind, summary: str) -> ProviderError:
        return ProviderError(kind, summary, provider=self.instance)


@attrs.define
class _Progress:
    """How far a hook call has come."""

    waiting_for_thread: bool = False


def _make(
    instance: str,
    origin: InstalledPlugin,
    factory: Callable[[ProviderContext], object],
    context: ProviderContext,
    thread_slots: int,
) -> Provider:
    """Call the factory and wrap what it made."""
    problem = partial(_hook_checks.load_error, f"provider {instance!r}", origin.origin)
    if not callable(factory):
        raise problem(f"{origin.target} is {_type_name(factory)}, not a factory", "name create_provider(context)")
    failure = None
    try:
        obj = factory(context)
    except SettingsError:
        raise
    except BaseException as error:
        if ends_the_caller(error):
            raise
        failure = problem(f"its factory raised {explained(error)}", fix_of(error))
    if failure is not None:
        raise failure  # outside the handler, as in Provider.start
    if inspect.iscoroutine(obj):
        obj.close()
        raise problem("its factory is async", "make it a plain def; open clients in the hook start")
    if obj is None:
        raise problem("its factory answered None", "return the provider object")
    return _wrap(instance, origin, obj, thread_slots, context.addresses)


def _wrap(
    instance: str, origin: InstalledPlugin, obj: object, thread_slots: int, addresses: ReceiptAddresses | None
) -> Provider:
    """Register the object on its own, and check it."""
    hooks = register(obj, ProviderHooks, "a provider", f"provider {instance!r}", origin.origin)
    info, channels = _hook_checks.describe(hooks)
    return Provider(
        instance=instance,
        info=info,
        channels=channels,
        distribution=origin.distribution,
        version=origin.version,
        can_cancel="cancel" in hooks.implemented,
        reads_receipts="parse_receipt" in hooks.implemented,
        checks_account="check_account" in hooks.implemented,
        reports_outcomes="report_outcome" in hooks.implemented,
        hooks=hooks,
        slots=ThreadSlots(thread_slots),
        addresses=addresses,
        answers=Answers(instance),
    )


def _contained(call: Callable[[], T]) -> T:
    """In a thread of its own nothing that a hook raises is meant for the caller."""
    try:
        return call()
    except Exception:
        raise
    except BaseException as error:  # noqa: BLE001 - it would end the task that waits, or its event loop
        raise EscapedError(error) from None


def _type_name(value: object) -> str:
    return type(value).__name__
