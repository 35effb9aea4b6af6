"""The root command, and the one place where a command's end becomes an exit code."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

import otpcore
from otpcore.cli.exits import MEANINGS, CommandError, ExitCode, Explanation, explain
from otpcore.cli.options import Options
from otpcore.cli.tree import tree_of
from otpcore.embedding.spelling import Spelling
from otpcore.errors import shortened

__all__ = ["run"]

_FLAGS = frozenset({"--json", "--reveal", "--verbose"})
_VALUED = frozenset({"--settings", "--app"})

_EPILOG = "\n".join(
    [
        "Exit codes:\n",
        *(f"{int(code):>3}  {meaning}." for code, meaning in MEANINGS.items()),
        "\nWith --json, standard output is one JSON document, an error too; logs go to standard error.",
    ]
)


def run(arguments: Sequence[str], spelling: Spelling | None = None) -> int:
    """Run one command, told in these words; the exit code."""
    options = Options(json="--json" in arguments, spelling=spelling or Spelling())
    try:
        first, rest = _global_options_apart(arguments)
        asked = [*first, *rest] or ["--help"]
        ended = tree_of(rest, _otp, epilog=_EPILOG)(
            asked, prog_name=options.spelling.command, obj=options, standalone_mode=False
        )
    except (typer.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever it is, it ends as one line and an exit code
        told = _usage(error) or explain(error)
        options.say_error(told)
        if told.code is ExitCode.BUG:
            options.show_stack(error)
        return told.code
    return int(ended or ExitCode.OK)


def _version(context: typer.Context, asked: bool) -> None:
    if asked:
        options: Options = context.obj
        options.say({"version": otpcore.__version__}, f"otpcore {otpcore.__version__}")
        raise typer.Exit


def _otp(
    context: typer.Context,
    settings: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="The settings file; not given: OTPCORE_SETTINGS_FILE, else otpcore.toml here."
        ),
    ] = None,
    app: Annotated[
        str | None,
        typer.Option(metavar="MODULE:NAME", help="The host's settings, service or factory; also OTPCORE_APP."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document instead of text.")] = False,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show full phone numbers and codes.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log everything to standard error.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback has done it
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Send one-time passcodes by SMS or voice call, verify them, and look after both."""
    if settings is not None and app is not None:
        raise CommandError("--settings and --app say different things", "give one of them", ExitCode.USAGE)
    options: Options = context.obj
    options.settings = settings
    options.app = app or (os.environ.get("OTPCORE_APP") or None if settings is None else None)
    options.json, options.reveal, options.verbose = json, reveal, verbose
    options.configure_logging()


def _global_options_apart(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Global options, which may stand behind the command too, and the rest."""
    first: list[str] = []
    rest: list[str] = []
    left = iter(arguments)
    for argument in left:
        if argument == "--":
            return first, [*rest, argument, *left]
        if argument in _FLAGS or argument.partition("=")[0] in _VALUED:
            first.append(argument)
            first.extend([] if argument in _FLAGS or "=" in argument else [*_next(left)])
        else:
            rest.append(argument)
    return first, rest


def _next(left: Iterator[str]) -> Iterator[str]:
    with contextlib.suppress(StopIteration):
        yield next(left)


def _usage(error: Exception) -> Explanation | None:
    """Typer's own errors, which know their text; None: another error."""
    if not hasattr(error, "format_message"):
        return None
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "otp"
    return Explanation(
        code=ExitCode.USAGE, type="UsageError", message=shortened(error.format_message()), fix=f"see `{path} --help`"
    )
