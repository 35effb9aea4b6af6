"""The parts of a started service that its modules share."""

from __future__ import annotations

import functools
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import attrs

from otpcore._instances import Instances
from otpcore._logs import fields
from otpcore._spans import UNMEASURED, Span, Telemetry, Work
from otpcore.admission import Barrier
from otpcore.codes import KeyRing
from otpcore.config import Settings, throw_away_keys
from otpcore.errors import NoRouteError, SettingsError
from otpcore.events import Event, EventLog, EventType
from otpcore.figures import PurgeCount
from otpcore.hookspecs import utc_now
from otpcore.interfaces import Store
from otpcore.limits import same_client
from otpcore.models import Channel, CodeOwner
from otpcore.phone import PhoneNumber
from otpcore.plugins import STORES, Observers, Provider, installed, load_target
from otpcore.records import ChallengeRecord
from otpcore.retrying import RetryPolicy
from otpcore.verbs import LockRule
from otpcore.walks import BreakerRule, Candidate, WalkPlan

_logger = logging.getLogger("otpcore.sandbox")

_LEASE_MARGIN = 5.0  # seconds beyond the provider timeout (DESIGN §8)


@attrs.frozen(kw_only=True)
class Parts:
    """What every module of a service works with.

    Args:
        instances: Every loaded instance; ``opened`` starts one for a call.
        clock: Aware UTC.
        telemetry: None: nothing is measured.
    """

    settings: Settings
    store: Store
    keys: KeyRing
    instances: Instances
    observers: Observers
    clock: Callable[[], datetime]
    telemetry: Telemetry | None = None
    log: EventLog = attrs.field(factory=EventLog)

    @property
    def providers(self) -> Mapping[str, Provider]:
        """What every loaded instance is and can do, by name."""
        return self.instances.all

    @property
    def store_now(self) -> datetime | None:
        """What the store's verbs are told of the time; None: a database on a server, which many machines share, uses its own."""
        return None if self.clock is utc_now else self.clock()

    def emit(self, kind: EventType, challenge: ChallengeRecord | None = None, **details: Any) -> None:
        """Tell the log and the observers."""
        if not (self.observers or self.log.wants(kind)):
            return
        about = (
            {"challenge_id": challenge.id, "phone": challenge.phone_masked, "purpose": challenge.purpose}
            if challenge is not None
            else {}
        )
        said = {name: str(value) for name, value in {**about, **details}.items() if value is not None}
        event = Event(type=kind, at=self.clock(), **said)
        self.log.write(event)
        self.observers.emit(event)

    def span(self, work: Work, **attributes: str | int) -> Span:
        """What measures this work; nothing does unless somebody asked for it."""
        return UNMEASURED if self.telemetry is None else self.telemetry.span(work, **attributes)

    def policy(self, channel: Channel) -> RetryPolicy | None:
        """How this channel is retried; None: not at all."""
        chosen = self.settings.sms if channel is Channel.SMS else self.settings.call
        retry = self.settings.retry
        if not chosen.retry:
            return None
        return RetryPolicy(
            max_retries=chosen.max_retries,
            first_delay=retry.first_delay,
            max_delay=retry.max_delay,
            jitter=retry.jitter,
        )

    def plan(
        self, channel: Channel, route: tuple[Candidate, ...], *, is_retry: bool, barrier: Barrier | None = None
    ) -> WalkPlan:
        """The plan of a walk that has tried nothing yet; ``barrier``: what keeps a retry from being sent."""
        return WalkPlan(
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
        """What the settings say of every walk."""
        settings = self.settings
        return {
            "call_lease": timedelta(seconds=settings.otp.provider_timeout + _LEASE_MARGIN),
            "cooldown": timedelta(seconds=settings.otp.cooldown),
            "min_useful_life": timedelta(seconds=settings.retry.min_useful_life),
            "breaker": self.breaker,
            "hold": timedelta(seconds=settings.routing.reload_every),
            "budget_rule": settings.limits.budget_rule,
        }

    @functools.cached_property
    def _policies(self) -> dict[Channel, RetryPolicy | None]:
        return {channel: self.policy(channel) for channel in Channel}

    @functools.cached_property
    def breaker(self) -> BreakerRule:
        """When a breaker opens, and how often it is probed."""
        return BreakerRule(threshold=self.settings.retry.breaker_threshold)

    def candidates(
        self, names: tuple[str, ...], channel: Channel, phone: PhoneNumber, prefix: str
    ) -> tuple[Candidate, ...]:
        """The named instances that are loaded and can do the channel; ``prefix`` is the rule's by which they were found."""
        prefix = phone.masked if prefix == phone.e164 else prefix  # a rule for one number: it is kept with deliveries
        able = [self.providers[name] for name in names if name in self.providers]
        return tuple(
            Candidate(
                instance=provider.instance,
                owner=provider.info.code_owner,
                scope=provider.info.code_scope if provider.info.code_owner is CodeOwner.PROVIDER else "",
                prefix=prefix,
            )
            for provider in able
            if channel in provider.channels
        )

    def client_key(self, client: str | None) -> str:
        """Keyed look-up of what counts as one client; empty: the host named none."""
        return self.keys.client_key(same_client(client)) if client else ""

    def lock_rule(self, client: str | None) -> LockRule:
        """How failures of this phone and client are counted."""
        return LockRule(client=self.client_key(client), lock_after=self.settings.limits.lock_after)

    async def purge(self, phone: PhoneNumber | None) -> PurgeCount:
        """Remove what is older than the settings keep; with a phone, everything about it."""
        storage, now = self.settings.storage, self.clock()
        count = await self.store.purge(
            challenges_before=now - timedelta(seconds=storage.keep_challenges),
            deliveries_before=now - timedelta(seconds=storage.keep_deliveries),
            verified_before=now - timedelta(seconds=storage.keep_verified),
            phone_key=self.keys.phone_key(phone.e164) if phone is not None else None,
            now=now,
        )
        removed = {name: number for name, number in attrs.asdict(count).items() if number}
        if removed:
            self.emit(
                EventType.PURGED,
                phone=phone.masked if phone is not None else None,
                reason="retention" if phone is None else "erased",
                detail=", ".join(f"{number} {name}" for name, number in removed.items()),
            )
        return count

    def phone_of(self, challenge: ChallengeRecord) -> PhoneNumber:
        """The number of a stored challenge."""
        return PhoneNumber(self.keys.unseal(challenge.id, "phone", challenge.phone_sealed))


def make_keys(settings: Settings) -> KeyRing:
    """The settings' keys, ready to use; in a sandbox without any, throw-away ones.

    Raises:
        SettingsError: Keys are missing or malformed.
    """
    keys = settings.keys
    if settings.needs_throw_away_keys:
        keys = throw_away_keys()
        _logger.warning(
            "the sandbox has no keys: throw-away keys were made in memory, and what they protect cannot be read "
            "by any other process or later; `otp init` makes keys to keep",
            extra=fields("throw_away_keys"),
        )
    keys.check()
    return KeyRing(index=keys.index, code=keys.code, current=keys.current)


def make_store(settings: Settings, given: Store | str | None) -> Store:
    """The store that a host gave, by itself or by name, else the settings' one; not yet started.

    Raises:
        SettingsError: It may not be used here.
        PluginLoadError: There is none of that name, or it cannot be loaded.
    """
    store: Store
    if given is None or isinstance(given, str):
        store = load_target(STORES, given or _named_store(settings))(settings)
    else:
        store = given
    if settings.environment == "production" and not store.durable:
        raise SettingsError('storage.store: environment = "production" needs a store that survives, such as "sql"')
    return store


def _named_store(settings: Settings) -> str:
    """The settings' store; where only the URL names it, something installed must know its scheme."""
    name = settings.store_name
    if settings.storage.store is None and name not in (names := [plugin.name for plugin in installed(STORES)]):
        schemes = ", ".join(f"{one}://" for one in names if one not in ("memory", "sql"))
        others = f"; {schemes} by what is installed" if schemes else ""
        raise SettingsError(
            f'storage.url: nothing that is installed keeps data at "{_scheme(name)}"; sqlite, postgresql, mysql and mariadb '
            f"are otpcore's own{others}. Fix: correct the URL, or install the plugin, such as pip install otp-redis"
        )
    return name


def _scheme(name: str) -> str:
    """As a scheme, if it can be one: the text before a colon may be anything, a password too."""
    return f"{name}://" if re.fullmatch(r"[a-z][a-z0-9+.-]{0,31}", name) else "(no scheme)"


def make_telemetry(settings: Settings) -> Telemetry | None:
    """What measures, where the settings ask for it.

    Raises:
        SettingsError: It is not installed.
    """
    if not settings.telemetry.opentelemetry:
        return None
    try:
        from otpcore._opentelemetry import OpenTelemetry  # noqa: PLC0415 - optional, and only where it is asked for
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"telemetry.opentelemetry: {error.name} is not installed; pip install 'otpcore[otel]'"
        ) from error
    return OpenTelemetry()


def new_id() -> str:
    """An id with 128 unguessable bits after the second in which it was made; never one that looks like an option.

    Ids that are made together lie together in a database's indexes, so that a million older ones do not slow them down.
    """
    return f"{int(time.time()):08x}{secrets.token_hex(16)}"


def no_route(phone: PhoneNumber, channel: Channel) -> NoRouteError:
    """The error for a number that nobody serves over this channel."""
    return NoRouteError(f"no provider of the routing rules serves {phone.masked} by {channel}; see otp routes explain")
