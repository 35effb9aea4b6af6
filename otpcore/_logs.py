"""Machine-readable fields of log records: the names of an event's fields, under one prefix."""

from __future__ import annotations

import logging
from typing import Any

PREFIX = "otp_"
"""Of every attribute that otpcore adds to a log record, so that none meets one of ``logging``'s or the host's own."""


def fields(event: str, **values: object) -> dict[str, str]:
    """What to pass as ``extra``: what happened, and to whom; nothing readable, and nothing that is not known."""
    said = {name: str(value) for name, value in values.items() if value is not None}
    return {f"{PREFIX}{name}": value for name, value in {"event": event, **said}.items() if value}


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of a record, without their prefix."""
    return {name.removeprefix(PREFIX): value for name, value in vars(record).items() if name.startswith(PREFIX)}
