"""Retries as a runner sees them: claim what is due, run it, keep house."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

import anyio
import attrs

from otpcore._delivery import report_end, report_ended, stored_walk
from otpcore._live import LiveSettings
from otpcore._logs import fields
from otpcore._parts import Parts, new_id
from otpcore._spans import Work
from otpcore.errors import OTPConfigurationError, OTPError, StoreError
from otpcore.events import EventType
from otpcore.figures import PurgeCount
from otpcore.lifecycle import is_due
from otpcore.models import Channel, RetryJob
from otpcore.phone import PhoneNumber
from otpcore.records import WorkerRecord, changed
from otpcore.retrying import CLAIM_AHEAD
from otpcore.verbs import Claim, ClaimRule
from otpcore.walks import StepKind

_logger = logging.getLogger("otpcore.retries")

_SWEEP_EVERY = timedelta(seconds=5)
_LOST_AFTER = timedelta(seconds=60)  # a dozen signs of life: who misses them all does not come back
_PURGE_EVERY = timedelta(minutes=10)
_SWEEP_LIMIT = 500


@attrs.define(kw_only=True)
class Retries:
    """What a runner may do; the service's side of ``RetryHost``."""

    parts: Parts
    live: LiveSettings
    _swept_at: datetime | None = None
    _purged_at: datetime | None = None
    _missing_keys: set[str] = attrs.field(factory=set)
    _worker: WorkerRecord | None = None

    def now(self) -> datetime:
        """The service's clock."""
        return self.parts.clock()

    async def next_due(self) -> datetime | None:
        """When anything is due next."""
        return await self.parts.store.next_due()

    async def claim(self, limit: int) -> Sequence[Claim]:
        """Claim due retries whose instances and keys this process has."""
        return await self._claim(limit, None)

    async def run(self, claim: Claim) -> RetryJob | None:
        """Run one claimed retry; whatever goes wrong is logged, and its lease runs out."""
        try:
            with self.parts.span(Work.RETRY, channel=claim.walk.channel, attempt=claim.attempts) as span:
                span.note(challenge_id=claim.challenge.id)
                return await self._run(claim)
        except (OTPError, OTPConfigurationError) as error:  # their texts hold nothing that must not be read
            self._report_failure(claim, error, str(error))
            return None
        except Exception as error:  # noqa: BLE001 - one retry never stops a runner
            self._report_failure(claim, error, type(error).__name__)
            return None

    async def run_retry(self, job: RetryJob) -> RetryJob | None:
        """Claim and run one retry by name; what is left to do for it, if anything."""
        claims = await self._claim(1, job)
        return await self.run(claims[0]) if claims else await self._left(job)

    async def upkeep(self, *, kind: str = "background", running: int = 0) -> None:
        """Sweep and leave a sign of life every few seconds, purge every few minutes."""
        now = self.now()
        if is_due(self._swept_at, _SWEEP_EVERY, now):
            # Also at the first time: nobody knows what the clock did while no process was there to see it.
            set_back = self._swept_at is None or now < self._swept_at
            self._swept_at = now
            await self._beat(kind, running)
            await sweep(self.parts, set_back=set_back)
            await self.parts.store.wake(None, self.parts.breaker, self.parts.store_now)
            await self._report_missing_keys(now)
        if is_due(self._purged_at, _PURGE_EVERY, now):
            self._purged_at = now
            await self.parts.purge(None)

    async def _left(self, job: RetryJob) -> RetryJob | None:
        """What is left to do for a retry that could not be claimed."""
        views = await self.parts.store.view(challenge_id=job.challenge_id)
        row = next((row for view in views for row in view.schedule if row.channel is job.channel), None)
        if row is None:
            return None
        if row.leased:  # whoever holds it may die
            return attrs.evolve(job, due_at=row.due_at)
        return job if row.due_at <= job.due_at else None

    async def _until(self, due_at: datetime) -> None:
        """Wait until then, but never for longer than a claim reaches ahead: the store's clock may differ from ours."""
        wait = min(due_at - self.now(), CLAIM_AHEAD).total_seconds()
        if wait > 0:
            await anyio.sleep(wait)

    def _report_failure(self, claim: Claim, error: Exception, said: str) -> None:
        about = fields("retry_failed", challenge_id=claim.challenge.id, reason=type(error).__name__)
        _logger.error("challenge %s: retry failed: %s", claim.challenge.id, said, extra=about)

    async def _report_missing_keys(self, now: datetime) -> None:
        """Say once of each key that retries wait for it: this process leaves them to one that has it."""
        missing = await self.parts.store.due_keys(now) - self.parts.keys.ids - self._missing_keys
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
            await self.parts.store.leave(worker.name)
        except StoreError:
            _logger.warning(
                "the sign of life of %s stays until others remove it",
                worker.name,
                extra=fields("worker_not_removed", reason=worker.kind),
            )
        self.parts.emit(EventType.WORKER_STOPPED, reason=worker.kind, detail=worker.name)

    async def _beat(self, kind: str, running: int) -> None:
        now, first = self.now(), self._worker is None
        if self._worker is None:
            name = f"{kind}-{new_id()[-8:]}"
            self._worker = WorkerRecord(name=name, kind=kind, started_at=now, seen_at=now)
        self._worker = changed(self._worker, running=running)
        lost = await self.parts.store.beat(self._worker, _LOST_AFTER, now)
        if first:
            self.parts.emit(EventType.WORKER_STARTED, reason=kind, detail=self._worker.name)
        for worker in lost:
            self.parts.emit(EventType.WORKER_LOST, reason=worker.kind, detail=worker.name)

    async def _claim(self, limit: int, job: RetryJob | None) -> Sequence[Claim]:
        await self.live.refresh()
        retry = self.parts.settings.retry
        rule = ClaimRule(
            token=new_id(),
            key_ids=self.parts.keys.ids,
            instances=frozenset(self.parts.providers),
            lease=timedelta(seconds=retry.lease),
            max_retries=_retried(self.parts),
            min_useful_life=timedelta(seconds=retry.min_useful_life),
            job=job,
            ahead=CLAIM_AHEAD,
        )
        batch = await self.parts.store.claim(rule, limit, self.parts.store_now)
        for ended in batch.ended:
            report_ended(self.parts, ended.channel, ended.challenge)
        return batch.claims

    async def _run(self, claim: Claim) -> RetryJob | None:
        parts, challenge, channel = self.parts, claim.challenge, claim.walk.channel
        walk = stored_walk(parts, self.live, claim.walk, challenge)
        plan = changed(walk.plan, not_before=claim.due_at)
        step = await parts.store.begin_retry(claim.walk, plan, self.parts.store_now)
        if step.kind is StepKind.CALL:
            await self._until(claim.due_at)
            parts.emit(EventType.RETRY_STARTED, challenge, channel=channel, detail=f"number {claim.attempts}")
            step = await walk.run(step)
        else:
            report_end(parts, channel, step)
        if step.kind is StepKind.QUEUED and step.due_at is not None:
            return RetryJob(challenge_id=challenge.id, channel=channel, due_at=step.due_at)
        return None


async def sweep(parts: Parts, *, set_back: bool = False) -> int:
    """Expire what is over; end what died half-way where nothing is retried; how many. At most a few hundred at once."""
    ended = await parts.store.sweep(retried=_retried(parts), limit=_SWEEP_LIMIT, set_back=set_back, now=parts.store_now)
    for one in ended:
        report_ended(parts, one.channel, one.challenge)
    return len(ended)


async def purge(parts: Parts, phone: PhoneNumber | None) -> PurgeCount:
    """Remove what is older than the settings keep; with a phone, everything about it."""
    if phone is None:
        while await sweep(parts):  # only what is over is removed, and where retries run inline nobody else sweeps
            pass
    return await parts.purge(phone)


def _retried(parts: Parts) -> dict[Channel, int]:
    policies = {channel: parts.policy(channel) for channel in Channel}
    return {channel: policy.max_retries for channel, policy in policies.items() if policy is not None}
