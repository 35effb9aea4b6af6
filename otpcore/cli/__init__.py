"""The ``otp`` command line; also ``python -m otpcore``."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command of ``sys.argv``; the process ends with an ``ExitCode``."""
    import sys  # noqa: PLC0415 - as below

    from otpcore.cli.main import run  # noqa: PLC0415 - typer: only for those who run the command line
    from otpcore.cli.plain import write_what_fits  # noqa: PLC0415 - as above

    write_what_fits()
    sys.exit(run(sys.argv[1:]))
