"""How units of work run: what a store implements for its engine. All else of a store is shared."""

from __future__ import annotations

import abc
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from otpcore.stores.rows import Rows

__all__ = ["UnitsOfWork"]

T = TypeVar("T")


class UnitsOfWork(abc.ABC):
    """An engine that runs units of work over its ``Rows``."""

    durable = True
    """Survives the process; the worker and production refuse a store that does not."""

    keeps_outbox = False
    """What changes in challenges is written to the outbox, in the same transaction, for a service that works through it."""

    _charges_apart = False
    """Units run at the same time and wait for one another's rows. Whoever ends a send holds its challenge when it gives back
    what was charged; so a send is charged in a unit of its own, and nobody waits for a challenge while holding counters. What
    fails between the two is given back by the process, while it lives; its death between the two loses the charge."""

    @abc.abstractmethod
    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open what is needed and push its closing. Creates or checks the schema as its documentation says."""

    @abc.abstractmethod
    async def diagnose(self) -> Mapping[str, str]:
        """Facts for ``otp doctor``: kind, place, schema."""

    @abc.abstractmethod
    def _write(
        self,
        unit: Callable[[Rows], T],
        *,
        even_if_cancelled: bool = False,
        otherwise: Callable[[Rows, T | None], object] | None = None,
        last: bool = False,
    ) -> Coroutine[Any, Any, T]:
        """Run a unit of work in one transaction; return when it is committed. Whoever is cancelled does not wait for it.

        Args:
            even_if_cancelled: Once handed over it takes place, whether or not the caller still waits.
            otherwise: Follows in a transaction of its own where the unit took place and the caller has left, so that nobody
                heard of its result; and, where units run at the same time, where it failed (None for the result).
            last: It begins something; in a crowd it waits behind what goes on with something that has begun.
        """

    @abc.abstractmethod
    def _read(self, unit: Callable[[Rows], T]) -> Coroutine[Any, Any, T]:
        """Run a unit that changes nothing."""

    async def _wipe(self) -> None:  # noqa: B027 - not every medium keeps what was removed
        """What was erased goes from the medium too, as far as it can be told to forget."""
