"""One call to an app's address: to a public address only, as it resolves; no redirect is followed, and its time is bounded."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import attrs
import httpcore

from otpcore import Settings
from otpcore.providers import Network

__all__ = ["Called", "Caller", "is_public", "network_of"]

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


class _ProxyError(Exception):
    """The proxy lets nothing through to it."""


class Caller:
    """Calls addresses of apps.

    Args:
        networks: Private ones that may be called all the same, and never through a proxy.
        network: The way out to all others.
    """

    def __init__(self, networks: Sequence[str], network: Network) -> None:
        self._own = [ipaddress.ip_network(one) for one in networks]
        self._network = network
        self._context = ssl.create_default_context()
        for path, _ in network.authorities:
            self._context.load_verify_locations(cafile=path)

    async def call(self, url: str, headers: Mapping[str, str], body: bytes) -> Called:
        """POST it once."""
        try:
            with anyio.fail_after(_PATIENCE):
                return Called(status=await self._status(url, headers, body))
        except _RefusedError:
            return Called(problem="the address is in a private network, or without TLS")
        except _ProxyError:
            return Called(problem="the proxy does not let it through")
        except TimeoutError:
            return Called(problem=f"no answer within {_PATIENCE:g} seconds")
        except OSError:
            return Called(problem="the name cannot be resolved")
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, httpcore.UnsupportedProtocol):
            return Called(problem="no connection that can be trusted, or it broke")

    async def _status(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """What it answered; whatever else it says does not matter."""
        is_secure = url.partition(":")[0].lower() == "https"
        proxy = self._network.proxy_for(url) if is_secure else None
        way = _Way(proxy=proxy.url, headers=proxy.headers, context=self._context) if proxy is not None else None
        backend = _Guarded(self._own, way, anywhere=is_secure)
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


def network_of(settings: Settings) -> Network:
    """The way out that the settings name for all.

    Raises:
        SettingsError: It cannot be used.
    """
    said = settings.http
    ca_file = str(Path(settings.directory or "", Path(said.ca_file).expanduser())) if said.ca_file else None
    network = Network(proxy=said.proxy, ca_file=ca_file, trust_env=said.trust_env)
    network.check()
    return network


@attrs.frozen(kw_only=True)
class _Way:
    """A proxy, which is told an address and no name, so that nothing else is reached than what was looked at."""

    proxy: str
    headers: Mapping[str, str]
    context: ssl.SSLContext

    async def connect(
        self, backend: httpcore.AsyncNetworkBackend, address: str, port: int
    ) -> httpcore.AsyncNetworkStream:
        target = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        url = httpcore.URL(self.proxy)
        headers = list({"Host": target, **self.headers}.items())
        asked = httpcore.Request("CONNECT", url, headers=headers, extensions={"target": target.encode()})
        connection = httpcore.AsyncHTTPConnection(url.origin, ssl_context=self.context, network_backend=backend)
        answer = await connection.handle_async_request(asked)
        if answer.status not in _SUCCESS:
            await connection.aclose()
            raise _ProxyError
        stream: httpcore.AsyncNetworkStream = answer.extensions["network_stream"]
        return stream


class _Guarded(httpcore.AsyncNetworkBackend):
    """Connects to what a name resolves to now, if all of that may be reached; nobody can change it in between."""

    def __init__(self, networks: Sequence[Any], way: _Way | None, *, anywhere: bool) -> None:
        self._networks = networks
        self._way = way
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
        if not addresses:
            raise _RefusedError
        is_near = all(map(self._is_own, addresses))
        if not is_near and not (self._anywhere and all(is_public(one, self._networks) for one in addresses)):
            raise _RefusedError
        if is_near or self._way is None:
            return await self._inner.connect_tcp(addresses[0], port, timeout, local_address, socket_options)
        return await self._way.connect(self._inner, addresses[0], port)

    def _is_own(self, address: str) -> bool:
        return any(ipaddress.ip_address(address.partition("%")[0]) in network for network in self._networks)

    async def sleep(self, seconds: float) -> None:
        """Between tries to connect, of which there are none."""
        await self._inner.sleep(seconds)
