"""What a host says of a send: who asks and metadata reach the plugins, every time, and nobody else."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from otpcore import (
    CheckRequest,
    CheckResult,
    CodeOwner,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    InvalidArgument,
    ProviderError,
    ProviderInfo,
    RateLimited,
    Receipt,
    ReceiptRequest,
    ReceiptStatus,
    hookimpl,
)
from otpcore.stores import MemoryStore
from otpcore.testing import EventRecorder, Outbox

PHONE = "+359871234567"
CLIENT = "[2001:db8::7]:50123"
METADATA = {"payee": "Crème & Co", "amount": "9.90 EUR"}
RETRIES = {"sms": {"retry": True}, "call": {"retry": True}}
OWN_RUNNER = {**RETRIES, "retry": {"runner": "worker"}, "storage": {"store": "sql"}}


@attrs.define(eq=False)
class Listener:
    """A provider that keeps what it is asked, and fails as often as it is told."""

    failures: int = 0
    requests: list[DeliveryRequest] = attrs.field(factory=list)

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Listener")

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        return self._take(request)

    @hookimpl
    async def call(self, request: DeliveryRequest) -> DeliveryReceipt:
        return self._take(request)

    def _take(self, request: DeliveryRequest) -> DeliveryReceipt:
        self.requests.append(request)
        if self.failures:
            self.failures -= 1
            raise ProviderError(ErrorKind.THROTTLED, "later")
        return DeliveryReceipt(reference=f"R{len(self.requests)}")

    @property
    def heard(self) -> list[tuple[str | None, Mapping[str, str]]]:
        return [(request.client, request.metadata) for request in self.requests]


@attrs.define(eq=False)
class Vendor(Listener):
    """One that owns its codes, and finds every one wrong."""

    checks: list[CheckRequest] = attrs.field(factory=list)

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Vendor", code_owner=CodeOwner.PROVIDER, code_scope="vendor")

    @hookimpl
    async def check_code(self, request: CheckRequest) -> CheckResult:
        self.checks.append(request)
        return CheckResult.INCORRECT


SAID: list[tuple[str | None, Mapping[str, str]]] = [(CLIENT, METADATA)]


@pytest.mark.parametrize("channel", ["send_sms", "call"])
async def test_every_instance_of_a_failover_and_every_retry_hears_it(otp_outbox: Outbox, channel: str) -> None:
    first, second = Listener(failures=2), Listener(failures=1)
    async with otp_outbox.service(RETRIES, providers={"first": first, "second": second}) as otp:
        await getattr(otp, channel)(PHONE, client=CLIENT, metadata=METADATA)
    assert (first.heard, second.heard) == (SAID * 2, SAID * 2)
    assert {request.client_address for request in first.requests} == {"2001:db8::7"}


async def test_a_retry_in_another_process_hears_what_was_said_of_the_latest_send(otp_outbox: Outbox) -> None:
    store, host, worker = MemoryStore(), Listener(failures=2), Listener()
    async with (
        otp_outbox.service(OWN_RUNNER, providers={"one": host}, store=store) as otp,
        otp_outbox.service(OWN_RUNNER, providers={"one": worker}, store=store) as other,
    ):
        await otp.send_sms(PHONE, client="203.0.113.7", metadata={"payee": "Somebody else"})
        otp_outbox.clock.advance(31)
        await otp.send_sms(PHONE, client=CLIENT, metadata=METADATA)
        otp_outbox.clock.advance(1)
        await _run_what_is_due(other)
        assert worker.heard == SAID
        host.failures = 1
        otp_outbox.clock.advance(31)
        await otp.send_sms(PHONE)
        otp_outbox.clock.advance(1)
        await _run_what_is_due(other)
    assert worker.heard == [*SAID, (None, {})]


async def _run_what_is_due(otp: Any) -> None:
    for claim in await otp._retries.claim(10):
        await otp._retries.run(claim)


async def test_the_next_instance_after_a_receipt_hears_it(otp_outbox: Outbox) -> None:
    class Reporting(Listener):
        @hookimpl
        def parse_receipt(self, request: ReceiptRequest) -> Receipt:
            return Receipt(status=ReceiptStatus.UNDELIVERED, reference="R1")

    first, second = Reporting(), Listener()
    async with otp_outbox.service(providers={"first": first, "second": second}) as otp:
        await otp.send_sms(PHONE, client=CLIENT, metadata=METADATA)
        await otp.handle_receipt("first", ReceiptRequest(url="https://example.com/receipts"))
    assert (first.heard, second.heard) == (SAID, SAID)


async def test_a_vendor_that_checks_its_code_hears_the_metadata_of_the_latest_send(otp_outbox: Outbox) -> None:
    vendor = Vendor()
    async with otp_outbox.service(providers={"vendor": vendor}) as otp:
        await otp.send_sms(PHONE, metadata={"payee": "Somebody else"})
        otp_outbox.clock.advance(31)
        await otp.send_sms(PHONE, metadata=METADATA)
        assert not await otp.verify(PHONE, "123456")
    assert [check.metadata for check in vendor.checks] == [METADATA]


async def test_where_the_key_is_missing_the_vendor_is_asked_without_metadata(otp_outbox: Outbox) -> None:
    vendor, store = Vendor(), MemoryStore()
    keys = otp_outbox.settings["keys"]
    other = {"keys": {**keys, "code": {"other": keys["index"]}, "current": "other"}}
    async with (
        otp_outbox.service(providers={"vendor": vendor}, store=store) as otp,
        otp_outbox.service(other, providers={"vendor": vendor}, store=store) as behind,
    ):
        await otp.send_sms(PHONE, metadata=METADATA)
        assert not await behind.verify(PHONE, "123456")
    assert [check.metadata for check in vendor.checks] == [{}]


async def test_the_client_is_told_as_it_was_given_and_counted_as_ever(otp_outbox: Outbox) -> None:
    listener = Listener()
    settings = {"limits": {"client": ["1/1h"]}}
    async with otp_outbox.service(settings, providers={"one": listener}) as otp:
        await otp.send_sms(PHONE, client="10.0.0.1, 203.0.113.7:443")
        with pytest.raises(RateLimited, match="client"):
            await otp.send_sms("+359881234567", client="203.0.113.7")
        await otp.send_sms("+359881234567", client="x" * 5000 + ", 198.51.100.9")
        await otp.send_sms("+359881234568", client="unix:")
    assert [request.client_address for request in listener.requests] == ["203.0.113.7", "198.51.100.9", ""]
    clients = [request.client for request in listener.requests]
    assert (clients[0], clients[2]) == ("10.0.0.1, 203.0.113.7:443", None)
    assert len(clients[1] or "") == 1000


def test_the_blocking_service_passes_it_on_too(otp_outbox: Outbox) -> None:
    listener = Listener()
    with otp_outbox.blocking_service(providers={"one": listener}) as otp:
        otp.send_sms(PHONE, client=CLIENT, metadata=METADATA)
        otp.call(PHONE, client=CLIENT, metadata=METADATA)
    assert listener.heard == SAID * 2


async def test_what_a_plugin_does_to_its_metadata_changes_nobody_elses(otp_outbox: Outbox) -> None:
    class Greedy(Listener):
        def _take(self, request: DeliveryRequest) -> DeliveryReceipt:
            super()._take(request)
            request.metadata.clear()  # type: ignore[attr-defined] # which it should not, and may
            raise ProviderError(ErrorKind.THROTTLED, "later")

    said, second = dict(METADATA), Listener()
    async with otp_outbox.service(providers={"greedy": Greedy(), "second": second}) as otp:
        await otp.send_sms(PHONE, client=CLIENT, metadata=said)
    assert (second.heard, said) == (SAID, METADATA)


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ("payee=Hidden", "metadata must be a mapping of names to texts, not str"),
        ({str(number): "Hidden" for number in range(11)}, "metadata: has 11 items; it may have 10 at most"),
        ({"": "Hidden"}, "the name of metadata item 1: has 0 characters; it may have 1 to 40"),
        ({"a": "b", "Hidden" * 7: "b"}, "the name of metadata item 2: has 42 characters; it may have 1 to 40"),
        ({7: "Hidden"}, "the name of metadata item 1 must be text, not int"),
        ({"amount": 4711}, "metadata 'amount' must be text, not int"),
        ({"amount": None}, "metadata 'amount' must be text, not NoneType"),
        ({"amount": "Hidden" * 34}, "metadata 'amount': has 204 characters; it may have 0 to 200"),
        ({"amount": "Hidden\0"}, "metadata 'amount': holds half a character"),
        ({"amount": "Hidden\ud800"}, "metadata 'amount': holds half a character"),
    ],
)
async def test_metadata_that_is_none_or_too_much_is_refused_by_its_name_and_not_quoted(
    otp_outbox: Outbox, metadata: Any, told: str
) -> None:
    async with otp_outbox.service() as otp:
        for send in (otp.send_sms, otp.call):
            with pytest.raises(InvalidArgument) as refused:
                await send(PHONE, metadata=metadata)
            assert str(refused.value).startswith(told)
            assert "Hidden" not in str(refused.value)
            assert "4711" not in str(refused.value)
    assert otp_outbox.messages == []


async def test_as_much_as_is_allowed_arrives(otp_outbox: Outbox) -> None:
    listener, most = Listener(), {f"{number:040}": "ж" * 200 for number in range(10)}
    async with otp_outbox.service(providers={"one": listener}) as otp:
        await otp.send_sms(PHONE, metadata=most)
    assert listener.requests[0].metadata == most


async def test_nobody_else_hears_it(otp_outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    listener, recorder, store = Listener(failures=1), EventRecorder(), MemoryStore()
    async with otp_outbox.service(RETRIES, providers={"one": listener}, observers=[recorder], store=store) as otp:
        challenge = await otp.send_sms(PHONE, client=CLIENT, metadata=METADATA)
        (view,) = await store.view(challenge_id=challenge.id)
        assert view.challenge.extras_sealed is not None
        assert await otp.verify(PHONE, listener.requests[0].code or "")
        (over,) = await store.view(challenge_id=challenge.id)
        assert over.challenge.extras_sealed is None
    kept = f"{attrs.asdict(view)} {attrs.asdict(over)}"
    shown = f"{kept} {recorder.events} {caplog.text} {challenge!r} {listener.requests}"
    for secret in (CLIENT, "2001:db8", *METADATA.values()):
        assert secret not in shown
