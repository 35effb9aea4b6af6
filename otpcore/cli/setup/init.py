"""``otp init``: the first settings file, and fresh keys."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from otpcore.cli.exits import CommandError, ExitCode
from otpcore.cli.options import Options
from otpcore.settings.tree import generate_keys, starter_file

__all__ = ["init"]

_SETTINGS = "otpcore.toml"
_SECRETS = ".otpcore.secrets.toml"
_IN_THE_WAY = (_SETTINGS, "otpcore.yaml", "otpcore.json", _SECRETS)  # the first three would hide one another


def init(options: Options, directory: Path, *, force: bool) -> ExitCode:
    """Write both files."""
    if options.spelling.settings:
        raise CommandError(
            f"otp init writes a settings file, which is not read here: the settings are in {options.spelling.settings}",
            "make keys with `otp init`",
            ExitCode.USAGE,
        )
    there = [str(directory / name) for name in _IN_THE_WAY if (directory / name).exists()]
    if there and not force:
        raise CommandError(
            f"{' and '.join(there)} would be overwritten or hidden",
            "choose another --directory; with --force their keys are lost, and with them all that they protect",
            ExitCode.REFUSED,
        )
    keys = generate_keys(datetime.now(UTC))
    settings, secrets = (directory.absolute() / name for name in (_SETTINGS, _SECRETS))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for file, content, mode in zip((settings, secrets), starter_file(keys), (0o644, 0o600), strict=True):
            _write(file, content, mode, force=force)
    except OSError as error:
        raise CommandError(
            f"{error.filename}: {error.strerror}", "choose a --directory that you may write to", ExitCode.CONFIGURATION
        ) from error
    options.say(
        {"settings": str(settings), "secrets": str(secrets), "current_key": keys.current},
        f"wrote {settings}",
        f"wrote {secrets} (keys and passwords: keep it out of version control)",
        "next: set otp_sms_provider and [providers.NAME] there, then run `otp doctor`; `otp demo` shows what it can do",
    )
    return ExitCode.OK


def _write(file: Path, content: str, mode: int, *, force: bool) -> None:
    """Secrets are never readable by others, not even for a moment."""
    if force:
        file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(content)
