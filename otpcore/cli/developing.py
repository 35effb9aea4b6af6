"""The commands for those who develop a host or a provider, with their arguments; the work is done in modules that are imported when it is asked for."""
# ruff: noqa: PLC0415 - `otp --help` must not wait for what only one command needs

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.options import Options


class Receipts(enum.StrEnum):
    """How the vendor reports what became of a message."""

    FORM = "form"
    """A form that is sent to an address of each message; nothing is signed."""
    JSON = "json"
    """JSON that is signed with HMAC-SHA256 in a header."""
    GET = "get"
    """A GET with a query, unsigned as a form, that waits for the text ``OK``."""
    NONE = "none"
    """Not at all."""


def new_provider(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the vendor, such as acme: it becomes otp-acme.")],
    receipts: Annotated[
        Receipts,
        typer.Option(
            help="How the vendor reports: form: unsigned, to an address of each message; "
            "json: signed with HMAC-SHA256; get: by a query, unsigned; none: not at all."
        ),
    ] = Receipts.FORM,
    table: Annotated[
        bool, typer.Option("--table", help="A table for the plugin otp-http, which has the code, instead of code.")
    ] = False,
    directory: Annotated[Path, typer.Option(metavar="PATH", help="Below which it is written.")] = Path(),
) -> ExitCode:
    """Write a package with a provider, its simulator and tests that pass at once, to be changed for your vendor."""
    from otpcore.cli.develop import new_provider as _new_provider

    options: Options = context.obj
    return _new_provider.new_provider(options, name, str(receipts), directory, table=table)


def simulate(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Such as twilio; or module:class of a simulator of your own, or the .toml file of a gateway's table.",
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 0,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Of this machine; 0.0.0.0: all of them.")] = "127.0.0.1",
    listed: Annotated[bool, typer.Option("--list", help="List the simulators that are installed.")] = False,
) -> ExitCode:
    """Run a vendor's simulator to develop against, until Ctrl-C: prints the settings to use, then each message.

    Without --reveal numbers and texts are hidden. With --json each line is one document: first the settings. Both are
    options of otp itself (otp --reveal simulate) and may stand behind the name too.
    """
    from otpcore.cli.develop import simulate as _simulate

    options: Options = context.obj
    if listed:
        return _simulate.list_simulators(options)
    if name is None:
        raise CommandError("a simulator is needed", "`otp simulate --list` names those that are there", ExitCode.USAGE)
    return _simulate.simulate(options, name, host, port)
