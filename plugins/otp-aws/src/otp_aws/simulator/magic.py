"""The numbers that fail, as tables; from the range that North America keeps for fiction (+1 206 555 0100 to 0199)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from otpcore.simulators import SimulatedAnswer

__all__ = ["CALLED", "DELIVERED", "ENDS", "REFUSALS", "Refused", "field_refused", "refused", "told"]


@attrs.frozen(kw_only=True)
class Refused:
    """An exception of the service.

    Args:
        exception: Its name.
        reason: Of its reasons; empty: none.
        field: The field that a validation error names; empty: none.
        resource: The kind of resource that is missing; empty: none.
        status: HTTP status.
        headers: Of the answer.
    """

    exception: str
    reason: str = ""
    field: str = ""
    resource: str = ""
    status: int = 400
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def answer(self) -> SimulatedAnswer:
        """As the service says it."""
        body: dict[str, Any] = {"__type": f"com.amazonaws.pinpointsmsvoicev2#{self.exception}", "Message": "Refused."}
        if self.reason:
            body["Reason"] = self.reason
        if self.field:
            body["Fields"] = [{"Name": self.field, "Message": "Member must satisfy the constraint"}]
        if self.resource:
            body["ResourceType"] = self.resource
        return SimulatedAnswer.json(self.status, body, {"Content-Type": "application/x-amz-json-1.0", **self.headers})


def refused(exception: str, reason: str = "", **more: Any) -> Refused:
    """One exception, with its reason where it has one."""
    return Refused(exception=exception, reason=reason, **more)


def field_refused(field: str) -> Refused:
    """A field that the service does not take."""
    return refused("ValidationException", "INVALID_PARAMETER", field=field)


REFUSALS: Mapping[str, Refused] = {
    "+12065550101": field_refused("DestinationPhoneNumber"),
    "+12065550102": refused("ValidationException", "COUNTRY_NOT_ENABLED"),
    "+12065550103": refused("ValidationException", "DESTINATION_COUNTRY_BLOCKED"),
    "+12065550104": refused("ValidationException", "SENDER_ID_REQUIRES_REGISTRATION"),
    "+12065550105": refused("ValidationException", "FIELD_VALIDATION_FAILED", field="MessageBody"),
    "+12065550110": refused("ConflictException", "DESTINATION_PHONE_NUMBER_OPTED_OUT"),
    "+12065550111": refused("ConflictException", "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION"),
    "+12065550112": refused("ConflictException", "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE"),
    "+12065550113": refused("ConflictException", "DESTINATION_PHONE_NUMBER_NOT_VERIFIED"),
    "+12065550114": refused("ConflictException", "NO_ORIGINATION_IDENTITIES_FOUND"),
    "+12065550120": refused("ServiceQuotaExceededException", "DAILY_DESTINATION_CALL_LIMIT"),
    "+12065550121": refused("ServiceQuotaExceededException", "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT"),
    "+12065550122": refused("ServiceQuotaExceededException", "MONTHLY_SPEND_LIMIT_REACHED_FOR_VOICE"),
    "+12065550130": refused("AccessDeniedException", "ACCOUNT_DISABLED"),
    "+12065550131": refused("AccessDeniedException"),
    "+12065550140": refused("ThrottlingException", headers={"Retry-After": "3"}),
    "+12065550141": refused("InternalServerException", status=500),
    "+12065550142": refused("ServiceUnavailableException", status=503),
    "+12065550143": refused("ExpiredTokenException"),
}
"""Who is sent to, and what the service answers."""

DELIVERED = ("TEXT_QUEUED", "TEXT_SUCCESSFUL", "TEXT_DELIVERED")
CALLED = ("VOICE_INITIATED", "VOICE_RINGING", "VOICE_ANSWERED", "VOICE_COMPLETED")

ENDS: Mapping[str, tuple[str, ...]] = {
    "+12065550151": ("TEXT_QUEUED", "TEXT_UNREACHABLE"),
    "+12065550152": ("TEXT_QUEUED", "TEXT_CARRIER_UNREACHABLE"),
    "+12065550153": ("TEXT_INVALID",),
    "+12065550154": ("TEXT_QUEUED", "TEXT_SUCCESSFUL", "TEXT_BLOCKED"),
    "+12065550155": ("TEXT_QUEUED", "TEXT_CARRIER_BLOCKED"),
    "+12065550156": ("TEXT_PROTECT_BLOCKED",),
    "+12065550157": ("TEXT_QUEUED", "TEXT_TTL_EXPIRED"),
    "+12065550158": ("TEXT_QUEUED", "TEXT_UNKNOWN"),
    "+12065550159": ("TEXT_QUEUED", "TEXT_SUCCESSFUL"),
    "+12065550161": ("VOICE_INITIATED", "VOICE_RINGING", "VOICE_BUSY"),
    "+12065550162": ("VOICE_INITIATED", "VOICE_RINGING", "VOICE_NO_ANSWER"),
    "+12065550163": ("VOICE_INITIATED", "VOICE_FAILED"),
}
"""Who is taken and does not get it, over the channel that the events name, and what is reported."""


def told() -> dict[str, str]:
    """What becomes of messages and calls to each of these numbers, in a few words."""
    refusals = {number: one.reason or one.exception for number, one in REFUSALS.items()}
    return refusals | {number: ends[-1] for number, ends in ENDS.items()}
