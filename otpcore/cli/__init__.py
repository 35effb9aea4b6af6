"""The ``otp`` command line; also ``python -m otpcore``."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command of ``sys.argv``; the process ends with an ``ExitCode``."""
    import sys  # noqa: PLC0415 - as below

    from otpcore.cli._main import run  # noqa: PLC0415 - typer: only for those who run the command line

    sys.exit(run(sys.argv[1:]))
