"""The httpx transports behind ``otpcore.http``: aiohttp's under asyncio, httpx's own under trio.

Imported when the first client is opened, because httpx and aiohttp take a third of a second to import.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, cast

import aiohttp
import attrs
import httpx
import yarl
from httpx_aiohttp import AiohttpTransport
from multidict import CIMultiDict

__all__ = ["AnswerTooLargeError", "Transport", "certainly_not_sent", "host_of", "open_transport"]

MAX_ANSWER_BYTES = 1024 * 1024
_KEEPALIVE_SECONDS = 15.0
_GZIP_OR_ZLIB = 47  # zlib's way to say: whichever of the two it is
# Of the whole time: waiting for a connection, TCP and TLS together stay well under it, so that the deadline of the whole
# never falls into a phase in which nothing was sent.
_CONNECT_SHARE = 0.6


class AnswerTooLargeError(Exception):
    """The answer is longer than anything a vendor has to say."""


@attrs.frozen(kw_only=True)
class Transport:
    """What carries the requests of one instance.

    Args:
        inner: The httpx transport. It is used without ``httpx.AsyncClient``, which logs every URL at INFO, and URLs hold
            phone numbers; nothing else of the client is needed (no cookies, redirects, proxies or auth flows).
        timeouts: Seconds, under httpx's names.
    """

    inner: httpx.AsyncBaseTransport
    timeouts: Mapping[str, float | None] = attrs.field(factory=dict)

    def build(
        self, method: str, url: str, *, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> httpx.Request:
        """Make one request whose line on the wire will show ``target``, byte for byte, with these headers and no others.

        Raises:
            ValueError: It would not. The message does not quote it, since it may hold a number.
        """
        exact = _parsed(url)
        if exact is None or exact.raw_path != target.encode(errors="replace"):
            raise ValueError("an HTTP path must be ASCII, percent-encoded where it has to be, and hold no dot segments")
        # As a stream, so that httpx does not work out the headers a second time; read, so that it has a known length.
        stream = httpx.ByteStream(body or b"")
        extensions = {"timeout": self.timeouts}
        request = httpx.Request(method, exact, headers=headers, stream=stream, extensions=extensions)
        request.read()
        request.stream = _Body(body or b"")
        return request

    async def exchange(self, request: httpx.Request) -> tuple[int, Mapping[str, str], bytes]:
        """Send the request and read the whole answer: status, headers, body.

        Raises:
            AnswerTooLargeError: The answer is longer than ``MAX_ANSWER_BYTES``.
            Exception: Whatever the transport raises.
        """
        response = await self.inner.handle_async_request(request)
        received = bytearray()
        try:
            fields = {name.lower(): value for name, value in response.headers.raw}
            too_large = int(fields.get(b"content-length", 0)) > MAX_ANSWER_BYTES
            plain = cast("httpx.AsyncByteStream", response.stream)
            if not too_large:
                # Read to the end in any case (the caller has a deadline): trio warns of httpx's nested generators when
                # they are left half-way. As it comes, since decoding one chunk may make a thousand of it.
                async for chunk in plain:
                    too_large = too_large or len(received) + len(chunk) > MAX_ANSWER_BYTES
                    if not too_large:
                        received += chunk
        finally:
            await response.aclose()
        if too_large:
            raise AnswerTooLargeError
        return response.status_code, response.headers, _decoded(bytes(received), fields.get(b"content-encoding", b""))


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
    inner: httpx.AsyncBaseTransport
    if _asyncio_is_running():
        connector = aiohttp.TCPConnector(
            limit=max_connections, keepalive_timeout=_KEEPALIVE_SECONDS, ssl=_shared_ssl_context()
        )
        session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)
        inner = _OneShotTransport(session)
        # aiohttp: "pool" is waiting for a connection and making it, "connect" making it alone.
        timeouts = {"connect": connect, "pool": connect, "read": None, "write": None}
    else:
        limits = httpx.Limits(
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=_KEEPALIVE_SECONDS,
        )
        inner = httpx.AsyncHTTPTransport(verify=_shared_ssl_context(), trust_env=False, limits=limits)
        # httpcore: waiting, TCP and TLS come one after the other, each with a time of its own.
        timeouts = {"connect": connect / 3, "pool": connect / 3, "read": None, "write": None}
    await exit_stack.enter_async_context(inner)
    return Transport(inner=inner, timeouts=timeouts)


def certainly_not_sent(error: Exception) -> bool:
    """Whether this failure came before any byte of the request was written.

    ``httpx-aiohttp`` also reports connections that broke *after* the server had read the request as ``ConnectTimeout``;
    only the cause tells the two apart.
    """
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientError):
        return isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


def host_of(url: str) -> str:
    """The header ``Host`` of requests to a URL."""
    return httpx.URL(url).netloc.decode("ascii")


@functools.lru_cache(maxsize=64)
def _parsed(url: str) -> httpx.URL | None:
    """None: it is not a URL. Kept, because most vendors have a few fixed URLs and httpx parses each anew."""
    try:
        return httpx.URL(url)
    except httpx.InvalidURL:
        return None


def _decoded(body: bytes, encoding: bytes) -> bytes:
    """What a vendor compressed though it was asked not to; never more than ``MAX_ANSWER_BYTES``."""
    if encoding.strip().lower() in (b"", b"identity"):
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


class _OneShotTransport(AiohttpTransport):
    """``httpx-aiohttp`` that sends the URL as it is and every request at most once."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        super().__init__(verify=_shared_ssl_context(), trust_env=False)
        self._session = session

    def get_client(self) -> Any:
        return _OneShotSession(self._session)

    async def aclose(self) -> None:
        await self._session.close()


class _OneShotSession:
    """The one method of a session that ``httpx-aiohttp`` calls."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    def request(self, *, method: str, url: str, headers: httpx.Headers, **arguments: Any) -> Any:
        # ASCII, as http.py has checked; httpx would look for their encoding and join those of one name.
        plain = CIMultiDict((name.decode("ascii"), value.decode("ascii")) for name, value in headers.raw)
        return self._session.request(
            method=method,
            url=yarl.URL(url, encoded=True),  # aiohttp would decode and re-encode the path
            headers=plain,
            # aiohttp repeats GET, PUT, DELETE and their like when a connection drops, a POST never.
            middlewares=() if method == "POST" else (_Once(),),
            **arguments,
        )


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
