"""The provider: hands a message to a gateway as its table says, judges the answer and reads its receipts."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial

import attrs

from otp_http.answers import Judge, is_proven
from otp_http.catalogue import table_of
from otp_http.paths import parsed
from otp_http.placeholders import compiled, names_in
from otp_http.receipts import ReceiptReader
from otp_http.requests import Composer
from otp_http.sections import Request
from otp_http.settings import InstanceSettings, settings_of
from otp_http.tables import Account, Table
from otp_http.values import Sending, values_of
from otpcore.http import HttpAnswer, HttpClient, open_client, readings
from otpcore.providers import (
    AccountState,
    Carries,
    Channel,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    Feature,
    OutcomeRequest,
    ProviderContext,
    ProviderError,
    ProviderInfo,
    ReceiptAnswer,
    ReceiptRequest,
    SettingsError,
    hookimpl,
)

__all__ = ["HttpProvider", "create_provider"]

_SERVER_ERROR = 500
_DELIVERY_ID = 40  # characters
_BY_PLACEHOLDER = {"sender": Feature.SENDER, "template_id": Feature.TEMPLATE_ID}
_OF_A_WORDED_TEXT = {"android_hash": Feature.ANDROID_HASH, "app": Feature.APP}


def create_provider(context: ProviderContext) -> HttpProvider:
    """The factory behind the entry point ``http``; reads the gateway's table and nothing else.

    Raises:
        SettingsError: There is no such table, it is wrong, or a setting is.
    """
    table = table_of(context)
    settings = settings_of(context, table)
    reader = ReceiptReader.of(table.receipts, settings.values) if table.receipts is not None else None
    _see_that_addresses_fit(context, table, reader)
    return _class_of(table)(
        context=context,
        table=table,
        settings=settings,
        channels={Channel(name): _Way.of(table, name, context.instance) for name in table.send},
        reader=reader,
    )


def _see_that_addresses_fit(context: ProviderContext, table: Table, reader: ReceiptReader | None) -> None:
    """Refuse addresses for reports that the vendor would cut or refuse, where they are the proof."""
    if reader is None or reader.proof.kind != "address" or reader.table.longest_address is None:
        return
    most, length = reader.table.longest_address, len(context.receipt_url("0" * _DELIVERY_ID) or "")
    if length > most:
        raise SettingsError(
            f"providers.{context.instance}: {table.name} takes addresses for reports of at most {most} characters, and "
            f"those of this instance have {length}. Fix: make otp.receipts_url or the instance's name shorter, by "
            f"{length - most} together" + _or_sign(context, reader)
        )


def _or_sign(context: ProviderContext, reader: ReceiptReader) -> str:
    """The other way, where the vendor can sign."""
    if reader.table.signature is None:
        return ""
    name = next(iter(names_in(compiled(reader.table.signature.key))))
    return f"; or set providers.{context.instance}.{name} and have reports sent to one address for all messages"


@attrs.frozen(kw_only=True)
class _Way:
    """What one channel needs."""

    request: Request
    composer: Composer = attrs.field(repr=False)
    judge: Judge = attrs.field(repr=False)

    @classmethod
    def of(cls, table: Table, name: str, instance: str) -> _Way:
        request = table.send[name]
        judge = Judge.of(table.answer_of(name), f"providers.{instance}.base_url")
        return cls(request=request, composer=Composer.of(request, table.auth), judge=judge)

    @property
    def carries(self) -> Carries:
        """What of a host's wishes the request has a place for."""
        request, names = self.request, self.composer.names
        own = {feature for name, feature in _BY_PLACEHOLDER.items() if name in names}
        forms = {Feature.SENDER: request.sender} if request.sender and "sender" in names else {}
        if request.content == "text":
            wording = frozenset(Feature) - set(_BY_PLACEHOLDER.values())
            return Carries(
                features=wording | own, forms=forms, gsm_only=request.gsm_only, most_parts=request.most_parts
            )
        worded = {feature for name, feature in _OF_A_WORDED_TEXT.items() if name in names}
        if request.code_lengths:
            shortest, longest = request.code_lengths
            forms[Feature.CODE_LENGTH] = "|".join(map(str, range(shortest, longest + 1)))
        return Carries(features=frozenset({Feature.CODE_LENGTH} | own | worded), languages=self._languages, forms=forms)

    @property
    def _languages(self) -> frozenset[str] | None:
        if self.request.languages:
            return frozenset(self.request.languages)
        return None if self.composer.names & {"language", "locale"} else frozenset()


@attrs.define(eq=False, kw_only=True)
class HttpProvider:
    """One account at a gateway that a table describes. otpcore owns the code."""

    context: ProviderContext = attrs.field(repr=False)
    table: Table = attrs.field(repr=False)
    settings: InstanceSettings
    channels: Mapping[Channel, _Way] = attrs.field(repr=False)
    reader: ReceiptReader | None = attrs.field(repr=False)
    _client: HttpClient | None = attrs.field(default=None, init=False, repr=False)

    @hookimpl
    def describe(self) -> ProviderInfo:
        """What this instance is."""
        return ProviderInfo(
            display_name=self.table.name,
            channels=frozenset(self.channels),
            signs_receipts=self.reader is None or self.reader.proof.kind != "address",
            carries={channel: way.carries for channel, way in self.channels.items()},
            unconfirmed=self.table.unconfirmed,
        )

    @hookimpl
    async def start(self, exit_stack: AsyncExitStack) -> None:
        """Open the HTTP client."""
        self._client = await open_client(exit_stack, self.context, base_url=self.settings.base_url)

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Hand over an SMS."""
        return await self._send(request)

    @hookimpl
    async def call(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Hand over a call."""
        return await self._send(request)

    @hookimpl
    async def send_message(self, request: DeliveryRequest) -> DeliveryReceipt:
        """Hand over a message of any other channel."""
        return await self._send(request)

    async def _send(self, request: DeliveryRequest) -> DeliveryReceipt:
        way = self.channels[request.channel]
        said = request.text if way.request.content == "text" else request.code
        if not said:
            raise ProviderError(ErrorKind.MISCONFIGURED, f"the message has no {way.request.content} to be sent")
        sending = Sending(
            request=request,
            settings=self.settings.values,
            number=self.table.number,
            life=way.request.life,
            languages=way.request.languages,
            now=self.context.clock(),
            receipt_url=partial(self._receipt_url, request.delivery_id),
        )
        return way.judge.receipt(await self._asked(way.composer, values_of(sending, way.composer.names)))

    async def _asked(self, composer: Composer, values: Mapping[str, str]) -> HttpAnswer:
        if self._client is None:
            raise ProviderError(ErrorKind.UNAVAILABLE, "the instance has not been started")
        failure = None
        try:
            made = composer.compose(values)
        except ValueError as error:
            failure = ProviderError(ErrorKind.MISCONFIGURED, str(error))
        if failure is not None:
            raise failure  # outside the handler: the original quotes the value
        return await self._client.request(made.method, made.target, content=made.body, headers=made.headers)

    def _receipt_url(self, delivery_id: str) -> str:
        """Where the gateway may report of this delivery; empty: the table or the settings do not say that it may."""
        if self.reader is None:
            return ""
        url, most = self.context.receipt_url(delivery_id) or "", self.reader.table.longest_address
        return url if most is None or len(url) <= most else ""


class _Reporting(HttpProvider):
    """One whose gateway reports what becomes of a message."""

    @hookimpl
    async def parse_receipt(self, request: ReceiptRequest) -> ReceiptAnswer:
        """Prove and read what the gateway reports."""
        assert self.reader is not None  # noqa: S101 - the factory has seen to it
        return self.reader.read(request, self.context.clock())


class _Accountable(HttpProvider):
    """One whose gateway can be asked about the account."""

    @hookimpl
    async def check_account(self) -> AccountState:
        """Ask for what only the owner of the account may read."""
        assert self.table.account is not None  # noqa: S101 - the factory has seen to it
        how: Account = self.table.account
        answer = await self._asked(Composer.of(how, self.table.auth), self.settings.values)
        said = parsed(readings(answer.body, answer.content_type))
        if is_proven(how.accepted, answer.status, said):
            return AccountState(summary="the gateway knows the account and its credentials")
        if answer.status == 429 or answer.status >= _SERVER_ERROR:  # noqa: PLR2004 - too many requests (RFC 6585)
            raise ProviderError(ErrorKind.UNAVAILABLE, "the gateway did not answer", answer.retry_after)
        raise ProviderError(
            ErrorKind.MISCONFIGURED,
            "the gateway does not know the account: "
            f"check base_url and the credentials of providers.{self.context.instance}",
        )


class _Told(HttpProvider):
    """One whose gateway wants to know what became of a code."""

    @hookimpl
    async def report_outcome(self, request: OutcomeRequest) -> None:
        """Tell it, where the table says how; of a message whose reference is not known, nothing can be said."""
        how = self.table.outcomes.get("approved" if request.approved else "unused")
        if how is None or not request.reference:
            return
        values = {
            **self.settings.values,
            "reference": request.reference,
            "delivery_id": request.delivery_id,
            "e164": request.recipient.e164,
            "digits": request.recipient.digits,
        }
        answer = await self._asked(Composer.of(how, self.table.auth), values)
        heard = attrs.evolve(self.table.answer, accepted=how.accepted, reference="", price=None, duplicates=how.gone)
        Judge.of(heard, f"providers.{self.context.instance}.base_url").receipt(answer)


@functools.cache
def _made_of(*abilities: type[HttpProvider]) -> type[HttpProvider]:
    return type("HttpProvider", abilities, {}) if abilities else HttpProvider


def _class_of(table: Table) -> type[HttpProvider]:
    """One with a hook for each thing that the gateway can do."""
    can = ((_Reporting, table.receipts), (_Accountable, table.account), (_Told, table.outcomes))
    return _made_of(*(ability for ability, there in can if there))
