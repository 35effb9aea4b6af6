"""Who asks: the key of a request, and what its app may."""

from __future__ import annotations

import attrs
from starlette.requests import Request

from otp_server.keys import ApiKey, Kind, Scope
from otp_server.problems import ProblemError
from otp_server.server import Server
from otp_server.settings import AppSettings
from otpcore import AsyncOTPService, InvalidPhoneNumber, parse_phone

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

    def check(self, *, purpose: str, channels: tuple[str, ...], to: str | None) -> None:
        """That the app may use this purpose and these channels, and may send to this number.

        Args:
            purpose: What the code is for.
            channels: Over which it may go.
            to: The number as it was given; None: nothing is sent to it.

        Raises:
            ProblemError: It may not.
            InvalidPhoneNumber: It is not one number.
        """
        if not self.allowed.allows(purpose=purpose, channels=channels):
            raise ProblemError("not_this_app")
        if to is not None and not self.reaches(to):
            raise ProblemError("not_this_country")

    def reaches(self, to: str) -> bool:
        """Whether the app may send to the country of a number, as it was given.

        Raises:
            InvalidPhoneNumber: It is not one number.
        """
        region = self.service.settings.otp.default_region
        return not self.allowed.countries or self.allowed.reaches(
            parse_phone(to, default_region=region, require_valid=False)
        )

    def may(self, scope: Scope) -> bool:
        """Whether the key was made for this."""
        return scope in self.key.scopes


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
