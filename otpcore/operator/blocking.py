"""`Operator`: the blocking twin of `AsyncOperator`, method by method."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast

from otpcore.clock import utc_now
from otpcore.operator.asynchronous import AsyncOperator
from otpcore.operator.challenges import AsyncChallenges
from otpcore.operator.instances import AsyncInstances
from otpcore.operator.limits import AsyncLimits
from otpcore.operator.lists import AsyncDeliveries
from otpcore.operator.retries import AsyncRetries
from otpcore.operator.routes import AsyncRoutes
from otpcore.operator.sending import AsyncSending
from otpcore.service.portal import open_portal, waiting
from otpcore.settings.tree import Settings, load_settings

if TYPE_CHECKING:
    from otpcore.providers.loading import ForcedProviders
    from otpcore.stores.contract import Store

__all__ = ["Operator", "operator_through"]

A = TypeVar("A")
R = TypeVar("R")
P = ParamSpec("P")

Use = Callable[[AsyncOperator], Coroutine[Any, Any, Any]]
"""What is to be done with the asynchronous one, in the thread of its event loop."""


class _Twin(Generic[A]):
    """The blocking twin of the operator, or of one group of its methods."""

    def __init__(self, run: Callable[[Use], Any], of: Callable[[AsyncOperator], A]) -> None:
        self._run = run
        self._of = of


def _blocking(method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]]) -> Callable[Concatenate[_Twin[A], P], R]:
    """The method of a twin that waits for this one."""

    def wait(self: _Twin[A], /, *args: P.args, **kwargs: P.kwargs) -> R:
        async def use(operator: AsyncOperator) -> R:
            return await method(self._of(operator), *args, **kwargs)

        return cast("R", self._run(use))

    functools.update_wrapper(wait, method)  # the arguments and words of the method
    return wait


class Sending(_Twin[AsyncSending]):
    """As ``AsyncOperator.sending``, blocking."""

    show = _blocking(AsyncSending.show)
    pause = _blocking(AsyncSending.pause)
    resume = _blocking(AsyncSending.resume)
    deny = _blocking(AsyncSending.deny)
    allow = _blocking(AsyncSending.allow)
    clear = _blocking(AsyncSending.clear)


class Limits(_Twin[AsyncLimits]):
    """As ``AsyncOperator.limits``, blocking."""

    show = _blocking(AsyncLimits.show)
    reset = _blocking(AsyncLimits.reset)


class Routes(_Twin[AsyncRoutes]):
    """As ``AsyncOperator.routes``, blocking."""

    show = _blocking(AsyncRoutes.show)
    explain = _blocking(AsyncRoutes.explain)
    validate = _blocking(AsyncRoutes.validate)
    preview = _blocking(AsyncRoutes.preview)
    set = _blocking(AsyncRoutes.set)
    history = _blocking(AsyncRoutes.history)
    restore = _blocking(AsyncRoutes.restore)


class Challenges(_Twin[AsyncChallenges]):
    """As ``AsyncOperator.challenges``, blocking."""

    list = _blocking(AsyncChallenges.list)
    show = _blocking(AsyncChallenges.show)
    cancel = _blocking(AsyncChallenges.cancel)


class Deliveries(_Twin[AsyncDeliveries]):
    """As ``AsyncOperator.deliveries``, blocking."""

    list = _blocking(AsyncDeliveries.list)
    cost = _blocking(AsyncDeliveries.cost)


class Retries(_Twin[AsyncRetries]):
    """As ``AsyncOperator.retries``, blocking."""

    list = _blocking(AsyncRetries.list)
    count = _blocking(AsyncRetries.count)
    requeue = _blocking(AsyncRetries.requeue)
    drop = _blocking(AsyncRetries.drop)


class Instances(_Twin[AsyncInstances]):
    """As ``AsyncOperator.instances``, blocking."""

    list = _blocking(AsyncInstances.list)
    status = _blocking(AsyncInstances.status)
    drain = _blocking(AsyncInstances.drain)
    take_back = _blocking(AsyncInstances.take_back)
    test = _blocking(AsyncInstances.test)


class Operator(_Twin[AsyncOperator]):
    """What operators see and change, blocking. ``OTPService.operator`` is one; opened by itself it needs no provider.

    Use it as ``with Operator.from_settings() as operator:``. Arguments, results and errors are those of ``AsyncOperator``.
    """

    def __init__(
        self,
        settings: Settings | Mapping[str, Any] | None = None,
        *,
        providers: ForcedProviders | None = None,
        store: Store | str | None = None,
        observers: Sequence[object] = (),
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(self._wait, lambda operator: operator)
        self._asynchronous = AsyncOperator(
            settings, providers=providers, store=store, observers=tuple(observers), clock=clock
        )
        self._stack: ExitStack | None = None
        self._portal: Any = None

    @classmethod
    def from_settings(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        providers: ForcedProviders | None = None,
        store: Store | str | None = None,
        observers: Sequence[object] = (),
        clock: Callable[[], datetime] = utc_now,
    ) -> Self:
        """As ``AsyncOperator.from_settings``."""
        return cls(load_settings(path), providers=providers, store=store, observers=tuple(observers), clock=clock)

    def __enter__(self) -> Self:
        if self._stack is not None:
            raise RuntimeError("this operator is open already")
        with ExitStack() as stack, waiting():
            self._portal = stack.enter_context(open_portal())
            stack.enter_context(self._portal.wrap_async_context_manager(self._asynchronous))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stack, self._stack = self._stack, None
        if stack is not None:
            with waiting():
                stack.close()

    @property
    def sending(self) -> Sending:
        """The pause, and prefixes and regions that are denied or allowed."""
        return Sending(self._run, lambda operator: operator.sending)

    @property
    def limits(self) -> Limits:
        """What limits a phone, a client or a prefix."""
        return Limits(self._run, lambda operator: operator.limits)

    @property
    def routes(self) -> Routes:
        """The routing rules."""
        return Routes(self._run, lambda operator: operator.routes)

    @property
    def challenges(self) -> Challenges:
        """Started verifications."""
        return Challenges(self._run, lambda operator: operator.challenges)

    @property
    def deliveries(self) -> Deliveries:
        """What was handed to providers."""
        return Deliveries(self._run, lambda operator: operator.deliveries)

    @property
    def retries(self) -> Retries:
        """Sends that wait for their next try."""
        return Retries(self._run, lambda operator: operator.retries)

    @property
    def instances(self) -> Instances:
        """The provider instances."""
        return Instances(self._run, lambda operator: operator.instances)

    status = _blocking(AsyncOperator.status)
    findings = _blocking(AsyncOperator.findings)
    refusals = _blocking(AsyncOperator.refusals)
    series = _blocking(AsyncOperator.series)
    budgets = _blocking(AsyncOperator.budgets)
    keys_in_use = _blocking(AsyncOperator.keys_in_use)
    inbox = _blocking(AsyncOperator.inbox)
    purge = _blocking(AsyncOperator.purge)
    erase = _blocking(AsyncOperator.erase)
    look_up = _blocking(AsyncOperator.look_up)
    audit = _blocking(AsyncOperator.audit)

    def _wait(self, use: Use) -> Any:
        if self._stack is None:
            raise RuntimeError("this operator is not open; use it as `with Operator(...) as operator:`")
        with waiting():
            return self._portal.call(use, self._asynchronous)


def operator_through(run: Callable[[Use], Any]) -> Operator:
    """The operator of a blocking service, which opens when it is first used."""
    made = Operator()
    made._run = run  # noqa: SLF001 - it is this module that keeps it
    made._stack = ExitStack()  # noqa: SLF001 - open, as long as the service is
    return made
