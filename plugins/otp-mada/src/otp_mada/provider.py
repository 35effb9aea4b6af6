"""The provider: submits one SMS to the gateway and says what became of it."""

from __future__ import annotations

from contextlib import AsyncExitStack

import attrs

from otp_mada.answers import receipt_of
from otp_mada.settings import MadaSettings, UnicodePolicy, sender_problem
from otp_mada.soap import CONTENT_TYPE, Address, Submission, has_illegal_characters, write_submission
from otpcore.http import HttpClient, check_base_url, open_client
from otpcore.messages import segments
from otpcore.providers import (
    Carries,
    Channel,
    CodeOwner,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    Feature,
    ProviderContext,
    ProviderError,
    ProviderInfo,
    hookimpl,
)

__all__ = ["MadaProvider", "create_provider"]

_CARRIES = Carries(features=frozenset(Feature) - {Feature.TEMPLATE_ID}, most_parts=1)  # SubmitSM has no place for it
_INTERNATIONAL = 1
_E164 = 1


def create_provider(context: ProviderContext) -> MadaProvider:
    """The factory behind the entry point ``mada``; no I/O.

    Raises:
        SettingsError: A setting is missing or wrong.
    """
    settings = context.structure(MadaSettings)
    base_url = check_base_url(
        settings.url, key=f"providers.{context.instance}.url", allow_plain_http=settings.allow_plain_http
    )
    return MadaProvider(context=context, settings=settings, base_url=base_url)


@attrs.define(eq=False, kw_only=True)
class MadaProvider:
    """One account at a gateway. otpcore owns the code, the gateway carries text; there are no calls.

    The gateway cannot be asked about a message, so an unresolved earlier try (``repeat``) is simply sent again.
    """

    context: ProviderContext
    settings: MadaSettings
    base_url: str
    _client: HttpClient | None = attrs.field(default=None, init=False, repr=False)

    @hookimpl
    def describe(self) -> ProviderInfo:
        """What this instance is."""
        carries = attrs.evolve(_CARRIES, gsm_only=self.settings.unicode is UnicodePolicy.REFUSE)
        return ProviderInfo(display_name="Mada", code_owner=CodeOwner.CORE, carries={Channel.SMS: carries})

    @hookimpl
    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open the HTTP client."""
        self._client = await open_client(
            exit_stack,
            self.context,
            base_url=self.base_url,
            auth=(self.settings.username, self.settings.password),
            headers={"Content-Type": CONTENT_TYPE},
        )

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Submit the text. What the gateway would refuse or garble is refused before anything is sent.

        Raises:
            ProviderError: It was not taken, or nobody knows.
        """
        if self._client is None:
            raise ProviderError(ErrorKind.UNAVAILABLE, "the instance has not been started")
        body = write_submission(self._submission(request))
        # The client's base URL has no trailing slash; where the setting has one, it is the path.
        path = self.settings.url.removeprefix(self.base_url)
        return receipt_of(await self._client.request("POST", path, content=body))

    def _submission(self, request: DeliveryRequest) -> Submission:
        settings = self.settings
        text = self._sendable(request.text or "")
        return Submission(
            source=self._source(request.sender),
            destination=Address(
                ton=settings.destination_ton, npi=settings.destination_npi, addr=request.recipient.digits
            ),
            text=text,
            ucs2=settings.unicode is UnicodePolicy.UCS2 and segments(text).encoding != "GSM-7",
            registered_delivery=settings.registered_delivery,
            validity=request.deadline - self.context.clock() if settings.validity_period else None,
        )

    def _source(self, sender: str | None) -> Address:
        """The sender of one message; a host's own sender may be a number in E.164, a name or a short code."""
        if sender is None:
            return self.settings.source
        if sender.startswith("+"):
            source = Address(ton=_INTERNATIONAL, npi=_E164, addr=sender[1:])
        else:
            source = attrs.evolve(self.settings.source, addr=sender)
        if problem := sender_problem(source.addr, source.ton):
            raise _unsendable(f"the message's own sender {problem}")
        return source

    def _sendable(self, text: str) -> str:
        """The text, if the gateway can be trusted with it.

        Nobody has said how it splits a long text or encodes what GSM-7 lacks, so neither is risked with a passcode.
        """
        if not text:
            raise _unsendable("there is no text")
        if has_illegal_characters(text):
            raise _unsendable("the text has a control character that XML cannot carry")
        counted = segments(text)
        if counted.encoding != "GSM-7" and self.settings.unicode is UnicodePolicy.REFUSE:
            raise _unsendable("the text has characters outside GSM-7 (see the setting unicode)")
        if counted.count > 1:
            raise _unsendable(f"the text is too long for one SMS ({counted.units} units of {counted.encoding})")
        return text


def _unsendable(problem: str) -> ProviderError:
    return ProviderError(ErrorKind.MISCONFIGURED, problem)
