"""Mode ``verify``: Twilio Verify v2 words and sends the code, and makes and checks it unless it takes ours."""

from __future__ import annotations

import contextlib
from contextlib import AsyncExitStack

import attrs

from otp_twilio.client import TwilioClient, is_success
from otp_twilio.errors import CHECKS_USED_UP, GONE_CODES, INVALID_PARAMETER, error_of, names_parameter
from otp_twilio.languages import VERIFY_LANGUAGES, verify_locale
from otp_twilio.parameters import TEMPLATE, payment_of, said_of
from otp_twilio.settings import TwilioSettings
from otpcore.providers import (
    AccountState,
    CancelRequest,
    Carries,
    Channel,
    CheckRequest,
    CheckResult,
    CodeOwner,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    Feature,
    ProviderError,
    ProviderInfo,
    hookimpl,
)

__all__ = ["CARRIES", "VerifyProvider", "VerifyService"]

_CODE_LENGTHS = frozenset(range(4, 11))

# Text, app name, code length and sender are the Verify service's own. Templates are for SMS and calls (reference of Verify,
# "Templates").
_BY_CALL = Carries(
    features=frozenset({Feature.TEMPLATE_ID}),
    languages=VERIFY_LANGUAGES,
    forms={Feature.TEMPLATE_ID: TEMPLATE.pattern},
)
_WHATSAPP = Channel("whatsapp")
CARRIES = {
    Channel.SMS: attrs.evolve(_BY_CALL, features=_BY_CALL.features | {Feature.ANDROID_HASH}),
    Channel.CALL: _BY_CALL,
    _WHATSAPP: Carries(features=frozenset(), languages=VERIFY_LANGUAGES),
}
"""What the Verify service takes for its own words."""

# Statuses of a verification in the answer to a check. "pending" after a check is a wrong code, and so is any status that
# we do not know: it is not "approved".
_VERDICTS = {
    "approved": CheckResult.APPROVED,
    "canceled": CheckResult.GONE,
    "deleted": CheckResult.GONE,
    "expired": CheckResult.GONE,
    "failed": CheckResult.GONE,
    "max_attempts_reached": CheckResult.GONE,
}


@attrs.define(eq=False, kw_only=True)
class VerifyService:
    """One Verify service: what both ways to use it have in common.

    A resend before the code expires carries the same code under the same SID. Repeating a start of which nobody knows whether it
    arrived is therefore harmless for the code; it costs one of the five sends that Verify allows a number in ten minutes.
    There is no way to ask for it first that would not need its SID.
    """

    settings: TwilioSettings
    client: TwilioClient

    @hookimpl
    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open the HTTP client."""
        await self.client.start(exit_stack)

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Start a verification by SMS, or send the running one's code again."""
        return await self._send(request)

    @hookimpl
    async def call(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Start a verification by a call, or speak the running one's code."""
        return await self._send(request)

    @hookimpl
    async def send_message(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Start a verification over WhatsApp, or send the running one's code again."""
        return await self._send(request)

    @hookimpl
    async def cancel(self, request: CancelRequest) -> None:
        """Cancel a verification by SID; by number where the start was never answered.

        The reference names only the SID as the last part of the path. Twilio's own example code (function-templates,
        "Update Verification") puts a number there as well, which cancels the number's running verification.
        """
        await self._end(request.reference or request.recipient.e164, "canceled")

    @hookimpl
    async def check_account(self) -> AccountState:
        """Read the Verify service: the credentials are right, and it belongs to their account."""
        service = await self.client.read(self._service)
        if service.get("sid") != self.settings.service_sid:
            raise ProviderError(ErrorKind.MISCONFIGURED, "the answer is about no Verify service: check the base URL")
        return AccountState(summary="the credentials are right, and the Verify service is there")

    @property
    def channels(self) -> frozenset[Channel]:
        """What it sends over; a service for payments cannot call (60214)."""
        words = (word for word in self.settings.channels if not (self.settings.psd2 and word == Channel.CALL))
        return frozenset(map(Channel, words))

    @property
    def scope(self) -> str:
        """The account on which codes are keyed, beside the number."""
        return f"twilio:{self.settings.service_sid}"

    @property
    def _service(self) -> str:
        return f"/v2/Services/{self.settings.service_sid}"

    async def _end(self, whose: str, status: str) -> None:
        """Approve or cancel a verification; one that is gone is over already."""
        answer = await self.client.post(f"{self._service}/Verifications/{whose}", {"Status": status})
        if not is_success(answer) and (error := error_of(answer)).provider_code not in GONE_CODES:
            raise error

    async def _send(self, request: DeliveryRequest) -> DeliveryReceipt:
        form = {"To": request.recipient.e164, "Channel": str(request.channel)}
        if request.code is not None:
            form["CustomCode"] = request.code
        if locale := verify_locale(request.locale):
            form["Locale"] = locale
        if request.android_hash:
            form["AppHash"] = request.android_hash
        form |= said_of(request, self.settings) | payment_of(request.metadata, self.settings)
        return await self.client.create(f"{self._service}/Verifications", form)


@attrs.define(eq=False, kw_only=True)
class VerifyProvider(VerifyService):
    """A Verify service that makes and checks the code."""

    @hookimpl
    def describe(self) -> ProviderInfo:
        """What this instance is; codes are keyed on the service and the number."""
        return ProviderInfo(
            display_name="Twilio Verify",
            code_owner=CodeOwner.PROVIDER,
            channels=self.channels,
            code_scope=self.scope,
            code_lengths=_CODE_LENGTHS,
            carries=CARRIES,
        )

    @hookimpl
    async def check_code(self, request: CheckRequest) -> CheckResult:
        """Check a code by verification SID; by number where the start was never answered."""
        if len(request.code) not in _CODE_LENGTHS:  # Verify would answer with an error
            return CheckResult.INCORRECT
        whose = {"VerificationSid": request.reference} if request.reference else {"To": request.recipient.e164}
        form = {**whose, "Code": request.code, **payment_of(request.metadata, self.settings)}
        answer = await self.client.post(f"{self._service}/VerificationCheck", form)
        if is_success(answer):
            checked = answer.json_object()
            if "status" not in checked:
                raise ProviderError(ErrorKind.AMBIGUOUS, "the answer has no status")
            return _VERDICTS.get(str(checked["status"]), CheckResult.INCORRECT)
        error = error_of(answer)
        if error.provider_code in GONE_CODES:
            if error.provider_code == CHECKS_USED_UP:
                await self._give_up(request)
            return CheckResult.GONE
        if error.provider_code == INVALID_PARAMETER and not any(names_parameter(answer, name) for name in whose):
            return CheckResult.INCORRECT  # the code itself
        raise error

    async def _give_up(self, request: CheckRequest) -> None:
        """Until a verification whose checks are used up is cancelled, Verify starts no other for its number, for ten minutes."""
        with contextlib.suppress(ProviderError):  # then those minutes have to pass
            await self.cancel(
                CancelRequest(
                    challenge_id=request.challenge_id,
                    delivery_id=request.delivery_id,
                    recipient=request.recipient,
                    channel=request.channel,
                    reference=request.reference,
                )
            )
