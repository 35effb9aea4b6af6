"""What each module of a service works with: the service that is put together, and how long its caller waits."""

from __future__ import annotations

import contextlib
import functools
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import anyio
import attrs

from otpcore.clock import utc_now
from otpcore.codes import KeyRing
from otpcore.errors import StoreError
from otpcore.events import UNMEASURED, Event, EventLog, EventType, Span, Telemetry, Work
from otpcore.models import Channel
from otpcore.phone.numbers import PhoneNumber, reached_by_sms
from otpcore.providers.instances import Instances
from otpcore.providers.observers import Observers
from otpcore.providers.provider import Provider
from otpcore.providers.sandbox import Sandbox
from otpcore.rate_limits.admission import Barrier
from otpcore.rate_limits.clients import same_client
from otpcore.retrying import RetryPolicy
from otpcore.service.live import LiveSettings
from otpcore.service.outcomes import Outcomes
from otpcore.settings.sections import OtpSettings
from otpcore.settings.tree import Settings
from otpcore.stores.commands import LockRule
from otpcore.stores.contract import Store
from otpcore.stores.records import ChallengeRecord
from otpcore.stores.steps import Candidate, FailoverPlan
from otpcore.stores.trouble import HEARD, Trouble

__all__ = ["Deadline", "Elsewhere", "Service", "new_id", "recipient"]

_LEASE_MARGIN = 5.0  # seconds beyond the provider timeout
_RESERVE = 0.1
"""Of a caller's time, for recording what the last provider said."""
_LEAST_CALL = 0.5  # seconds


@attrs.frozen(kw_only=True)
class Elsewhere:
    """The other world's part of a store, with the look-ups under which it is kept."""

    store: Store
    keys: KeyRing


@attrs.frozen(kw_only=True)
class Service:
    """What every module of a service works with: what is fixed since the start, and the settings that are read while it runs.

    Made by ``assembly``.

    Args:
        instances: Every loaded instance; ``opened`` starts one for a call.
        clock: Aware UTC.
        is_host: Sends are asked for by people with clients, and not by an operator at the command line.
        forced: Instances that the host forces, in order; None: the routing rules say.
        sandbox: Stands in for all providers; None: it is off.
        telemetry: None: nothing is measured.
        elsewhere: What another world may hold about the same people, who are erased from both; None: it cannot be looked up.
        live: Rules and switches in force.
        outcomes: Tells vendors how challenges ended.
    """

    settings: Settings
    store: Store
    keys: KeyRing
    instances: Instances
    observers: Observers
    clock: Callable[[], datetime]
    is_host: bool = True
    forced: tuple[str, ...] | None = None
    sandbox: Sandbox | None = None
    telemetry: Telemetry | None = None
    elsewhere: Elsewhere | None = None
    log: EventLog = attrs.field(factory=EventLog)
    live: LiveSettings = attrs.field(init=False, repr=False)

    @live.default
    def _live(self) -> LiveSettings:
        return LiveSettings(self)

    outcomes: Outcomes = attrs.field(init=False, repr=False)

    @outcomes.default
    def _outcomes(self) -> Outcomes:
        return Outcomes(self)

    @property
    def providers(self) -> Mapping[str, Provider]:
        """What every loaded instance is and can do, by name."""
        return self.instances.all

    @property
    def store_now(self) -> datetime | None:
        """What the store's commands are told of the time; None: a database on a server, which many machines share, uses its own."""
        return None if self.clock is utc_now else self.clock()

    def emit(self, kind: EventType, challenge: ChallengeRecord | None = None, **details: Any) -> None:
        """Tell the log and the observers."""
        if not (self.observers.listeners or self.log.wants(kind)):
            return
        about = (
            {
                "challenge_id": challenge.id,
                "phone": challenge.phone_masked,
                "purpose": challenge.purpose,
                "app": challenge.app,
            }
            if challenge is not None
            else {}
        )
        said = {name: str(value) for name, value in {**about, **details}.items() if value is not None}
        event = Event(type=kind, at=self.clock(), **said)
        self.log.write(event)
        self.observers.emit(event)

    def tell_outcome(self, challenge: ChallengeRecord, *, approved: bool) -> None:
        """A challenge is over: whoever carried its code hears of it, where somebody wants to. Returns at once, and never fails."""
        if self.instances.report_outcomes:
            self.outcomes.tell(challenge, approved=approved)

    async def opened(self, instance: str, within: float) -> Provider:
        """A started instance, for a call to it; what ``Instances.opened`` says. One that is ready is not waited for."""
        ready = self.instances.ready.get(instance)
        return ready if ready is not None else await self.instances.opened(instance, within)

    def span(self, work: Work, **attributes: str | int) -> Span:
        """What measures this work; nothing does unless somebody asked for it."""
        return UNMEASURED if self.telemetry is None else self.telemetry.span(work, **attributes)

    def _policy(self, channel: Channel) -> RetryPolicy | None:
        """How this channel is retried; None: not at all, so that nothing is ever due and a failed send says so."""
        chosen, retry = self.settings.retrying(channel), self.settings.retry
        if not chosen.is_retried:
            return None
        return RetryPolicy(
            max_retries=chosen.max_retries,
            first_delay=retry.first_delay,
            max_delay=retry.max_delay,
            jitter=retry.jitter,
        )

    @functools.cached_property
    def _policies(self) -> dict[Channel, RetryPolicy | None]:
        """Of the channels that were sent over so far."""
        return {}

    def plan(
        self, channel: Channel, route: tuple[Candidate, ...], *, is_retry: bool, barrier: Barrier | None = None
    ) -> FailoverPlan:
        """The plan of a failover that has tried nothing yet; ``barrier``: what keeps a retry from being sent."""
        if channel not in self._policies:
            self._policies[channel] = self._policy(channel)
        return FailoverPlan(
            delivery_id=new_id(),
            route=route,
            untried=route,
            is_retry=is_retry,
            retry=self._policies[channel],
            barrier=barrier,
            **self._pace,
        )

    @functools.cached_property
    def _pace(self) -> dict[str, Any]:
        """What the settings say of every failover."""
        settings = self.settings
        return {
            "call_lease": timedelta(seconds=settings.otp.provider_timeout + _LEASE_MARGIN),
            "cooldown": timedelta(seconds=settings.otp.cooldown),
            "min_useful_life": timedelta(seconds=settings.retry.min_useful_life),
            "breaker_threshold": settings.retry.breaker_threshold,
            "hold": timedelta(seconds=settings.routing.reload_every),
            "budget_rule": settings.limits.budget_rule,
        }

    @functools.cached_property
    def longest_life(self) -> timedelta:
        """From the first send of a challenge on; no resend exceeds it."""
        return timedelta(seconds=self.settings.otp.longest_life)

    def texts_of(self, app: str) -> OtpSettings:
        """What the settings say of codes and texts, of those of one app."""
        return self.settings.otp.of_app(app) if app else self.settings.otp

    @property
    def retried(self) -> Mapping[Channel, int]:
        """How many retries each channel has, of those that are retried and that this process knows."""
        chosen = {channel: self.settings.retrying(channel) for channel in self.live.rules.channels}
        return {channel: one.max_retries for channel, one in chosen.items() if one.is_retried}

    @property
    def unretried(self) -> tuple[Channel, ...]:
        """The channels that this process knows and does not retry."""
        return tuple(one for one in self.live.rules.channels if not self.settings.retrying(one).is_retried)

    def client_key(self, client: str | None) -> str:
        """Keyed look-up of what counts as one client; empty: the host named none."""
        return self.keys.client_key(same_client(client)) if client else ""

    def lock_rule(self, client: str | None) -> LockRule:
        """How failures of this phone and client are counted."""
        return LockRule(client=self.client_key(client), lock_after=self.settings.limits.lock_after)

    def phone_keys(self, phone: PhoneNumber) -> tuple[str, ...]:
        """Keyed look-ups of a phone: this world's, and the other's where that can be made."""
        rings = [self.keys, *([self.elsewhere.keys] if self.elsewhere is not None else [])]
        return tuple(ring.phone_key(phone.e164) for ring in rings)

    def phone_of(self, challenge: ChallengeRecord) -> PhoneNumber:
        """The number of a stored challenge."""
        return PhoneNumber(self.keys.unseal(challenge.id, "phone", challenge.phone_sealed))

    def recipient_of(self, challenge: ChallengeRecord, channel: Channel) -> PhoneNumber:
        """The number of a stored challenge, as it is reached over this channel."""
        return recipient(self.phone_of(challenge), channel)


class Deadline:
    """The end of one call, on the monotonic clock.

    Args:
        seconds: From now; ``otp.send_timeout``.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until the end; below zero once it has passed."""
        return self._at - time.monotonic()

    def left_for_calls(self) -> float:
        """Seconds in which providers may be called: what they say must still be recorded in time."""
        return self.left() - self._seconds * _RESERVE

    @property
    def is_too_close_for_a_call(self) -> bool:
        """A provider would have no fair chance to answer."""
        return self.left_for_calls() < min(_LEAST_CALL, self._seconds * _RESERVE)

    @contextlib.contextmanager
    def bounding(self, what: str) -> Iterator[None]:
        """Work with the store that ends at the deadline.

        Args:
            what: Follows from it, for people.

        Raises:
            StoreError: The store did not answer in time.
        """
        trouble = Trouble()
        heard = HEARD.set(trouble)
        try:
            with anyio.move_on_after(self.left()) as scope:
                yield
        finally:
            HEARD.reset(heard)
        if scope.cancelled_caught:
            why = "Something holds a lock in it, or it is overloaded or away; `otp doctor` looks"
            if isinstance(trouble.last, StoreError):
                why = f"Its last words: {trouble.last}"
            raise StoreError(f"the store did not answer within otp.send_timeout ({self._seconds:g} s): {what}. {why}")


def new_id() -> str:
    """An id with 128 unguessable bits after the second in which it was made; never one that looks like an option.

    Ids that are made together lie together in a database's indexes, so that a million older ones do not slow them down.
    """
    return f"{int(time.time()):08x}{secrets.token_hex(16)}"


def recipient(phone: PhoneNumber, channel: Channel) -> PhoneNumber:
    """The spelling of a number under which it is reached over this channel."""
    return reached_by_sms(phone) if channel is Channel.SMS else phone
