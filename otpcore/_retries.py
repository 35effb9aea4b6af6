"""Retries as a runner sees them: claim what is due, run it, keep house."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

import attrs

from otpcore._delivery import report_end, report_ended, stored_walk
from otpcore._live import LiveSettings
from otpcore._parts import Parts, new_id
from otpcore.errors import OTPConfigurationError, OTPError
from otpcore.models import Channel, RetryJob
from otpcore.phone import PhoneNumber
from otpcore.records import Claim, ClaimRule, PurgeCount, StepKind

_logger = logging.getLogger("otpcore.retries")

_SWEEP_EVERY = timedelta(seconds=5)
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
            return await self._run(claim)
        except (OTPError, OTPConfigurationError) as error:  # their texts hold nothing that must not be read
            _logger.error("challenge %s: retry failed: %s", claim.challenge.id, error)
            return None
        except Exception as error:  # noqa: BLE001 - one retry never stops a runner
            _logger.error("challenge %s: retry failed: %s", claim.challenge.id, type(error).__name__)
            return None

    async def run_retry(self, job: RetryJob) -> RetryJob | None:
        """Claim and run one retry by name."""
        claims = await self._claim(1, job)
        return await self.run(claims[0]) if claims else None

    async def upkeep(self) -> None:
        """Sweep every few seconds, purge every few minutes."""
        now = self.now()
        if self._swept_at is None or now - self._swept_at >= _SWEEP_EVERY:
            self._swept_at = now
            await sweep(self.parts)
            await self._report_missing_keys(now)
        if self._purged_at is None or now - self._purged_at >= _PURGE_EVERY:
            self._purged_at = now
            await self.parts.purge(None)

    async def _report_missing_keys(self, now: datetime) -> None:
        """Say once of each key that retries wait for it: this process leaves them to one that has it."""
        missing = await self.parts.store.due_keys(now) - self.parts.keys.ids - self._missing_keys
        for key_id in sorted(missing):
            _logger.error(
                "retries are due that need keys.code.%s, and this process lacks it: they wait for one that has it; "
                "list it as readable in every process",
                key_id,
            )
        self._missing_keys |= missing

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
        )
        batch = await self.parts.store.claim(rule, limit, self.now())
        for ended in batch.ended:
            report_ended(self.parts, ended.channel, ended.challenge)
        return batch.claims

    async def _run(self, claim: Claim) -> RetryJob | None:
        parts, challenge, channel = self.parts, claim.challenge, claim.walk.channel
        phone = parts.phone_of(challenge)
        names = self.live.rules.route(phone.e164, channel, forced=challenge.forced)
        barrier = self.live.switches.barrier(phone.e164, self.now())
        plan = parts.plan(channel, parts.candidates(names, channel), is_retry=True, barrier=barrier)
        walk = stored_walk(parts, claim.walk, challenge, plan)
        step = await parts.store.begin_retry(claim.walk, plan, self.now())
        if step.kind is StepKind.CALL:
            step = await walk.run(step)
        else:
            report_end(parts, channel, step)
        if step.kind is StepKind.QUEUED and step.due_at is not None:
            return RetryJob(challenge_id=challenge.id, channel=channel, due_at=step.due_at)
        return None


async def sweep(parts: Parts) -> int:
    """Expire what is over; end what died half-way where nothing is retried; how many. At most a few hundred at once."""
    ended = await parts.store.sweep(retried=_retried(parts), limit=_SWEEP_LIMIT, now=parts.clock())
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
