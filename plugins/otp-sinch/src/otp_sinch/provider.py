"""The provider: starts, reports and looks up verifications at Sinch's Verification API v1."""

from __future__ import annotations

import json
import math
import re
import secrets
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
    says_not_found,
    says_wrong_code,
    status_of,
    verdict_of,
)
from otp_sinch.events import check_event, read_event
from otp_sinch.locales import SPEECH_REGIONS, accept_language, speech_locale
from otp_sinch.settings import Auth, SinchSettings
from otp_sinch.signing import signed_headers
from otpcore.http import HttpAnswer, HttpClient, check_base_url, open_client
from otpcore.providers import (
    CARRIES_NOTHING,
    AccountState,
    Carries,
    Channel,
    CheckRequest,
    CheckResult,
    CodeOwner,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    Feature,
    ProviderContext,
    ProviderError,
    ProviderInfo,
    Receipt,
    ReceiptRequest,
    SettingsError,
    hookimpl,
)

__all__ = ["SinchProvider", "create_provider"]

_VERIFICATIONS = "/verification/v1/verifications"
_CONTENT_TYPE = "application/json"
_CODE_TYPE = "Numeric"  # whatever the app is set to: who types a code of otpcore types digits
_METHODS = {Channel.SMS: "sms", Channel.CALL: "callout"}
_CODE_LENGTHS = frozenset(range(4, 11))
# Text, app name, code length and sender are the Sinch app's own. The language of an SMS is a header, all else an option.
_CARRIES = {
    Auth.APPLICATION: {
        Channel.SMS: Carries(features=frozenset({Feature.ANDROID_HASH})),
        Channel.CALL: Carries(features=frozenset(), languages=frozenset(SPEECH_REGIONS)),
    },
    Auth.BASIC: {Channel.SMS: Carries(features=frozenset()), Channel.CALL: CARRIES_NOTHING},
}
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
            carries=_CARRIES[self.settings.auth],
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
        options = {"expiry": f"{minutes // 60:02}:{minutes % 60:02}:{second:02}", "codeType": _CODE_TYPE}
        if request.android_hash:
            options["applicationHash"] = request.android_hash
        return await self._send(request, {"smsOptions": options}, accept_language(request.locale))

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
            found = await self._find(request.delivery_id, in_own_words=True)
            if found is None or _is_over(found):
                return CheckResult.GONE
            verification = _id_of(found)
        method = _METHODS[request.channel]
        answer = await self._request("PUT", _by_id(verification), {"method": method, method: {"code": request.code}})
        if not is_refusal(answer):
            return verdict_of(answer.json_object())
        if says_wrong_code(answer):
            return CheckResult.GONE if await self._has_ended(verification) else CheckResult.INCORRECT
        if is_not_found(answer):
            return await self._not_found(verification, answer)
        raise error_of(answer)

    async def _not_found(self, verification: str, answer: HttpAnswer) -> CheckResult:
        """The verdict of a 404 that a report got without a word of the code: Sinch publishes no status for a wrong one.

        Raises:
            ProviderError: Sinch has not said it: a wrong URL, or what stands before Sinch, has a 404 for everything too.
        """
        try:
            status = await self._request("GET", _by_id(verification))
        except ProviderError:
            status = answer
        if not is_refusal(status):
            return CheckResult.GONE if _is_over(status.json_object()) else CheckResult.INCORRECT
        if says_not_found(answer) or says_not_found(status):
            return CheckResult.GONE
        raise error_of(answer)

    @hookimpl
    async def check_account(self) -> AccountState:
        """Ask, signed as a send is, for a verification that nobody started: only whom Sinch knows hears that there is none."""
        answer = await self._ask(f"account-check-{secrets.token_hex(8)}")
        if says_not_found(answer):  # in Sinch's own words: any server has a 404 for a URL that is wrong
            return AccountState(summary="key and secret are right")
        if is_refusal(answer):
            raise error_of(answer)
        raise ProviderError(ErrorKind.MISCONFIGURED, "the answer is none of Sinch's: check base_url")

    @hookimpl
    async def parse_receipt(self, request: ReceiptRequest) -> Receipt:
        """Read a callback event; ``VerificationRequestEvent`` is a question that otpcore answers."""
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

    async def _find(self, delivery_id: str, *, in_own_words: bool = False) -> dict[str, Any] | None:
        """What Sinch says about the verification of a delivery; None where it has none.

        Args:
            in_own_words: Any other 404 than Sinch's does not count: it may be that of a wrong URL.

        Raises:
            ProviderError: It did not say.
        """
        answer = await self._ask(delivery_id)
        if is_not_found(answer) and (says_not_found(answer) or not in_own_words):
            return None
        if is_refusal(answer):
            raise error_of(answer)
        found = answer.json_object()
        _id_of(found)
        return found

    async def _ask(self, delivery_id: str) -> HttpAnswer:
        return await self._request("GET", f"{_VERIFICATIONS}/reference/{quote(delivery_id, safe='')}")

    async def _has_ended(self, verification: str) -> bool:
        """Whether Sinch says that a verification is over. No answer is no: then the code counts as wrong."""
        try:
            answer = await self._request("GET", _by_id(verification))
        except ProviderError:
            return False
        return not is_refusal(answer) and _is_over(answer.json_object())

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


def _is_over(body: dict[str, Any]) -> bool:
    """Nothing can be reported any more: it was approved before, or it is over otherwise."""
    return status_of(body) not in (None, VerificationStatus.PENDING)


def _id_of(body: dict[str, Any]) -> str:
    verification = body.get("id")
    if not isinstance(verification, str) or not _VERIFICATION_ID.fullmatch(verification):
        raise ProviderError(ErrorKind.AMBIGUOUS, "the answer has no verification id")
    return verification
