"""Why no connection came about, in words for people and with what to do: of the failure only its kind is told, never its text."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator

import aiohttp
import attrs
import httpx

from otpcore.http.transport import distrust

__all__ = ["Cause", "cause_of"]


@attrs.frozen
class Cause:
    """Why there was no connection.

    Args:
        words: Behind "no connection to host:port: ".
        fix: What to do; ``{place}`` stands for host and port, ``{url}`` for the setting or the proxy that names them.
        is_distrust: The words say why its certificate is not trusted.
    """

    words: str
    fix: str
    is_distrust: bool = False


_REFUSED = Cause(
    "refused, nothing listens there", "see whether {url} names the right host and port, and whether it runs there"
)
_NO_ROUTE = Cause("no route to it", "see whether this machine has a network that leads to {place}")
_NO_NAME = Cause(
    "its name is not found (DNS)", "see whether {url} spells the host right, and whether this machine can look up names"
)
_NO_TLS = Cause(
    "TLS failed", "see whether what listens at {place} speaks https, and whether {url} names the right port"
)
_CUT_OFF = Cause("cut off while it was made", "see whether a firewall lets this machine reach {place}")
_TOO_LATE = Cause(
    "no answer in time (timeout)",
    "see whether a firewall lets this machine reach {place}; where the way out is a proxy, in [http]: "
    'proxy = "http://proxy.example.com:3128"',
)
_ALL_BUSY = Cause(
    "all connections to it are busy (timeout)", "try again when less is sent at once, or the vendor is faster"
)

_BY_NUMBER = {
    **dict.fromkeys((errno.ECONNREFUSED,), _REFUSED),
    **dict.fromkeys(
        (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL), _NO_ROUTE
    ),
    **dict.fromkeys((errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE), _CUT_OFF),
    **dict.fromkeys((errno.ETIMEDOUT,), _TOO_LATE),
}
_TIMEOUTS = (TimeoutError, httpx.ConnectTimeout, aiohttp.ServerTimeoutError)


def cause_of(error: BaseException) -> Cause:
    """What kept a connection from being made; of several addresses that failed, what the first one says."""
    chain = list(_chain(error))
    if problem := distrust(error):
        return Cause(
            problem,
            "see whether {url} names the right host; where the network has a CA of its own, in [http]: "
            'ca_file = "/etc/ssl/company-ca.pem"',
            is_distrust=True,
        )
    for one in chain:
        if isinstance(one, socket.gaierror | aiohttp.ClientConnectorDNSError):
            return _NO_NAME
        if isinstance(one, ssl.SSLError):
            return _NO_TLS
        if isinstance(one, OSError) and one.errno in _BY_NUMBER:
            return _BY_NUMBER[one.errno]
    if any(isinstance(one, httpx.PoolTimeout) for one in chain):
        return _ALL_BUSY
    if any(isinstance(one, _TIMEOUTS) for one in chain):
        return _TOO_LATE
    return Cause(type(chain[-1]).__name__, "see whether this machine reaches {place}, and whether {url} names it right")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The failure and what it came from, the members of groups included; each once."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [getattr(one, "os_error", None), one.__cause__, one.__context__]
        waiting += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
