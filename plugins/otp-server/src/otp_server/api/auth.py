"""Who asks: the key of a request, and what its app may."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import attrs
from starlette.requests import Request

from otp_server.keys import ApiKey, Kind, Scope
from otp_server.problems import ProblemError
from otp_server.server import Server
from otp_server.settings import AppSettings
from otpcore import AsyncOTPService, InvalidPhoneNumber, PhoneNumber, parse_phone

__all__ = ["Caller", "caller_of", "is_known", "look_up_phone"]

_BEARER = "bearer "


@attrs.frozen(kw_only=True)
class Caller:
    """Who asks.

    Args:
        key: That the request brought.
        allowed: What its app may.
        service: That serves it.
    """

    key: ApiKey
    allowed: AppSettings
    service: AsyncOTPService

    @property
    def app(self) -> str:
        """The app's name; empty: the one without a name."""
        return self.key.app

    def check(self, *, purpose: str, channels: Mapping[str, str], to: str | None) -> None:
        """That the app may use this purpose and these channels, that there are such, and that it may send to this number.

        Args:
            purpose: What the code is for.
            channels: Over which it may go, each by the pointer to where the request names it.
            to: The number as it was given; None: nothing is sent to it.

        Raises:
            ProblemError: It may not.
            InvalidPhoneNumber: It is not one number.
        """
        may = self.allowed.channels
        faults = [] if self.allowed.takes(purpose) else ["/purpose"]
        faults += [pointer for pointer, one in channels.items() if may and one not in may]
        if faults:
            raise ProblemError("not_this_app", errors=_at("not_this_app", faults), channels=self.channels)
        if to is not None and not self.reaches(to):
            raise ProblemError("not_this_country")
        offered = self.service.channels
        unknown = [pointer for pointer, one in channels.items() if one not in offered]
        if offered and unknown and not (to is not None and self._is_test_number(to)):
            raise ProblemError("no_such_channel", errors=_at("no_such_channel", unknown), channels=self.channels)

    def reaches(self, to: str) -> bool:
        """Whether the app may send to the country of a number, as it was given.

        Raises:
            InvalidPhoneNumber: It is not one number.
        """
        return not self.allowed.countries or self.allowed.reaches(self._number(to))

    @property
    def channels(self) -> tuple[str, ...]:
        """Over which the app may send, as the rules stand."""
        may = self.allowed.channels
        return tuple(str(one) for one in self.service.channels if not may or one in may)

    def may(self, scope: Scope) -> bool:
        """Whether the key was made for this."""
        return scope in self.key.scopes

    def _is_test_number(self, to: str) -> bool:
        """What stands in for a provider at a test number takes every channel."""
        sms = self.service.settings.sms
        return bool(sms.test_numbers_on and sms.test_number(self._number(to).e164, datetime.now(UTC).date()))

    def _number(self, to: str) -> PhoneNumber:
        return parse_phone(to, default_region=self.service.settings.otp.default_region, require_valid=False)


def _at(reason: str, pointers: list[str]) -> list[dict[str, str]]:
    return [{"pointer": one, "reason": reason} for one in pointers]


async def caller_of(server: Server, request: Request, scope: Scope) -> Caller:
    """Who asks, if the key may do this.

    Raises:
        ProblemError: There is no key, it is not taken, or it was made for something else.
    """
    key = await _key_of(server, request)
    allowed = None if key is None else server.settings.app(key.app)
    if key is None or allowed is None:
        raise ProblemError("unauthorized")
    if scope not in key.scopes:
        raise ProblemError("forbidden")
    service = server.service_of(Kind(key.kind))
    return Caller(key=key, allowed=allowed, service=service)


async def is_known(server: Server, request: Request) -> bool:
    """Whether a request has a key that is taken, whatever it may do."""
    key = await _key_of(server, request)
    return key is not None and server.settings.app(key.app) is not None


async def _key_of(server: Server, request: Request) -> ApiKey | None:
    header = request.headers.get("authorization", "")
    token = header[len(_BEARER) :].strip() if header[: len(_BEARER)].lower() == _BEARER else ""
    address = request.client.host if request.client is not None else ""
    return await server.keys.find(token, address)


async def look_up_phone(service: AsyncOTPService, phone: str) -> str:
    """The look-up under which a service keeps a phone; empty: this is not one number."""
    try:
        return await service.operator.look_up(phone)
    except InvalidPhoneNumber:
        return ""
