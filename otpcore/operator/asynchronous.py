"""`AsyncOperator`: everything that the command line can do, from asyncio or trio."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import attrs

from otpcore.clock import utc_now
from otpcore.operator.challenges import AsyncChallenges
from otpcore.operator.desk import Desk
from otpcore.operator.findings.key_states import key_states, keys_in_use
from otpcore.operator.inbox import inbox
from otpcore.operator.instances import AsyncInstances
from otpcore.operator.limits import AsyncLimits, budgets, refusals
from otpcore.operator.lists import AsyncDeliveries, series
from otpcore.operator.results.limits import Budget, RefusalSeen
from otpcore.operator.results.lists import SeriesStep
from otpcore.operator.results.upkeep import Change, Erased, Finding, InboxMessage, KeyNeed
from otpcore.operator.retries import AsyncRetries
from otpcore.operator.routes import AsyncRoutes
from otpcore.operator.sending import AsyncSending
from otpcore.phone.numbers import PhoneNumber
from otpcore.providers.loading import ForcedProviders
from otpcore.service.arguments import check_storable, check_text
from otpcore.service.assembly import without_providers
from otpcore.service.lifetime import Lifetime, begin
from otpcore.service.measures import checked_count
from otpcore.service.service import Service
from otpcore.service.setup import Setup
from otpcore.service.status import Status
from otpcore.service.status_reading import read_status
from otpcore.service.upkeep import purge
from otpcore.settings.tree import Settings, load_settings
from otpcore.stores.contract import Store
from otpcore.stores.records import AuditRecord

__all__ = ["AsyncOperator", "operator_of", "operator_within"]


class AsyncOperator:
    """What operators see and change. ``AsyncOTPService.operator`` is one; opened by itself it needs no provider.

    Use it as ``async with AsyncOperator.from_settings() as operator:``. It opens store and keys only, neither providers nor a
    runner, so that a broken provider cannot stop a pause. Every change names who makes it (``by``), may say why (``reason``), is
    written to the audit trail in the transaction that makes it, is told as an event, and holds in all processes within
    ``routing.reload_every``.

    Args:
        settings: As for ``AsyncOTPService``.
        providers: What the host forces, as for ``AsyncOTPService``.
        store: As for ``AsyncOTPService``.
        observers: As for ``AsyncOTPService``.
        clock: As for ``AsyncOTPService``.
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
        self._setup = Setup(given=settings, providers=providers, store=store, observers=tuple(observers), clock=clock)
        self._desk: Desk | None = None
        self._lifetime: Lifetime | None = None

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
        """One that reads this settings file and the environment, as ``AsyncOTPService.from_settings`` does."""
        return cls(load_settings(path), providers=providers, store=store, observers=tuple(observers), clock=clock)

    async def __aenter__(self) -> Self:
        if self._desk is not None:
            raise RuntimeError("this operator is open already")
        self._lifetime = await begin(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lifetime, self._lifetime, self._desk = self._lifetime, None, None
        if lifetime is not None:
            await lifetime.end()

    @property
    def sending(self) -> AsyncSending:
        """The pause, and prefixes and regions that are denied or allowed."""
        return AsyncSending(self._opened)

    @property
    def limits(self) -> AsyncLimits:
        """What limits a phone, a client or a prefix."""
        return AsyncLimits(self._opened)

    @property
    def routes(self) -> AsyncRoutes:
        """The routing rules."""
        return AsyncRoutes(self._opened)

    @property
    def challenges(self) -> AsyncChallenges:
        """Started verifications."""
        return AsyncChallenges(self._opened)

    @property
    def deliveries(self) -> AsyncDeliveries:
        """What was handed to providers."""
        return AsyncDeliveries(self._opened)

    @property
    def retries(self) -> AsyncRetries:
        """Sends that wait for their next try."""
        return AsyncRetries(self._opened)

    @property
    def instances(self) -> AsyncInstances:
        """The provider instances."""
        return AsyncInstances(self._opened)

    @property
    def store(self) -> Store:
        """The open store, as the world of the settings sees it: for services that stand on it (lists, records, outbox)."""
        return self._opened.service.store

    async def status(self, *, window: float = 3600.0) -> Status:
        """What stops sending now, what each instance did lately, what waits, and who runs retries.

        Args:
            window: Seconds back from now in which deliveries are counted; at most ``storage.keep_deliveries``.
        """
        return await read_status(self._opened.service, window)

    async def findings(self, *, online: bool = False) -> tuple[Finding, ...]:
        """What ``otp doctor`` finds: what stops sending now first.

        Args:
            online: Ask each vendor about the account too; sends nothing, costs nothing.
        """
        from otpcore.operator.findings.doctor import examined  # noqa: PLC0415 - heavy, and nothing else needs it

        return await examined(self._opened, online=online)

    async def refusals(self, phone: str | None = None, *, limit: int = 50) -> tuple[RefusalSeen, ...]:
        """What was refused and why, and what only would have been, the latest first.

        Args:
            phone: Only of this one, as a person writes it; None: of all.
            limit: How many.

        Raises:
            InvalidPhoneNumber: It is not one number.
        """
        return await refusals(self._opened, phone, limit)

    async def series(
        self,
        since: datetime,
        until: datetime | None = None,
        step: float | None = 3600.0,
        *,
        apart_by: Collection[str] = (),
    ) -> tuple[SeriesStep, ...]:
        """Counts and waits for each step of time in which something happened, by time; at most a minute behind.

        Args:
            since: The first step is the one in which this lies. Steps are whole ones since 1970 UTC.
            until: The last step is the one that reaches it; None: now.
            step: Seconds, whole minutes of them; None: all of it is one step, from the minute of ``since`` on. Five minutes, and
                whole hours, are read from far fewer rows; so is one step from there on.
            apart_by: Of ``instance``, ``prefix`` and ``channel``, what steps are told apart by.

        Raises:
            InvalidArgument: An argument cannot be meant.
        """
        return await series(self._opened, since, until, step, apart_by)

    async def budgets(self) -> tuple[Budget, ...]:
        """How many unverified sends each rule prefix of a country had."""
        return await budgets(self._opened)

    async def keys_in_use(self) -> tuple[KeyNeed, ...]:
        """Where each code key stands in its rotation. A slow look at all challenges."""
        service = self._opened.service
        states = key_states(service.settings, await keys_in_use(service))
        return tuple(KeyNeed(**attrs.asdict(one)) for one in states)

    async def inbox(self, phone: str, *, reveal: bool = False) -> tuple[InboxMessage, ...]:
        """What the sandbox kept from being sent to a phone and carries a code that verifies now, newest last.

        Args:
            phone: As a person writes it.
            reveal: Show full numbers and codes.

        Raises:
            InvalidPhoneNumber: It is not one number.
            SettingsError: The sandbox is off.
        """
        return await inbox(self._opened, phone, reveal=reveal)

    async def purge(self, *, by: str, reason: str = "") -> Erased:
        """Remove what is older than ``storage.keep_*``.

        Args:
            by: Who does it.
            reason: Why.
        """
        return await self._purge(self._opened.record("purge", by, reason), None)

    async def erase(self, phone: str, *, by: str, reason: str = "") -> Erased:
        """Remove everything about one person, sealed records too; nothing brings it back. The trail keeps who did what.

        Of a record that is about the person, it keeps number, time, name and action; of this change the reason too.

        Args:
            phone: As a person writes it.
            by: Who does it.
            reason: Why.

        Raises:
            InvalidPhoneNumber: It is not one number.
        """
        number = self._opened.number(phone)
        return await self._purge(self._opened.record("erase", by, reason), number)

    async def look_up(self, phone: str) -> str:
        """The keyed look-up under which a phone is kept, the same for every spelling: for the ``about`` of sealed records.

        Args:
            phone: As a person writes it.

        Raises:
            InvalidPhoneNumber: It is not one number.
        """
        return self._opened.service.keys.phone_key(self._opened.number(phone).e164)

    async def audit(self, limit: int = 50, *, below: int | None = None, action: str = "") -> tuple[Change, ...]:
        """What operators changed, the latest first.

        Args:
            limit: How many.
            below: Only those with a lower number: the last one's of the page before.
            action: Only of this one, such as ``sending.pause``; empty: of all.
        """
        checked_count("limit", limit)
        if below is not None:
            checked_count("below", below, least=0)
        check_storable(action=action)
        check_text(action=action)
        records = await self._opened.service.store.audits(limit, below=below, action=action)
        return tuple(_change(one) for one in records)

    async def _purge(self, record: AuditRecord, number: PhoneNumber | None) -> Erased:
        count = attrs.asdict(await purge(self._opened.service, number, record))
        if any(count.values()):
            self._opened.tell(record, phone=number.masked if number is not None else None)
        return Erased(**count)

    async def _open(self, stack: AsyncExitStack) -> None:
        service = await stack.enter_async_context(without_providers(self._setup))
        self._desk = Desk(service=service, setup=self._setup, is_live=False)

    @property
    def _opened(self) -> Desk:
        if self._desk is None:
            raise RuntimeError("this operator is not open; use it as `async with AsyncOperator(...) as operator:`")
        return self._desk


def operator_of(setup: Setup) -> AsyncOperator:
    """An operator of what a host set up, not open."""
    made = AsyncOperator()
    made._setup = setup  # noqa: SLF001 - it is this module that keeps it
    return made


def operator_within(service: Service, setup: Setup) -> AsyncOperator:
    """The operator of a running service, open as long as that is."""
    made = operator_of(setup)
    made._desk = Desk(service=service, setup=setup, is_live=True)  # noqa: SLF001 - likewise
    return made


def _change(record: AuditRecord) -> Change:
    shown = attrs.asdict(record, filter=attrs.filters.exclude("about"))
    return Change(**{**shown, "detail": json.loads(record.detail)})
