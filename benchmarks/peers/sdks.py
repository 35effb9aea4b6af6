"""The vendors' own SDKs, sending to the stub: ``twilio`` blocking and async, ``sinch`` blocking."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from benchmarks.lanes import serve
from benchmarks.measuring import numbers_for_threads, phones, steady, steady_threads

_ACCOUNT, _TOKEN, _FROM = "AC" + "0" * 32, "0" * 32, "+15005550006"
_TEXT = "123456 is your verification code. It is valid for 5 minutes."


def _at(base_url: str, url: str) -> str:
    """The vendor's URL, at the stub."""
    parts = urlsplit(url)
    return base_url + parts.path + (f"?{parts.query}" if parts.query else "")


def _pooled(session: requests.Session, size: int) -> None:
    """As many connections as there are callers; as shipped there are ten, and the rest would be closed each time."""
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=size))


class _Blocking(TwilioHttpClient):
    def __init__(self, base_url: str, in_flight: int) -> None:
        super().__init__()
        self._base_url = base_url
        _pooled(self.session, in_flight)

    def request(self, method: str, url: str, *positional: Any, **named: Any) -> Any:
        return super().request(method, _at(self._base_url, url), *positional, **named)


class _Async(AsyncTwilioHttpClient):
    base_url = ""

    async def request(self, method: str, url: str, *positional: Any, **named: Any) -> Any:
        return await super().request(method, _at(self.base_url, url), *positional, **named)


def twilio_threads(base_url: str, in_flight: int, **times: float) -> Mapping[str, Any]:
    client = Client(_ACCOUNT, _TOKEN, http_client=_Blocking(base_url, in_flight))
    numbers = numbers_for_threads()

    def send() -> None:
        client.messages.create(to=numbers(), from_=_FROM, body=_TEXT, validity_period=300)

    return steady_threads(send, in_flight=in_flight, **times)


def twilio_async(base_url: str, in_flight: int, **times: float) -> Mapping[str, Any]:
    return asyncio.run(_twilio_async(base_url, in_flight, **times))


def sinch_threads(base_url: str, in_flight: int, **times: float) -> Mapping[str, Any]:
    from sinch import SinchClient  # noqa: PLC0415 - it takes most of a second

    client = SinchClient(service_plan_id="plan", sms_api_token="token", sms_region="us")  # noqa: S106 - the stub's
    transport = client.configuration.transport
    _pooled(transport.http_session, in_flight)
    send_request = transport.http_session.request

    def at_stub(method: str, url: str, *positional: Any, **named: Any) -> Any:
        return send_request(method, _at(base_url, url), *positional, **named)

    transport.http_session.request = at_stub
    numbers = numbers_for_threads()

    def send() -> None:
        client.sms.batches.send_sms(to=[numbers()], from_=_FROM, body=_TEXT)

    return steady_threads(send, in_flight=in_flight, **times)


async def _twilio_async(base_url: str, in_flight: int, **times: float) -> Mapping[str, Any]:
    http = _Async()
    http.base_url = base_url
    client = Client(_ACCOUNT, _TOKEN, http_client=http)
    numbers = iter(phones())

    async def send() -> None:
        await client.messages.create_async(to=next(numbers), from_=_FROM, body=_TEXT, validity_period=300)

    try:
        return await steady(send, in_flight=in_flight, **times)
    finally:
        await http.close()


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)  # the SDK's own, once for each request
    serve({"twilio_threads": twilio_threads, "twilio_async": twilio_async, "sinch_threads": sinch_threads})
