"""The provider instances of a running service: started before rules that name them take force, stopped when nothing needs them."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

import anyio
import anyio.abc
import anyio.to_thread
import attrs

from otpcore.clock import utc_now
from otpcore.errors import (
    ErrorKind,
    OTPConfigurationError,
    PluginLoadError,
    ProviderError,
    UnknownProviderError,
    quoted,
)
from otpcore.events import fields
from otpcore.models import Channel
from otpcore.providers.guard import ends_the_caller
from otpcore.providers.loading import Loaded, start_providers
from otpcore.providers.provider import Provider

_logger = logging.getLogger("otpcore.providers")

PATIENCE = 30.0
"""Seconds for one instance to start, and for all to close what they opened."""


@attrs.define(eq=False)
class _Start:
    """A start under way, for all who need the instance; it goes on when they have gone."""

    scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope)
    ended: anyio.Event = attrs.field(factory=anyio.Event)
    error: BaseException | None = None


class Instances:
    """Every loaded instance, and which of them are started.

    An instance runs in a task of its own, which holds what it opened: whoever needs it first starts it, and whatever it
    opened is closed where it was opened. One that no rule names any more is stopped when the last code that it may have
    sent has expired, and started again if a code of it is checked after all.

    Attributes:
        ready: Those that are started and that rules name, by name: they may be called at once.
        report_outcomes: One of them wants to know how challenges end.

    Args:
        loaded: What could be loaded at the start.
        load: Loads another one by name.
        longest_life: How long a code may live after its instance has left the rules.
        clock: Aware UTC.
        patience: Seconds for one instance to start, and for all to close what they opened.
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        load: Callable[[str], Provider],
        longest_life: timedelta,
        clock: Callable[[], datetime],
        patience: float = PATIENCE,
    ) -> None:
        self.ready: dict[str, Provider] = {}
        self.report_outcomes = any(one.reports_outcomes for one in loaded.providers.values())
        self._patience = patience
        self._loaded = loaded
        self._load = load
        self._longest_life = longest_life
        self._clock = clock
        self._stops: dict[str, anyio.Event] = {}
        self._idle_since: dict[str, datetime] = {}
        self._starts: dict[str, _Start] = {}
        self._told: set[str] = set()
        self._tasks: anyio.abc.TaskGroup

    async def open(self, exit_stack: AsyncExitStack, names: Iterable[str]) -> None:
        """Start these; closing the stack stops all.

        Raises:
            OTPConfigurationError: One that must work does not start.
        """
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()

        async def finish() -> None:
            for start in self._starts.values():
                start.scope.cancel()
            for name in list(self._stops):
                self._stop(name)
            self._tasks.cancel_scope.deadline = anyio.current_time() + self._patience
            await self._tasks.__aexit__(None, None, None)
            if self._tasks.cancel_scope.cancelled_caught:
                about = fields("provider_not_closed")
                _logger.error("some provider did not close within %g s and was cancelled", self._patience, extra=about)

        exit_stack.push_async_callback(finish)
        await start_providers(self._loaded, names, self._start)

    @classmethod
    def none(cls) -> Instances:
        """For whoever calls no provider, such as an operator's command."""

        def refuse(name: str) -> Provider:
            raise UnknownProviderError(f"provider {quoted(name)}: no instance is loaded here")

        return cls(Loaded(), load=refuse, longest_life=timedelta(), clock=utc_now)

    @property
    def all(self) -> Mapping[str, Provider]:
        """Every instance that is loaded, started or not."""
        return self._loaded.providers

    @property
    def broken(self) -> Mapping[str, OTPConfigurationError]:
        """Why the others could not be loaded or started."""
        return self._loaded.broken

    def capable(self, channel: Channel) -> frozenset[str]:
        """Which instances can do a channel."""
        return self._loaded.capable(channel)

    async def require(self, names: Collection[str], within: float | None = None) -> bool:
        """See that all of these are started; rules that name them may then take force.

        Args:
            within: Seconds to wait for them; None: until each has started or failed.

        Returns:
            They are; else one of them is still starting, and goes on.

        Raises:
            OTPConfigurationError: One of them cannot be loaded or started.
        """
        with anyio.move_on_after(math.inf if within is None else within) as limit:
            for name in names:
                if name not in self._stops:
                    await self._started(name)
        return not limit.cancelled_caught

    async def opened(self, name: str, within: float) -> Provider:
        """A started instance, for a call to it.

        Args:
            within: Seconds to wait for its start.

        Raises:
            ProviderError: Nothing was sent: ``unavailable``, it is still starting; ``misconfigured``, it cannot be started any
                more.
        """
        if name in self._idle_since:
            self._idle_since[name] = self._clock()
        if name not in self._stops:
            if (last := self._starts.get(name)) is not None and last.ended.is_set():
                del self._starts[name]  # a failure that nobody waited for says nothing of now
            failure = None
            try:
                if not await self.require([name], within):
                    failure = ProviderError(ErrorKind.UNAVAILABLE, "it is still starting", provider=name)
            except OTPConfigurationError as error:
                about = fields("provider_not_started", instance=name, reason=type(error).__name__)
                level = logging.DEBUG if name in self._told else logging.ERROR  # once, not once a send
                _logger.log(level, "provider %s cannot be started: %s", name, error, extra=about)
                self._told.add(name)
                failure = ProviderError(ErrorKind.MISCONFIGURED, "it cannot be started any more", provider=name)
            if failure is not None:
                raise failure
        return self._loaded.providers[name]

    def release(self, named: Collection[str]) -> None:
        """Stop what neither these rules nor any code that may still live can need."""
        now = self._clock()
        for name in list(self._stops):
            if name in named:
                self._idle_since.pop(name, None)
                self.ready[name] = self._loaded.providers[name]
                continue
            self.ready.pop(name, None)
            if now - self._idle_since.setdefault(name, now) > self._longest_life:
                _logger.info(
                    "provider %s is stopped: no rule names it, and its last code has expired",
                    name,
                    extra=fields("provider_stopped", instance=name),
                )
                self._stop(name)

    async def _started(self, name: str) -> None:
        """Wait until one has started; whoever needs it first lets it start.

        Raises:
            OTPConfigurationError: It cannot be loaded or started. Told once: who needs it after that tries again.
        """
        if name not in self._starts:
            self._starts[name] = _Start()
            self._tasks.start_soon(self._carry_out, name, self._starts[name])
        start = self._starts[name]
        await start.ended.wait()
        if start.error is not None:
            if self._starts.get(name) is start:
                del self._starts[name]
            raise start.error

    async def _carry_out(self, name: str, start: _Start) -> None:
        """A start in a task of its own: no caller's end is its end."""
        try:
            with start.scope:
                await self._start(name)
                del self._starts[name]
            if start.scope.cancelled_caught:
                start.error = PluginLoadError(f"provider {quoted(name)}: the service was closed while it started")
        except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001 - for who waits, and not for the other instances
            start.error = error
        finally:
            start.ended.set()

    async def _start(self, name: str) -> None:
        """Start one, loading it if need be; whoever was faster has done it."""
        if name in self._stops:
            return
        if name not in self._loaded.providers:
            loaded = await anyio.to_thread.run_sync(self._load, name)  # imports, may read files
            self._loaded.providers[name] = loaded
            self.report_outcomes = self.report_outcomes or loaded.reports_outcomes
        self._loaded.broken.pop(name, None)
        provider = self._loaded.providers[name]
        with anyio.move_on_after(self._patience) as limit:
            await self._tasks.start(self._keep, name, provider, name=f"otpcore provider {name}")
        if limit.cancelled_caught:
            raise PluginLoadError(
                f"provider {quoted(name)}: it did not start within {self._patience:g} s. "
                "Fix: mend the plugin's hook start, or what it connects to."
            )

    async def _keep(self, name: str, provider: Provider, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Hold what an instance opened until it is stopped."""
        stop = anyio.Event()
        started = False
        try:
            async with AsyncExitStack() as stack:
                await provider.start(stack)
                self._stops[name], self.ready[name] = stop, provider
                self._told.discard(name)
                started = True
                task_status.started()
                await stop.wait()
        except BaseException as error:
            if not started or ends_the_caller(error):
                raise
            # What it left running failed, or its closing did: that hurts neither the others nor the host.
            about = fields("provider_broke_down", instance=name, reason=type(error).__name__)
            _logger.error("provider %s broke down: %s", name, type(error).__name__, extra=about)
        finally:
            if self._stops.get(name) is stop:
                del self._stops[name]
                self.ready.pop(name, None)

    def _stop(self, name: str) -> None:
        self._stops.pop(name).set()
        self.ready.pop(name, None)
        self._idle_since.pop(name, None)
