"""Mode ``verify``: Twilio Verify v2 makes, words, sends and checks the code."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack

import attrs

from otp_twilio.client import TwilioClient, is_success
from otp_twilio.errors import GONE_CODES, INVALID_PARAMETER, error_of, names_parameter
from otp_twilio.languages import verify_locale
from otp_twilio.settings import TwilioSettings
from otpcore.errors import ErrorKind, ProviderError
from otpcore.hookspecs import hookimpl
from otpcore.models import (
    CancelRequest,
    CheckRequest,
    CheckResult,
    CodeOwner,
    DeliveryReceipt,
    DeliveryRequest,
    ProviderInfo,
)

__all__ = ["VerifyProvider"]

_CODE_LENGTHS = frozenset(range(4, 11))
_TEMPLATE = re.compile(r"HJ[0-9a-fA-F]{32}")

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
class VerifyProvider:
    """One Verify service. A resend before the code expires carries the same code under the same SID.

    Repeating a start of which nobody knows whether it arrived is therefore harmless for the code; it costs one of the five
    sends that Verify allows a number in ten minutes. There is no way to ask for it first that would not need its SID.
    """

    settings: TwilioSettings
    client: TwilioClient

    @hookimpl
    def describe(self) -> ProviderInfo:
        """What this instance is; codes are keyed on the service and the number."""
        return ProviderInfo(
            display_name="Twilio Verify",
            code_owner=CodeOwner.PROVIDER,
            code_scope=f"twilio:{self.settings.service_sid}",
            code_lengths=_CODE_LENGTHS,
        )

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
    async def check_code(self, request: CheckRequest) -> CheckResult:
        """Check a code by verification SID; by number where the start was never answered."""
        if len(request.code) not in _CODE_LENGTHS:  # Verify would answer with an error
            return CheckResult.INCORRECT
        whose = {"VerificationSid": request.reference} if request.reference else {"To": request.recipient.e164}
        answer = await self.client.post(f"{self._service}/VerificationCheck", {**whose, "Code": request.code})
        if is_success(answer):
            checked = answer.json_object()
            if "status" not in checked:
                raise ProviderError(ErrorKind.AMBIGUOUS, "the answer has no status")
            return _VERDICTS.get(str(checked["status"]), CheckResult.INCORRECT)
        error = error_of(answer)
        if error.provider_code in GONE_CODES:
            return CheckResult.GONE
        if error.provider_code == INVALID_PARAMETER and not any(names_parameter(answer, name) for name in whose):
            return CheckResult.INCORRECT  # the code itself
        raise error

    @hookimpl
    async def cancel(self, request: CancelRequest) -> None:
        """Cancel a verification by SID; by number where the start was never answered.

        The reference names only the SID as the last part of the path. Twilio's own example code (function-templates,
        "Update Verification") puts a number there as well, which cancels the number's running verification.
        """
        whose = request.reference or request.recipient.e164
        answer = await self.client.post(f"{self._service}/Verifications/{whose}", {"Status": "canceled"})
        if not is_success(answer) and (error := error_of(answer)).provider_code not in GONE_CODES:
            raise error

    @property
    def _service(self) -> str:
        return f"/v2/Services/{self.settings.service_sid}"

    async def _send(self, request: DeliveryRequest) -> DeliveryReceipt:
        form = {"To": request.recipient.e164, "Channel": request.channel.value}
        if locale := verify_locale(request.locale):
            form["Locale"] = locale
        if request.template_id and _TEMPLATE.fullmatch(request.template_id):
            form["TemplateSid"] = request.template_id
        return DeliveryReceipt(reference=await self.client.create(f"{self._service}/Verifications", form))
