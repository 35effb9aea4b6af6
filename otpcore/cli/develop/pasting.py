"""What ``otp simulate`` has to be pasted: the settings of an instance, those that it needs first, and how to send to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from otpcore.errors import OTPConfigurationError
from otpcore.models import Channel
from otpcore.providers.hooks import ProviderContext
from otpcore.providers.loading import plugin_of
from otpcore.providers.provider import Provider, load_provider
from otpcore.simulators.simulator import Simulator

__all__ = ["Instance", "instance_of", "is_table"]

_OF_YOURS = "module:function of your provider"
_RECIPIENT = "+359871234567"


@attrs.frozen(kw_only=True)
class Instance:
    """An instance that talks to a simulator.

    Args:
        name: In the settings.
        needed: Without which it does not load, or leads elsewhere; all, where the provider cannot be loaded here.
        optional: The others.
        sending: The setting that sends through it, and the command that does.
        numbers: Numbers (E.164) that do not end well, and how.
    """

    name: str
    needed: Mapping[str, Any]
    optional: Mapping[str, Any]
    sending: tuple[str, str]
    numbers: Mapping[str, str]


def instance_of(simulator_name: str, simulator: Simulator, settings: Mapping[str, Any]) -> Instance:
    """The instance for a running simulator, named as it was for ``otp simulate``."""
    module, _, own_class = simulator_name.partition(":")
    name = module.casefold()
    if is_table(simulator_name):
        name = "".join(one if one.isalnum() else "_" for one in Path(simulator_name).stem.casefold()) or "vendor"
    elif own_class:
        name = own_class.removesuffix("Simulator").lower() or "vendor"
        settings = {"plugin": _OF_YOURS, **settings}
    provider = _loaded(name, settings)
    needed = dict(settings)
    if provider is not None:
        needed = {key: settings[key] for key in settings if _is_needed(name, settings, key, simulator.base_url)}
    return Instance(
        name=name,
        needed=needed,
        optional={key: value for key, value in settings.items() if key not in needed},
        sending=_sending(name, provider),
        numbers=dict(simulator.numbers),
    )


def is_table(simulator_name: str) -> bool:
    """Whether the file of a gateway's table is named."""
    return simulator_name.endswith(".toml")


def _loaded(name: str, settings: Mapping[str, Any]) -> Provider | None:
    """The provider with these settings; None: it cannot be loaded, such as one that is still being written."""
    rest = {key: value for key, value in settings.items() if key != "plugin"}
    try:
        return load_provider(name, plugin_of(settings), ProviderContext(instance=name, settings=rest))
    except OTPConfigurationError:
        return None


def _is_needed(name: str, settings: Mapping[str, Any], key: str, base_url: str) -> bool:
    if key == "plugin" or base_url in str(settings[key]):
        return True
    return _loaded(name, {other: value for other, value in settings.items() if other != key}) is None


def _sending(name: str, provider: Provider | None) -> tuple[str, str]:
    """What says who sends, and the command that does."""
    if provider is None or Channel.SMS in provider.channels:
        return f'otp_sms_provider = "{name}"', f"otp send {_RECIPIENT}"
    channel = min(map(str, provider.channels))
    command = f"otp call {_RECIPIENT}" if channel == Channel.CALL else f"otp send {_RECIPIENT} --channel {channel}"
    return f'otp_{channel}_provider = "{name}"', command
