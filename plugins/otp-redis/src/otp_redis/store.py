"""The store: the shared transactions of otpcore over Redis; one commit for each command, and a look where none can be guessed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from types import EllipsisType
from typing import Any, TypeVar

import attrs

from otp_redis.address import Address
from otp_redis.connections import CONNECTIONS
from otp_redis.keeping import Keeping
from otp_redis.rows import RedisRows
from otp_redis.server import Server
from otp_redis.unit import Unit
from otpcore.stores import (
    AuditRecord,
    Crew,
    Rows,
    SettingsError,
    Store,
    StoreStatus,
    WorkerRecord,
    World,
    still_wanted,
)

__all__ = ["RedisStore", "create_store"]

T = TypeVar("T")
_logger = logging.getLogger("otpcore.stores.redis")

_PATIENCE = 15.0
_DAY = timedelta(days=1)


def create_store(settings: Any) -> RedisStore:
    """The factory behind a ``storage.url`` that begins with ``redis://`` and its like.

    Raises:
        SettingsError: There is no URL, or it cannot be used.
    """
    storage = settings.storage
    if not storage.url:
        raise SettingsError('storage.url: must be set, for example "redis://localhost:6379/0"')
    return RedisStore(
        storage.url,
        keep_challenges=timedelta(seconds=storage.keep_challenges),
        keep_deliveries=timedelta(seconds=storage.keep_deliveries),
        keep_verified=timedelta(seconds=storage.keep_verified),
        keep_audit=timedelta(seconds=storage.keep_audit),
        keep_series=timedelta(seconds=storage.keep_series),
        keeps_outbox=storage.outbox,
    )


class RedisStore(Store):
    """Keeps everything in Redis or Valkey. One object may serve several services, event loops and threads.

    Args:
        url: ``redis://``, ``rediss://``, ``valkey://``, ``valkeys://``, ``unix://``, ``redis+cluster://``,
            ``rediss+cluster://``, ``redis+sentinel://`` or ``rediss+sentinel://``; options ``tag``, ``wait_replicas``,
            ``sentinel_username`` and ``sentinel_password``, and those of redis-py.
        keep_challenges: How long challenges are kept, as ``storage.keep_challenges``; keys expire a day later.
        keep_deliveries: The same for deliveries.
        keep_verified: The same for the note that a phone verified.
        keep_audit: The same for the trail of operators.
        keep_series: The same for counts over time.
        patience: Seconds to wait at most: for other units of work, for a server that is away.
        keeps_outbox: What changes in challenges is written to the outbox.

    Raises:
        SettingsError: The URL cannot be used.
    """

    _world = World.REAL

    def __init__(
        self,
        url: str,
        *,
        keep_challenges: timedelta = _DAY,
        keep_deliveries: timedelta = 30 * _DAY,
        keep_verified: timedelta = 90 * _DAY,
        keep_audit: timedelta = 365 * _DAY,
        keep_series: timedelta = 30 * _DAY,
        patience: float = _PATIENCE,
        keeps_outbox: bool = False,
    ) -> None:
        self.keeps_outbox = keeps_outbox
        self._server = Server(Address.parse(url), patience=patience)
        self._keeping = Keeping(
            challenges=keep_challenges,
            deliveries=keep_deliveries,
            verified=keep_verified,
            audit=keep_audit,
            series=keep_series,
        )
        # As many threads as there are connections: one that waited for a connection would only be in the way of others.
        self._crew = Crew(self._server.place, size=CONNECTIONS, patience=patience)
        self._lock = threading.Lock()
        self._users = 0

    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Connect and check the server; a later start shares what is open.

        Raises:
            SettingsError: The server may lose data: it evicts, is too old, or is a replica.
            StoreError: It cannot be reached.
        """
        await self._in_thread(self._enter)
        exit_stack.push_async_callback(self._leave)
        extra = {"otp_event": "store_opened", "otp_reason": "redis"}
        _logger.info("database: %s", self._server.place, extra=extra)

    def within(self, world: World) -> Store:
        """As one world sees it: under keys of its own, but for settings, signs of life and the trail of operators."""
        return self if world is World.REAL else _OtherWorld(self, world)

    async def _wipe(self) -> None:
        """After a person is erased this process forgets, and the server is told to write its append-only file anew."""
        await self._in_thread(self._server.wipe)

    async def diagnose(self) -> Mapping[str, str]:
        """Kind, place, version, and what becomes of the data at a restart and when memory is short."""
        return {"store": "redis", **await self._in_thread(self._server.facts)}

    async def _write(
        self,
        unit: Callable[[Rows], T],
        *,
        even_if_cancelled: bool = False,
        otherwise: Callable[[Rows, T | None], object] | None = None,
        last: bool = False,
    ) -> T:
        def work(is_wanted: Callable[[], bool]) -> T:
            def wanted(rows: Rows) -> T:
                result = unit(rows)
                still_wanted(is_wanted)
                return result

            return self._server.write(self._over_rows(wanted), self._world)

        def follow(result: T | None) -> None:
            if otherwise is not None:
                self._server.write(self._over_rows(lambda rows: otherwise(rows, result)), self._world)

        return await self._crew.run(
            work,
            even_if_cancelled=even_if_cancelled,
            otherwise=follow if otherwise is not None else None,
            last=last,
        )

    async def _read(self, unit: Callable[[Rows], T]) -> T:
        return await self._in_thread(lambda: self._server.read(self._over_rows(unit), self._world))

    def _over_rows(self, unit: Callable[[Rows], T]) -> Callable[[Unit], T]:
        def run(work: Unit) -> T:
            rows = RedisRows(work, self._keeping)
            rows.keeps_outbox = self.keeps_outbox
            return unit(rows)

        return run

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await self._crew.run(lambda _: work())

    def _enter(self) -> None:
        with self._lock:
            if not self._users:
                try:
                    self._server.open()
                except BaseException:
                    self._server.close()
                    raise
            self._users += 1

    async def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            is_last = not self._users
        if is_last:
            await self._crew.aclose()
            self._server.close()


class _OtherWorld(RedisStore):
    """A store as a world that is not the real one sees it."""

    def __init__(self, store: RedisStore, world: World) -> None:
        self._store = store
        self._world = world
        self.keeps_outbox = store.keeps_outbox
        self._server, self._keeping, self._crew = store._server, store._keeping, store._crew  # noqa: SLF001 - of this module

    async def start(self, exit_stack: AsyncExitStack) -> None:
        """As the store; a later start shares what is open."""
        await self._store.start(exit_stack)

    def within(self, world: World) -> Store:
        """As another one sees it."""
        return self._store.within(world)

    async def settings(self) -> Mapping[str, str]:
        """Shared."""
        return await self._store.settings()

    async def write_setting(
        self,
        name: str,
        value: str | None,
        *,
        expect: str | EllipsisType | None = ...,
        audit: AuditRecord | None = None,
    ) -> bool:
        """Shared."""
        return await self._store.write_setting(name, value, expect=expect, audit=audit)

    async def beat(self, worker: WorkerRecord, stale: timedelta, now: datetime | None) -> tuple[WorkerRecord, ...]:
        """Shared."""
        return await self._store.beat(worker, stale, now)

    async def leave(self, name: str) -> None:
        """Shared."""
        await self._store.leave(name)

    async def status(self, since: datetime, now: datetime | None) -> StoreStatus:
        """This world's, with the signs of life of all."""
        own, shared = await super().status(since, now), await self._store.status(since, now)
        return attrs.evolve(own, workers=shared.workers)
