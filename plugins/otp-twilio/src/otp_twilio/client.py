"""Requests to one of Twilio's products: what a 2xx answer has to hold, and everything else as an error."""

from __future__ import annotations

import re
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any

from otp_twilio.errors import error_of, refusal_in
from otp_twilio.settings import TwilioSettings
from otpcore.http import HttpAnswer, HttpClient, check_base_url, open_client
from otpcore.providers import DeliveryReceipt, ErrorKind, Price, ProviderContext, ProviderError

__all__ = ["TwilioClient", "is_sid", "is_success", "taken"]

_SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}")


def is_success(answer: HttpAnswer) -> bool:
    """2xx: Twilio documents 200 and 201 side by side."""
    return 200 <= answer.status < 300  # noqa: PLR2004 - HTTP's own numbers


def is_sid(value: Any) -> bool:
    """Two letters and 32 hexadecimal digits, as every id of Twilio."""
    return isinstance(value, str) and _SID.fullmatch(value) is not None


def taken(resource: Mapping[str, Any]) -> DeliveryReceipt:
    """A message or call as Twilio shows it. Its ``price`` is null until it is known, and below zero where it is charged."""
    amount, currency = resource.get("price"), resource.get("price_unit")
    price = Price.read(amount.removeprefix("-"), currency) if isinstance(amount, str) else None
    return DeliveryReceipt(reference=str(resource["sid"]), price=price)


class TwilioClient:
    """One product (``verify`` or ``api``) of one account. Checks its base URL when made; opened by ``start``.

    Raises:
        SettingsError: The base URL cannot be used.
    """

    def __init__(self, context: ProviderContext, settings: TwilioSettings, product: str) -> None:
        self._context = context
        self._settings = settings
        url, name = settings.base_url(product)
        key = f"providers.{context.instance}.{name}"
        self._base_url = check_base_url(url, key=key, allow_plain_http=settings.allow_plain_http)
        self._http: HttpClient | None = None

    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open the HTTP client."""
        self._http = await open_client(
            exit_stack, self._context, base_url=self._base_url, auth=self._settings.credentials
        )

    def post(self, path: str, form: dict[str, str]) -> Coroutine[Any, Any, HttpAnswer]:
        """One POST; any status is an answer."""
        return self._opened().request("POST", path, form=form)

    def get(self, path: str) -> Coroutine[Any, Any, HttpAnswer]:
        """One GET; any status is an answer."""
        return self._opened().request("GET", path)

    async def read(self, path: str) -> dict[str, Any]:
        """Read one resource; it must be there.

        Raises:
            ProviderError: Twilio refused it, or did not answer.
        """
        answer = await self.get(path)
        if not is_success(answer):
            raise error_of(answer)
        return answer.json_object()

    async def create(self, path: str, form: dict[str, str]) -> DeliveryReceipt:
        """Create a message, a call or a verification; its SID, and its price where that is known at once.

        Raises:
            ProviderError: Twilio refused it, in the status of the answer or in its body, or nobody knows.
        """
        answer = await self.post(path, form)
        if not is_success(answer):
            raise error_of(answer)
        created: Any = answer.json()
        if not isinstance(created, dict) or not is_sid(created.get("sid")):
            raise ProviderError(ErrorKind.AMBIGUOUS, "the answer has no SID")
        if refusal := refusal_in(created):
            raise refusal
        return taken(created)

    def _opened(self) -> HttpClient:
        if self._http is None:
            raise ProviderError(ErrorKind.UNAVAILABLE, "the instance has not been started")
        return self._http
