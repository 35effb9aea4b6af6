"""``otp doctor --online``: each vendor is asked whether the account can be used; nothing is sent."""

from __future__ import annotations

import anyio

from otpcore.errors import ErrorKind, ProviderError
from otpcore.models import Channel
from otpcore.operator.findings.checks import Found, Level
from otpcore.providers.loading import Loaded
from otpcore.providers.provider import Provider
from otpcore.settings.tree import Settings

__all__ = ["ask_vendors"]


async def ask_vendors(settings: Settings, loaded: Loaded) -> list[Found]:
    """What each instance's vendor says, all at once; none takes longer than ``otp.provider_timeout``."""
    if settings.sms.sandbox:
        return [Found(Level.NOTE, "the sandbox is on: no vendor is asked", "in [sms]: sandbox = false")]
    found: dict[str, list[Found]] = {}

    async def ask(name: str, provider: Provider) -> None:
        found[name] = await _ask(name, provider, settings.otp.provider_timeout)

    async with anyio.create_task_group() as tasks:
        for name, provider in loaded.providers.items():
            tasks.start_soon(ask, name, provider)
    return [one for name in loaded.providers for one in found[name]]


async def _ask(name: str, provider: Provider, timeout: float) -> list[Found]:
    if not provider.checks_account:
        asked = Found(
            Level.NOTE,
            f"{name}: {provider.info.display_name} cannot be asked without sending",
            f"send yourself one message: otp instances test {name} PHONE{_over(provider)}",
        )
        return [asked]
    try:
        state = await provider.check_account(timeout)
    except ProviderError as error:
        return [Found(Level.PROBLEM, str(error), _fix(name, error))]
    soon = [Found(Level.NOTE, f"{name}: {state.warning}", state.fix)] if state.warning else []
    return [Found(Level.OK, f"{name}: {state.summary}"), *soon]


def _over(provider: Provider) -> str:
    """How the test is told its channel; SMS need not be said."""
    return "" if Channel.SMS in provider.channels else f" --channel {min(provider.channels)}"


def _fix(name: str, error: ProviderError) -> str:
    if error.fix:
        return error.fix
    if error.kind is ErrorKind.MISCONFIGURED:
        return f"correct providers.{name} in the settings (URL, credentials, ids): what the vendor's console shows"
    return (
        f"see whether the URL of providers.{name} is the vendor's, and whether this machine reaches the vendor "
        "(network, proxy, the vendor's status page), then ask again"
    )
