"""Retries as a runner sees them: claim what is due, run it, keep house."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

import anyio
import attrs

from otpcore.errors import OTPConfigurationError, OTPError, StoreError
from otpcore.events import EventType, Work, fields
from otpcore.models import RetryDue, RetryElsewhere, RetryJob, RetryOver
from otpcore.service.failover import report_end, report_ended, stored_failover
from otpcore.service.service import Deadline, Service, new_id
from otpcore.service.upkeep import fold, purge_old, sweep, tidy_sandbox
from otpcore.stores.commands import Claim, ClaimRule
from otpcore.stores.lifecycle import is_due
from otpcore.stores.records import WorkerRecord, changed
from otpcore.stores.steps import CallInstance, Queued

_logger = logging.getLogger("otpcore.retries")

_SWEEP_EVERY = timedelta(seconds=5)
_LOST_AFTER = timedelta(seconds=60)  # a dozen signs of life: who misses them all does not come back
_PURGE_EVERY = timedelta(minutes=10)
_FOLD_EVERY = timedelta(seconds=10)  # with what the store waits for, series are less than a minute behind


@attrs.define(kw_only=True)
class Retries:
    """What a runner may do; the service's side of ``RetryHost``."""

    service: Service
    _swept_at: datetime | None = None
    _purged_at: datetime | None = None
    _folded_at: datetime | None = None
    _missing_keys: set[str] = attrs.field(factory=set)
    _worker: WorkerRecord | None = None

    def now(self) -> datetime:
        """The service's clock."""
        return self.service.clock()

    async def next_due(self) -> datetime | None:
        """When anything is due next."""
        return await self.service.store.next_due()

    async def claim(self, limit: int) -> Sequence[Claim]:
        """Claim due retries whose instances and keys this process has."""
        return await self._claim(limit, None)

    async def run(self, claim: Claim) -> RetryDue | RetryOver:
        """Run one claimed retry; whatever goes wrong is logged, and its lease runs out."""
        try:
            with self.service.span(Work.RETRY, channel=claim.ref.channel, attempt=claim.attempts) as span:
                span.note(challenge_id=claim.challenge.id)
                return await self._run(claim)
        except (OTPError, OTPConfigurationError) as error:  # their texts hold nothing that must not be read
            self._report_failure(claim, error, str(error))
            return RetryOver()
        except Exception as error:  # noqa: BLE001 - one retry never stops a runner
            self._report_failure(claim, error, type(error).__name__)
            return RetryOver()

    async def run_retry(self, job: RetryJob) -> RetryDue | RetryElsewhere | RetryOver:
        """Claim and run one retry by name; what is left to do for it."""
        claims = await self._claim(1, job)
        return await self.run(claims[0]) if claims else await self._left(job)

    async def upkeep(self, *, kind: str = "background", running: int = 0) -> None:
        """Sweep, count what has happened and leave a sign of life every few seconds, purge every few minutes.

        For no longer than until the next sweep.
        """
        now = self.now()
        if is_due(self._swept_at, _SWEEP_EVERY, now):
            # Also at the first time: nobody knows what the clock did while no process was there to see it.
            set_back = self._swept_at is None or now < self._swept_at
            self._swept_at = now
            await self._beat(kind, running)
            await sweep(self.service, set_back=set_back)
            await self.service.store.wake(None, self.service.settings.retry.breaker_threshold, self.service.store_now)
            await self._report_missing_keys(now)
        if is_due(self._folded_at, _FOLD_EVERY, now):
            await fold(self.service, self._is_due)
            self._folded_at = now
        if is_due(self._purged_at, _PURGE_EVERY, now):
            _, is_done = await purge_old(self.service, self._is_due)
            if is_done:
                self._purged_at = now
                await tidy_sandbox(self.service)

    def _is_due(self) -> bool:
        """It is time for the next sweep."""
        return is_due(self._swept_at, _SWEEP_EVERY, self.now())

    async def _left(self, job: RetryJob) -> RetryDue | RetryElsewhere | RetryOver:
        """What is left to do for a retry that could not be claimed."""
        views = await self.service.store.view(challenge_id=job.challenge_id)
        row = next((row for view in views for row in view.schedule if row.channel == job.channel), None)
        if row is None or (row.lease_until is None and row.due_at > job.due_at):
            return RetryOver()
        if row.lease_until is not None and row.lease_until > job.due_at:  # whoever holds it may die
            return RetryDue(job=attrs.evolve(job, due_at=row.lease_until))
        return RetryElsewhere()

    def _report_failure(self, claim: Claim, error: Exception, said: str) -> None:
        about = fields("retry_failed", challenge_id=claim.challenge.id, reason=type(error).__name__)
        _logger.error("challenge %s: retry failed: %s", claim.challenge.id, said, extra=about)

    async def _report_missing_keys(self, now: datetime) -> None:
        """Say once of each key that retries wait for it: this process leaves them to one that has it."""
        missing = await self.service.store.due_keys(now) - self.service.keys.ids - self._missing_keys
        for key_id in sorted(missing):
            _logger.error(
                "retries are due that need keys.code.%s, and this process lacks it: they wait for one that has it; "
                "list it as readable in every process",
                key_id,
                extra=fields("key_missing", detail=key_id),
            )
        self._missing_keys |= missing

    async def leave(self) -> None:
        """Take the sign of life back."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        self._swept_at = None  # a runner that begins again says so at once
        try:
            await self.service.store.leave(worker.name)
        except StoreError:
            _logger.warning(
                "the sign of life of %s stays until others remove it",
                worker.name,
                extra=fields("worker_not_removed", reason=worker.kind),
            )
        self.service.emit(EventType.WORKER_STOPPED, reason=worker.kind, detail=worker.name)

    async def _beat(self, kind: str, running: int) -> None:
        now, first = self.now(), self._worker is None
        if self._worker is None:
            name = self.service.settings.world.mark(f"{kind}-{new_id()[-8:]}")  # all worlds share one list
            self._worker = WorkerRecord(name=name, kind=kind, started_at=now, seen_at=now)
        self._worker = changed(self._worker, running=running)
        lost = await self.service.store.beat(self._worker, _LOST_AFTER, now)
        if first:
            self.service.emit(EventType.WORKER_STARTED, reason=kind, detail=self._worker.name)
        for worker in lost:
            self.service.emit(EventType.WORKER_LOST, reason=worker.kind, detail=worker.name)

    async def _claim(self, limit: int, job: RetryJob | None) -> Sequence[Claim]:
        await self.service.live.refresh()
        retry = self.service.settings.retry
        rule = ClaimRule(
            token=new_id(),
            key_ids=self.service.keys.ids,
            instances=frozenset(self.service.providers),
            lease=timedelta(seconds=retry.lease),
            max_retries=self.service.retried,
            min_useful_life=timedelta(seconds=retry.min_useful_life),
            job=job,
        )
        batch = await self.service.store.claim(rule, limit, self.service.store_now)
        for ended in batch.ended:
            report_ended(self.service, ended.channel, ended.challenge)
        return batch.claims

    async def _run(self, claim: Claim) -> RetryDue | RetryOver:
        service, challenge, channel = self.service, claim.challenge, claim.ref.channel
        failover = stored_failover(service, claim.ref, challenge, Deadline(service.settings.otp.send_timeout))
        plan = failover.plan
        try:
            step = await service.store.begin_retry(claim.ref, plan, self.service.store_now)
        except (
            StoreError,
            anyio.get_cancelled_exc_class(),
        ):  # it has not begun: another try is due, and does not count
            await failover.withdraw(plan.delivery_id)
            raise
        if isinstance(step, CallInstance):
            service.emit(EventType.RETRY_STARTED, challenge, channel=channel, detail=f"number {claim.attempts}")
            step = await failover.run(step)
        else:
            report_end(service, channel, step)
        if isinstance(step, Queued):
            return RetryDue(job=RetryJob(challenge_id=challenge.id, channel=channel, due_at=step.due_at))
        return RetryOver()
