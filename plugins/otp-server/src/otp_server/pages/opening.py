"""Open a page: for a verification that was started, or as a decoy that looks the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from starlette.requests import Request

from otp_server.api.auth import Caller, look_up_phone
from otp_server.api.schemas import PageBody, StartBody
from otp_server.bindings import payment_of
from otp_server.pages.records import Page, Pages
from otp_server.places import outside
from otp_server.problems import ProblemError
from otp_server.server import Server
from otpcore import Challenge, InvalidArgument, InvalidPhoneNumber, OTPError

__all__ = ["check_page", "open_decoy", "open_page"]

_DECOY = "decoy "  # before the purpose: a decoy in the sandbox is no resend of what is tried out there
_LONGEST_PURPOSE = 100


def check_page(caller: Caller, asked: PageBody) -> None:
    """That a page may lead where it is to lead.

    Raises:
        ProblemError: The address is not one of the app's.
    """
    if asked.return_url and asked.return_url not in caller.allowed.page.return_urls:
        raise ProblemError("invalid", errors=[{"pointer": "/page/return_url", "reason": "not_registered"}])


async def open_page(server: Server, caller: Caller, request: Request, body: StartBody, challenge: Challenge) -> str:
    """The address of a new page for a challenge that was started."""
    about = await look_up_phone(caller.service, body.to)
    page = _page(server, caller, body, challenge, to=challenge.phone.masked, about=about)
    return await _open(server, request, page)


async def open_decoy(server: Server, caller: Caller, request: Request, body: StartBody) -> tuple[str, datetime]:
    """The address of a page that looks and answers as any other, while nothing is ever sent; and when it expires.

    Behind it is a challenge of the sandbox, so that typing codes does the same work as everywhere.

    Raises:
        InvalidPhoneNumber: It is not one number.
    """
    purpose = f"{_DECOY}{body.purpose}"[:_LONGEST_PURPOSE]
    challenge = None
    try:
        bound = payment_of(None if body.bind is None else body.bind.model_dump())
        challenge = await server.sandbox.send(
            body.to, channel=body.ladder[0], purpose=purpose, app=caller.app, payment=bound
        )
        to = challenge.phone.masked
    except (InvalidPhoneNumber, InvalidArgument):
        raise
    except OTPError:  # a limit of the sandbox, or no rules for this channel: the page then has no challenge
        to = (await server.sandbox.operator.routes.explain(body.to, body.ladder[0], locale="")).phone
    about = await look_up_phone(server.sandbox, body.to)
    page = _page(server, caller, body, challenge, to=to, about=about, is_decoy=True, purpose=purpose)
    return await _open(server, request, page), page.expires_at


def _page(
    server: Server,
    caller: Caller,
    body: StartBody,
    challenge: Challenge | None,
    *,
    to: str,
    about: str,
    is_decoy: bool = False,
    purpose: str = "",
) -> Page:
    otp, now = server.otp_settings.otp, datetime.now(UTC)
    asked = body.page or PageBody()
    expires_at = challenge.expires_at if challenge is not None else now + timedelta(seconds=otp.life)
    resend_at = challenge.resend_at if challenge is not None else None
    asked_at = resend_at - timedelta(seconds=otp.cooldown) if resend_at is not None else now
    return Page(
        verification=challenge.id if challenge is not None else "none",
        is_decoy=is_decoy,
        kind=caller.key.kind,
        app=caller.app,
        purpose=purpose or body.purpose,
        to=to,
        locale=body.locale or "",
        channels=tuple(body.ladder),
        channel=body.ladder[0],
        started_at=expires_at - timedelta(seconds=otp.life),
        expires_at=expires_at,
        asked_at={body.ladder[0]: asked_at},
        bind=None if body.bind is None else body.bind.model_dump(),
        return_url=asked.return_url,
        state=asked.state,
        about=about,
    )


async def _open(server: Server, request: Request, page: Page) -> str:
    at = urlsplit(server.settings.public_url or str(request.base_url))
    return f"{at.scheme}://{at.netloc}{outside('/v/')}{await Pages(server=server).open(page)}"
