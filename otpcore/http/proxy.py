"""Requests through a forward proxy: what the proxy says is told from what the vendor says, and what certainly was not sent."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
import httpx

if TYPE_CHECKING:
    from otpcore.http.transport import Transport
    from otpcore.settings.network import Proxy

__all__ = ["NotSentError", "ProxyRefusedError", "ThroughProxy", "note_request", "noting_requests"]

PROXY_AUTHENTICATION_REQUIRED = 407


class NotSentError(Exception):
    """The proxy was on the way, or should have been: the vendor has not seen a byte of the request."""


class ProxyRefusedError(NotSentError):
    """The proxy said no. ``status``: of its answer; 0 where it made no sense."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


@attrs.define
class _Progress:
    """Of one request. ``may_be_sent``: the connection is there, through the proxy and to its end."""

    may_be_sent: bool = False


_progress: ContextVar[_Progress | None] = ContextVar("otpcore_progress", default=None)


class ThroughProxy:
    """A transport that is opened through a proxy, and tells how it may have failed.

    Args:
        inner: Carries the requests; ``noting_requests`` or ``note_request`` is among its traces.
    """

    def __init__(self, inner: Transport, proxy: Proxy) -> None:
        self._inner = inner
        self._proxy = proxy

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """As in ``Transport``.

        Raises:
            NotSentError: Nothing was sent to the vendor; its cause says why.
        """
        progress = _Progress()
        token = _progress.set(progress)
        try:
            status, answered, received = await self._inner.exchange(method, url, headers, body)
        except aiohttp.ClientHttpProxyError as error:
            raise ProxyRefusedError(error.status) from error
        except httpx.ProxyError as error:
            raise ProxyRefusedError(_status_in(error)) from error
        except Exception as error:
            if progress.may_be_sent:
                raise
            raise NotSentError(type(error).__name__) from error
        finally:
            _progress.reset(token)
        if status == PROXY_AUTHENTICATION_REQUIRED and url.startswith("http:"):
            raise ProxyRefusedError(status)  # in plain HTTP the proxy answers in the vendor's place
        return status, answered, received


def noting_requests() -> aiohttp.TraceConfig:
    """For a session of aiohttp: from when on a request may have been sent."""
    traces = aiohttp.TraceConfig()

    async def note(*_: Any) -> None:
        _note()

    traces.on_connection_create_end.append(note)
    traces.on_connection_reuseconn.append(note)
    return traces


async def note_request(event: str, info: Mapping[str, Any]) -> None:
    """The same for httpcore, as the extension ``trace`` of a request."""
    if event.endswith("send_request_headers.started") and info["request"].method != b"CONNECT":
        _note()


def _note() -> None:
    progress = _progress.get()
    if progress is not None:
        progress.may_be_sent = True


def _status_in(error: httpx.ProxyError) -> int:
    """Httpcore says it in the text alone: "407 Proxy Authentication Required"."""
    status = str(error)[:3]
    return int(status) if status.isascii() and status.isdecimal() else 0
