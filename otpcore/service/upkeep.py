"""Sweep, purge and erase: what is over ends, and what is older than the settings keep goes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import attrs

from otpcore.events import EventType
from otpcore.models import World
from otpcore.phone.numbers import PhoneNumber
from otpcore.service.failover import report_ended
from otpcore.service.service import Service
from otpcore.stores.contract import Store
from otpcore.stores.counts import PurgeCount
from otpcore.stores.records import AuditRecord

__all__ = ["fold", "purge", "purge_old", "sweep", "tidy_sandbox"]

_SWEEP_LIMIT = 200  # challenges in one unit of work
_PURGE_LIMIT = 500  # rows of each kind in one unit of work


async def sweep(service: Service, *, set_back: bool = False) -> int:
    """Expire all that is over; end all that died half-way where nothing is retried; how many."""
    total = 0
    while True:  # in small units, so that sends and verifications go on between them
        ended = await service.store.sweep(
            unretried=service.unretried, limit=_SWEEP_LIMIT, set_back=set_back and not total, now=service.store_now
        )
        for one in ended:
            report_ended(service, one.channel, one.challenge)
        total += len(ended)
        if len(ended) < _SWEEP_LIMIT:
            return total


async def fold(service: Service, enough: Callable[[], bool] = lambda: False) -> None:
    """Count what has happened, in small portions, until somebody says that it is enough."""
    while await service.store.fold(service.store_now) and not enough():
        pass


async def purge(service: Service, phone: PhoneNumber | None, audit: AuditRecord | None = None) -> PurgeCount:
    """Remove what is older than the settings keep; with a phone, everything about it. ``audit``: an operator does."""
    if phone is None:
        await sweep(service)  # only what is over is removed, and where retries run inline nobody else sweeps
        await fold(service)  # nor counts what is about to be removed
        return (await purge_old(service, audit=audit))[0]
    if service.sandbox is not None:
        service.sandbox.forget(phone)
    count = PurgeCount()
    for world in World:
        found = PurgeCount()
        for phone_key in service.phone_keys(phone):  # sealed records of one world may be about people of the other
            once = None if found.most() else audit
            found = found.plus(await _purge(service, service.store.within(world), phone_key=phone_key, audit=once))
        count = count.plus(found)
    _report(service, count, "erased", phone)
    return count


async def purge_old(
    service: Service, enough: Callable[[], bool] = lambda: False, audit: AuditRecord | None = None
) -> tuple[PurgeCount, bool]:
    """Remove what is older than the settings keep, in small units, until somebody says that it is enough.

    Returns:
        How much was removed, and whether nothing is left.
    """
    total, is_done = PurgeCount(), False
    while not is_done:
        count = await _purge(service, service.store, limit=_PURGE_LIMIT, audit=None if total.most() else audit)
        total, is_done = total.plus(count), count.most() < _PURGE_LIMIT
        if enough():
            break
    _report(service, total, "retention")
    return total, is_done


async def tidy_sandbox(service: Service) -> None:
    """Remove what a sandbox that runs no more has left in a real service's store, by this service's settings."""
    if service.elsewhere is None or service.settings.world is World.SANDBOX:
        return
    store = service.elsewhere.store
    while len(await store.sweep(unretried=(), limit=_PURGE_LIMIT, now=service.store_now)) >= _PURGE_LIMIT:
        pass
    while (await _purge(service, store, limit=_PURGE_LIMIT)).most() >= _PURGE_LIMIT:
        pass


async def _purge(
    service: Service,
    store: Store,
    *,
    phone_key: str | None = None,
    limit: int | None = None,
    audit: AuditRecord | None = None,
) -> PurgeCount:
    storage, now = service.settings.storage, service.clock()
    return await store.purge(
        challenges_before=now - timedelta(seconds=storage.keep_challenges),
        deliveries_before=now - timedelta(seconds=storage.keep_deliveries),
        verified_before=now - timedelta(seconds=storage.keep_verified),
        audit_before=now - timedelta(seconds=storage.keep_audit),
        series_before=now - timedelta(seconds=storage.keep_series),
        phone_key=phone_key,
        limit=limit,
        now=now,
        audit=audit,
    )


def _report(service: Service, count: PurgeCount, reason: str, phone: PhoneNumber | None = None) -> None:
    removed = {name: number for name, number in attrs.asdict(count).items() if number}
    if removed:
        service.emit(
            EventType.PURGED,
            phone=phone.masked if phone is not None else None,
            reason=reason,
            detail=", ".join(f"{number} {name}" for name, number in removed.items()),
        )
