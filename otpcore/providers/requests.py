"""What a provider is asked, and what it answers: frozen values, no I/O."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from otpcore.messages.carrying import CARRIES_ALL, CARRIES_NOTHING, Carries, Feature
from otpcore.models import Channel, CodeOwner, EarlierTry, Receipt
from otpcore.phone.numbers import PhoneNumber
from otpcore.prices import Price
from otpcore.rate_limits.clients import client_address

__all__ = [
    "ANY_OTHER_HOOK",
    "OWN_HOOKS",
    "AccountState",
    "CancelRequest",
    "CheckRequest",
    "CheckResult",
    "DeliveryReceipt",
    "DeliveryRequest",
    "OutcomeRequest",
    "ProviderInfo",
    "ReceiptAnswer",
    "ReceiptRequest",
    "send_hook",
]

OWN_HOOKS = {Channel.SMS: "send_sms", Channel.CALL: "call"}
"""The channels that have a hook of their own."""
ANY_OTHER_HOOK = "send_message"


@attrs.frozen(kw_only=True)
class ProviderInfo:
    """What one configured instance is and can do; the answer of the hook ``describe``.

    Args:
        display_name: For people.
        code_owner: Who makes and checks the code. A vendor that words the message and puts a code of ours into it is
            ``CodeOwner.CORE`` too; its ``carries`` says that it takes no text.
        channels: What this instance delivers: ``sms`` with the hook ``send_sms``, ``call`` with ``call``, any other word with
            ``send_message``. None: SMS and calls, as far as their hooks are implemented.
        code_scope: The account on which the vendor keys its codes, such as ``"twilio:VA…"``: two instances with one scope share
            one living verification a phone, and the one before is cancelled before another starts. With
            ``CodeOwner.CORE`` empty, unless the vendor has such verifications although the code is ours.
        code_lengths: With ``CodeOwner.PROVIDER``, the lengths a code from this vendor may have.
        start_replaces: Starting a new verification ends the old one for the same number by itself (Sinch).
        signs_receipts: False: the vendor signs nothing that it reports. Then a receipt is believed only at an address of
            ``ProviderContext.receipt_url``, which otpcore proves before the plugin reads it.
        unconfirmed: What of the plugin its author knows neither from the vendor's software nor from its documents, in a word
            each, such as ``receipts``; ``otp providers`` shows it.
        carries: What it can carry, by channel. A channel that is not named carries everything with ``CodeOwner.CORE``,
            as the core words the text, and with ``CodeOwner.PROVIDER`` nothing but the vendor's own text.
    """

    display_name: str
    code_owner: CodeOwner = CodeOwner.CORE
    channels: frozenset[Channel] | None = None
    code_scope: str = ""
    code_lengths: frozenset[int] = frozenset({4, 5, 6, 7, 8, 9, 10})
    start_replaces: bool = False
    signs_receipts: bool = True
    unconfirmed: tuple[str, ...] = ()
    carries: Mapping[Channel, Carries] = attrs.field(factory=dict, hash=False)

    def carried(self, channel: Channel) -> Carries:
        """What it can carry over a channel."""
        otherwise = CARRIES_ALL if self.code_owner is CodeOwner.CORE else CARRIES_NOTHING
        return self.carries.get(channel, otherwise)

    def words_text(self, channel: Channel) -> bool:
        """Whether the vendor words what is sent over a channel: round its own code, or round ours."""
        return self.code_owner is CodeOwner.PROVIDER or Feature.TEXT not in self.carried(channel).features


def send_hook(channel: Channel) -> str:
    """The hook that a message over this channel arrives at."""
    return OWN_HOOKS.get(channel, ANY_OTHER_HOOK)


@attrs.frozen(kw_only=True)
class DeliveryRequest:
    """One message or call to be handed to one provider.

    Args:
        delivery_id: This attempt; unguessable, URL-safe, at most 40 characters.
        challenge_id: The challenge it belongs to.
        recipient: To whom.
        channel: Over which channel, such as ``sms``, ``call`` or ``whatsapp``.
        code: The code; None where the vendor owns it, and where a whole text of the host's is relayed.
        text: What to send, or to speak (digits already apart and repeated); None where the vendor owns the code.
        locale: BCP 47 tag such as ``"en"`` or ``"pt-BR"``: of the text; where the vendor words it, of the language that it
            should write or speak.
        purpose: What the code is for, such as ``"login"``.
        app: Which of the host's apps it is for, or empty.
        client: Who asked the host for the code, as the host gave it, such as an IP address, with or without a port; None:
            the host named none. See ``client_address``.
        metadata: What the host says of this send besides, by name: at most 10 texts of at most 200 characters. What a name
            means is agreed between host and plugin; a plugin passes on only what its settings or README name.
        sender: Sender name or number set by the host, or None for the instance's own.
        template_id: Registered template set by the host, or None.
        android_hash: Hash of the Android app that may read the SMS, for a vendor that words it; None: there is none, or the
            text has it already.
        deadline: Aware UTC. The code expires then; a message that arrives later is worthless.
        idempotency_key: The same for every try of this send at this instance with the same code.
        repeat: Delivery id of an earlier try at this instance of which it is not known whether it was sent; ask the
            vendor first where it can be asked. Empty: there is none.
        earlier: With ``repeat``: that try, and whatever else may have gone out for this challenge here before. A message
            that the vendor lists under the reference of another of them is not the one that is looked for.
    """

    delivery_id: str
    challenge_id: str
    recipient: PhoneNumber
    channel: Channel
    code: str | None = attrs.field(default=None, repr=False)
    text: str | None = attrs.field(default=None, repr=False)
    locale: str = "en"
    purpose: str = "default"
    app: str = ""
    client: str | None = attrs.field(default=None, repr=False)
    metadata: Mapping[str, str] = attrs.field(factory=dict, repr=False, hash=False)
    sender: str | None = None
    template_id: str | None = None
    android_hash: str | None = None
    deadline: datetime
    idempotency_key: str
    repeat: str = ""
    earlier: tuple[EarlierTry, ...] = ()

    @property
    def client_address(self) -> str:
        """The IP address that ``client`` names, of a list the last one; empty: it names none."""
        return client_address(self.client) if self.client else ""


@attrs.frozen(kw_only=True)
class DeliveryReceipt:
    """The provider took the message.

    Args:
        reference: The vendor's id of the message or verification, by which it can be checked or cancelled.
        price: What the vendor charges for it, where it says so at once; None: it does not, or its receipts do.
    """

    reference: str = ""
    price: Price | None = None


class CheckResult(enum.StrEnum):
    """A vendor's verdict on a code that it owns."""

    APPROVED = "approved"
    INCORRECT = "incorrect"
    GONE = "gone"
    """The vendor no longer has a verification to check against (expired, checks used up, replaced, approved before)."""


@attrs.frozen(kw_only=True)
class CheckRequest:
    """Ask the vendor whether a code is right.

    Args:
        challenge_id: The challenge that is verified.
        delivery_id: The delivery that started the verification.
        recipient: Whose number it is.
        channel: Over which it was started.
        code: What the person typed, as ASCII digits.
        reference: The vendor's id; empty when the start was never answered: then by recipient or ``delivery_id``.
        metadata: As in the latest ``DeliveryRequest`` of the challenge.
    """

    challenge_id: str
    delivery_id: str
    recipient: PhoneNumber
    channel: Channel
    code: str = attrs.field(repr=False)
    reference: str = ""
    metadata: Mapping[str, str] = attrs.field(factory=dict, repr=False, hash=False)


@attrs.frozen(kw_only=True)
class CancelRequest:
    """End a vendor's verification so that it cannot verify anything any more. "Already gone" is success.

    Args:
        challenge_id: The challenge it belongs to.
        delivery_id: The delivery that started the verification.
        recipient: Whose number it is.
        channel: Over which it was started.
        reference: The vendor's id; empty when the start was never answered: then by recipient or ``delivery_id``.
    """

    challenge_id: str
    delivery_id: str
    recipient: PhoneNumber
    channel: Channel
    reference: str = ""


@attrs.frozen(kw_only=True)
class OutcomeRequest:
    """How a challenge ended, for a vendor that carried a code of otpcore's or the host's. "Already gone" is success.

    Args:
        challenge_id: The challenge that ended.
        delivery_id: The delivery that carried the code, or started the verification.
        recipient: Whose number it is.
        channel: Over which it went.
        reference: The vendor's id; empty when the send was never answered: then by recipient or ``delivery_id``.
        approved: The code of this delivery was typed. False: it expired, was cancelled, or another code has replaced it.
    """

    challenge_id: str
    delivery_id: str
    recipient: PhoneNumber
    channel: Channel
    reference: str = ""
    approved: bool


@attrs.frozen(kw_only=True)
class AccountState:
    """What a vendor says of the account that an instance uses, without anything being sent.

    Args:
        summary: What was asked and answered, in the provider's own fixed words, such as "the Verify service is there".
            Never the vendor's text.
        warning: What works now and soon will not, in such words; empty: nothing.
        fix: What an operator does about the warning.
    """

    summary: str
    warning: str = ""
    fix: str = ""


def _lower_case_names(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@attrs.frozen(kw_only=True)
class ReceiptRequest:
    """One HTTP request in which a vendor reports what became of a message; of no web framework. Its repr shows no contents.

    Args:
        method: HTTP verb.
        url: The whole public URL as the vendor called it, with scheme, host, path and query: vendors sign it. Behind
            a proxy that is not what the application sees.
        headers: Names in any case; kept in lower case.
        body: The raw bytes, as they arrived.
        delivery_id: Filled in by otpcore: the delivery whose address was called, proven (``ProviderInfo.signs_receipts``).
            Empty: the plugin has to prove who reports.
    """

    method: str = "POST"
    url: str = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False, converter=_lower_case_names)
    body: bytes = attrs.field(default=b"", repr=False)
    delivery_id: str = ""


@attrs.frozen(kw_only=True)
class ReceiptAnswer:
    """What a request of a vendor says, and what the vendor waits for; an answer of the hook ``parse_receipt``.

    Args:
        receipts: In the order in which they are taken in; empty where the request holds none (Meta's ``hub.challenge``).
        status: HTTP status, 200 to 299.
        text: The body (SMSAPI waits for ``OK``). Whatever it repeats of the request must be proven first.
        content_type: Of the body.
    """

    receipts: Sequence[Receipt] = ()
    status: int = 200
    text: str = attrs.field(default="", repr=False)
    content_type: str = "text/plain; charset=utf-8"
