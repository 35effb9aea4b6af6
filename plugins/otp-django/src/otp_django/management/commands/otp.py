"""``manage.py otp ...``: every command of ``otp``, with the project's settings and the same exit codes."""

from __future__ import annotations

import sys
from argparse import REMAINDER
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser

from otp_django.conf import spelling
from otpcore.cli import ExitCode, run_command

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
    return run_command(["--app", _APP, *words], spelling=spelling())


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
