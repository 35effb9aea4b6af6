"""What a host gave its service, before anything is opened."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from otpcore.clock import in_utc, utc_now
from otpcore.settings.tree import Settings, load_settings

if TYPE_CHECKING:
    from otpcore.providers.loading import ForcedProviders
    from otpcore.runners.contract import RetryRunner
    from otpcore.service.asynchronous import AsyncOTPService
    from otpcore.service.blocking import OTPService
    from otpcore.stores.contract import Store

__all__ = ["Setup", "setup_of"]


@attrs.frozen(kw_only=True)
class Setup:
    """What a host gave its service; ``AsyncOTPService`` says what each of them means.

    Args:
        is_host: Those who ask are people with clients; the command line's own sends say nothing of how a host passes them.
    """

    given: Settings | Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    providers: ForcedProviders | None = None
    store: Store | str | None = None
    runner: RetryRunner | str | None = None
    observers: tuple[object, ...] = ()
    clock: Callable[[], datetime] = attrs.field(default=utc_now, converter=in_utc)
    is_host: bool = True

    @functools.cached_property
    def settings(self) -> Settings:
        """The settings, read when they are first asked for.

        Raises:
            SettingsError: A setting is wrong.
        """
        if isinstance(self.given, Settings):
            return self.given
        return load_settings() if self.given is None else Settings.from_mapping(self.given)


def setup_of(service: AsyncOTPService | OTPService) -> Setup:
    """What a service was given, for the command line to make its own from: neither its runner nor its clock.

    Raises:
        SettingsError: Its settings are wrong.
    """
    given: Setup = service._setup  # noqa: SLF001 - both faces keep it for this
    return Setup(given=service.settings, providers=given.providers, store=given.store, observers=given.observers)
