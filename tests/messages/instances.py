"""Instances that carry what they say, simulated vendors, and services that are routed to them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import attrs
from otp_sinch.simulator import SinchSimulator
from otp_twilio import Mode
from otp_twilio.simulator import TwilioSimulator

from otpcore import (
    AsyncOTPService,
    Carries,
    Channel,
    CheckRequest,
    CheckResult,
    CodeOwner,
    DeliveryReceipt,
    DeliveryRequest,
    ErrorKind,
    ProviderError,
    ProviderInfo,
    Receipt,
    ReceiptRequest,
    ReceiptStatus,
    hookimpl,
)
from otpcore.clock import utc_now
from otpcore.runners.worker import WorkerRunner
from otpcore.stores.memory.store import MemoryStore
from otpcore.testing import FakeClock, Outbox

PHONE = "+359871234567"
PAYMENT = "Pay 100 EUR to Bob: {code}"
TWILIO_WITH_CALLS = "+15005550006"


@attrs.define(eq=False)
class Instance:
    """A provider that carries what it says, and is down as long as it is told to be."""

    owner: CodeOwner = CodeOwner.CORE
    carries: Mapping[Channel, Carries] = attrs.field(factory=dict)
    is_down: bool = False
    asked: list[DeliveryRequest] = attrs.field(factory=list)

    @hookimpl
    def describe(self) -> ProviderInfo:
        scope = f"scope:{id(self)}" if self.owner is CodeOwner.PROVIDER else ""
        return ProviderInfo(display_name="Instance", code_owner=self.owner, code_scope=scope, carries=self.carries)

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        return self._take(request)

    @hookimpl
    async def call(self, request: DeliveryRequest) -> DeliveryReceipt:
        return self._take(request)

    @hookimpl
    def parse_receipt(self, request: ReceiptRequest) -> Receipt:
        return Receipt(status=ReceiptStatus.UNDELIVERED, delivery_id=request.body.decode())

    def _take(self, request: DeliveryRequest) -> DeliveryReceipt:
        self.asked.append(request)
        if self.is_down:
            raise ProviderError(ErrorKind.UNAVAILABLE, "down")
        return DeliveryReceipt(reference=request.delivery_id)


class VendorInstance(Instance):
    """One whose vendor owns the code."""

    @hookimpl
    async def check_code(self, request: CheckRequest) -> CheckResult:
        return CheckResult.INCORRECT


def vendor(carries: Mapping[Channel, Carries] | None = None) -> VendorInstance:
    """One that carries what is said; nothing of the host's, if nothing is."""
    return VendorInstance(CodeOwner.PROVIDER, carries or {})


def service(instances: Mapping[str, object], **given: Any) -> AsyncOTPService:
    """Routed to these instances in their order; ``settings`` are merged over those of an outbox."""
    outbox = Outbox()
    extra = given.pop("settings", {})
    return AsyncOTPService({**outbox.settings, **extra}, providers=instances, clock=outbox.clock, **given)


class Vendors:
    """Running simulators of Twilio and Sinch, and a service that is routed to them by rules."""

    def __init__(self, stack: ExitStack) -> None:
        self.twilio = stack.enter_context(TwilioSimulator())
        self.sinch = stack.enter_context(SinchSimulator())
        self.clock = FakeClock()

    def service(self, rules: str, *, store: MemoryStore | None = None, **otp: Any) -> AsyncOTPService:
        """With a store, retries are on and nobody runs them."""
        sender = {"plugin": "twilio", "from_number": TWILIO_WITH_CALLS}
        return AsyncOTPService(
            {
                **Outbox().settings,
                "otp_sms_provider": rules,
                "otp": otp,
                "sms": {"retry": store is not None},
                "routing": {"reload_every": 0.1},
                "providers": {
                    "verify": {"plugin": "twilio", **self.twilio.provider_settings(Mode.VERIFY)},
                    "texts": {**self.twilio.provider_settings(Mode.MESSAGING), **sender},
                    "sinch": self.sinch.provider_settings(),
                    "basic": {"plugin": "sinch", **self.sinch.provider_settings(), "auth": "basic"},
                },
            },
            store=store,
            runner=None if store is None else WorkerRunner(),
            clock=utc_now if store is None else self.clock,
        )

    @property
    def nobody_was_asked(self) -> bool:
        return not self.twilio.requests and not self.sinch.requests
