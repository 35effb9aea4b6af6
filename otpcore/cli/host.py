"""What the command line works for: the settings file, or the object that ``--app`` names."""

from __future__ import annotations

import contextlib
import getpass
import importlib
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import attrs

from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.options import Options
from otpcore.errors import OTPConfigurationError
from otpcore.models import Channel
from otpcore.operator.asynchronous import AsyncOperator, operator_of
from otpcore.runners.contract import RetryRunner
from otpcore.service.asynchronous import AsyncOTPService, service_of
from otpcore.service.blocking import OTPService
from otpcore.service.setup import Setup, setup_of
from otpcore.settings.tree import Settings, load_settings

__all__ = [
    "find_modules_in",
    "load_host",
    "make_service",
    "operate",
    "operator_for",
    "operator_name",
    "run",
    "service_for",
    "settings_for",
]

T = TypeVar("T")


def load_host(options: Options) -> Setup:
    """The settings, and what else a host has set up in code.

    Raises:
        OTPConfigurationError: A setting is wrong.
        CommandError: ``--app`` does not name what it should.
    """
    if options.app is not None:
        find_modules_in(".")
        return _setup_of(_import_app(options.app), options.app)
    settings = load_settings(options.settings)
    if _names_a_module(settings):
        find_modules_in(settings.directory, ".")
    return Setup(given=settings)


def make_service(host: Setup, runner: RetryRunner | str) -> AsyncOTPService:
    """A service like the host's own, but for its retry runner; not open yet."""
    return service_of(attrs.evolve(host, runner=runner, is_host=False))


def settings_for(options: Options) -> Settings:
    """The settings that a command works with: the host's that ``--app`` names, else those of the settings file.

    Raises:
        OTPConfigurationError: A setting is wrong.
        CommandError: ``--app`` does not name what it should.
    """
    return load_host(options).settings


def service_for(options: Options, *, runner: RetryRunner | str | None = None) -> AsyncOTPService:
    """A service as the host's own, not open.

    Args:
        options: Of the command.
        runner: Who runs retries; None: as the host has it, else ``retry.runner``.

    Raises:
        OTPConfigurationError: A setting is wrong.
        CommandError: ``--app`` does not name what it should.
    """
    return service_of(attrs.evolve(load_host(options), runner=runner))


def operator_for(options: Options) -> AsyncOperator:
    """The operator's interface to what the host has set up, not open.

    Raises:
        OTPConfigurationError: A setting is wrong.
        CommandError: ``--app`` does not name what it should.
    """
    return operator_of(load_host(options))


def run(work: Callable[..., Awaitable[T]], *arguments: Any, backend: str = "asyncio") -> T:
    """Run a coroutine function to its end, outside of every event loop."""
    import anyio  # noqa: PLC0415 - heavy: imported at first use

    return anyio.run(partial(work, *arguments), backend=backend)


def operate(host: Setup, work: Callable[[AsyncOperator], Awaitable[T]]) -> T:
    """Run something with the operator of a host; store and keys are opened for it, and no provider."""

    async def within() -> T:
        async with operator_of(host) as operator:
            return await work(operator)

    return run(within)


def find_modules_in(*directories: str | None) -> None:
    """Let modules be imported that lie in these, as in the directory of a script; the first goes before the others."""
    for directory in reversed(directories):
        with contextlib.suppress(OSError):  # the current directory may be gone: then nothing is in it
            place = os.path.abspath(directory) if directory is not None else ""  # noqa: PTH100 - as Python itself writes it there
            if place and place not in sys.path:
                sys.path.insert(0, place)


def parse_channel(word: str) -> Channel:
    """The channel that a person typed.

    Raises:
        CommandError: It is no word that a channel could have.
    """
    try:
        return Channel(word)
    except ValueError as error:
        raise CommandError(
            f"--channel: {error}", "write sms, call, or a word such as whatsapp", ExitCode.USAGE
        ) from error


def operator_name() -> str:
    """Who makes a change here: the user of the operating system."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may have a number that no name belongs to
        return f"uid {os.getuid()}" if hasattr(os, "getuid") else "unknown"


def _names_a_module(settings: Settings) -> bool:
    """A plugin is named as ``module:factory``; who names none needs no more of Python's path than what is installed."""
    named = [settings.storage.store or "", settings.retry.runner]
    named += [one["plugin"] for one in settings.providers.values() if "plugin" in one]
    return any(":" in one for one in named)


def _import_app(target: str) -> Any:
    module, _, path = target.partition(":")
    if not module or not path:
        raise CommandError(
            f"--app {target}: a module and a name are needed",
            "write it as module:name, such as shop.settings:otp",
            ExitCode.USAGE,
        )
    try:
        found: Any = importlib.import_module(module)
    except OTPConfigurationError:
        raise
    except ModuleNotFoundError as error:
        raise CommandError(
            f"--app {target}: there is no module {error.name}",
            "run it in the directory of the module, or set PYTHONPATH",
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
            return Setup(given=found)
        case AsyncOTPService() | OTPService():
            return setup_of(found)
        case Mapping():
            return Setup(given=Settings.from_mapping(found))
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
