"""The simulator as a whole: which part of Twilio answers which path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from otp_twilio.simulator.account import SimulatedAccount
from otp_twilio.simulator.answers import error, told
from otp_twilio.simulator.messaging import SimulatedCalls, SimulatedMessages, SimulatedResource
from otp_twilio.simulator.verify import SimulatedVerify
from otpcore.simulators import SimulatedAnswer, SimulatedRequest

__all__ = ["TwilioSimulator"]

_VERIFY = re.compile(r"/v2/Services/(\w+)/(\w+)(?:/([\w+%]+))?")
_API = re.compile(r"/2010-04-01/Accounts/(\w+)/(\w+)(?:/(\w+))?\.json")
_FEEDBACK = re.compile(r"/2010-04-01/Accounts/(\w+)/Messages/(\w+)/Feedback\.json")


class TwilioSimulator(SimulatedAccount):
    """A Twilio with one account; ``SimulatedAccount`` describes its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = told()
        self._verify = SimulatedVerify(self)
        self._messages = SimulatedMessages(self)
        self._resources: dict[str, SimulatedResource] = {
            "Messages": self._messages,
            "Calls": SimulatedCalls(self),
        }

    @property
    def feedback(self) -> Mapping[str, str]:
        """What was told of messages, by SID: ``confirmed`` or ``unconfirmed``."""
        return self._messages.feedback

    def handle(self, request: SimulatedRequest) -> SimulatedAnswer:
        """Check the credentials, then answer as the API of the path."""
        if not self.may_enter(request):
            return error(401, 20003, "Authenticate")
        form = {name: values[-1] for name, values in request.form().items()}
        if request.method == "GET" and request.path == f"/v2/Services/{self.service_sid}":
            return SimulatedAnswer.json(200, {"sid": self.service_sid, "account_sid": self.account_sid})
        if (found := _VERIFY.fullmatch(request.path)) and found[1] == self.service_sid:
            return self._verify.answer(request.method, found[2], unquote(found[3] or ""), form)
        if (found := _FEEDBACK.fullmatch(request.path)) and found[1] == self.account_sid and request.method == "POST":
            return self._messages.confirm(found[2], form)
        if (found := _API.fullmatch(request.path)) and found[1] == self.account_sid and found[2] in self._resources:
            return self._resources[found[2]].answer(request.method, found[3], request.query, form)
        return error(404, 20404, f"The requested resource {request.path} was not found")
