"""What the command line works for: the settings file, or the object that ``--app`` names."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import Any, TypeVar

import attrs

from otpcore._instances import Instances
from otpcore._parts import Parts, make_keys, make_store
from otpcore._providers import Loaded, forced_names, load_providers, start_providers
from otpcore._service import AsyncOTPService, Setup, setup_of
from otpcore._sync import OTPService, asynchronous
from otpcore.cli._exits import CommandError, ExitCode
from otpcore.cli._options import Options
from otpcore.config import Settings, load_settings
from otpcore.errors import OTPConfigurationError, SettingsError
from otpcore.hookspecs import utc_now
from otpcore.interfaces import RetryRunner
from otpcore.phone import PhoneNumber, parse_phone
from otpcore.plugins import Observers
from otpcore.records import ChallengeRecord
from otpcore.sandbox import Sandbox

__all__ = ["load_host", "load_instances", "open_parts", "open_service", "parse_number", "run", "shown_number"]

T = TypeVar("T")


def load_host(options: Options) -> Setup:
    """The settings, and what else a host has set up in code.

    Raises:
        OTPConfigurationError: A setting is wrong.
        CommandError: ``--app`` does not name what it should.
    """
    if options.app is None:
        return Setup(settings=load_settings(options.settings))
    return _setup_of(_import_app(options.app), options.app)


def open_service(host: Setup, runner: RetryRunner | str) -> AsyncOTPService:
    """A service like the host's own, but for its retry runner; not open yet."""
    return AsyncOTPService(
        host.settings, providers=host.providers, store=host.store, runner=runner, observers=host.observers
    )


@asynccontextmanager
async def open_parts(host: Setup) -> AsyncIterator[Parts]:
    """Store, keys and observers, for commands that call no provider and so must not need one.

    Raises:
        SettingsError: Keys or store cannot be used, or the store's content cannot be seen from here.
        StoreError: The store cannot be opened.
    """
    async with AsyncExitStack() as stack:
        keys = make_keys(host.settings)
        store = make_store(host.settings, host.store)
        if not store.durable:
            raise SettingsError(
                'storage.store: the "memory" store is seen by its own process only; use "sql", or ask that process'
            )
        await store.start(stack)
        yield Parts(
            settings=host.settings,
            store=store,
            keys=keys,
            instances=Instances.none(),
            observers=Observers(host.observers),
            clock=utc_now,
        )


@asynccontextmanager
async def load_instances(host: Setup, *rules: str) -> AsyncIterator[Loaded]:
    """Every instance of the settings, the host's list and these rules, started; a broken one stops nobody.

    Raises:
        OTPConfigurationError: Not one of the objects that the host forces can be used.
    """
    forced = host.providers
    texts = [host.settings.otp_sms_provider, host.settings.otp_call_provider, ";".join(forced_names(forced) or ())]
    # Without rules of its own no instance is needed, so none can stop the others.
    settings = attrs.evolve(
        host.settings,
        otp_sms_provider="",
        otp_call_provider="",
        plugins=attrs.evolve(host.settings.plugins, on_error="skip"),
    )
    async with AsyncExitStack() as stack:
        with _quiet("otpcore.providers"):  # the commands say themselves what is broken
            loaded = load_providers(
                settings,
                forced=forced if isinstance(forced, Mapping) else None,
                stored_rules=[*texts, *rules],
                clock=utc_now,
                sandbox=Sandbox() if settings.sms.sandbox else None,
            )
            await start_providers(loaded, list(loaded.providers), lambda name: loaded.providers[name].start(stack))
        yield loaded


def run(work: Callable[..., Awaitable[T]], *arguments: Any, backend: str = "asyncio") -> T:
    """Run a coroutine function to its end, outside of every event loop."""
    import anyio  # noqa: PLC0415 - heavy: imported at first use

    return anyio.run(partial(work, *arguments), backend=backend)


def parse_number(settings: Settings, phone: str) -> PhoneNumber:
    """What a person typed, understood as the service understands it.

    Raises:
        InvalidPhoneNumber: It cannot be a number.
    """
    otp = settings.otp
    return parse_phone(phone, default_region=otp.default_region, require_valid=otp.number_policy == "valid")


def shown_number(options: Options, parts: Parts, challenge: ChallengeRecord) -> str:
    """The number of a stored challenge; masked, unless the keys shall open it.

    Raises:
        SettingsError: The key that sealed it is not here.
    """
    return parts.phone_of(challenge).e164 if options.reveal else challenge.phone_masked


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _import_app(target: str) -> Any:
    module, _, path = target.partition(":")
    if not module or not path:
        raise CommandError(
            f"--app {target}: a module and a name are needed",
            "write it as module:name, such as shop.settings:otp",
            ExitCode.USAGE,
        )
    if (here := os.getcwd()) not in sys.path:  # noqa: PTH109 - as Python itself writes it there
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
    except OTPConfigurationError:
        raise
    except ModuleNotFoundError as error:
        raise CommandError(
            f"--app {target}: there is no module {error.name}",
            "run it where the module can be imported, or set PYTHONPATH",
            ExitCode.CONFIGURATION,
        ) from error
    except (Exception, SystemExit) as error:
        raise CommandError(
            f"--app {target}: importing {module} raised {type(error).__name__}",
            f"see `python -c 'import {module}'`",
            ExitCode.CONFIGURATION,
        ) from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise CommandError(
                f"--app {target}: {module} has no {path}", "name what is in the module", ExitCode.CONFIGURATION
            )
        found = getattr(found, name)
    return found


def _setup_of(found: Any, target: str) -> Setup:
    """What a host's object says; a factory is called once."""
    is_factory = callable(found) and not isinstance(found, AsyncOTPService | OTPService)
    if is_factory:
        found = _call(found, target)
    match found:
        case Settings():
            return Setup(settings=found)
        case AsyncOTPService():
            return setup_of(found)
        case OTPService():
            return setup_of(asynchronous(found))
        case Mapping():
            return Setup(settings=Settings.from_mapping(found))
    what = "its factory made" if is_factory else "it is"
    raise CommandError(
        f"--app {target}: {what} {type(found).__name__}",
        "name a Settings, a mapping, an AsyncOTPService, an OTPService, or a plain function that returns one",
        ExitCode.CONFIGURATION,
    )


def _call(factory: Callable[[], Any], target: str) -> Any:
    try:
        made = factory()
    except OTPConfigurationError:
        raise
    except Exception as error:
        raise CommandError(
            f"--app {target}: it raised {type(error).__name__} when called without arguments",
            "name a function without arguments that returns the service or its settings",
            ExitCode.CONFIGURATION,
        ) from error
    if hasattr(made, "__await__"):
        made.close()
    return made
