"""Commands that other distributions bring (entry-point group ``otpcore.commands``): found, and imported when they are asked for."""

from __future__ import annotations

import functools
import inspect
import logging
import re
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import attrs
import typer

from otpcore.cli.exits import CommandError, ExitCode
from otpcore.errors import PluginLoadError
from otpcore.events import fields
from otpcore.providers.discovery import InstalledPlugin, import_target, installed

__all__ = ["COMMANDS_OF_OTHERS", "OtherCommand", "commands_of_others"]

COMMANDS_OF_OTHERS = "otpcore.commands"

_WORD = re.compile(r"[a-z][a-z0-9-]*")
_MOST_WORDS = 3
_logger = logging.getLogger("otpcore.plugins")


@attrs.frozen(kw_only=True)
class OtherCommand:
    """One command that another distribution brings.

    Args:
        words: By which it is called, after ``otp``.
        origin: The distribution and its version, for messages.
        run: What typer calls.
        is_broken: It cannot be loaded: ``run`` takes whatever follows and tells why.
    """

    words: tuple[str, ...]
    origin: str
    run: Callable[..., Any]
    is_broken: bool


def commands_of_others(
    asked: Sequence[str], commands: Collection[tuple[str, ...]], groups: Collection[tuple[str, ...]]
) -> tuple[OtherCommand, ...]:
    """Those that these words may mean, or whose help they may ask for; no other one is imported.

    Args:
        asked: What follows ``otp``.
        commands: The words of otpcore's own commands, which nobody else can take.
        groups: The words of otpcore's own groups, below which others may put commands.
    """
    found: list[OtherCommand] = []
    for plugin in installed(COMMANDS_OF_OTHERS):
        words = tuple(plugin.name.split("."))
        if not _may_mean(asked, words) or words in [one.words for one in found]:
            continue
        if problem := _misnamed(words, commands, groups, [one.words for one in found]):
            about = fields("command_ignored", reason=plugin.origin)
            _logger.warning("the command %r of %s is ignored: %s", plugin.name, plugin.origin, problem, extra=about)
            continue
        found.append(_loaded(plugin, words))
    return tuple(found)


def _misnamed(
    words: tuple[str, ...],
    commands: Collection[tuple[str, ...]],
    groups: Collection[tuple[str, ...]],
    others: Collection[tuple[str, ...]],
) -> str:
    """Why nobody could call it; empty: it can be called."""
    above = {words[:depth] for depth in range(1, len(words))}
    if not all(map(_WORD.fullmatch, words)) or len(words) > _MOST_WORDS:
        return "its name is not one to three words of a-z, 0-9 and -, with dots between them"
    if words in {*commands, *groups} or not above.isdisjoint(commands):
        return "otpcore has a command of that name"
    if not above.isdisjoint(others) or any(one[: len(words)] == words for one in others):
        return "another distribution has a command of that name"
    return ""


def _may_mean(asked: Sequence[str], words: tuple[str, ...]) -> bool:
    """What was typed goes on to this command, or stops before it; behind an option anything may follow."""
    typed = list(asked)
    options = [place for place, word in enumerate(typed) if word.startswith("-")]
    typed = typed[: options[0]] if options else typed
    return all(one == word for one, word in zip(typed, words, strict=False))


def _loaded(plugin: InstalledPlugin, words: tuple[str, ...]) -> OtherCommand:
    """The command, tried out so far that typer takes it; else one that tells why it cannot be used."""
    subject = f"otp {' '.join(words)}"
    made = partial(OtherCommand, words=words, origin=plugin.origin)
    try:
        command = _imported(plugin, subject)
        _try_out(command)
    except PluginLoadError as error:
        return made(run=_broken(error), is_broken=True)
    except Exception as error:  # noqa: BLE001 - typer raises what it likes at what it does not understand
        told = PluginLoadError(
            f"{subject} ({plugin.origin}): {plugin.target} is no command that typer takes: "
            f"{type(error).__name__}: {error}. Fix: mend or update that package."
        )
        return made(run=_broken(told), is_broken=True)
    return made(run=_checked(command, subject, plugin.origin), is_broken=False)


def _imported(plugin: InstalledPlugin, subject: str) -> Any:
    if plugin.problem:
        raise PluginLoadError(f"{subject}: {plugin.problem}. Fix: uninstall all but one of them.")
    return import_target(plugin, COMMANDS_OF_OTHERS, subject=subject)


def _try_out(command: Any) -> None:
    if not callable(command) or inspect.isclass(command) or inspect.iscoroutinefunction(command):
        raise TypeError("it is no plain function")
    alone = typer.Typer()
    alone.command("alone")(command)
    typer.main.get_command(alone)


def _broken(error: PluginLoadError) -> Callable[..., Any]:
    def command() -> ExitCode:
        raise error

    command.__doc__ = f"Cannot be used: {str(error).splitlines()[0]}"
    return command


def _checked(command: Callable[..., Any], subject: str, origin: str) -> Callable[..., Any]:
    """The command, whose end is an exit code whatever it returns."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> ExitCode:
        ended = command(*arguments, **options)
        try:
            return ExitCode.OK if ended is None else ExitCode(ended)
        except ValueError:
            raise CommandError(
                f"{subject} ({origin}): it ended with something that is no exit code",
                "mend or update that package: a command returns an ExitCode, or None",
                ExitCode.BUG,
            ) from None

    return run
