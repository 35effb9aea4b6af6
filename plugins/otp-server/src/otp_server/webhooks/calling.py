"""One call to an app's address: to a public address only, as it resolves; no redirect is followed, and its time is bounded."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import anyio
import attrs
import httpcore

__all__ = ["Called", "Caller", "is_public"]

_PATIENCE = 10.0  # seconds for all of it
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SUCCESS = range(200, 300)


@attrs.frozen(kw_only=True)
class Called:
    """How a call ended.

    Args:
        status: HTTP's; 0: there was no answer.
        problem: Why there was none, in fixed words; empty: there was one.
    """

    status: int = 0
    problem: str = ""

    @property
    def is_heard(self) -> bool:
        """It was answered with 2xx."""
        return self.status in _SUCCESS


class _RefusedError(Exception):
    """The target is in a private network."""


class Caller:
    """Calls addresses of apps.

    Args:
        networks: Private ones that may be called all the same.
    """

    def __init__(self, networks: Sequence[str]) -> None:
        own = [ipaddress.ip_network(one) for one in networks]
        self._context = ssl.create_default_context()
        self._backends = {"https": _Guarded(own, anywhere=True), "http": _Guarded(own, anywhere=False)}

    async def call(self, url: str, headers: Mapping[str, str], body: bytes) -> Called:
        """POST it once."""
        try:
            with anyio.fail_after(_PATIENCE):
                return Called(status=await self._status(url, headers, body))
        except _RefusedError:
            return Called(problem="the address is in a private network, or without TLS")
        except TimeoutError:
            return Called(problem=f"no answer within {_PATIENCE:g} seconds")
        except OSError:
            return Called(problem="the name cannot be resolved")
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, httpcore.UnsupportedProtocol):
            return Called(problem="no connection that can be trusted, or it broke")

    async def _status(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """What it answered; whatever else it says does not matter."""
        backend = self._backends[url.partition(":")[0].lower()]
        sent: list[tuple[str | bytes, str | bytes]] = [*headers.items()]
        async with (
            httpcore.AsyncConnectionPool(ssl_context=self._context, network_backend=backend) as pool,
            pool.stream("POST", url, headers=[("Host", urlsplit(url).netloc), *sent], content=body) as answer,
        ):
            return answer.status


def is_public(address: str, networks: Iterable[Any] = ()) -> bool:
    """Whether a webhook may go to an address: everybody can reach it, or it is in one of these networks.

    An address that stands for another one, as in IPv6 for IPv4, is as private as that.
    """
    found: Any = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    if inner is None and found.version == 6 and found in _NAT64:  # noqa: PLR2004 - IPv6
        inner = ipaddress.ip_address(int(found) & 0xFFFFFFFF)
    if any(found in network for network in networks):
        return True
    target = inner or found
    return bool(target.is_global and not target.is_multicast)


class _Guarded(httpcore.AsyncNetworkBackend):
    """Connects to what a name resolves to now, if all of that may be reached; nobody can change it in between."""

    def __init__(self, networks: Sequence[Any], *, anywhere: bool) -> None:
        self._networks = networks
        self._anywhere = anywhere
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """One connection."""
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(one[4][0]) for one in found]
        if not addresses or not all(map(self._may_go_to, addresses)):
            raise _RefusedError
        return await self._inner.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    def _may_go_to(self, address: str) -> bool:
        if self._anywhere:
            return is_public(address, self._networks)
        return any(ipaddress.ip_address(address.partition("%")[0]) in network for network in self._networks)

    async def sleep(self, seconds: float) -> None:
        """Between tries to connect, of which there are none."""
        await self._inner.sleep(seconds)
