"""The sandbox: stands in for every provider, so that a host can try each outcome without an account (``sms.sandbox``).

Only the provider call is replaced; routing, limits, store, life cycle, retries, receipts and verifying are the real ones. What a
person would have received is kept in memory and read with ``sandbox_inbox()``. What happens to a message is chosen by its
number: the last two digits of a number that belongs to nobody.
"""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

import anyio
import attrs

from otpcore.clock import utc_now
from otpcore.errors import ErrorKind, OTPConfigurationError, ProviderError, ReceiptFault, ReceiptRefused, SettingsError
from otpcore.events import fields
from otpcore.models import Channel, Receipt, ReceiptStatus
from otpcore.phone.numbers import PhoneNumber, same_phone
from otpcore.providers.delivered import DeliveredMessage, message_of
from otpcore.providers.hooks import hookimpl
from otpcore.providers.provider import Provider, provider_from_object
from otpcore.providers.requests import DeliveryReceipt, DeliveryRequest, ProviderInfo, ReceiptRequest

__all__ = ["MAGIC", "RANGES", "Magic", "Sandbox", "inbox_of", "is_harmless", "magic_of", "nobody"]

_logger = logging.getLogger("otpcore.sandbox")

_REFERENCE = "sandbox-"
_KEPT = 1000  # messages, and numbers under way, that a sandbox remembers
_USUAL = frozenset({Channel.SMS, Channel.CALL})


@attrs.frozen(kw_only=True)
class _Answer:
    """How an instance answers one try.

    Args:
        kind: The error; None: it takes the message.
        arrives: The person gets it, whatever was answered.
        in_time: Whether it answers before the service gives up waiting.
        retry_after: Seconds, with ``throttled``.
        is_reported: A receipt says afterwards that it did not arrive.
    """

    kind: ErrorKind | None = None
    arrives: bool = False
    in_time: bool = True
    retry_after: float | None = None
    is_reported: bool = False


_TAKEN = _Answer(arrives=True)


@attrs.frozen(kw_only=True)
class Magic:
    """What happens to the numbers with these last two digits.

    Args:
        name: For people.
        meaning: One line for the reference.
        sms: Answers to the first, second, … SMS of a challenge at one instance; the last one repeats.
        call: The same for calls; empty: as for SMS. Every other channel is as SMS are.
        only_first: Only the first instance that is asked answers so; the others take the message.
    """

    name: str
    meaning: str
    sms: tuple[_Answer, ...] = (_TAKEN,)
    call: tuple[_Answer, ...] = ()
    only_first: bool = False

    def answer(self, channel: Channel, earlier: int) -> _Answer:
        """The answer to a try after so many earlier ones."""
        answers = self.call if channel is Channel.CALL and self.call else self.sms
        return answers[min(earlier, len(answers) - 1)]


RANGES: Mapping[str, str] = {
    "+120255501": "North America, 555-0100 to 555-0199 (NANPA: for fiction)",
    "+4420794600": "London, 020 7946 0000 to 0999 (Ofcom: for drama)",
    "+467017406": "Swedish mobile, 070-174 06 05 to 99 (PTS: for books and films)",
}
"""Ranges that belong to nobody and yet are valid; two digits that choose the outcome complete a number."""

MAGIC: Mapping[str, Magic] = {
    "10": Magic(name="accepted", meaning="The provider takes it and it arrives; so does any other number."),
    "11": Magic(
        name="late",
        meaning="It arrives, but the provider does not answer in time (`otp.provider_timeout`): ambiguous.",
        sms=(_Answer(kind=ErrorKind.AMBIGUOUS, arrives=True, in_time=False),),
    ),
    "12": Magic(name="never", meaning="The provider takes it and nothing arrives.", sms=(_Answer(),)),
    "13": Magic(
        name="landline",
        meaning="An SMS is rejected, with a hint at calls where a route for them exists; a call is taken.",
        sms=(_Answer(kind=ErrorKind.REJECTED_NUMBER),),
        call=(_TAKEN,),
    ),
    "14": Magic(
        name="opted out",
        meaning="Blocked: the person wants no messages.",
        sms=(_Answer(kind=ErrorKind.BLOCKED),),
    ),
    "15": Magic(
        name="throttled",
        meaning="Each instance first asks to wait 2 seconds, then takes it: without retries an error.",
        sms=(_Answer(kind=ErrorKind.THROTTLED, retry_after=2), _TAKEN),
    ),
    "16": Magic(
        name="unavailable",
        meaning="Each instance is down for its first two tries, then takes it: with retries the third pass over the route delivers.",
        sms=(_Answer(kind=ErrorKind.UNAVAILABLE), _Answer(kind=ErrorKind.UNAVAILABLE), _TAKEN),
    ),
    "17": Magic(
        name="ambiguous",
        meaning="Whether it was sent is not known; nothing arrives.",
        sms=(_Answer(kind=ErrorKind.AMBIGUOUS),),
    ),
    "18": Magic(
        name="misconfigured",
        meaning="The first instance refuses our credentials; the next one takes it.",
        sms=(_Answer(kind=ErrorKind.MISCONFIGURED),),
        only_first=True,
    ),
    "19": Magic(
        name="undelivered",
        meaning="The first instance takes it; a receipt says that it was not delivered, and the next one delivers.",
        sms=(_Answer(is_reported=True),),
        only_first=True,
    ),
}
"""Outcomes by the last two digits of a number within ``RANGES``."""


def magic_of(e164: str) -> Magic:
    """What happens to a number."""
    return MAGIC[e164[-2:]] if _is_magic(e164) else MAGIC["10"]


def is_harmless(e164: str, references: Iterable[str]) -> bool:
    """A code can be shown: its number belongs to nobody, or no vendor has it.

    Args:
        references: Of all its deliveries that may have left.
    """
    return _is_magic(e164) or all(reference.startswith(_REFERENCE) for reference in references)


def _is_magic(e164: str) -> bool:
    return e164[:-2] in RANGES and e164[-2:] in MAGIC


class Sandbox:
    """What all stand-ins of one service share: the inbox, and how far each challenge to a magic number has come.

    Args:
        channels: Those that have rules, besides SMS and calls: what stands in for an instance that cannot be loaded plays them.
        clock: Aware UTC.
    """

    def __init__(self, channels: Iterable[Channel] = (), *, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._channels = _USUAL.union(channels)
        self.inbox: deque[DeliveredMessage] = deque(maxlen=_KEPT)
        self._tries: dict[str, dict[tuple[str, Channel], int]] = {}  # by challenge
        self._receipts: dict[str, Receipt] = {}  # by the secret in the request that brings it
        self._reports: dict[str, list[tuple[str, ReceiptRequest]]] = {}  # by challenge

    def stand_in(self, name: str, load: Callable[[], Provider]) -> Provider:
        """The stand-in for an instance.

        Args:
            load: Loads the one that it stands for, to learn its channels; where it cannot be loaded, they are all that have rules.
        """
        try:
            channels = load().channels
        except OTPConfigurationError as error:
            about = fields("provider_stood_in_for", instance=name, reason=type(error).__name__)
            _logger.info(
                "sandbox: %s stands in over %s, because it cannot be loaded: %s",
                name,
                ", ".join(sorted(self._channels, reverse=True)),
                error,
                extra=about,
            )
            channels = self._channels
        stands_in = provider_from_object(name, _StandIn(name, self))
        return attrs.evolve(stands_in, channels=channels, info=attrs.evolve(stands_in.info, channels=channels))

    def answer(self, instance: str, request: DeliveryRequest) -> _Answer:
        """What this try comes to, and that it was made."""
        magic = magic_of(request.recipient.e164)
        tries = self._tries.setdefault(request.challenge_id, {})
        earlier = tries.get((instance, request.channel), 0)
        is_first = all(other == instance for other, _ in list(tries)[:1])
        tries[instance, request.channel] = earlier + 1
        while len(self._tries) > _KEPT:
            del self._tries[next(iter(self._tries))]
        return _TAKEN if magic.only_first and not is_first else magic.answer(request.channel, earlier)

    def report(self, instance: str, request: DeliveryRequest) -> None:
        """Have a receipt ready that says that it was not delivered."""
        secret = secrets.token_hex(16)
        self._receipts[secret] = Receipt(status=ReceiptStatus.UNDELIVERED, delivery_id=request.delivery_id)
        brings = ReceiptRequest(url="https://sandbox.invalid/", body=secret.encode())
        self._reports.setdefault(request.challenge_id, []).append((instance, brings))

    def reports(self, challenge_id: str) -> Sequence[tuple[str, ReceiptRequest]]:
        """The receipts of a challenge that are ready, each with its instance; once."""
        return self._reports.pop(challenge_id, ())

    def read(self, request: ReceiptRequest) -> Receipt | None:
        """What one of the sandbox's own receipts says; None: somebody else made it."""
        return self._receipts.pop(request.body.decode(errors="replace"), None)

    def deliver(self, instance: str, request: DeliveryRequest) -> None:
        """The person gets it."""
        self.inbox.append(message_of(request, self._clock(), instance))

    def forget(self, phone: PhoneNumber) -> None:
        """Nothing was ever delivered to this person."""
        wanted = same_phone(phone.e164)
        for one in [one for one in self.inbox if same_phone(one.phone.e164) == wanted]:
            self.inbox.remove(one)


def inbox_of(sandbox: Sandbox | None, phone: PhoneNumber | None) -> tuple[DeliveredMessage, ...]:
    """What a sandbox holds for this phone, or for all, newest last.

    Raises:
        SettingsError: The sandbox is off.
    """
    if sandbox is None:
        raise SettingsError("sms.sandbox: is off, so there is no inbox; what was sent went to the providers")
    wanted = same_phone(phone.e164) if phone is not None else None
    return tuple(one for one in sandbox.inbox if wanted in (None, same_phone(one.phone.e164)))


def nobody(name: str) -> Provider:
    """What takes messages to a test number outside of the sandbox: its code is known, so nothing has to arrive."""
    return provider_from_object(name, _Nobody())


@attrs.frozen(eq=False)
class _StandIn:
    """Stands in for one provider instance."""

    instance: str
    sandbox: Sandbox

    @hookimpl
    def describe(self) -> ProviderInfo:
        """A provider of plain text; codes that the vendor would make are made by the core."""
        return ProviderInfo(display_name="Sandbox")

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Send nothing."""
        return await self._take(request)

    @hookimpl
    async def call(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Call nobody."""
        return await self._take(request)

    @hookimpl
    async def send_message(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Send nothing."""
        return await self._take(request)

    @hookimpl
    async def parse_receipt(self, request: ReceiptRequest) -> Receipt:
        """Believe the sandbox's own receipts only, each once."""
        receipt = self.sandbox.read(request)
        if receipt is None:
            raise ReceiptRefused(ReceiptFault.SIGNATURE, "it is none of the sandbox's own")
        return receipt

    async def _take(self, request: DeliveryRequest) -> DeliveryReceipt:
        answer = self.sandbox.answer(self.instance, request)
        if answer.arrives:
            self.sandbox.deliver(self.instance, request)
        if not answer.in_time:
            await anyio.sleep_forever()
        if answer.kind is not None:
            raise ProviderError(answer.kind, "asked for by the sandbox's number", answer.retry_after)
        if answer.is_reported:
            self.sandbox.report(self.instance, request)
        return DeliveryReceipt(reference=f"{_REFERENCE}{request.delivery_id}")


@attrs.frozen(eq=False)
class _Nobody:
    """Takes everything and does nothing."""

    @hookimpl
    def describe(self) -> ProviderInfo:
        """A provider of plain text."""
        return ProviderInfo(display_name="Test number")

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Send nothing."""
        return DeliveryReceipt(reference=request.delivery_id)

    @hookimpl
    async def call(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Call nobody."""
        return DeliveryReceipt(reference=request.delivery_id)

    @hookimpl
    async def send_message(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Send nothing."""
        return DeliveryReceipt(reference=request.delivery_id)
