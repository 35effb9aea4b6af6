"""What carries the requests of ``otpcore.http``: aiohttp under asyncio, an httpx transport under trio and in tests.

Imported when the first client is opened, because httpx and aiohttp take a third of a second to import.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import ssl
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Protocol, cast

import aiohttp
import anyio
import attrs
import httpx
import yarl

from otpcore.http.proxy import NotSentError, ThroughProxy, note_request, noting_requests
from otpcore.settings.network import Network, Proxy, trust

__all__ = [
    "AiohttpTransport",
    "AnswerTooLargeError",
    "HttpxTransport",
    "Transport",
    "certainly_not_sent",
    "check_target",
    "distrust",
    "host_of",
    "open_transport",
]

MAX_ANSWER_BYTES = 1024 * 1024
_KEEPALIVE_SECONDS = 15.0
_COMPRESSED = frozenset({"gzip", "x-gzip", "deflate"})
_GZIP_OR_ZLIB = 47  # zlib's way to say: whichever of the two it is
_GZIP_MAGIC = b"\x1f\x8b"
# Of the whole time: waiting for a connection, TCP and TLS together stay well under it, so that the deadline of the whole
# never falls into a phase in which nothing was sent.
_CONNECT_SHARE = 0.6
# For each of the three where each has a time of its own: of the usual 5 s so much that a lost SYN, repeated after a second
# (RFC 6298, section 2), still connects.
_PHASE_SHARE = 0.3


class AnswerTooLargeError(Exception):
    """The answer is longer than anything a vendor has to say."""


class Transport(Protocol):
    """What carries the requests of one instance."""

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send one request once, with these headers and no others, and read the whole answer: status, headers, body.

        Raises:
            AnswerTooLargeError: The answer is longer than ``MAX_ANSWER_BYTES``.
            TimeoutError: The time for the whole is over.
            Exception: Whatever else the library below raises.
        """


@functools.lru_cache(maxsize=64)
def check_target(url: str, target: str) -> None:
    """Make sure that requests of this URL show ``target`` on the wire. Kept: most vendors have a few, and this parses each.

    Raises:
        ValueError: They would not. The message does not quote it, since it may hold a number.
    """
    try:
        shown = httpx.URL(url).raw_path
    except httpx.InvalidURL:
        shown = None
    if shown != target.encode(errors="replace"):
        raise ValueError("an HTTP path must be ASCII, percent-encoded where it has to be, and hold no dot segments")


class AiohttpTransport:
    """Aiohttp's session: httpx's own pool takes many times the CPU with hundreds of requests in flight."""

    def __init__(self, session: aiohttp.ClientSession, proxy: Proxy | None = None) -> None:
        self._session = session
        self._proxy_headers = proxy.headers if proxy is not None else {}

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """As in `Transport`."""
        if self._proxy_headers and url.startswith("http:"):  # there is no tunnel: the proxy reads the request itself
            headers = {**headers, **self._proxy_headers}
        async with await self._session.request(
            method,
            yarl.URL(url, encoded=True),  # aiohttp would decode and re-encode the path
            headers=headers,
            proxy_headers=self._proxy_headers or None,
            data=body or None,
            allow_redirects=False,
            # aiohttp repeats GET, PUT, DELETE and their like when a connection drops, a POST never.
            middlewares=() if method == "POST" else (_Once(),),
        ) as response:
            length = response.content_length
            if length is not None and length <= MAX_ANSWER_BYTES:  # more than it says is never read
                received = await response.read()
            else:
                received = await _received(response.content.iter_any(), length)
            return response.status, response.headers, _decoded(received, response.headers.get("Content-Encoding", ""))


@attrs.frozen(kw_only=True)
class HttpxTransport:
    """Any transport of httpx.

    Args:
        inner: It is used without ``httpx.AsyncClient``, which logs every URL at INFO, and URLs hold phone numbers; nothing
            else of the client is needed (no cookies, redirects or auth flows).
        seconds: For the whole.
        timeouts: Seconds for the phases, under httpx's names.
        trace: Hears of each step of httpcore; None: nobody does.
    """

    inner: httpx.AsyncBaseTransport
    seconds: float
    timeouts: Mapping[str, float | None] = attrs.field(factory=dict)
    trace: Callable[[str, Mapping[str, Any]], Awaitable[None]] | None = None

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """As in `Transport`."""
        # As a stream, so that httpx does not work out the headers a second time; read, so that it has a known length.
        stream = httpx.ByteStream(body or b"")
        extensions: dict[str, Any] = {"timeout": self.timeouts}
        if self.trace is not None:
            extensions["trace"] = self.trace
        request = httpx.Request(method, url, headers=headers, stream=stream, extensions=extensions)
        request.read()
        request.stream = _Body(body or b"")
        with anyio.fail_after(self.seconds):
            response = await self.inner.handle_async_request(request)
            try:
                length = response.headers.get("Content-Length")
                received = await _received(cast("httpx.AsyncByteStream", response.stream), length and int(length))
            finally:
                await response.aclose()
        return (
            response.status_code,
            response.headers,
            _decoded(received, response.headers.get("Content-Encoding", "")),
        )


async def _received(chunks: AsyncIterable[bytes], length: int | None) -> bytes:
    """A body as it comes, since decoding one chunk may make a thousand of it. ``length``: what its headers say."""
    too_large = (length or 0) > MAX_ANSWER_BYTES
    received = bytearray()
    if not too_large:
        # Read to the end in any case (the caller has a deadline): trio warns of httpx's nested generators when they are
        # left half-way.
        async for chunk in chunks:
            too_large = too_large or len(received) + len(chunk) > MAX_ANSWER_BYTES
            if not too_large:
                received += chunk
    if too_large:
        raise AnswerTooLargeError
    return bytes(received)


class _Body(httpx.AsyncByteStream):
    """A body in one piece. httpx's own is an async generator; trio warns of one that is left when a connection breaks."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Piece(self._content)


class _Piece(AsyncIterator[bytes]):
    def __init__(self, content: bytes) -> None:
        self._left: bytes | None = content

    async def __anext__(self) -> bytes:
        piece, self._left = self._left, None
        if piece is None:
            raise StopAsyncIteration
        return piece


async def open_transport(
    exit_stack: AsyncExitStack, *, seconds: float, max_connections: int, network: Network, url: str
) -> Transport:
    """Open the transport that fits the running event loop.

    httpx's own pool is slow with many requests in flight, so asyncio gets aiohttp's (facts: 10 ms against 0.4 ms of CPU a
    request at 256 in flight).

    Args:
        exit_stack: Takes the closing.
        seconds: For one whole request.
        max_connections: How many connections may be open at once.
        network: The way there.
        url: Under which the vendor is reached.

    Raises:
        SettingsError: The settings of the network cannot be used.
    """
    context, proxy = _ssl_context(network.authorities), network.proxy_for(url)
    transport: Transport
    if _asyncio_is_running():
        session = _session(context, proxy, seconds=seconds, max_connections=max_connections)
        transport = AiohttpTransport(await exit_stack.enter_async_context(session), proxy)
    else:
        inner = _pool(context, proxy, max_connections=max_connections)
        phase = seconds * _PHASE_SHARE
        transport = HttpxTransport(
            inner=await exit_stack.enter_async_context(inner),
            seconds=seconds,
            # httpcore: waiting, TCP and TLS come one after the other, each with a time of its own.
            timeouts={"connect": phase, "pool": phase, "read": None, "write": None},
            trace=note_request if proxy is not None else None,
        )
    return transport if proxy is None else ThroughProxy(transport, proxy)


def _session(
    context: ssl.SSLContext, proxy: Proxy | None, *, seconds: float, max_connections: int
) -> aiohttp.ClientSession:
    connect = seconds * _CONNECT_SHARE
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=max_connections, keepalive_timeout=_KEEPALIVE_SECONDS, ssl=context),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        # "connect" is waiting for a connection and making it; no other phase has a time of its own.
        timeout=aiohttp.ClientTimeout(total=seconds, connect=connect, sock_connect=connect, ceil_threshold=math.inf),
        proxy=proxy.url if proxy is not None else None,
        trace_configs=[noting_requests()] if proxy is not None else None,
    )


def _pool(context: ssl.SSLContext, proxy: Proxy | None, *, max_connections: int) -> httpx.AsyncHTTPTransport:
    limits = httpx.Limits(
        max_connections=max_connections,
        max_keepalive_connections=max_connections,
        keepalive_expiry=_KEEPALIVE_SECONDS,
    )
    through = None
    if proxy is not None:
        is_secure = proxy.url.startswith("https:")
        through = httpx.Proxy(proxy.url, headers=proxy.headers, ssl_context=context if is_secure else None)
    return httpx.AsyncHTTPTransport(verify=context, trust_env=False, limits=limits, proxy=through)


def certainly_not_sent(error: Exception) -> bool:
    """Whether this failure came before any byte of the request was written to the vendor."""
    if isinstance(error.__cause__, aiohttp.ClientError) and not isinstance(error, NotSentError):
        # A host's ``httpx-aiohttp`` reports connections that broke *after* the server had read the request as
        # ``ConnectTimeout`` too; only the cause tells the two apart.
        error = error.__cause__
    return isinstance(
        error,
        NotSentError
        | aiohttp.ClientConnectorError
        | aiohttp.ConnectionTimeoutError
        | httpx.ConnectError
        | httpx.ConnectTimeout
        | httpx.PoolTimeout,
    )


def distrust(error: BaseException) -> str:
    """Why a certificate was not trusted; empty: that was not the trouble."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError) and (message := getattr(cause, "verify_message", "")):
            return str(message)  # aiohttp's own class is of that kind too, and has none
        cause = cause.__cause__ or cause.__context__
    return ""


def host_of(url: str) -> str:
    """The header ``Host`` of requests to a URL."""
    return httpx.URL(url).netloc.decode("ascii")


def _decoded(body: bytes, encodings: str) -> bytes:
    """What a vendor compressed though it was asked not to; never more than ``MAX_ANSWER_BYTES``.

    What is called compressed and is not, or by a name that nobody knows (such as a charset), is taken as it came.
    """
    for encoding in reversed(encodings.lower().split(",")):
        if encoding.strip() in _COMPRESSED:
            body = _inflated(body)
    return body


def _inflated(body: bytes) -> bytes:
    for kind in (_GZIP_OR_ZLIB, -zlib.MAX_WBITS):  # some call bare DEFLATE data "deflate", without zlib's frame
        with contextlib.suppress(zlib.error):
            plain, left = b"", body
            while left:
                decoder = zlib.decompressobj(kind)
                plain += decoder.decompress(left, MAX_ANSWER_BYTES + 1)
                if len(plain) > MAX_ANSWER_BYTES:
                    raise AnswerTooLargeError
                left = decoder.unused_data if decoder.unused_data.startswith(_GZIP_MAGIC) else b""
            return plain
    return body


def _asyncio_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _ssl_context(authorities: tuple[tuple[str, str], ...]) -> ssl.SSLContext:
    """One that trusts the usual certificates and these."""
    if not authorities:
        return _shared_ssl_context()
    context = httpx.create_ssl_context(trust_env=False)
    trust(context, authorities)
    return context


@functools.cache
def _shared_ssl_context() -> ssl.SSLContext:
    """One context a process: reading the CA bundle takes 30 ms."""
    return httpx.create_ssl_context(trust_env=False)


class _Once:
    """An aiohttp middleware for one request: it lets the first try through and ends any other with the first's error."""

    def __init__(self) -> None:
        self._failure: BaseException | None = None

    async def __call__(
        self,
        request: aiohttp.ClientRequest,
        handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]],
    ) -> aiohttp.ClientResponse:
        if self._failure is not None:
            raise self._failure
        try:
            return await handler(request)
        except BaseException as failure:
            self._failure = failure
            raise
