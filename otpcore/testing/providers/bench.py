"""The bench at which contract tests of providers work: instances, requests, and a look at what must not be shown."""

from __future__ import annotations

import enum
import itertools
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import pytest

from otpcore.codes import KeyRing
from otpcore.errors import ProviderError
from otpcore.models import Channel, CodeOwner, EarlierTry
from otpcore.phone.numbers import PhoneNumber
from otpcore.providers.addresses import ReceiptAddresses
from otpcore.providers.guard import WORDS_LEFT_OUT
from otpcore.providers.hooks import ProviderContext
from otpcore.providers.provider import Provider, load_provider
from otpcore.providers.requests import CancelRequest, CheckRequest, DeliveryRequest, OutcomeRequest
from otpcore.settings.keys import generate_keys
from otpcore.simulators.exchange import Fault
from otpcore.simulators.simulator import Simulator

if TYPE_CHECKING:
    from otpcore.testing.providers.base import ContractBase

__all__ = [
    "CODE",
    "IN_DOUBT",
    "PATIENCE",
    "QUOTED",
    "SILENT_FAULTS",
    "STATUSES",
    "WRONG_URL",
    "Bench",
    "Silence",
    "name_of",
    "why_in_doubt",
]

CODE = "7301946528"
PATIENCE = 5.0
"""Seconds that a test waits for what takes milliseconds."""

SILENT_FAULTS = (Fault.HANG, Fault.HANG_AFTER_WORK, Fault.SLOW_BODY)
"""Only the provider's own timeout ends these."""

IN_DOUBT = (
    Fault.CLOSE_AFTER_READ,
    Fault.RESET_AFTER_READ,
    Fault.RESET_AFTER_WORK,
    Fault.GARBAGE_STATUS_LINE,
    Fault.GARBAGE_BODY,
    Fault.HUGE_BODY,
)
"""The vendor had read the request, and said nothing that can be relied on."""

STATUSES = (Fault.HTTP_401, Fault.HTTP_429, Fault.HTTP_500, Fault.HTTP_503, Fault.REDIRECT)
"""The vendor answered with nothing but a status."""

WRONG_URL = (Fault.HTTP_404, Fault.HTTP_405)
"""What a server answers where the settings lead to another page than the vendor's, or to another server."""

_INSTANCE = "contract"
_CLIENT = "203.0.113.77"  # of a network for examples (RFC 5737)
_METADATA = {"order": "order-of-nobody-4711", "tier": "tier-of-nobody-42"}
_LIFE = timedelta(minutes=5)
_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


QUOTED = (
    "an error shows the full number, the code, the client or metadata, or would without the core: its summary is a fixed "
    "text of yours"
)
_TAKEN = (
    "the vendor did not do it, and the hook answered {answer}: only an answer that the vendor's page lists as "
    "acceptance is one; raise ProviderError for every other"
)
_STOOD_STILL = (
    "the event loop stood still for {seconds:.1f} s while the vendor did not answer: your hook blocks it. Use `def` (a "
    "plain hook runs in a thread of its own) or `otpcore.http`"
)
_MOST_OF_IT = 0.75  # of the short timeout, in which a busy machine may be busy with something else


@attrs.frozen(kw_only=True)
class Silence:
    """How a hook may bear a vendor that does not answer.

    Args:
        outer: Seconds within which it has to raise by itself.
        is_blocking: It is a plain ``def``, with the timeouts that blocking SDKs have.
        faults: What the vendor does, one for each call.
    """

    outer: float
    is_blocking: bool
    faults: tuple[Fault, ...] = SILENT_FAULTS


@asynccontextmanager
async def standing_still() -> AsyncIterator[list[float]]:
    """For how long the event loop did nothing else, each time: seconds."""
    gaps = [0.0]

    async def tick() -> None:
        last = anyio.current_time()
        while True:
            await anyio.sleep(0.01)
            now = anyio.current_time()
            gaps.append(now - last)
            last = now

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        await anyio.sleep(0.02)
        yield gaps
        await anyio.sleep(0.02)
        group.cancel_scope.cancel()


def name_of(fault: Fault) -> str:
    """For the ids of tests."""
    return fault.value


def why_in_doubt(failure: ProviderError) -> str:
    """What to change where an answer that was lost is not ``ambiguous``."""
    return f"the vendor may have done the work: raise `ambiguous`, and not {failure}"


def _addresses() -> ReceiptAddresses:
    keys = generate_keys(datetime.now(UTC))
    ring = KeyRing(index=keys.index, code=keys.code, current=keys.current)
    return ReceiptAddresses(proofs=ring.receipt_proofs, base="https://example.com/r")


@attrs.define(eq=False, repr=False, kw_only=True)
class Bench:
    """A running simulator, and instances and requests that fit it.

    Args:
        suite: The author's class.
        simulator: The vendor.
        plugin: As ``load_provider`` takes it.
        settings: Of an instance that talks to the simulator.
        addresses: For receipts of a vendor that signs nothing.
    """

    suite: ContractBase
    simulator: Simulator
    plugin: str
    settings: dict[str, Any]
    numbers: set[str] = attrs.field(factory=set)
    addresses: ReceiptAddresses = attrs.field(factory=_addresses)
    _ids: itertools.count[int] = attrs.field(factory=lambda: itertools.count(1))
    _began_at: dict[str, datetime] = attrs.field(factory=dict)

    def context(
        self, *, timeout: float = PATIENCE, without: str = "", addressed: bool = True, **changed: Any
    ) -> ProviderContext:
        """What the factory gets, with some settings changed or one left out; ``addressed``: ``otp.receipts_url`` is set."""
        settings = {key: value for key, value in {**self.settings, **changed}.items() if key != without}
        return ProviderContext(
            instance=_INSTANCE,
            settings=settings,
            clock=self._now,
            timeout=timeout,
            max_connections=8,
            addresses=self.addresses if addressed else attrs.evolve(self.addresses, base=None),
        )

    def provider(self, **context: Any) -> Provider:
        """An instance, loaded and checked as a service does it; the arguments are those of ``context``."""
        made = self.context(**context)
        return load_provider(made.instance, self.plugin, made)

    @asynccontextmanager
    async def open(self, **context: Any) -> AsyncIterator[Provider]:
        """A started instance; the arguments are those of ``context``."""
        provider = self.provider(**context)
        async with AsyncExitStack() as stack:
            await provider.start(stack)
            yield provider

    def delivery(
        self, channel: Channel, *, number: str | None = None, repeat_of: DeliveryRequest | None = None
    ) -> DeliveryRequest:
        """A request as the core makes it; ``repeat_of`` is the earlier try of the same send."""
        number = number or self.suite.recipient
        self.numbers.add(number)
        serial, now = next(self._ids), self.simulator.clock()
        self._began_at[f"delivery-{serial}"] = now
        ours = self.suite.code_owner is CodeOwner.CORE
        worded = {Channel.SMS: self.suite.sms_text, Channel.CALL: self.suite.call_text}
        template = worded.get(channel, self.suite.message_text)
        return DeliveryRequest(
            delivery_id=f"delivery-{serial}",
            challenge_id=repeat_of.challenge_id if repeat_of else f"challenge-{serial}",
            recipient=PhoneNumber(number),
            channel=channel,
            code=CODE if ours else None,
            text=template.format(code=CODE, digits=", ".join(CODE)) if ours else None,
            client=_CLIENT,
            metadata=dict(_METADATA),
            deadline=now + _LIFE,
            idempotency_key=repeat_of.idempotency_key if repeat_of else f"send-{serial}.{_INSTANCE}",
            repeat=repeat_of.delivery_id if repeat_of else "",
            earlier=self._earlier(repeat_of, now) if repeat_of else (),
        )

    def _earlier(self, delivery: DeliveryRequest, now: datetime) -> tuple[EarlierTry, ...]:
        return (EarlierTry(delivery_id=delivery.delivery_id, age=now - self._began_at[delivery.delivery_id]),)

    def proof_of(self, delivery: DeliveryRequest) -> str:
        """The secret part of the address at which this delivery is reported."""
        return self.addresses.proofs.make(_INSTANCE, delivery.delivery_id)

    def foreign_proof(self, delivery_id: str) -> str:
        """The same for a delivery of this id at another instance."""
        return self.addresses.proofs.make(f"{_INSTANCE}2", delivery_id)

    def was_told(self, text: str) -> bool:
        """Whether the vendor has heard it: a word that is written as it is in forms, JSON, XML and queries."""
        return any(text.encode() in one.body or text in one.query for one in self.simulator.requests)

    def check(self, delivery: DeliveryRequest, reference: str, code: str) -> CheckRequest:
        """The question whether a code is right."""
        return CheckRequest(
            challenge_id=delivery.challenge_id,
            delivery_id=delivery.delivery_id,
            recipient=delivery.recipient,
            channel=delivery.channel,
            code=code,
            reference=reference,
            metadata=dict(delivery.metadata),
        )

    def cancel(self, delivery: DeliveryRequest, reference: str) -> CancelRequest:
        """The wish that a delivery's verification ends."""
        return CancelRequest(
            challenge_id=delivery.challenge_id,
            delivery_id=delivery.delivery_id,
            recipient=delivery.recipient,
            channel=delivery.channel,
            reference=reference,
        )

    def outcome(self, delivery: DeliveryRequest, reference: str, *, approved: bool) -> OutcomeRequest:
        """How the challenge of a delivery ended."""
        return OutcomeRequest(
            challenge_id=delivery.challenge_id,
            delivery_id=delivery.delivery_id,
            recipient=delivery.recipient,
            channel=delivery.channel,
            reference=reference,
            approved=approved,
        )

    async def failure(self, call: Awaitable[object]) -> ProviderError:
        """The error of a call that must fail, seen to hold nothing readable."""
        failure: ProviderError | None = None
        answer: object = None
        try:
            answer = await call
        except ProviderError as error:
            failure = error
        if failure is None:
            pytest.fail(_TAKEN.format(answer=repr(answer) if isinstance(answer, enum.Enum) else type(answer).__name__))
        self.assert_unreadable(failure)
        assert failure.summary != WORDS_LEFT_OUT, QUOTED
        assert failure.provider == _INSTANCE
        return failure

    def silence(self, provider: Provider, hook: str) -> Silence:
        """How this hook may bear a vendor that does not answer."""
        asynchronous = hook in provider._hooks.asynchronous  # noqa: SLF001 - no caller but the suite has to know
        if asynchronous:
            return Silence(outer=2 * self.suite.short_timeout, is_blocking=False)
        bounded = tuple(
            fault for fault in SILENT_FAULTS if fault is not Fault.SLOW_BODY
        )  # which no timeout of an SDK ends
        return Silence(outer=self.suite.short_timeout + self.suite.overtime, is_blocking=True, faults=bounded)

    async def unanswered(self, silence: Silence, call: Callable[[], Awaitable[object]]) -> list[ProviderError]:
        """The errors of calls that run at once, while the vendor takes each and answers none in time."""
        failures: list[ProviderError] = []
        problems: list[BaseException] = []

        async def fail() -> None:
            try:
                failures.append(await self.failure(call()))
            except (AssertionError, pytest.fail.Exception) as problem:  # told by itself, and not in a group
                problems.append(problem)

        for fault in silence.faults:
            self.simulator.fail(fault)
        began = anyio.current_time()
        async with standing_still() as stood:
            async with anyio.create_task_group() as group:
                for _ in silence.faults:
                    group.start_soon(fail)
            took = anyio.current_time() - began
        assert max(stood) < self.suite.short_timeout * _MOST_OF_IT, _STOOD_STILL.format(seconds=max(stood))
        if problems:
            raise problems[0]
        assert took < silence.outer, "the provider's own timeout must fit into context.timeout" + (
            "; `overtime` says how much longer a plain `def` hook may take" if silence.is_blocking else ""
        )
        return failures

    def assert_unreadable(self, error: BaseException) -> None:
        """Neither the error nor what is chained to it shows a number, a code or a secret."""
        chain = [error]
        for each in chain:
            chain.extend(linked for linked in (each.__cause__, each.__context__) if linked and linked not in chain)
        shown = "\n".join(f"{each} {each!r} {each.args!r} {getattr(each, '__notes__', '')}" for each in chain)
        self.assert_safe(shown, "an error")

    def assert_records_unreadable(self, records: Sequence[logging.LogRecord]) -> None:
        """No log record shows a number, a code or a secret, whatever its level."""
        formatter = logging.Formatter()
        for record in records:
            extras = {name: value for name, value in vars(record).items() if name not in _RECORD_FIELDS}
            self.assert_safe(
                f"{formatter.format(record)} {record.args!r} {extras!r}", f"a record of the logger {record.name}"
            )

    def assert_safe(self, text: str, where: str) -> None:
        """The text shows nothing that only the person or the operator may read."""
        for what, value in self._readable():
            if value.isdigit() and len(value) <= len(CODE):  # short: only where it stands alone
                shown = re.search(rf"(?<![0-9A-Za-z]){value}(?![0-9A-Za-z])", text) is not None
            else:
                shown = value in text
            assert not shown, f"{where} shows {what}: {text}"

    def masked(self, text: str) -> str:
        """The text with nothing of that in it."""
        for _, value in self._readable():
            text = text.replace(value, "…") if value else text
        return text

    def _now(self) -> datetime:
        return self.simulator.clock()  # a test may have replaced it since

    def _readable(self) -> list[tuple[str, str]]:
        codes = {CODE, *(message.code for message in self.simulator.inbox if message.code)}
        codes.discard(f"{datetime.now(UTC):%Y}")  # a vendor's four digits by chance; the dates in log records show it
        authorizations = {request.headers.get("authorization", "") for request in self.simulator.requests}
        proofs = [self.addresses.proofs.make(_INSTANCE, delivery_id) for delivery_id in self._began_at]
        return [
            *(("the proof in an address for receipts", proof) for proof in proofs),
            *(("the full number", number.removeprefix("+")) for number in self.numbers),
            *(("a code", code) for code in codes),
            ("the client", _CLIENT),
            *((f"the metadata {name}", text) for name, text in _METADATA.items()),
            *((f"the setting {key}", str(self.settings[key])) for key in self.suite.secret_settings or ()),
            *(("the credentials", value.partition(" ")[2] or value) for value in authorizations if value),
        ]
