"""The tree of commands, and the one place where a command's end becomes an exit code."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

import otpcore
from otpcore.cli._commands import COMMANDS, GROUPS, MAY_TAKE_AN_ID, Command
from otpcore.cli._exits import MEANINGS, CommandError, ExitCode, Explanation, explain
from otpcore.cli._options import Options

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


def run(arguments: Sequence[str]) -> int:
    """Run one command; the exit code."""
    options = Options(json="--json" in arguments)
    try:
        first, rest = _global_options_apart(arguments)
        asked = [*first, *rest] or ["--help"]
        ended = _tree(rest)(asked, prog_name="otp", obj=options, standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever it is, it ends as one line and an exit code
        told = _usage(error) or explain(error)
        options.say_error(told)
        if told.code is ExitCode.BUG:
            options.show_stack(error)
        return told.code
    return int(ended or ExitCode.OK)


def _tree(asked: Sequence[str]) -> typer.Typer:
    """The commands that may be meant: typer takes longer to prepare all of them than most take to run."""
    name = asked[0] if asked else ""
    meant = {name} if name in (*COMMANDS, *GROUPS) else set() if name == "--version" else {*COMMANDS, *GROUPS}
    tree = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    tree.callback(epilog=_EPILOG)(_otp)
    for own, command in COMMANDS.items():
        if own in meant:
            _add(tree, own, command)
    for own, (meaning, commands) in GROUPS.items():
        if own in meant:
            group = typer.Typer(help=meaning)
            for inner, command in commands.items():
                _add(group, inner, command)
            tree.add_typer(group, name=own)
    return tree


def _add(tree: typer.Typer, name: str, command: Command) -> None:
    # A challenge's id may begin with a hyphen, and is no option then.
    settings = {"ignore_unknown_options": True} if command in MAY_TAKE_AN_ID else None
    tree.command(name, context_settings=settings)(command)


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
        code=ExitCode.USAGE, type="UsageError", message=error.format_message(), fix=f"see `{path} --help`"
    )
