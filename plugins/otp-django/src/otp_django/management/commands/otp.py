"""``manage.py otp ...``: every command of ``otp``, with the project's settings and the same exit codes."""

from __future__ import annotations

import sys
from argparse import REMAINDER
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser

from otp_django.conf import NEW_KEYS
from otpcore.cli import ExitCode, Options, run_command

__all__ = ["Command"]

_APP = "otp_django.running:service"
_VALUED = frozenset({"--settings", "--pythonpath"})
"""Django's own options that take a value; it has obeyed them by now."""
_FLAGS = frozenset({"--traceback", "--no-color", "--force-color"})


class Command(BaseCommand):
    """As ``otp``; ``manage.py otp --help`` lists what there is."""

    help = "Every command of otp, such as `otp status`, with the settings of this project."
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """From a shell: the arguments are otp's own, and so is the exit code."""
        sys.exit(_run(_without_djangos(argv[2:])))

    def add_arguments(self, parser: CommandParser) -> None:
        """From ``call_command("otp", "status")``."""
        parser.add_argument("words", nargs=REMAINDER, help="The command and its arguments.")

    def handle(self, *_: Any, words: Sequence[str], **__: Any) -> None:
        """From code.

        Raises:
            CommandError: It ended otherwise than well; ``returncode`` says how.
        """
        with redirect_stdout(cast("TextIO", self.stdout)):
            ended = _run(words)
        if ended != ExitCode.OK:
            raise CommandError(f"otp ended with {ended}; it has said why", returncode=ended)


def _run(words: Sequence[str]) -> int:
    command = next((word for word in words if not word.startswith("-")), "")
    if command == "init":
        return _refuse(Options(json="--json" in words))
    return run_command(["--app", _APP, *words])


def _refuse(options: Options) -> int:
    """As otp shows errors."""
    message, code = "otp init writes a settings file, which a Django project does not read", ExitCode.USAGE
    if options.json:
        options.say({"error": {"type": "CommandError", "message": message, "fix": NEW_KEYS, "exit_code": int(code)}})
    else:
        sys.stderr.write(f"error: {message}\nfix: {NEW_KEYS}\n")
    return code


def _without_djangos(words: Sequence[str]) -> list[str]:
    """Without Django's options; behind ``--`` nothing is one."""
    left = list(words)
    kept: list[str] = []
    while left:
        word = left.pop(0)
        if word == "--":
            return [*kept, word, *left]
        name, equals, _ = word.partition("=")
        if name in _VALUED:
            del left[: 0 if equals else 1]
        elif word not in _FLAGS:
            kept.append(word)
    return kept
