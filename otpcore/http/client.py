"""The HTTP client of provider plugins: one request, never repeated, each failure mapped to an ``ErrorKind``.

Needs the extra ``http``. What was certainly not sent is ``unavailable``; everything else that goes wrong on the way is
``ambiguous``, because the vendor may have done the work. A status such as 500 is an answer, not a failure: each plugin knows
what its vendor means by it.
"""

from __future__ import annotations

import base64
import contextlib
import email.utils
import json as jsonlib
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import attrs

from otpcore.errors import ErrorKind, ProviderError, SettingsError
from otpcore.http.charsets import readings
from otpcore.providers.hooks import ProviderContext
from otpcore.settings.network import is_loopback, split

if TYPE_CHECKING:
    from otpcore.http.transport import Transport
    from otpcore.settings.network import Proxy

__all__ = ["HttpAnswer", "HttpClient", "check_base_url", "open_client", "parse_date", "readings"]

_COMMON_HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",  # answers are short, and what arrives is bounded as it arrives
    "User-Agent": "otpcore",
}
_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
_PORTS = {"http": 80, "https": 443}
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


def check_base_url(url: str, *, key: str, allow_plain_http: bool | None = None) -> str:
    """The URL under which a vendor is reached, without a trailing slash.

    Args:
        url: As the settings give it; https, or http on loopback.
        key: Full name of the setting, such as ``"providers.twilio.api_base_url"``, for the error.
        allow_plain_http: The plugin's setting of that name: the operator has accepted http. None: it has no such setting, and
            http is refused without naming it.

    Raises:
        SettingsError: It is not such a URL. The message never quotes it, since it might hold a password.
    """
    parts = split(url, key=key)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"{key}: not a URL; write it as https://host/path")
    if "@" in parts.netloc:
        raise SettingsError(f"{key}: user name and password do not belong in the URL; use the settings made for them")
    if "?" in url or "#" in url:
        raise SettingsError(f"{key}: must have no query and no fragment; cut it off before '?' or '#'")
    if parts.scheme == "http" and not allow_plain_http and not is_loopback(parts.hostname):
        other = (
            ""
            if allow_plain_http is None
            else (", or set allow_plain_http = true beside it if the way there is protected otherwise")
        )
        raise SettingsError(f"{key}: plain http would show codes and credentials to the network; use https{other}")
    return url.rstrip("/")


async def open_client(
    exit_stack: AsyncExitStack,
    context: ProviderContext,
    *,
    base_url: str,
    auth: tuple[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> HttpClient:
    """Open the client of one instance; call it in the hook ``start``.

    Args:
        exit_stack: Closes the client. A transport that comes in ``context.transport`` stays with its owner.
        context: Gives the timeout of each whole request, the number of connections, the way there (proxy and certificates,
            as the settings ``http.*`` and the instance's own say), the clock, and a test's transport, which goes no such way.
        base_url: What ``check_base_url`` returned.
        auth: User and password of HTTP Basic authentication.
        headers: Go with each request.

    Raises:
        SettingsError: The proxy or the file of certificates cannot be used.
    """
    from otpcore.http.transport import HttpxTransport, host_of, open_transport  # noqa: PLC0415 - heavy: imported at first use

    transport: Transport
    if context.transport is not None:
        transport = HttpxTransport(inner=context.transport, seconds=context.timeout)
    else:
        transport = await open_transport(
            exit_stack,
            seconds=context.timeout,
            max_connections=context.max_connections,
            network=context.network,
            url=base_url,
        )
    every = {"Host": host_of(base_url), **_COMMON_HEADERS, **(headers or {})}
    if auth is not None:
        every["Authorization"] = "Basic " + base64.b64encode(":".join(auth).encode()).decode("ascii")
    proxy = context.network.proxy_for(base_url) if context.transport is None else None
    return HttpClient(
        transport, base_url=base_url, headers=every, timeout=context.timeout, clock=context.clock, proxy=proxy
    )


def parse_date(text: str) -> datetime | None:
    """A date as HTTP and mail write it (RFC 9110 §5.6.7, RFC 5322), aware; None where it is none or out of reach."""
    try:
        moment = email.utils.parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):  # what the standard library's parser lets through
        return None


@attrs.frozen(kw_only=True)
class HttpAnswer:
    """What the vendor answered, whatever the status.

    Args:
        status: HTTP status, 200 to 599; a redirect is an answer like any other.
        headers: Names in any case.
        body: As received.
        retry_after: Seconds, from the header ``Retry-After`` (RFC 9110 §10.2.3); None without it.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)
    retry_after: float | None = None

    @property
    def content_type(self) -> str:
        """The header of that name; empty without it."""
        return next((value for name, value in self.headers.items() if name.lower() == "content-type"), "")

    def json(self) -> Any:
        """The body as JSON; a number with a point or an exponent is a ``Decimal``, with all digits that the vendor wrote.

        Raises:
            ProviderError: ``ambiguous``: it is not JSON, so nobody knows what the vendor did.
        """
        decoded = _decode(self)
        if decoded is None:
            raise ProviderError(ErrorKind.AMBIGUOUS, f"the answer (HTTP {self.status}) is not JSON")
        return decoded[0]

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object, read as by ``json``; empty when it is anything else.

        For error bodies, where the status already says no.
        """
        decoded = _decode(self)
        return decoded[0] if decoded is not None and isinstance(decoded[0], dict) else {}


class HttpClient:
    """Requests to one vendor. Made by ``open_client``; safe for any number of tasks of one event loop."""

    def __init__(
        self,
        transport: Transport,
        *,
        base_url: str,
        headers: Mapping[str, str],
        timeout: float,
        clock: Callable[[], datetime],
        proxy: Proxy | None = None,
    ) -> None:
        self._transport = transport
        self._base_url = base_url
        self._base_path = urlsplit(base_url).path
        self._place = _place_of(base_url)
        self._headers = headers
        self._can_be_sent = _can_be_sent(headers)
        self._timeout = timeout
        self._clock = clock
        self._proxy = proxy

    async def request(
        self,
        method: str,
        path: str,
        *,
        form: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """Send one request; it is never repeated and no redirect is followed.

        Args:
            method: Such as ``"POST"``.
            path: What follows the base URL, with its query if there is one; sent byte for byte, a raw ``+`` stays ``+``.
            form: The body as form fields; a name may come more than once in a sequence of pairs.
            json: The body as a JSON value; compact, UTF-8.
            content: The body as it is; give its ``Content-Type`` in ``headers``.
            headers: For this request, over those of the client.

        Raises:
            ProviderError: ``unavailable`` when it was certainly not sent; ``ambiguous`` when nobody knows: the connection
                broke, the answer made no sense, or there was none within the timeout. ``misconfigured`` when a header
                cannot be sent, or a proxy wants a login.
            ValueError: The call itself is wrong (two bodies, a path that cannot go out as it is).
        """
        from otpcore.http.transport import check_target  # noqa: PLC0415 - as in open_client

        body, own = _body(form, json, content)
        own |= _length(method, body)
        every = _joined(self._headers, own, headers or {})
        if not (self._can_be_sent and (not headers or _can_be_sent(headers))):
            raise ProviderError(ErrorKind.MISCONFIGURED, "a header value holds characters that HTTP does not allow")
        url = self._base_url + path
        check_target(url, self._base_path + path or "/")
        try:
            status, answered, received = await self._transport.exchange(method, url, every, body)
        except Exception as error:  # noqa: BLE001 - transports raise more than they say; unknown means ambiguous
            failure = self._failure(error)
        else:
            retry_after = _retry_after(answered.get("Retry-After", ""), self._clock)
            return HttpAnswer(status=status, headers=answered, body=received, retry_after=retry_after)
        # Outside the handler: the original quotes the URL with its number and the headers with the credentials, and must
        # not travel along as context.
        raise failure

    def _failure(self, error: Exception) -> ProviderError:
        from otpcore.http.proxy import ProxyRefusedError  # noqa: PLC0415 - as in open_client
        from otpcore.http.transport import AnswerTooLargeError, certainly_not_sent  # noqa: PLC0415 - as in open_client

        name = type(error).__name__
        if isinstance(error, AnswerTooLargeError):
            return ProviderError(ErrorKind.AMBIGUOUS, f"the answer of {self._place} is too large")
        if isinstance(error, ProxyRefusedError):
            return self._refused_by_proxy(error.status)
        if certainly_not_sent(error):
            return self._not_connected(error)
        if isinstance(error, TimeoutError):
            return ProviderError(ErrorKind.AMBIGUOUS, f"{self._place} did not answer within {self._timeout:g} s")
        return ProviderError(ErrorKind.AMBIGUOUS, f"the exchange with {self._place} broke off ({name})")

    def _refused_by_proxy(self, status: int) -> ProviderError:
        shown = self._proxy.shown if self._proxy is not None else "a proxy"
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return ProviderError(
                ErrorKind.MISCONFIGURED, f"{shown} wants another user and password (HTTP 407); they go into its URL"
            )
        return ProviderError(ErrorKind.UNAVAILABLE, f"{shown} makes no connection to {self._place} (HTTP {status})")

    def _not_connected(self, error: Exception) -> ProviderError:
        from otpcore.http.causes import cause_of  # noqa: PLC0415 - as in open_client

        cause, proxy = cause_of(error), self._proxy
        through = f" through {proxy.shown}" if proxy is not None else ""
        told = f"no connection to {self._place}{through}: {cause.words}"
        if cause.is_distrust:
            told = f"the certificate of {self._place}{through} is not trusted ({cause.words})"
        url = "the provider's URL" if proxy is None or cause.is_distrust else f"{proxy.named_by} (the proxy)"
        return ProviderError(ErrorKind.UNAVAILABLE, told, fix=cause.fix.format(place=self._place, url=url))


def _place_of(url: str) -> str:
    """Host and port of a URL and nothing else of it: what stands before or behind them may be a secret."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{f'[{host}]' if ':' in host else host}:{parts.port or _PORTS.get(parts.scheme, 0)}"


def _body(
    form: Mapping[str, str] | Sequence[tuple[str, str]] | None, json: Any, content: bytes | None
) -> tuple[bytes | None, dict[str, str]]:
    """The body and the header that says what it is."""
    if [form, json, content].count(None) < 2:  # noqa: PLR2004 - of three
        raise ValueError("a request has one body: form, json or content")
    if form is not None:
        return urlencode(form).encode("ascii"), {"Content-Type": _FORM}
    if json is not None:
        return jsonlib.dumps(json, ensure_ascii=False, separators=(",", ":")).encode(), {"Content-Type": _JSON}
    return content, {}


def _length(method: str, body: bytes | None) -> dict[str, str]:
    """The header that says how long the body is; a method that usually has one says so of none (RFC 9110 §8.6)."""
    if not body and method.upper() not in ("POST", "PUT", "PATCH"):
        return {}
    return {"Content-Length": str(len(body or b""))}


def _joined(*some: Mapping[str, str]) -> dict[str, str]:
    """Headers together; a later one replaces an earlier of the same name in any case."""
    named = {name.lower(): (name, value) for headers in some for name, value in headers.items()}
    return dict(named.values())


def _can_be_sent(headers: Mapping[str, str]) -> bool:
    return all(_HEADER_VALUE.fullmatch(value) for value in headers.values())


def _retry_after(value: str, clock: Callable[[], datetime]) -> float | None:
    if not value:
        return None
    if re.fullmatch(r"[0-9]{1,9}", stripped := value.strip()):
        return float(stripped)
    moment = parse_date(value)
    return max((moment - clock()).total_seconds(), 0.0) if moment is not None else None


def _decode(answer: HttpAnswer) -> tuple[Any] | None:
    """The JSON value in a tuple; None when it is not JSON. No exception leaves: it would quote the body."""
    for text in readings(answer.body, answer.content_type):
        with contextlib.suppress(ValueError, RecursionError):
            return (jsonlib.loads(text, parse_float=Decimal),)
    return None
