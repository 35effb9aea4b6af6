"""What the service would pass to a store for a send: its limits, its challenge, and the plan of each failover."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from otpcore.models import ChallengeState, Channel, CodeOwner
from otpcore.rate_limits.admission import Admission, Barrier, Charge, LimitReason
from otpcore.retrying import RetryPolicy
from otpcore.stores.commands import NewSend
from otpcore.stores.records import ChallengeRecord
from otpcore.stores.steps import Candidate, FailoverPlan, FailoverRef

from .kept import DENIED, PAUSED, UNLESS_VERIFIED, Failover, Rules
from .told import ToldModel

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
PHONE = "phone"
BARRIERS = {
    PAUSED: Barrier(reason=LimitReason.PAUSED),
    DENIED: Barrier(reason=LimitReason.DENIED),
    UNLESS_VERIFIED: Barrier(reason=LimitReason.DENIED, unless_verified=True),
}


class Caller:
    """Asks as the service does, at the time of the model, and numbers what it asks for."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.model = ToldModel(rules)
        self.numbers = itertools.count(1)

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.model.now)

    def asked(self, client: str, barrier: str) -> Admission:
        """Every limit of one send."""
        charges = [
            Charge(key=f"{PHONE}/send/{window}", limit=limit, window=timedelta(seconds=window), reason="phone")
            for limit, window in self.rules.limits
        ]
        if client:
            limit, window = self.rules.toll
            key = f"{PHONE}/send/toll-{client}"
            toll = Charge(key=key, limit=limit, window=timedelta(seconds=window), reason="client", refundable=False)
            charges.append(toll)
        return Admission(charges=tuple(charges), barrier=BARRIERS.get(barrier))

    def new_send(
        self,
        purpose: str,
        channel: str,
        client: str,
        living: ChallengeRecord | None,
        barrier: str,
        key: str,
        route: tuple[str, ...],
    ) -> tuple[NewSend, FailoverRef, Failover]:
        number, rules = next(self.numbers), self.rules
        challenge = living or ChallengeRecord(
            id=f"c{number}",
            subject=purpose,
            phone_key=PHONE,
            phone_sealed=b"sealed",
            phone_masked="+359•••567",
            key_id=key,
            purpose=purpose,
            state=ChallengeState.SENDING,
            max_attempts=rules.attempts,
            first_sent_at=self.now,
            expires_at=self.now,
            code_digest="digest",
            code_sealed=f"{key}:sealed".encode(),
            locale="en",
        )
        failover = Failover(challenge.id, channel, f"host-{number}", f"s{number}", route=route)
        ref = FailoverRef(
            challenge_id=challenge.id, channel=Channel(channel), send_id=failover.send, token=failover.owner
        )
        new = NewSend(
            challenge=challenge,
            is_resend=living is not None,
            send_id=failover.send,
            token=failover.owner,
            channel=Channel(channel),
            plan=self._plan(failover),
            life=timedelta(seconds=rules.life),
            cap=timedelta(seconds=rules.cap),
            renewal=timedelta(seconds=rules.renewal),
            asked=self.asked(client, barrier),
            client=client,
        )
        return new, ref, failover

    def _plan(self, failover: Failover, *, go_on: bool = True) -> FailoverPlan:
        rules = self.rules
        route = tuple(
            Candidate(instance=one, owner=CodeOwner.PROVIDER, scope=rules.scopes[one])
            if one in rules.scopes
            else Candidate(instance=one)
            for one in failover.route
        )
        most = rules.retries.get(failover.channel)
        policy = None if most is None else RetryPolicy(max_retries=most, first_delay=1, max_delay=30, jitter=0)
        return FailoverPlan(
            delivery_id=f"d{next(self.numbers)}",
            route=route,
            untried=tuple(one for one in route if one.instance not in failover.tried) if go_on else (),
            is_retry=failover.is_retry,
            call_lease=timedelta(seconds=rules.call_lease),
            cooldown=timedelta(seconds=rules.cooldown),
            min_useful_life=timedelta(seconds=rules.useful_life),
            retry=policy,
            breaker_threshold=rules.breaker_from,
            barrier=BARRIERS.get(failover.barrier),
            hold=timedelta(seconds=rules.hold),
        )
