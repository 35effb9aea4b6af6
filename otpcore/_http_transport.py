"""What carries the requests of ``otpcore.http``: aiohttp under asyncio, an httpx transport under trio and in tests.

Imported when the first client is opened, because httpx and aiohttp take a third of a second to import.
"""

from __future__ import annotations

import asyncio
import functools
import math
import ssl
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Protocol, cast

import aiohttp
import anyio
import attrs
import httpx
import yarl

__all__ = [
    "AiohttpTransport",
    "AnswerTooLargeError",
    "HttpxTransport",
    "Transport",
    "certainly_not_sent",
    "check_target",
    "host_of",
    "open_transport",
]

MAX_ANSWER_BYTES = 1024 * 1024
_KEEPALIVE_SECONDS = 15.0
_GZIP_OR_ZLIB = 47  # zlib's way to say: whichever of the two it is
# Of the whole time: waiting for a connection, TCP and TLS together stay well under it, so that the deadline of the whole
# never falls into a phase in which nothing was sent.
_CONNECT_SHARE = 0.6


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

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """As in `Transport`."""
        async with await self._session.request(
            method,
            yarl.URL(url, encoded=True),  # aiohttp would decode and re-encode the path
            headers=headers,
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
            else of the client is needed (no cookies, redirects, proxies or auth flows).
        seconds: For the whole.
        timeouts: Seconds for the phases, under httpx's names.
    """

    inner: httpx.AsyncBaseTransport
    seconds: float
    timeouts: Mapping[str, float | None] = attrs.field(factory=dict)

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """As in `Transport`."""
        # As a stream, so that httpx does not work out the headers a second time; read, so that it has a known length.
        stream = httpx.ByteStream(body or b"")
        extensions = {"timeout": self.timeouts}
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


async def open_transport(exit_stack: AsyncExitStack, *, seconds: float, max_connections: int) -> Transport:
    """Open the transport that fits the running event loop.

    httpx's own pool is slow with many requests in flight, so asyncio gets aiohttp's (facts: 10 ms against 0.4 ms of CPU a
    request at 256 in flight).

    Args:
        exit_stack: Takes the closing.
        seconds: For one whole request.
        max_connections: How many connections may be open at once.
    """
    connect = seconds * _CONNECT_SHARE
    if _asyncio_is_running():
        connector = aiohttp.TCPConnector(
            limit=max_connections, keepalive_timeout=_KEEPALIVE_SECONDS, ssl=_shared_ssl_context()
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # "connect" is waiting for a connection and making it; no other phase has a time of its own.
            timeout=aiohttp.ClientTimeout(
                total=seconds, connect=connect, sock_connect=connect, ceil_threshold=math.inf
            ),
        )
        return AiohttpTransport(await exit_stack.enter_async_context(session))
    limits = httpx.Limits(
        max_connections=max_connections,
        max_keepalive_connections=max_connections,
        keepalive_expiry=_KEEPALIVE_SECONDS,
    )
    inner = httpx.AsyncHTTPTransport(verify=_shared_ssl_context(), trust_env=False, limits=limits)
    # httpcore: waiting, TCP and TLS come one after the other, each with a time of its own.
    timeouts = {"connect": connect / 3, "pool": connect / 3, "read": None, "write": None}
    return HttpxTransport(inner=await exit_stack.enter_async_context(inner), seconds=seconds, timeouts=timeouts)


def certainly_not_sent(error: Exception) -> bool:
    """Whether this failure came before any byte of the request was written."""
    if isinstance(error.__cause__, aiohttp.ClientError):
        # A host's ``httpx-aiohttp`` reports connections that broke *after* the server had read the request as
        # ``ConnectTimeout`` too; only the cause tells the two apart.
        error = error.__cause__
    return isinstance(
        error,
        aiohttp.ClientConnectorError
        | aiohttp.ConnectionTimeoutError
        | httpx.ConnectError
        | httpx.ConnectTimeout
        | httpx.PoolTimeout,
    )


def host_of(url: str) -> str:
    """The header ``Host`` of requests to a URL."""
    return httpx.URL(url).netloc.decode("ascii")


def _decoded(body: bytes, encoding: str) -> bytes:
    """What a vendor compressed though it was asked not to; never more than ``MAX_ANSWER_BYTES``."""
    if encoding.strip().lower() in ("", "identity"):
        return body
    decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
    plain = decoder.decompress(body, MAX_ANSWER_BYTES + 1)
    if len(plain) > MAX_ANSWER_BYTES:
        raise AnswerTooLargeError
    return plain


def _asyncio_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


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
