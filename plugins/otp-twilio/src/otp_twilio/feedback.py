"""Mode ``messaging`` with ``feedback``: Twilio hears which of its messages brought a code that was typed.

Source: twilio.com/docs, "Feedback subresource" of Messages, "How to Optimize Message Deliverability with Message Feedback". A
message that was announced with ``ProvideFeedback`` counts as unconfirmed until then, so nothing is told of codes that were not
typed.
"""

from __future__ import annotations

import attrs

from otp_twilio.client import is_success
from otp_twilio.errors import error_of
from otp_twilio.messaging import MessagingProvider
from otpcore.providers import Channel, OutcomeRequest, hookimpl

__all__ = ["FeedbackProvider"]

_NOT_FOUND = "20404"


@attrs.define(eq=False, kw_only=True)
class FeedbackProvider(MessagingProvider):
    """One sender whose messages are confirmed; calls have no such resource."""

    @hookimpl
    async def report_outcome(self, request: OutcomeRequest) -> None:
        """Confirm the message of a code that was typed, by its SID. One that Twilio has no more is fine."""
        if not request.approved or not request.reference or request.channel != Channel.SMS:
            return
        answer = await self.client.post(self.path(f"Messages/{request.reference}/Feedback"), {"Outcome": "confirmed"})
        if not is_success(answer) and (error := error_of(answer)).provider_code != _NOT_FOUND:
            raise error
