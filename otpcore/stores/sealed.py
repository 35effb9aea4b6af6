"""Small sealed records of services that stand on a store: what is kept and what may be; frozen values, no I/O."""

from __future__ import annotations

import re
from datetime import datetime

import attrs

from otpcore.errors import InvalidArgument

__all__ = ["LARGEST_RECORD", "SealedRecord", "check_about", "check_look_up", "check_names", "check_sealed", "is_kept"]

LARGEST_RECORD = 60_000
"""Bytes that a sealed record may have: every database keeps so many in one column."""

_NAMESPACE = re.compile(r"[!-~]{1,64}")
_KEY = re.compile(r"[!-~]{1,255}")
_LOOK_UP = re.compile(r"[!-~]{0,255}")


@attrs.frozen(kw_only=True)
class SealedRecord:
    """One record. What is in it only its owner can read: a store neither seals nor opens it.

    Args:
        namespace: Of the service that keeps it.
        key: Within the namespace.
        version: Of this key, greater with every write, also after the record was removed in between.
        sealed: At most 60,000 bytes.
        expires_at: From then on it is gone; None: it stays until it is deleted.
        about: The look-up of the phone that it is about, and with which it is erased; empty: about no one.
    """

    namespace: str
    key: str
    version: int
    sealed: bytes = attrs.field(repr=False)
    expires_at: datetime | None = None
    about: str = ""


def is_kept(record: SealedRecord | None, now: datetime) -> bool:
    """It is there, and has not expired."""
    return record is not None and (record.expires_at is None or record.expires_at > now)


def check_names(namespace: str, key: str = "-") -> None:
    """That both can be kept in every store.

    Raises:
        InvalidArgument: One of them cannot.
    """
    if not _NAMESPACE.fullmatch(namespace):
        raise InvalidArgument("namespace: must be 1 to 64 printable ASCII characters without spaces")
    if not _KEY.fullmatch(key):
        raise InvalidArgument("key: must be 1 to 255 printable ASCII characters without spaces")


def check_about(about: str, expires_at: datetime | None) -> None:
    """That it can be kept in every store, and not for ever.

    Raises:
        InvalidArgument: It cannot, or nothing says until when.
    """
    check_look_up(about)
    if about and expires_at is None:
        raise InvalidArgument("expires_at: is needed; what is about a person is not kept for ever")


def check_look_up(about: str) -> None:
    """That it can be kept in every store.

    Raises:
        InvalidArgument: It cannot.
    """
    if not _LOOK_UP.fullmatch(about):
        raise InvalidArgument("about: must be a look-up, at most 255 printable ASCII characters without spaces")


def check_sealed(sealed: bytes) -> None:
    """That it is not too much.

    Raises:
        InvalidArgument: It is.
    """
    if len(sealed) > LARGEST_RECORD:
        raise InvalidArgument(f"sealed: must be at most {LARGEST_RECORD} bytes")
