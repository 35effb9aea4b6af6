"""A store in a small world: a clock that a test moves, numbered ids, and failovers that answer for the provider."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from otpcore.errors import ErrorKind
from otpcore.models import ChallengeState, Channel, CodeOwner, Outcome, Receipt, ReceiptStatus, RetryJob
from otpcore.prices import Price
from otpcore.rate_limits.admission import Admission, Charge
from otpcore.retrying import RetryPolicy
from otpcore.stores.commands import Claim, ClaimRule, LockRule, NewSend, ReceiptRule, Received, RecordedGuess
from otpcore.stores.records import ChallengeRecord
from otpcore.stores.steps import CallResult, Candidate, FailoverPlan, FailoverRef

__all__ = ["CHANNELS", "MADA", "START", "Failover", "World"]

CHANNELS = (Channel.SMS, Channel.CALL, Channel("whatsapp"))
"""Those over which these tests send; a store knows of no list."""

START = datetime(2026, 5, 1, 12, tzinfo=UTC)


MADA = (Candidate(instance="mada"),)


@attrs.define
class World:
    """One store, and a clock that moves only when a test says so. Nothing is retried until ``with_retries``."""

    store: Any  # a `Store`; whether it answers what it should is for the assertions to say
    now: datetime = START
    retry: RetryPolicy | None = None
    breaker_threshold: int = 5
    numbers: itertools.count[int] = attrs.field(factory=lambda: itertools.count(1))

    def with_retries(self) -> World:
        """Failed sends are tried again after 1, 2, 4 … 30 seconds."""
        self.retry = RetryPolicy(max_retries=20, first_delay=1.0, max_delay=30.0, jitter=0.0)
        return self

    @staticmethod
    def core(*instances: str) -> tuple[Candidate, ...]:
        """A route of instances that carry our code."""
        return tuple(Candidate(instance=instance) for instance in instances)

    @staticmethod
    def vendor(instance: str = "twilio", scope: str = "twilio:VA1") -> tuple[Candidate, ...]:
        """A route of one instance whose vendor owns the code."""
        return (Candidate(instance=instance, owner=CodeOwner.PROVIDER, scope=scope),)

    def later(self, seconds: float) -> datetime:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)
        return self.now

    def at(self, seconds: float) -> datetime:
        """So many seconds after the start of the test."""
        return START + timedelta(seconds=seconds)

    def challenge(self, subject: str = "login", phone: str = "phone-1", **more: Any) -> ChallengeRecord:
        """A challenge to begin."""
        fields: dict[str, Any] = {
            "id": f"challenge-{next(self.numbers)}",
            "subject": f"{phone}/{subject}",
            "phone_key": phone,
            "phone_sealed": b"sealed number",
            "phone_masked": "+359•••567",
            "key_id": "key-1",
            "purpose": subject,
            "state": ChallengeState.SENDING,
            "max_attempts": 5,
            "first_sent_at": self.now,
            "expires_at": self.now,
            "code_digest": "digest",
            "code_sealed": b"sealed code",
            "locale": "en",
        }
        return ChallengeRecord(**{**fields, **more})

    def plan(
        self, route: Sequence[Candidate], tried: Collection[str] = (), *, is_retry: bool = False, **more: Any
    ) -> FailoverPlan:
        """The failover over a route, some of it tried already."""
        fields: dict[str, Any] = {
            "delivery_id": f"delivery-{next(self.numbers)}",
            "route": tuple(route),
            "untried": tuple(candidate for candidate in route if candidate.instance not in tried),
            "is_retry": is_retry,
            "retry": self.retry,
            "breaker_threshold": self.breaker_threshold,
        }
        return FailoverPlan(**{**fields, **more})

    def new_send(
        self, challenge: ChallengeRecord, route: Sequence[Candidate], *, is_resend: bool = False, **more: Any
    ) -> NewSend:
        """A send to begin, with the times of the defaults; ``more`` may be about the send or about its limits."""
        number = next(self.numbers)
        limits = {field.name: more.pop(field.name) for field in attrs.fields(Admission) if field.name in more}
        fields: dict[str, Any] = {
            "challenge": challenge,
            "is_resend": is_resend,
            "send_id": f"send-{number}",
            "token": f"token-{number}",
            "channel": Channel.SMS,
            "plan": self.plan(route),
            "life": timedelta(minutes=5),
            "cap": timedelta(minutes=10),
            "renewal": timedelta(seconds=60),
            "asked": Admission(**limits),
        }
        return NewSend(**{**fields, **more})

    async def begin(
        self,
        route: Sequence[Candidate] = MADA,
        subject: str = "login",
        phone: str = "phone-1",
        *,
        key_id: str = "key-1",
        **more: Any,
    ) -> Failover:
        """Begin a first send."""
        return await self.send(self.new_send(self.challenge(subject, phone, key_id=key_id), route, **more))

    async def resend(self, challenge_id: str, route: Sequence[Candidate] = MADA, **more: Any) -> Failover:
        """Send a living challenge again."""
        (view,) = await self.store.view(challenge_id=challenge_id)
        return await self.send(self.new_send(view.challenge, route, is_resend=True, **more))

    async def send(self, send: NewSend) -> Failover:
        """Begin a send; the failover that it starts, or why it did not, in ``begun``."""
        begun = await self.store.begin(send, self.now)
        ref = FailoverRef(challenge_id=send.challenge.id, channel=send.channel, send_id=send.send_id, token=send.token)
        return Failover(world=self, ref=ref, route=send.plan.route, begun=begun, step=getattr(begun, "step", None))

    @staticmethod
    def limit(key: str, limit: int, seconds: float = 600) -> Charge:
        """One counter to charge; the reason of a refusal is its key."""
        return Charge(key=key, limit=limit, window=timedelta(seconds=seconds), reason=key)

    def charges(self, key: str = "phone-1/send/600", limit: int = 3, seconds: float = 600) -> tuple[Charge, ...]:
        """That one counter, for a send to be charged to."""
        return (self.limit(key, limit, seconds),)

    async def charge(self, key: str = "phone-1/send/600", limit: int = 3, seconds: float = 600) -> Any:
        """Charge one counter with a send of somebody else; what ``ask`` says."""
        return await self.ask(self.limit(key, limit, seconds))

    async def ask(
        self, *charges: Charge, phone: str = "", subject: str = "", channel: Channel = Channel.SMS, **limits: Any
    ) -> Any:
        """Ask for a send under these counters, and any other limit: what refused it, else what began.

        It is of a phone and a subject that never sent, unless they are named; its purpose is always the same.
        """
        number = next(self.numbers)
        phone = phone or f"asking-{number}"
        challenge = attrs.evolve(self.challenge("login", phone), subject=f"{phone}/{subject or number}")
        asked = Admission(charges=charges, **limits)
        return await self.store.begin(self.new_send(challenge, MADA, channel=channel, asked=asked), self.now)

    async def breakers(self) -> Any:
        """What is wrong with any instance."""
        return (await self.store.status(self.now, self.now)).breakers

    async def used(self, key: str = "phone-1/send/600") -> int:
        """How much of one counter is used up."""
        return sum(counter.count for counter in await self.store.counters(key, self.now))

    def rule(self, **more: Any) -> ClaimRule:
        """What a process with all keys and instances of these tests claims."""
        fields: dict[str, Any] = {
            "token": f"claim-{next(self.numbers)}",
            "key_ids": frozenset({"key-1"}),
            "instances": frozenset({"mada", "backup", "twilio", "sinch"}),
            "lease": timedelta(seconds=15),
            "max_retries": {Channel.SMS: 20, Channel.CALL: 2},
            "min_useful_life": timedelta(seconds=30),
        }
        return ClaimRule(**{**fields, **more})

    async def claim(self, limit: int = 10, **more: Any) -> Any:
        """Claim what is due."""
        return await self.store.claim(self.rule(**more), limit, self.now)

    async def claim_next(self, route: Sequence[Candidate] = MADA, **more: Any) -> Failover:
        """Wait for the next due time, claim the only due retry, and begin it."""
        due_at = await self.store.next_due()
        assert due_at is not None
        self.now = max(self.now, due_at)
        batch = await self.claim(**more)
        (claim,) = batch.claims
        return await self.begin_retry(claim, route)

    async def begin_retry(self, claim: Claim, route: Sequence[Candidate] = MADA) -> Failover:
        """Record the first delivery of a claimed retry."""
        plan = self.plan(route, is_retry=True)
        step = await self.store.begin_retry(claim.ref, plan, self.now)
        return Failover(world=self, ref=claim.ref, route=tuple(route), step=step, is_retry=True)

    async def reserve(
        self,
        subject: str = "login",
        phone: str = "phone-1",
        *,
        challenge_id: str | None = None,
        purpose: str | None = None,
        app: str = "",
        guess: RecordedGuess | None = None,
        **locks: Any,
    ) -> Any:
        """Reserve a verification attempt."""
        return await self.store.reserve(
            subject=None if challenge_id else f"{phone}/{subject}",
            challenge_id=challenge_id,
            purpose=subject if purpose is None else purpose,
            app=app,
            locks=LockRule(**locks),
            guess=guess,
            now=self.now,
        )

    async def receive(
        self,
        status: ReceiptStatus | None,
        *,
        reference: str = "",
        delivery_id: str = "",
        instance: str = "mada",
        kind: ErrorKind | None = None,
        denial: str = "",
        price: Price | None = None,
        retried: Collection[Channel] = (),
        **rule: Any,
    ) -> Any:
        """A vendor's receipt, or with ``denial`` its question, arrives at a process that has all keys and instances of these tests."""
        fields: dict[str, Any] = {
            "token": f"receipt-{next(self.numbers)}",
            "lease": timedelta(seconds=15),
            "min_useful_life": timedelta(seconds=30),
            "retried": frozenset(retried),
            "key_ids": frozenset({"key-1"}),
            "instances": frozenset({"mada", "backup", "twilio", "sinch"}),
        }
        receipt = Receipt(
            status=status,
            reference=reference,
            delivery_id=delivery_id,
            kind=kind,
            provider_code="30003",
            denial=denial,
            price=price,
        )
        return await self.store.receive(instance, receipt, ReceiptRule(**{**fields, **rule}), self.now)

    async def delivered(self, **receipt: Any) -> Any:
        """The message reached the person."""
        return await self.receive(ReceiptStatus.DELIVERED, **receipt)

    async def undelivered(self, **receipt: Any) -> Any:
        """It did not."""
        return await self.receive(ReceiptStatus.UNDELIVERED, **receipt)

    async def go_on(self, received: Received, route: Sequence[Candidate] = MADA) -> Failover:
        """The send goes on after an undelivered message."""
        ref = received.follows
        assert isinstance(ref, FailoverRef)
        step = await self.store.go_on(ref, self.plan(route, is_retry=True), self.now)
        return Failover(world=self, ref=ref, route=tuple(route), step=step, is_retry=True)

    async def view(self, challenge_id: str) -> Any:
        """One challenge with everything that belongs to it."""
        (view,) = await self.store.view(challenge_id=challenge_id)
        return view

    async def job(self, challenge_id: str, channel: Channel = Channel.SMS) -> RetryJob:
        """The waiting retry by name."""
        row = next(row for row in (await self.view(challenge_id)).schedule if row.channel == channel)
        return RetryJob(challenge_id=challenge_id, channel=channel, due_at=row.due_at)


@attrs.define
class Failover:
    """A send or retry under way; tests say what the provider answers."""

    world: World
    ref: FailoverRef
    route: tuple[Candidate, ...]
    step: Any
    begun: Any = None
    is_retry: bool = False
    tried: list[str] = attrs.field(factory=list)
    answered: Any = None

    @property
    def id(self) -> str:
        return self.ref.challenge_id

    @property
    def delivery(self) -> Any:
        return self.step.delivery

    @property
    def reason(self) -> str | None:
        """Why it was refused; None: it was not."""
        return getattr(self.begun, "reason", None)

    async def answer(self, outcome: Outcome, **answer: Any) -> Any:
        """The provider answered the call under way; the next step."""
        return (await self.record(outcome, **answer)).step

    async def record(
        self,
        outcome: Outcome,
        *,
        reference: str = "",
        provider_code: str = "",
        words: str = "",
        retry_after: float | None = None,
        price: Price | None = None,
        is_asked: bool = True,
        **plan: Any,
    ) -> Any:
        """As ``answer``: everything that the store says of it."""
        called = self.answered = self.delivery
        self.tried.append(called.instance)
        recorded = await self.world.store.record(
            self.ref,
            called,
            CallResult(
                outcome=outcome,
                reference=reference,
                provider_code=provider_code,
                words=words,
                retry_after=retry_after,
                price=price,
                is_asked=is_asked,
            ),
            self.world.plan(self.route, self.tried, is_retry=self.is_retry, charges=self.step.charges, **plan),
            self.world.now,
        )
        self.step = recorded.step
        return recorded

    async def view(self) -> Any:
        return await self.world.view(self.id)
