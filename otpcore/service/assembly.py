"""Puts a service together from what a host gave it; the one place that does, for hosts and for the command line."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial

from otpcore.codes import KeyRing
from otpcore.errors import SettingsError
from otpcore.events import Telemetry, fields
from otpcore.models import World
from otpcore.providers.addresses import ReceiptAddresses
from otpcore.providers.instances import Instances
from otpcore.providers.loading import forced_names, load_instance, load_providers
from otpcore.providers.observers import Observers
from otpcore.providers.provider import RETRY_RUNNERS, STORES, Provider, installed, load_target
from otpcore.providers.sandbox import Sandbox
from otpcore.routing import channel_of
from otpcore.runners.contract import RetryRunner
from otpcore.service.service import Elsewhere, Service
from otpcore.service.setup import Setup
from otpcore.settings.tree import Settings, load_settings, throw_away_keys
from otpcore.stores.contract import Store

__all__ = ["make_keys", "make_runner", "make_store", "open_service", "over_store", "without_providers"]

_logger = logging.getLogger("otpcore.sandbox")
_service_logger = logging.getLogger("otpcore.service")


async def open_service(setup: Setup, stack: AsyncExitStack) -> Service:
    """A service with its providers started and its rules in force; closing the stack closes what was opened.

    Raises:
        OTPConfigurationError: Settings, keys, store or providers cannot be used.
        StoreError: The store cannot be opened.
    """
    settings = setup.settings
    setup.clock()  # one that tells no aware time stops the start
    keys = make_keys(settings)
    store = make_store(settings, setup.store)
    await store.start(stack)
    stored = await store.settings()
    sandbox = _sandbox(setup, stored)
    addresses = ReceiptAddresses(proofs=keys.receipt_proofs, base=settings.otp.receipts_url)
    instances = await _start_providers(setup, stored, sandbox, addresses, stack)
    service = _put_together(setup, store, keys, instances, _telemetry(settings), sandbox)
    await service.live.refresh(force=True)
    await service.outcomes.open(stack)
    return service


@asynccontextmanager
async def without_providers(setup: Setup) -> AsyncIterator[Service]:
    """A service with store, keys and observers, for who calls no provider and so must not need one; no rules are in force.

    Raises:
        SettingsError: Keys or store cannot be used, or the store's content cannot be seen from here.
        StoreError: The store cannot be opened.
    """
    keys = make_keys(setup.settings)
    store = make_store(setup.settings, setup.store)
    if not store.durable:
        raise SettingsError(
            'storage.store: the "memory" store is seen by its own process only. Fix: in [storage]: store = "sql"'
        )
    async with AsyncExitStack() as stack:
        await store.start(stack)
        yield _put_together(setup, store, keys, Instances.none())


def over_store(setup: Setup, store: Store) -> Service:
    """As ``without_providers``, over a store that stands in for the settings' one; nothing is opened."""
    return _put_together(setup, store, make_keys(setup.settings), Instances.none())


def make_keys(settings: Settings, world: World | None = None) -> KeyRing:
    """The settings' keys, ready to use; in a sandbox without any, throw-away ones.

    Args:
        world: None: the settings' one.

    Raises:
        SettingsError: Keys are missing or malformed.
    """
    keys = settings.keys
    if settings.needs_throw_away_keys:
        keys = throw_away_keys()
        _logger.warning(
            "the sandbox has no keys: throw-away keys were made in memory, and what they protect cannot be read "
            "by any other process or later; for keys to keep: %s",
            settings.makes_keys,
            extra=fields("throw_away_keys"),
        )
    keys.check(beside=settings.directory)
    return KeyRing(index=keys.index, code=keys.code, current=keys.current, world=world or settings.world)


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
        raise SettingsError(
            'storage.store: environment = "production" needs a store that survives. Fix: in [storage]: store = "sql"'
        )
    return store


def make_runner(setup: Setup) -> RetryRunner:
    """The retry runner that a host gave, by itself or by name, else the settings' one; not yet started.

    Raises:
        PluginLoadError: There is none of that name, or it cannot be loaded.
    """
    given = setup.runner
    if given is None or isinstance(given, str):
        runner: RetryRunner = load_target(RETRY_RUNNERS, given or setup.settings.retry.runner)(setup.settings)
        return runner
    return given


def _telemetry(settings: Settings) -> Telemetry | None:
    """What measures, where the settings ask for it.

    Raises:
        SettingsError: It is not installed.
    """
    if not settings.telemetry.opentelemetry:
        return None
    try:
        from otpcore.service.telemetry import OpenTelemetry  # noqa: PLC0415 - optional, and only where it is asked for
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"telemetry.opentelemetry: {error.name} is not installed; pip install 'otpcore[otel]'"
        ) from error
    return OpenTelemetry()


def _put_together(
    setup: Setup,
    store: Store,
    keys: KeyRing,
    instances: Instances,
    telemetry: Telemetry | None = None,
    sandbox: Sandbox | None = None,
) -> Service:
    settings = setup.settings
    return Service(
        settings=settings,
        store=store.within(settings.world),
        keys=keys,
        instances=instances,
        observers=Observers([*filter(None, [telemetry]), *setup.observers]),
        clock=setup.clock,
        is_host=setup.is_host,
        forced=forced_names(setup.providers),
        sandbox=sandbox,
        telemetry=telemetry,
        elsewhere=_elsewhere(settings, store),
    )


def _sandbox(setup: Setup, stored: Mapping[str, str]) -> Sandbox | None:
    if not setup.settings.sms.sandbox:
        return None
    _service_logger.warning(
        "sms.sandbox is on: no provider is called, and nothing is sent to anybody", extra=fields("sandbox_on")
    )
    return Sandbox(filter(None, map(channel_of, (*setup.settings.rule_texts, *stored))), clock=setup.clock)


async def _start_providers(
    setup: Setup,
    stored: Mapping[str, str],
    sandbox: Sandbox | None,
    addresses: ReceiptAddresses,
    stack: AsyncExitStack,
) -> Instances:
    """Every instance that rules, settings or the host name; those that must work are started."""
    settings = setup.settings
    loaded = load_providers(
        settings,
        forced=setup.providers,
        stored_rules=[text for name, text in stored.items() if channel_of(name) is not None],
        clock=setup.clock,
        sandbox=sandbox,
        addresses=addresses,
    )
    instances = Instances(
        loaded,
        load=partial(_load_later, setup, sandbox, addresses),
        longest_life=timedelta(seconds=settings.otp.longest_life),
        clock=setup.clock,
    )
    await instances.open(stack, loaded.needed)
    return instances


def _load_later(setup: Setup, sandbox: Sandbox | None, addresses: ReceiptAddresses, name: str) -> Provider:
    """One that a new rule names; what its files say of it now, if they said nothing when they were read."""
    settings = setup.settings
    if name not in settings.providers and settings.files:
        settings = load_settings(settings.files[0])
    return load_instance(name, settings, setup.clock, sandbox=sandbox, addresses=addresses)


def _elsewhere(settings: Settings, store: Store) -> Elsewhere | None:
    """The other world's part of a store."""
    if settings.needs_throw_away_keys:
        return None
    (other,) = set(World) - {settings.world}
    return Elsewhere(store=store.within(other), keys=make_keys(settings, other))


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
