"""The ``otp`` command line; also ``python -m otpcore``. Its names are for those who bring a command of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otpcore.lazily import from_modules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otpcore.cli.exits import CommandError, ExitCode
    from otpcore.cli.host import operator_for, operator_name, run, service_for, settings_for
    from otpcore.cli.options import Options
    from otpcore.cli.signals import ENDING, let_another_stop_at_once
    from otpcore.embedding.spelling import Spelling

__all__ = [
    "ENDING",
    "CommandError",
    "ExitCode",
    "Options",
    "let_another_stop_at_once",
    "main",
    "operator_for",
    "operator_name",
    "run",
    "run_command",
    "service_for",
    "settings_for",
]

_MODULES = {
    "otpcore.cli.exits": ("CommandError", "ExitCode"),
    "otpcore.cli.host": ("operator_for", "operator_name", "run", "service_for", "settings_for"),
    "otpcore.cli.options": ("Options",),
    "otpcore.cli.signals": ("ENDING", "let_another_stop_at_once"),
}

if not TYPE_CHECKING:
    __getattr__ = from_modules(__name__, _MODULES)


def main() -> None:
    """Run the command of ``sys.argv``; the process ends with an ``ExitCode``."""
    import sys  # noqa: PLC0415 - as below

    sys.exit(run_command(sys.argv[1:]))


def run_command(words: Sequence[str], *, spelling: Spelling | None = None) -> int:
    """Run one command, such as ``["--json", "status"]``, for a framework whose command line has these commands too.

    Args:
        words: What would follow ``otp``; ``--app`` names the host's service.
        spelling: How the framework's users write settings and commands, in which words all is told that helps; None: as
            ``otp`` does.

    Returns:
        The ``ExitCode`` with which ``otp`` would end.
    """
    from otpcore.cli.main import run as run_words  # noqa: PLC0415 - typer: only for those who run the command line
    from otpcore.cli.plain import write_what_fits  # noqa: PLC0415 - as above

    write_what_fits()
    return run_words(words, spelling)
