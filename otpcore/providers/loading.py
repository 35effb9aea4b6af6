"""Load the provider instances that a service needs; a broken one hurts only who routes to it."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from otpcore.errors import OTPConfigurationError, RoutingSyntaxError, SettingsError, quoted
from otpcore.events import fields
from otpcore.models import Channel, instance_of
from otpcore.providers.addresses import ReceiptAddresses
from otpcore.providers.hooks import ProviderContext
from otpcore.providers.provider import Provider, load_provider, provider_from_object
from otpcore.providers.sandbox import Sandbox, nobody
from otpcore.routing import parse_rules
from otpcore.settings.network import Network
from otpcore.settings.structuring import structure
from otpcore.settings.tree import Settings

_logger = logging.getLogger("otpcore.providers")

_GATEWAY = frozenset({"gateway", "gateway_file"})
_OF_GATEWAYS = "http"  # the plugin whose gateways are tables; to name the table is enough

ForcedProviders = Sequence[str] | Mapping[str, object]
"""What a host may force: instance names in order, or a mapping of name to provider object."""


@attrs.frozen(kw_only=True)
class Loaded:
    """What could be loaded, and what could not.

    Args:
        needed: Routed or forced instances, whose failure stops the start unless ``plugins.on_error = "skip"``.
        broken: The error by instance.
    """

    needed: tuple[str, ...] = ()
    providers: dict[str, Provider] = attrs.field(factory=dict)
    broken: dict[str, OTPConfigurationError] = attrs.field(factory=dict)
    strict: bool = True

    async def require(self, names: Collection[str], within: float | None = None) -> bool:  # noqa: ARG002 - nothing is waited for
        """See that all of these are loaded.

        Raises:
            OTPConfigurationError: Why one of them is not.
        """
        for name in names:
            if name in self.broken:
                raise self.broken[name]
        return True

    def capable(self, channel: Channel) -> frozenset[str]:
        """Which instances can do a channel."""
        return frozenset(name for name, one in self.providers.items() if channel in one.channels)


def forced_names(forced: ForcedProviders | None) -> tuple[str, ...] | None:
    """The forced list as instance names."""
    if forced is None:
        return None
    if isinstance(forced, str):
        raise SettingsError(f"providers={quoted(forced)}: pass a list of instance names, such as [{quoted(forced)}]")
    names = tuple(name.casefold() for name in forced)
    if not names:
        raise SettingsError("providers=[]: a forced list names at least one instance; pass None to follow the rules")
    return names


def load_providers(
    settings: Settings,
    *,
    forced: ForcedProviders | None,
    stored_rules: Iterable[str],
    clock: Callable[[], datetime],
    sandbox: Sandbox | None,
    addresses: ReceiptAddresses | None = None,
) -> Loaded:
    """Load every instance that rules, settings or the host name, and what stands in for one at the test numbers.

    Args:
        addresses: For receipts; None: nothing is sent, so nothing is reported.
        sandbox: Stands in for all of them; None: the sandbox is off.
        stored_rules: Rule texts of the store; what they name is loaded if it can be.

    Raises:
        OTPConfigurationError: A routed instance cannot be loaded, and ``plugins.on_error`` is not ``"skip"`` or nothing
            is left of a rule.
    """
    objects = {name.casefold(): value for name, value in forced.items()} if isinstance(forced, Mapping) else {}
    routed = named_by(settings.rule_texts.values())
    needed = forced_names(forced) or tuple(routed)
    wished = dict.fromkeys((*needed, *routed, *settings.providers, *named_by(stored_rules)))
    loaded = Loaded(needed=needed, strict=settings.plugins.on_error == "raise")
    for name in wished:
        try:
            loaded.providers[name] = load_instance(
                name, settings, clock, sandbox=sandbox, addresses=addresses, objects=objects
            )
        except OTPConfigurationError as error:
            _leave_out(loaded, name, error)
    _refuse_if_nothing_is_left(loaded)
    for name in map(instance_of, settings.sms.test_numbers_on):
        loaded.providers[name] = nobody(name) if sandbox is None else sandbox.stand_in(name, partial(nobody, name))
    return loaded


def load_instance(
    name: str,
    settings: Settings,
    clock: Callable[[], datetime],
    *,
    sandbox: Sandbox | None,
    addresses: ReceiptAddresses | None = None,
    objects: Mapping[str, object] = MappingProxyType({}),
) -> Provider:
    """One instance by its settings or of the host's objects, or what stands in for it; not started.

    Raises:
        OTPConfigurationError: It cannot be loaded.
    """
    load = partial(_load, name, settings, clock, objects, addresses)
    return load() if sandbox is None else sandbox.stand_in(name, load)


def plugin_of(own: Mapping[str, Any]) -> str | None:
    """The plugin that the settings of an instance name; None: that of the instance's name."""
    return own.get("plugin") or (_OF_GATEWAYS if _GATEWAY & own.keys() else None)


def _load(
    name: str,
    settings: Settings,
    clock: Callable[[], datetime],
    objects: Mapping[str, object],
    addresses: ReceiptAddresses | None,
) -> Provider:
    slots = settings.plugins.thread_slots
    if name in objects:
        return provider_from_object(name, objects[name], thread_slots=slots, addresses=addresses)
    own = dict(settings.providers.get(name, {}))
    plugin = plugin_of(own)
    own.pop("plugin", None)
    network = _network(name, own, settings)
    context = ProviderContext(
        instance=name,
        settings=own,
        clock=clock,
        timeout=settings.otp.provider_timeout,
        network=network,
        directory=settings.directory,
        addresses=addresses,
    )
    try:
        return load_provider(name, plugin, context, thread_slots=slots)
    except SettingsError:
        near = difflib.get_close_matches(name, settings.providers, 1)
        if name in settings.providers or not near:
            raise
    raise SettingsError(
        f"providers.{name}: there is no section [providers.{name}], but [providers.{near[0]}]. "
        f"Fix: write [providers.{name}] there, or {near[0]} in the rules"
    )


def _network(name: str, own: dict[str, Any], settings: Settings) -> Network:
    """The way to one instance's vendor: its own settings, which are taken out, before those for all.

    Raises:
        SettingsError: They cannot be used.
    """
    said: dict[str, Any] = {key: own.pop(key) for key in ("proxy", "ca_file") if key in own}
    one = structure(said, _OfInstance, prefix=f"providers.{name}")
    common = settings.http
    ca_file = one.ca_file or common.ca_file
    network = Network(
        proxy=one.proxy or common.proxy,
        proxy_key=f"providers.{name}.proxy" if one.proxy else "http.proxy",
        ca_file=str(Path(settings.directory or "", Path(ca_file).expanduser())) if ca_file else None,
        ca_file_key=f"providers.{name}.ca_file" if one.ca_file else "http.ca_file",
        trust_env=common.trust_env,
    )
    network.check()
    return network


@attrs.frozen(kw_only=True)
class _OfInstance:
    """What every instance may say of its network; empty: nothing."""

    proxy: str = attrs.field(default="", repr=False)
    ca_file: str = ""


async def start_providers(loaded: Loaded, names: Iterable[str], start: Callable[[str], Awaitable[object]]) -> None:
    """Start these of the loaded instances; one that does not start is left out like one that does not load.

    Raises:
        OTPConfigurationError: As ``load_providers``.
    """
    for name in names:
        if name in loaded.providers:
            try:
                await start(name)
            except OTPConfigurationError as error:
                del loaded.providers[name]
                _leave_out(loaded, name, error)
    _refuse_if_nothing_is_left(loaded)


def _leave_out(loaded: Loaded, name: str, error: OTPConfigurationError) -> None:
    if name in loaded.needed and loaded.strict:
        raise error
    loaded.broken[name] = error
    log = _logger.error if name in loaded.needed else _logger.warning
    about = fields("provider_left_out", instance=name, reason=type(error).__name__)
    log("provider %s is left out: %s", name, error, extra=about)


def _refuse_if_nothing_is_left(loaded: Loaded) -> None:
    if loaded.needed and not any(name in loaded.providers for name in loaded.needed):
        raise loaded.broken[loaded.needed[0]]


def named_by(rules: Iterable[str]) -> list[str]:
    """Instances named by rule texts; a text that is no rule names none."""
    names: list[str] = []
    for text in rules:
        if text:
            try:
                names.extend(parse_rules(text).instances)
            except RoutingSyntaxError:
                continue
    return names
