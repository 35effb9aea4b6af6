"""What goes wrong with a server: what it means for a unit of work, and how it is told without anything that was sent."""

from __future__ import annotations

import re
import socket
import ssl

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    ClusterError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import TimeoutError as SlowError

__all__ = [
    "REFUSED",
    "NotConnectedError",
    "UnknownServiceError",
    "certainly_not_done",
    "code_of",
    "is_elsewhere",
    "is_passing",
    "reason_of",
    "told",
]

REFUSED = (AuthenticationError, AuthorizationError)
"""It does not let us in: asking again changes nothing."""

_AWAY = (LostError, SlowError, ClusterError, TryAgainError, AskError, RedisClusterException, OSError)
"""It is gone, starting, failing over, or moving: what was asked may be asked again."""

_ELSEWHERE = {
    "READONLY": "is a replica now and takes no changes",
    "MASTERDOWN": "is a replica now, and has lost its primary",
    "NOREPLICAS": "has fewer replicas than its min-replicas-to-write wants",
    "CLUSTERDOWN": "is in a cluster that is down, or does not cover all slots",
    "LOADING": "is still loading its data",
    "UNBLOCKED": "has changed its role",
    "BUSY": "is kept busy by somebody else's script",
}
"""Codes of a server that cannot serve now, where another may: after a failover the one behind the same address."""

_FINAL = {
    "OOM": "is out of memory (maxmemory); give it more: nothing is dropped instead",
    "MISCONF": "cannot write its snapshots to disk, and takes no changes",
    "NOPERM": "lets us in, but forbids a command or a key that is needed; "
    "fix: ACL SETUSER with the rights that the README of otp-redis lists",
    "DENIED": "is in protected mode and answers only its own machine; fix: give it a password, or set protected-mode no",
}

_CLASSES: tuple[tuple[type[Exception], str], ...] = (
    (ReadOnlyError, "READONLY"),
    (MasterDownError, "MASTERDOWN"),
    (ClusterDownError, "CLUSTERDOWN"),
    (BusyLoadingError, "LOADING"),
    (OutOfMemoryError, "OOM"),
    (NoPermissionError, "NOPERM"),
)
_REASONS: tuple[tuple[type[Exception], str, str], ...] = (
    (BusyLoadingError, "", "it is still loading its data"),
    (LostError, "max number of clients", "it takes no more connections (maxclients)"),
    (LostError, "No connection available", "all connections that this process may have are busy"),
    (SlowError, "", "it does not answer in time"),
    (RedisClusterException, "", "no node of the cluster answers, or it does not cover all slots"),
)
_FIRST = re.compile(r"([A-Z]{2,20})\b")
_IN_SCRIPT = re.compile(r"@user_script: ?\d+: -([A-Z]{2,20}) ")
_FORBIDDEN = re.compile(r"executing the script can't run this command|^(ERR )?ACL failure in script")


class NotConnectedError(LostError):
    """A connection cannot be made, so nothing was asked. Its text says why, and holds nothing that was sent."""


class UnknownServiceError(Exception):
    """No sentinel knows the service: asking again changes nothing. Its text is for people."""


def code_of(error: Exception) -> str:
    """The code with which a server's answer begins; empty: it has none.

    What a command inside a script answered is found where the server tells it: Redis 6.2 does so in the middle of a text.
    """
    for cls, code in _CLASSES:
        if isinstance(error, cls):
            return code
    if not isinstance(error, ResponseError):
        return ""
    text = str(error)
    if _FORBIDDEN.search(text):
        return "NOPERM"
    inner = _IN_SCRIPT.search(text) or _FIRST.match(text)
    return inner[1] if inner is not None else ""


def is_elsewhere(error: Exception) -> bool:
    """Whether the server is not the one to ask any more: its connection is as good as lost."""
    return code_of(error) in _ELSEWHERE


def is_passing(error: Exception) -> bool:
    """Whether it may be over in a moment, so that what was asked may be asked again."""
    if isinstance(error, (*REFUSED, MovedError)):
        return False
    return isinstance(error, _AWAY) or is_elsewhere(error)


def certainly_not_done(error: Exception) -> bool:
    """Whether a script that was asked for did not take place: nobody was asked, or the server refused it as a whole."""
    if isinstance(error, (NotConnectedError, TryAgainError, AskError)):
        return True
    return is_elsewhere(error) and code_of(error) != "UNBLOCKED"  # that one is about waiting for replicas, after it


def told(place: str, error: Exception) -> str:
    """What an operator is told of a server's answer, or of none."""
    code = code_of(error)
    if says := _ELSEWHERE.get(code) or _FINAL.get(code):
        return f"{place} {says}"
    if isinstance(error, _AWAY):
        return f"{place} cannot be reached: {reason_of(error)}"
    return f"{place} refused: {code if code not in ('', 'ERR') else type(error).__name__}"


def reason_of(error: Exception) -> str:
    """Why there is no connection, or none any more. Never the library's own text, which may quote what was sent."""
    if isinstance(error, NotConnectedError):
        return str(error)
    for cls, words, reason in _REASONS:
        if isinstance(error, cls) and words in str(error):
            return reason
    origin = error if isinstance(error, OSError) else error.__cause__ or error.__context__
    return _reason_of_socket(origin) or "the connection broke off"


def _reason_of_socket(origin: BaseException | None) -> str:
    match origin:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({origin.verify_message}); fix: name its CA, as in ?ssl_ca_certs=/etc/ssl/ca.pem"
        case ssl.SSLError():
            return f"TLS failed ({origin.reason or 'no reason given'}); does the server speak TLS at this port?"
        case socket.gaierror():
            return "its name cannot be resolved"
        case OSError() if origin.strerror:
            return origin.strerror[:1].lower() + origin.strerror[1:]
    return ""
