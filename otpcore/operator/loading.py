"""Instances to be looked at: loaded and started for a moment, or a running service's own; a broken one stops nobody."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta

import attrs

from otpcore.clock import utc_now
from otpcore.errors import OTPConfigurationError, PluginLoadError, quoted
from otpcore.operator.desk import Desk
from otpcore.operator.fixes import told_of
from otpcore.operator.results.upkeep import InstanceLoaded, PluginFound
from otpcore.providers.instances import PATIENCE, Instances
from otpcore.providers.loading import Loaded, forced_names, load_providers, named_by
from otpcore.providers.provider import HTTP_GATEWAYS, PROVIDERS, Provider, installed
from otpcore.providers.sandbox import Sandbox
from otpcore.routing import channel_of
from otpcore.service.routes import Rules
from otpcore.service.setup import Setup
from otpcore.settings.tree import Settings

__all__ = ["RoutingView", "gateways", "instances_of", "load_instances", "open_view", "plugins", "seen_instances"]


@attrs.frozen(kw_only=True)
class RoutingView:
    """What routing rests on, as an operator sees it.

    Args:
        stored: The settings in the store.
        refused: Why a stored rule is not in force, by setting.
    """

    setup: Setup
    stored: Mapping[str, str]
    loaded: Loaded
    rules: Rules
    refused: Mapping[str, OTPConfigurationError]


@asynccontextmanager
async def open_view(desk: Desk, *rules: str) -> AsyncIterator[RoutingView]:
    """Look at every instance that anything names, the store's rules and these too."""
    stored = await desk.service.store.settings()
    texts = [text for name, text in stored.items() if channel_of(name) is not None]
    async with instances_of(desk, *texts, *rules) as loaded:
        refused: dict[str, OTPConfigurationError] = {}

        def report(name: str, error: OTPConfigurationError | None) -> None:
            if error is not None:
                refused[name] = error

        in_force = Rules(
            settings=desk.service.settings,
            forced=forced_names(desk.setup.providers),
            providers=loaded.providers,
            require=loaded.require,
            clock=desk.service.clock,
            report=report,
        )
        await in_force.take_up(stored, first=True)
        yield RoutingView(setup=desk.setup, stored=stored, loaded=loaded, rules=in_force, refused=refused)


@asynccontextmanager
async def instances_of(desk: Desk, *rules: str) -> AsyncIterator[Loaded]:
    """The instances of a running service, those of these rules started as for rules in force; else all, started anew."""
    if not desk.is_live:
        async with load_instances(desk.setup, *rules) as loaded:
            yield loaded
        return
    own = desk.service.instances
    broken: dict[str, OTPConfigurationError] = {}
    for name in named_by(rules):
        try:
            if not await own.require([name], PATIENCE):
                broken[name] = PluginLoadError(f"provider {quoted(name)}: it did not start within {PATIENCE:g} s")
        except OTPConfigurationError as error:
            broken[name] = error
    usable = {name: one for name, one in own.all.items() if name not in broken}
    yield Loaded(providers=usable, broken={**own.broken, **broken})


@asynccontextmanager
async def load_instances(setup: Setup, *rules: str, patience: float = PATIENCE) -> AsyncIterator[Loaded]:
    """Every instance of the settings, the host's list and these rules, started; a broken one stops nobody.

    Args:
        patience: Seconds for each of them to start.

    Raises:
        OTPConfigurationError: Not one of the objects that the host forces can be used.
    """
    forced, given = setup.providers, setup.settings
    texts = [*given.rule_texts.values(), ";".join(forced_names(forced) or ())]
    # Without rules of its own no instance is needed, so none can stop the others.
    settings = attrs.evolve(
        given,
        otp_sms_provider="",
        otp_call_provider="",
        otp_channel_providers={},
        plugins=attrs.evolve(given.plugins, on_error="skip"),
    )
    async with AsyncExitStack() as stack:
        with _quiet("otpcore.providers"):  # whoever looks says what is broken
            loaded = load_providers(
                settings,
                forced=forced if isinstance(forced, Mapping) else None,
                stored_rules=[*texts, *rules],
                clock=utc_now,
                sandbox=_sandbox(given),
            )
            instances = Instances(
                loaded,
                load=lambda name: loaded.providers[name],
                longest_life=timedelta(),
                clock=utc_now,
                patience=patience,
            )
            await instances.open(stack, list(loaded.providers))
        yield loaded


def plugins() -> tuple[PluginFound, ...]:
    """Every provider plugin that is installed."""
    return _found(PROVIDERS)


def gateways() -> tuple[PluginFound, ...]:
    """Every table of a gateway that is installed, for the plugin ``http``."""
    return _found(HTTP_GATEWAYS)


def _found(group: str) -> tuple[PluginFound, ...]:
    return tuple(PluginFound(**attrs.asdict(one)) for one in installed(group))


def seen_instances(loaded: Loaded) -> tuple[InstanceLoaded, ...]:
    """Those that can be used, then those that cannot, with the reason."""
    usable = [_instance(name, one) for name, one in loaded.providers.items()]
    return (*usable, *(_broken(name, error) for name, error in loaded.broken.items()))


def _broken(name: str, error: OTPConfigurationError) -> InstanceLoaded:
    _, fix = told_of(error)
    return InstanceLoaded(instance=name, error=str(error), fix=fix)


def _instance(name: str, one: Provider) -> InstanceLoaded:
    return InstanceLoaded(
        instance=name,
        distribution=one.distribution,
        version=one.version,
        display_name=one.info.display_name,
        channels=tuple(sorted(one.channels)),
        code_owner=str(one.info.code_owner),
        unconfirmed=tuple(one.info.unconfirmed),
    )


def _sandbox(settings: Settings) -> Sandbox | None:
    return Sandbox(filter(None, map(channel_of, settings.rule_texts))) if settings.sms.sandbox else None


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
