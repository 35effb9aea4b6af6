"""``python -m otpcore``: the ``otp`` command line."""

from __future__ import annotations

from otpcore.cli import main

if __name__ == "__main__":
    main()
