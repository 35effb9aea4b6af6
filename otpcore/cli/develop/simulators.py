"""The vendors' simulators that are installed, or named as ``module:class``; a broken one is told of by name and cause."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from otpcore.cli.develop.pasting import is_table
from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.host import find_modules_in
from otpcore.errors import PluginLoadError, quoted
from otpcore.providers.provider import SIMULATORS, load_target
from otpcore.simulators.simulator import Simulator

__all__ = ["make_simulator", "settings_of"]

_TABLES = "otp_http.simulator:GatewaySimulator"
"""What makes the simulator of a table in a file; named, as the core imports no plugin."""


def make_simulator(name: str) -> Simulator:
    """One that can be started.

    Raises:
        PluginLoadError: None of that name is installed, or it cannot be imported.
        CommandError: What is there is no simulator, or cannot be made.
    """
    if is_table(name):
        return _of_table(Path(name))
    if ":" in name:
        find_modules_in(".")
    make = load_target(SIMULATORS, name)
    if not callable(make):
        raise _unusable(name, "it names nothing that can be called")
    try:
        made = make()
    except Exception as error:
        raise _unusable(name, f"making it raised {type(error).__name__}") from error
    if not isinstance(made, Simulator):
        raise _unusable(name, "what it makes does not inherit otpcore.simulators.Simulator")
    return made


def _of_table(file: Path) -> Simulator:
    """The simulator of a gateway's table, which reports of itself.

    Raises:
        CommandError: There is no such file, or the package that reads tables is not installed.
        SettingsError: The table is wrong.
    """
    if not file.is_file():
        raise CommandError(
            f"{file}: there is no such file",
            "name the file of a gateway's table, or `otp simulate --list`",
            ExitCode.CONFIGURATION,
        )
    try:
        make = load_target(SIMULATORS, _TABLES)
    except PluginLoadError as error:
        raise CommandError(
            f"{file}: nothing is installed that reads a gateway's table", "pip install otp-http", ExitCode.CONFIGURATION
        ) from error
    simulator: Simulator = make(file, reporting=True)
    return simulator


def settings_of(name: str, simulator: Simulator) -> dict[str, Any]:
    """What an instance needs that talks to it.

    Raises:
        CommandError: It does not say.
    """
    try:
        return dict(simulator.provider_settings())
    except Exception as error:
        raise _unusable(name, f"provider_settings() raised {type(error).__name__}") from error


def _unusable(name: str, why: str) -> CommandError:
    return CommandError(
        f"simulator {quoted(name)}: {why}",
        "correct the class, or update the package that brings it (`otp simulate --list` names it)",
        ExitCode.CONFIGURATION,
    )
