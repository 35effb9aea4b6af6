"""The provider instances of a running service: started before rules that name them take force, stopped when nothing needs them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

import anyio
import anyio.abc
import anyio.to_thread

from otpcore._foreign import ends_the_caller
from otpcore._logs import fields
from otpcore._providers import Loaded, start_providers
from otpcore.errors import ErrorKind, OTPConfigurationError, PluginLoadError, ProviderError, UnknownProviderError
from otpcore.hookspecs import utc_now
from otpcore.models import Channel
from otpcore.plugins import Provider

_logger = logging.getLogger("otpcore.providers")

_PATIENCE = 30.0


class Instances:
    """Every loaded instance, and which of them are started.

    An instance runs in a task of its own, which holds what it opened: whoever needs it first starts it, and whatever it
    opened is closed where it was opened. One that no rule names any more is stopped when the last code that it may have
    sent has expired, and started again if a code of it is checked after all.

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
        patience: float = _PATIENCE,
    ) -> None:
        self._patience = patience
        self._loaded = loaded
        self._load = load
        self._longest_life = longest_life
        self._clock = clock
        self._stops: dict[str, anyio.Event] = {}
        self._idle_since: dict[str, datetime] = {}
        self._starting: anyio.Lock
        self._tasks: anyio.abc.TaskGroup

    async def open(self, exit_stack: AsyncExitStack, names: Iterable[str]) -> None:
        """Start these; closing the stack stops all.

        Raises:
            OTPConfigurationError: One that must work does not start.
        """
        self._starting, self._tasks = anyio.Lock(), anyio.create_task_group()
        await self._tasks.__aenter__()

        async def finish(*_: object) -> None:
            for name in list(self._stops):
                self._stop(name)
            self._tasks.cancel_scope.deadline = anyio.current_time() + self._patience
            await self._tasks.__aexit__(None, None, None)
            if self._tasks.cancel_scope.cancelled_caught:
                about = fields("provider_not_closed")
                _logger.error("some provider did not close within %g s and was cancelled", self._patience, extra=about)

        exit_stack.push_async_exit(finish)
        await start_providers(self._loaded, names, self._start)

    @classmethod
    def none(cls) -> Instances:
        """For whoever calls no provider, such as an operator's command."""

        def refuse(name: str) -> Provider:
            raise UnknownProviderError(f"provider {name!r}: no instance is loaded here")

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

    async def require(self, names: Collection[str]) -> None:
        """See that all of these are started; rules that name them may then take force.

        Raises:
            OTPConfigurationError: One of them cannot be loaded or started.
        """
        for name in names:
            if name not in self._stops:
                async with self._starting:
                    await self._start(name)

    async def opened(self, name: str) -> Provider:
        """A started instance, for a call to it.

        Raises:
            ProviderError: ``misconfigured``: it cannot be started any more, so nothing was sent.
        """
        if name in self._idle_since:
            self._idle_since[name] = self._clock()
        if name not in self._stops:
            try:
                await self.require([name])
            except OTPConfigurationError as error:
                about = fields("provider_not_started", instance=name, reason=type(error).__name__)
                _logger.error("provider %s cannot be started: %s", name, error, extra=about)
                raise ProviderError(ErrorKind.MISCONFIGURED, "it cannot be started any more", provider=name) from None
        return self._loaded.providers[name]

    def release(self, named: Collection[str]) -> None:
        """Stop what neither these rules nor any code that may still live can need."""
        now = self._clock()
        for name in list(self._stops):
            if name in named:
                self._idle_since.pop(name, None)
            elif now - self._idle_since.setdefault(name, now) > self._longest_life:
                _logger.info(
                    "provider %s is stopped: no rule names it, and its last code has expired",
                    name,
                    extra=fields("provider_stopped", instance=name),
                )
                self._stop(name)

    async def _start(self, name: str) -> None:
        """Start one, loading it if need be; whoever was faster has done it."""
        if name in self._stops:
            return
        if name not in self._loaded.providers:
            self._loaded.providers[name] = await anyio.to_thread.run_sync(self._load, name)  # imports, may read files
        self._loaded.broken.pop(name, None)
        provider = self._loaded.providers[name]
        with anyio.move_on_after(self._patience) as limit:
            await self._tasks.start(self._keep, name, provider, name=f"otpcore provider {name}")
        if limit.cancelled_caught:
            raise PluginLoadError(
                f"provider {name!r}: it did not start within {self._patience:g} s. "
                "Fix: mend the plugin's hook start, or what it connects to."
            )

    async def _keep(self, name: str, provider: Provider, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Hold what an instance opened until it is stopped."""
        stop = anyio.Event()
        started = False
        try:
            async with AsyncExitStack() as stack:
                await provider.start(stack)
                self._stops[name] = stop
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

    def _stop(self, name: str) -> None:
        self._stops.pop(name).set()
        self._idle_since.pop(name, None)
