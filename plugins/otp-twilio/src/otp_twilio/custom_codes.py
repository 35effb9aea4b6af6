"""Mode ``verify`` with ``custom_codes``: Verify v2 words and sends a code of otpcore's, and hears how it ended."""

from __future__ import annotations

import attrs

from otp_twilio.verify import CARRIES, VerifyService
from otpcore.providers import CodeOwner, Feature, OutcomeRequest, ProviderInfo, hookimpl

__all__ = ["CustomCodeProvider"]

_CARRIES = {
    channel: attrs.evolve(carried, features=carried.features | {Feature.CODE_LENGTH})
    for channel, carried in CARRIES.items()
}


@attrs.define(eq=False, kw_only=True)
class CustomCodeProvider(VerifyService):
    """A Verify service with custom codes: each start has the code that otpcore or the host made.

    Twilio does not say what it sends where another code comes while a verification of the number runs. So the service keeps its
    ``code_scope``: a verification for another challenge, or for a code that was replaced, is cancelled first.
    """

    @hookimpl
    def describe(self) -> ProviderInfo:
        """What this instance is: a carrier of our codes, in Twilio's words."""
        return ProviderInfo(
            display_name="Twilio Verify, with our codes",
            code_owner=CodeOwner.CORE,
            channels=self.channels,
            code_scope=self.scope,
            carries=_CARRIES,
        )

    @hookimpl
    async def report_outcome(self, request: OutcomeRequest) -> None:
        """What Twilio asks of whoever uses custom codes: was the code typed, or will it never be."""
        whose = request.reference or request.recipient.e164
        await self._end(whose, "approved" if request.approved else "canceled")
