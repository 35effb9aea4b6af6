"""The simulated account: what belongs to it, and who may log in."""

from __future__ import annotations

import base64
import secrets
from datetime import timedelta
from typing import Any

from otp_twilio.settings import Mode
from otp_twilio.simulator.answers import new_sid
from otpcore.simulators import SimulatedRequest, Simulator

__all__ = ["SimulatedAccount"]


class SimulatedAccount(Simulator):
    """One Twilio account with one Verify service, one number and one messaging service.

    Attributes:
        account_sid: ``AC…``.
        auth_token: Goes with it.
        api_key: ``SK…``; another way to log in.
        api_key_secret: Goes with it.
        service_sid: ``VA…``, the Verify service.
        from_number: A number of the account.
        messaging_service_sid: ``MG…``, a messaging service of the account.
        code_digits: Length of Verify's codes.
        custom_codes: The Verify service takes ``CustomCode``.
        verification_life: How long Verify keeps a verification, from its first send.
        psd2: The Verify service is for payments: each start and each check needs ``Payee`` and ``Amount``.
        message_price: What an SMS costs (``price_unit``: USD); shown once it is on its way, as what is charged: below zero.
        rate_limits: The rate limits of the Verify service: by unique name, how many starts with one value in how long.
    """

    def __init__(self) -> None:
        super().__init__()
        self.account_sid = new_sid("AC")
        self.auth_token = secrets.token_hex(16)
        self.api_key = new_sid("SK")
        self.api_key_secret = secrets.token_urlsafe(24)
        self.service_sid = new_sid("VA")
        self.from_number = "+15005550006"
        self.messaging_service_sid = new_sid("MG")
        self.code_digits = 6
        self.custom_codes = False
        self.verification_life = timedelta(minutes=10)
        self.psd2 = False
        self.message_price = "-0.00750"
        self.rate_limits: dict[str, tuple[int, timedelta]] = {}

    def provider_settings(self, mode: Mode = Mode.VERIFY) -> dict[str, Any]:
        """Settings of an instance that talks to this simulator, in either mode."""
        common = {
            "mode": mode.value,
            "account_sid": self.account_sid,
            "auth_token": self.auth_token,
            "verify_base_url": self.base_url,
            "api_base_url": self.base_url,
        }
        own = {"service_sid": self.service_sid} if mode is Mode.VERIFY else {"from_number": self.from_number}
        return common | own

    def may_enter(self, request: SimulatedRequest) -> bool:
        """Whether its credentials are those of the account."""
        pairs = ((self.account_sid, self.auth_token), (self.api_key, self.api_key_secret))
        given = request.headers.get("authorization", "")
        return any(given == "Basic " + base64.b64encode(":".join(pair).encode()).decode() for pair in pairs)
