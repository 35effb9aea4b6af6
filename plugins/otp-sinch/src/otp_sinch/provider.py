"""The provider: starts, reports and looks up verifications at Sinch's Verification API v1."""

from __future__ import annotations

import json
import math
import re
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import quote, urlsplit

import attrs

from otp_sinch.answers import (
    VerificationStatus,
    error_of,
    error_of_start,
    is_not_found,
    is_refusal,
    says_wrong_code,
    status_of,
    verdict_of,
)
from otp_sinch.events import check_event, read_event
from otp_sinch.locales import accept_language, speech_locale
from otp_sinch.settings import Auth, SinchSettings
from otp_sinch.signing import signed_headers
from otpcore.errors import ErrorKind, ProviderError, SettingsError
from otpcore.hookspecs import ProviderContext, hookimpl
from otpcore.http import HttpAnswer, HttpClient, check_base_url, open_client
from otpcore.models import (
    Channel,
    CheckRequest,
    CheckResult,
    CodeOwner,
    DeliveryReceipt,
    DeliveryRequest,
    ProviderInfo,
    Receipt,
    ReceiptRequest,
)

__all__ = ["SinchProvider", "create_provider"]

_VERIFICATIONS = "/verification/v1/verifications"
_CONTENT_TYPE = "application/json"
_METHODS = {Channel.SMS: "sms", Channel.CALL: "callout"}
_CODE_LENGTHS = frozenset(range(4, 11))
_VERIFICATION_ID = re.compile(r"[\x21-\x7e]{1,128}")


def create_provider(context: ProviderContext) -> SinchProvider:
    """The factory behind the entry point ``sinch``; no I/O.

    Raises:
        SettingsError: A setting is missing or wrong.
    """
    settings = context.structure(SinchSettings)
    key = f"providers.{context.instance}.base_url"
    base_url = check_base_url(settings.base_url, key=key, allow_plain_http=settings.allow_plain_http)
    if urlsplit(base_url).path:
        raise SettingsError(
            f"{key}: give scheme and host only, such as https://verification.api.sinch.com; the path is added and signed"
        )
    return SinchProvider(context=context, settings=settings, base_url=base_url)


@attrs.define(eq=False, kw_only=True)
class SinchProvider:
    """One Sinch app. Sinch makes the code, sends or speaks it in its own words, and checks it.

    There is no ``cancel`` at Sinch; starting a verification ends the running one of the same number.
    """

    context: ProviderContext
    settings: SinchSettings
    base_url: str
    _client: HttpClient | None = attrs.field(default=None, init=False, repr=False)

    @hookimpl
    def describe(self) -> ProviderInfo:
        """What this instance is; codes are keyed on the app and the number."""
        return ProviderInfo(
            display_name="Sinch Verification",
            code_owner=CodeOwner.PROVIDER,
            code_scope=f"sinch:{self.settings.application_key}",
            code_lengths=_CODE_LENGTHS,
            start_replaces=True,
            remembers_approval=True,
        )

    @hookimpl
    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open the HTTP client."""
        self._client = await open_client(
            exit_stack, self.context, base_url=self.base_url, auth=self.settings.basic_auth
        )

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Start a verification by SMS, valid for as long as the challenge lives."""
        # Rounded up: the code must not end at Sinch while the challenge still lives.
        seconds = max(math.ceil((request.deadline - self.context.clock()).total_seconds()), 1)
        minutes, second = divmod(seconds, 60)
        expiry = f"{minutes // 60:02}:{minutes % 60:02}:{second:02}"
        return await self._send(request, {"smsOptions": {"expiry": expiry}}, accept_language(request.locale))

    @hookimpl
    async def call(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Start a verification by a call that dictates the code."""
        locale = speech_locale(request.locale)
        return await self._send(request, {"calloutOptions": {"speech": {"locale": locale}}} if locale else {}, {})

    @hookimpl
    async def check_code(self, request: CheckRequest) -> CheckResult:
        """Report the code, by verification id only.

        Sinch could also check by number, but that would try the code against whatever runs for the number: when our start
        never arrived, that is an older verification, perhaps of another purpose. Our reference finds our own or none.
        """
        verification = request.reference
        if not verification:
            found = await self._find(request.delivery_id)
            if found is None:
                return CheckResult.GONE
            if (ending := _ending(found)) is not None:
                return ending
            verification = _id_of(found)
        method = _METHODS[request.channel]
        answer = await self._request("PUT", _by_id(verification), {"method": method, method: {"code": request.code}})
        if not is_refusal(answer):
            return verdict_of(answer.json_object())
        if says_wrong_code(answer):
            return await self._ending_of(verification) or CheckResult.INCORRECT
        if is_not_found(answer):
            return CheckResult.GONE
        raise error_of(answer)

    @hookimpl
    async def parse_receipt(self, request: ReceiptRequest) -> Receipt:
        """Read a callback event; ``VerificationRequestEvent`` is answered with leave to go on."""
        check_event(request, self.settings.application_key, self.settings.secret, self.context.clock())
        return read_event(request)

    async def _send(
        self, request: DeliveryRequest, options: dict[str, Any], headers: dict[str, str]
    ) -> DeliveryReceipt:
        method = _METHODS[request.channel]
        if request.repeat and (running := await self._running(request.repeat, method)):
            return DeliveryReceipt(reference=running)
        body = {
            "identity": {"type": "number", "endpoint": request.recipient.e164},
            "method": method,
            "reference": request.delivery_id,
            # Sinch documents options for signed requests only; with Basic it may refuse them.
            **(options if self.settings.auth is Auth.APPLICATION else {}),
        }
        answer = await self._request("POST", _VERIFICATIONS, body, headers)
        if is_refusal(answer):
            raise error_of(answer)
        started = answer.json_object()
        if error := error_of_start(started):
            raise error
        return DeliveryReceipt(reference=_id_of(started))

    async def _running(self, delivery_id: str, method: str) -> str:
        """The verification that an unresolved start left running over this channel, or "" to start a new one.

        Raises:
            ProviderError: A denial of that start, which a new one would only repeat. Or Sinch did not answer: never
                ``ambiguous``, because asking sends nothing.
        """
        try:
            found = await self._find(delivery_id)
        except ProviderError as error:
            if error.kind in (ErrorKind.UNAVAILABLE, ErrorKind.THROTTLED, ErrorKind.MISCONFIGURED):
                raise
            raise ProviderError(
                ErrorKind.UNAVAILABLE, "asking for the earlier start failed", error.retry_after, error.provider_code
            ) from error
        status = None if found is None else status_of(found)
        if found is None or status is None:
            return ""
        if status is VerificationStatus.DENIED and (denial := error_of_start(found)):
            raise denial
        return _id_of(found) if status is VerificationStatus.PENDING and found.get("method") == method else ""

    async def _find(self, delivery_id: str) -> dict[str, Any] | None:
        """What Sinch says about the verification of a delivery; None where it has none.

        Raises:
            ProviderError: It did not say.
        """
        answer = await self._request("GET", f"{_VERIFICATIONS}/reference/{quote(delivery_id, safe='')}")
        if is_not_found(answer):
            return None
        if is_refusal(answer):
            raise error_of(answer)
        found = answer.json_object()
        _id_of(found)
        return found

    async def _ending_of(self, verification: str) -> CheckResult | None:
        """How a verification ended, if Sinch says that it did. No answer is no: then the code counts as wrong."""
        try:
            answer = await self._request("GET", _by_id(verification))
        except ProviderError:
            return None
        return None if is_refusal(answer) else _ending(answer.json_object())

    async def _request(
        self, method: str, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> HttpAnswer:
        if self._client is None:
            raise ProviderError(ErrorKind.UNAVAILABLE, "the instance has not been started")
        content = json.dumps(body, separators=(",", ":")).encode() if body is not None else b""
        own = {"Content-Type": _CONTENT_TYPE}
        if self.settings.auth is Auth.APPLICATION:
            own = signed_headers(
                self.settings.application_key,
                self.settings.secret,
                method=method,
                path=path,
                content_type=_CONTENT_TYPE,
                body=content,
                now=self.context.clock(),
            )
        return await self._client.request(method, path, content=content or None, headers={**(headers or {}), **own})


def _by_id(verification: str) -> str:
    return f"{_VERIFICATIONS}/id/{quote(verification, safe='')}"


def _ending(body: dict[str, Any]) -> CheckResult | None:
    """Why nothing can be reported any more: it was approved before, or it is over otherwise. None: it goes on."""
    status = status_of(body)
    if status in (None, VerificationStatus.PENDING):
        return None
    return CheckResult.USED if status is VerificationStatus.SUCCESSFUL else CheckResult.GONE


def _id_of(body: dict[str, Any]) -> str:
    verification = body.get("id")
    if not isinstance(verification, str) or not _VERIFICATION_ID.fullmatch(verification):
        raise ProviderError(ErrorKind.AMBIGUOUS, "the answer has no verification id")
    return verification
