"""The commands for those who develop a host or a provider, with their arguments; the work is done in modules that are imported when it is asked for."""
# ruff: noqa: PLC0415 - `otp --help` must not wait for what only one command needs

from __future__ import annotations

from typing import Annotated

import typer

from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.options import Options


def simulate(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Such as twilio; or module:class of a simulator of your own."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 0,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Of this machine; 0.0.0.0: all of them.")] = "127.0.0.1",
    listed: Annotated[bool, typer.Option("--list", help="List the simulators that are installed.")] = False,
) -> ExitCode:
    """Run a vendor's simulator to develop against, until Ctrl-C: prints the settings to use, then each message.

    Without --reveal numbers and texts are hidden. With --json each line is one document: first the settings.
    """
    from otpcore.cli.develop import simulate as _simulate

    options: Options = context.obj
    if listed:
        return _simulate.list_simulators(options)
    if name is None:
        raise CommandError("a simulator is needed", "`otp simulate --list` names those that are there", ExitCode.USAGE)
    return _simulate.simulate(options, name, host, port)
