"""The store: the shared transactions of otpcore over Redis; one look and one commit for each verb."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from otp_redis.address import Address
from otp_redis.keeping import Keeping
from otp_redis.rows import RedisRows
from otp_redis.server import CONNECTIONS, Server
from otp_redis.unit import Unit
from otpcore.errors import SettingsError
from otpcore.stores.base import RowStore
from otpcore.stores.rows import Rows

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
    )


class RedisStore(RowStore):
    """Keeps everything in Redis or Valkey. One object may serve several services, event loops and threads.

    Args:
        url: ``redis://``, ``rediss://``, ``valkey://``, ``valkeys://``, ``unix://``, ``redis+cluster://`` or
            ``rediss+cluster://``; options ``tag`` and ``wait_replicas``, and those of redis-py.
        keep_challenges: How long challenges are kept, as ``storage.keep_challenges``; keys expire a day later.
        keep_deliveries: The same for deliveries.
        keep_verified: The same for the note that a phone verified.
        patience: Seconds to wait at most: for other units of work, for a server that is away.

    Raises:
        SettingsError: The URL cannot be used.
    """

    durable = True

    def __init__(
        self,
        url: str,
        *,
        keep_challenges: timedelta = _DAY,
        keep_deliveries: timedelta = 30 * _DAY,
        keep_verified: timedelta = 90 * _DAY,
        patience: float = _PATIENCE,
    ) -> None:
        self._server = Server(Address.parse(url), patience=patience)
        self._keeping = Keeping(challenges=keep_challenges, deliveries=keep_deliveries, verified=keep_verified)
        self._limiter: RunVar[anyio.CapacityLimiter] = RunVar(f"otp_redis_{id(self)}")
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

    async def diagnose(self) -> Mapping[str, str]:
        """Kind, place, version, and what becomes of the data at a restart and when memory is short."""
        return {"store": "redis", **await self._in_thread(self._server.facts)}

    async def _write(self, unit: Callable[[Rows], T], *, even_if_cancelled: bool = False) -> T:
        with anyio.CancelScope(shield=even_if_cancelled):
            return await self._in_thread(lambda: self._server.write(self._over_rows(unit)))
        raise AssertionError("nobody cancels this scope")

    async def _read(self, unit: Callable[[Rows], T]) -> T:
        return await self._in_thread(lambda: self._server.read(self._over_rows(unit)))

    def _over_rows(self, unit: Callable[[Rows], T]) -> Callable[[Unit], T]:
        return lambda work: unit(RedisRows(work, self._keeping))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """In one of as many threads as there are connections; a caller that is cancelled meanwhile waits for its end."""
        limiter = self._limiter.get(None)
        if limiter is None:
            limiter = anyio.CapacityLimiter(CONNECTIONS)
            self._limiter.set(limiter)
        return await anyio.to_thread.run_sync(work, limiter=limiter)

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
            if not self._users:
                self._server.close()
