"""What a person does on a page: type a code, or ask for another message. Everybody is answered alike."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import anyio
import attrs

from otp_server.bindings import payment_of
from otp_server.pages.records import Page, Pages
from otp_server.server import Server
from otp_server.statuses import status_of
from otpcore import (
    AsyncOTPService,
    InvalidArgument,
    OTPConfigurationError,
    OTPError,
    RateLimited,
    Verification,
    parse_code,
    parse_phone,
)

__all__ = ["LEAST_LIFE", "check_code", "is_used", "send_again", "service_of"]

_logger = logging.getLogger("otpcore.server")

LEAST_LIFE = timedelta(seconds=60)
"""What must be left of a code's life for another message to be of use, as in otpcore."""


def service_of(server: Server, page: Page) -> AsyncOTPService:
    """The service that has a page's challenge; that of a decoy reaches nobody."""
    return server.sandbox if page.is_decoy else server.service_of(page.kind)


async def is_used(server: Server, page: Page) -> bool:
    """The challenge was approved, here or elsewhere."""
    views = await service_of(server, page).store.view(challenge_id=page.verification)
    return not page.is_decoy and any(status_of(one.challenge) == "approved" for one in views)


async def check_code(server: Server, token: str, page: Page, code: str, client: str) -> Page:
    """Check a code as it was typed; the page as it is then.

    Whatever keeps a code from being right is told in the same words: that it is wrong, that the number is locked, that
    the challenge is over, or that there never was one. The tries that are left are counted by the page.

    Raises:
        ProviderError: The vendor that owns the code did not answer.
        StoreError: The store did not do its work.
    """
    otp = server.otp_settings.otp
    if datetime.now(UTC) >= page.expires_at or page.tries >= otp.attempts or page.is_done:
        return page
    answer: Verification | None = None
    try:
        answer = await service_of(server, page).verify(
            code=code,
            challenge_id=page.verification,
            purpose=page.purpose,
            app=page.app,
            client=client or None,
            payment=payment_of(page.bind),
        )
    except RateLimited:
        _logger.info("a code was not compared: the number is locked")
    is_right = answer is not None and answer.code_valid and not page.is_decoy
    if not is_right and await is_used(server, page):
        return page  # the same form twice, or another window was first
    is_whole = _length(code) == otp.length

    def noted(old: Page) -> Page:
        if is_right:
            return attrs.evolve(old, is_done=True, said="")
        if not is_whole:
            return attrs.evolve(old, said="unfit")
        return attrs.evolve(old, said="wrong", tries=old.tries + 1)

    return await Pages(server=server).change(token, noted) or page


def _length(code: str) -> int:
    """Digits of what was typed, as the core reads it; 0: it is no code, and was compared with none."""
    try:
        return len(parse_code(code))
    except InvalidArgument:
        return 0


async def send_again(server: Server, token: str, channel: str, client: str) -> Page | None:
    """Ask for another message; it is sent after this is answered. The page as it is then.

    The page's own clock says whether it is too early, so that nobody learns what became of earlier messages.
    """
    otp, now = server.otp_settings.otp, datetime.now(UTC)
    asked = ""

    def noted(old: Page) -> Page:
        nonlocal asked
        asked = ""
        expires_at = min(now + timedelta(seconds=otp.life), old.started_at + timedelta(seconds=otp.longest_life))
        if channel not in old.channels or now >= old.expires_at or old.is_done or old.tries >= otp.attempts:
            return old
        if expires_at - now < min(LEAST_LIFE, timedelta(seconds=otp.life)):
            return attrs.evolve(old, said="late")
        if now < old.resend_at(channel, otp.cooldown):
            return attrs.evolve(old, said="early")
        asked = channel
        return attrs.evolve(
            old, said="asked", channel=channel, expires_at=expires_at, asked_at={**old.asked_at, channel: now}
        )

    page = await Pages(server=server).change(token, noted)
    if page is not None and asked:
        server.tasks.start_soon(_send_shielded, server, page, client)
    return page


async def _send_shielded(server: Server, page: Page, client: str) -> None:
    """It was promised: a server that ends hands it over first, which takes ``otp.send_timeout`` at most."""
    with anyio.CancelScope(shield=True):
        await _send(server, page, client)


def _reaches(server: Server, page: Page, phone: str) -> bool:
    """Whether the app still sends to this country; a decoy's sandbox sends to all of them, and to nobody."""
    allowed = server.settings.app(page.app)
    return page.is_decoy or (allowed is not None and allowed.reaches(parse_phone(phone, require_valid=False)))


async def _send(server: Server, page: Page, client: str) -> None:
    """The message itself. What becomes of it is told to the operator, by otpcore's events, and to nobody here."""
    service = service_of(server, page)
    try:
        found = await service.operator.challenges.show(page.verification, reveal=True)
        if not found or not _reaches(server, page, found[0].phone):
            return
        sent = await service.send(
            found[0].phone,
            channel=page.channel,
            purpose=page.purpose,
            client=client or None,
            locale=page.locale or None,
            app=page.app,
            payment=payment_of(page.bind),
        )
        if sent.id != page.verification:  # it ended just now, and what went out is of no use here
            await service.cancel(sent.id)
    except (OTPError, OTPConfigurationError) as error:
        _logger.info("a message that was asked for on a page was not sent: %s", type(error).__name__)
