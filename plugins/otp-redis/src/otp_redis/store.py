"""The store: the shared transactions of otpcore over Redis; one look and one commit for each verb."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from otp_redis.address import Address
from otp_redis.challenge_rows import Expected, digest
from otp_redis.keeping import Keeping
from otp_redis.limit_rows import first_part
from otp_redis.rows import RedisRows
from otp_redis.server import CONNECTIONS, Server
from otp_redis.unit import Unit
from otpcore.admission import UNCOUNTED, BudgetRule
from otpcore.errors import SettingsError
from otpcore.figures import PurgeCount
from otpcore.models import Receipt
from otpcore.records import DeliveryRecord
from otpcore.stores.base import RowStore
from otpcore.stores.rows import Rows
from otpcore.verbs import (
    Begun,
    ClaimBatch,
    ClaimRule,
    LockRule,
    NewSend,
    ReceiptRule,
    Received,
    RecordedGuess,
    Reservation,
)
from otpcore.walks import CallResult, Step, WalkPlan, WalkRef

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

    async def purge(
        self,
        *,
        challenges_before: datetime,
        deliveries_before: datetime,
        verified_before: datetime | None = None,
        phone_key: str | None,
        now: datetime | None,
    ) -> PurgeCount:
        """As the contract says; after a person is erased the server is told to write its append-only file anew."""
        count = await super().purge(
            challenges_before=challenges_before,
            deliveries_before=deliveries_before,
            verified_before=verified_before,
            phone_key=phone_key,
            now=now,
        )
        if phone_key is not None:
            await self._in_thread(self._server.rewrite_log)
        return count

    async def diagnose(self) -> Mapping[str, str]:
        """Kind, place, version, and what becomes of the data at a restart and when memory is short."""
        return {"store": "redis", **await self._in_thread(self._server.facts)}

    # The verbs of every send and every verification: one look and one commit each.

    async def begin(self, send: NewSend, now: datetime | None) -> Begun:
        """As the contract says."""
        asked, phone_key = send.asked, send.challenge.phone_key
        charges = (*asked.charges, *(one for pair in asked.neighbours for one in pair))
        hashes = ["breakers", f"fl:{phone_key}", f"sl:{phone_key}", *(f"ct:{first_part(one.key)}" for one in charges)]
        if asked.barrier is not None and asked.barrier.unless_verified:
            hashes.append(f"vf:{phone_key}")
        if asked.budget and asked.budget_rule.windows:
            hashes.append(f"bd:{first_part(asked.budget)}")
        which = {"challenge_id": send.challenge.id} if send.is_resend else {"subject": send.challenge.subject}
        return await self._expecting(now=now, hashes=hashes, **which).begin(send, now)

    async def record(
        self, walk: WalkRef, delivery: DeliveryRecord, result: CallResult, plan: WalkPlan, now: datetime | None
    ) -> Step:
        """As the contract says."""
        hashes = ["breakers", *([f"rf:{digest(result.reference)}"] if result.reference else [])]
        expecting = self._expecting(now=now, challenge_id=walk.challenge_id, hashes=hashes)
        return await expecting.record(walk, delivery, result, plan, now)

    async def claim(self, rule: ClaimRule, limit: int, now: datetime | None) -> ClaimBatch:
        """As the contract says."""
        if rule.job is not None:
            return await self._expecting(now=now, challenge_id=rule.job.challenge_id).claim(rule, limit, now)
        return await self._expecting(now=now, due=limit, ahead=rule.ahead).claim(rule, limit, now)

    async def begin_retry(self, walk: WalkRef, plan: WalkPlan, now: datetime | None) -> Step:
        """As the contract says."""
        return await self._expecting(now=now, challenge_id=walk.challenge_id, hashes=["breakers"]).begin_retry(
            walk, plan, now
        )

    async def go_on(self, walk: WalkRef, plan: WalkPlan, now: datetime | None) -> Step:
        """As the contract says."""
        return await self._expecting(now=now, challenge_id=walk.challenge_id, hashes=["breakers"]).go_on(
            walk, plan, now
        )

    async def receive(self, instance: str, receipt: Receipt, rule: ReceiptRule, now: datetime | None) -> Received:
        """As the contract says."""
        if not receipt.reference:
            return await super().receive(instance, receipt, rule, now)
        hashes = [f"rf:{digest(receipt.reference)}"]
        expecting = self._expecting(now=now, reference=(instance, receipt.reference), hashes=hashes)
        return await expecting.receive(instance, receipt, rule, now)

    async def reserve(
        self,
        *,
        subject: str | None,
        challenge_id: str | None,
        purpose: str,
        locks: LockRule,
        guess: RecordedGuess | None = None,
        now: datetime | None,
    ) -> Reservation:
        """As the contract says."""
        which = {"challenge_id": challenge_id} if challenge_id is not None else {"subject": subject or ""}
        return await self._expecting(now=now, **which).reserve(
            subject=subject, challenge_id=challenge_id, purpose=purpose, locks=locks, guess=guess, now=now
        )

    async def approve(
        self,
        reservation: Reservation,
        *,
        settled: Collection[str],
        budget: BudgetRule = UNCOUNTED,
        now: datetime | None,
    ) -> bool:
        """As the contract says."""
        challenge = reservation.challenge
        expecting = self._expecting(now=now, challenge_id=challenge.id if challenge is not None else "")
        return await expecting.approve(reservation, settled=settled, budget=budget, now=now)

    def _expecting(self, *, now: datetime | None, hashes: Collection[str] = (), **which: Any) -> RowStore:
        return _Expecting(self, Expected(now=now, hashes=tuple(hashes), **which))

    async def _write(self, unit: Callable[[Rows], T], *, even_if_cancelled: bool = False) -> T:
        return await self.write(unit, None, even_if_cancelled=even_if_cancelled)

    async def _read(self, unit: Callable[[Rows], T]) -> T:
        return await self._in_thread(lambda: self._server.read(self._over_rows(unit, None)))

    async def write(self, unit: Callable[[Rows], T], expected: Expected | None, *, even_if_cancelled: bool) -> T:
        """Run a unit of work, after one look at what is expected of it."""
        with anyio.CancelScope(shield=even_if_cancelled):
            return await self._in_thread(lambda: self._server.write(self._over_rows(unit, expected)))
        raise AssertionError("nobody cancels this scope")

    def _over_rows(self, unit: Callable[[Rows], T], expected: Expected | None) -> Callable[[Unit], T]:
        def run(work: Unit) -> T:
            rows = RedisRows(work, self._keeping)
            if expected is not None:
                rows.prepare(expected)
            return unit(rows)

        return run

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


class _Expecting(RowStore):
    """The verbs of a store, of which is known what they will ask for."""

    def __init__(self, store: RedisStore, expected: Expected) -> None:
        self._store = store
        self._expected = expected

    async def start(self, exit_stack: AsyncExitStack) -> None:
        """The store was started."""

    async def diagnose(self) -> Mapping[str, str]:
        """Those of the store."""
        return await self._store.diagnose()

    async def _write(self, unit: Callable[[Rows], T], *, even_if_cancelled: bool = False) -> T:
        return await self._store.write(unit, self._expected, even_if_cancelled=even_if_cancelled)

    async def _read(self, unit: Callable[[Rows], T]) -> T:
        return await self._store.write(unit, self._expected, even_if_cancelled=False)
