"""``/v1/verifications``: start, see, check, resend, cancel."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from otp_server.api.auth import Caller, caller_of
from otp_server.api.schemas import CancelBody, CheckBody, Checked, ResendBody, StartBody, Status, Unbound, Verification
from otp_server.api.sending import send
from otp_server.api.views import Seen, look_up, told
from otp_server.bindings import payment_of
from otp_server.idempotency import DESCRIBED, Answered, once
from otp_server.keys import Scope
from otp_server.pages.opening import check_page, open_page
from otp_server.problems import ProblemError
from otp_server.server import Server
from otp_server.statuses import status_of
from otpcore import VerificationStatus

__all__ = ["router"]

_NAMESPACE = "verifications"
_NEXT = "next"
_NOTHING, _NO_WORD = ResendBody(), CancelBody()  # of a request without a body
_FINAL: tuple[Status, ...] = ("approved", "expired", "canceled")


def router(server: Server, route_class: type[APIRoute] = APIRoute) -> APIRouter:
    """The addresses of verifications."""
    made = APIRouter(prefix="/v1/verifications", tags=["verifications"], route_class=route_class)

    @made.post(
        "", status_code=202, response_model=Verification, summary="Start a verification", openapi_extra=DESCRIBED
    )
    async def start(body: StartBody, request: Request) -> Response:
        caller = await caller_of(server, request, Scope.VERIFY)
        return await once(server, caller, request, lambda: _start(server, caller, request, body), phone=body.to)

    @made.get("/{verification_id}", response_model=Verification, summary="See how it stands")
    async def see(verification_id: str, request: Request) -> Verification:
        caller = await caller_of(server, request, Scope.VERIFY)
        return told(caller, await look_up(caller, verification_id), (await _said(server, verification_id))["metadata"])

    @made.post("/{verification_id}/check", response_model=Checked, summary="Check a code", openapi_extra=DESCRIBED)
    async def check(verification_id: str, body: CheckBody, request: Request) -> Response:
        caller = await caller_of(server, request, Scope.VERIFY)
        work = partial(_check, server, caller, verification_id, body)
        return await once(server, caller, request, work, challenge_id=verification_id)

    @made.post(
        "/{verification_id}/resend",
        status_code=202,
        response_model=Verification,
        summary="Send it again",
        openapi_extra=DESCRIBED,
    )
    async def resend(verification_id: str, request: Request, body: ResendBody = _NOTHING) -> Response:
        caller = await caller_of(server, request, Scope.VERIFY)
        work = partial(_resend, server, caller, verification_id, body)
        return await once(server, caller, request, work, challenge_id=verification_id)

    @made.post("/{verification_id}/cancel", response_model=Verification, summary="End it")
    async def cancel(verification_id: str, request: Request, body: CancelBody = _NO_WORD) -> Verification:
        del body
        caller = await caller_of(server, request, Scope.VERIFY)
        await look_up(caller, verification_id)
        await caller.service.cancel(verification_id)
        seen = await look_up(caller, verification_id)
        return told(caller, seen, (await _said(server, verification_id))["metadata"])

    return made


async def _start(server: Server, caller: Caller, request: Request, body: StartBody) -> Answered:
    ladder = body.ladder
    if body.page is not None:
        check_page(caller, body.page)
    caller.check(purpose=body.purpose, channels=body.named, to=body.to)
    bind = None if body.bind is None else body.bind.model_dump()
    asked = {"/locale": body.locale, "/bind": bind}
    challenge = await send(
        server,
        caller,
        body.to,
        asked=[pointer for pointer, value in asked.items() if value is not None],
        channel=ladder[0],
        purpose=body.purpose,
        client=body.client.ip if body.client else None,
        locale=body.locale,
        payment=payment_of(bind),
    )
    seen = await look_up(caller, challenge.id)
    if body.metadata or len(ladder) > 1 or body.locale or bind:
        said = {"metadata": body.metadata, "channels": ladder, "locale": body.locale, "bind": bind}
        keep = timedelta(seconds=server.otp_settings.storage.keep_challenges)
        until, about = challenge.expires_at + keep, seen[0].phone_key
        await server.records.put(_NAMESPACE, challenge.id, said, expires_at=until, about=about)
    begun = _begun(caller, seen, body.metadata, ladder[0])
    if body.page is not None:
        begun.body.page_url = await open_page(server, caller, request, body, challenge)
    return begun


async def _check(server: Server, caller: Caller, verification_id: str, body: CheckBody) -> Answered:
    challenge, _ = await look_up(caller, verification_id)
    bind = None if body.bind is None else body.bind.model_dump()
    answer = await caller.service.verify(
        code=body.code,
        challenge_id=verification_id,
        purpose=challenge.purpose,
        app=caller.app,
        client=body.client.ip if body.client else None,
        payment=payment_of(bind),
    )
    if answer.status is VerificationStatus.APPROVED:
        return Answered(body=Checked(valid=True, status="approved", attempts_left=answer.attempts_left))
    challenge, _ = await look_up(caller, verification_id)
    status = status_of(challenge)
    if answer.status is VerificationStatus.EXPIRED and status == "pending":
        status = "expired"  # the vendor's own verification is over
    reason = _no_payment(bind, (await _said(server, verification_id))["bind"])
    return Answered(body=Checked(valid=False, status=status, attempts_left=answer.attempts_left, reason=reason))


def _no_payment(given: dict[str, str] | None, bound: dict[str, str] | None) -> Unbound | None:
    """Why a code could not be right, whatever it was; None: it is for this payment."""
    if given == bound:
        return None
    return "transaction_missing" if given is None else "transaction_mismatch"


async def _resend(server: Server, caller: Caller, verification_id: str, body: ResendBody) -> Answered:
    challenge, deliveries = await look_up(caller, verification_id)
    said = await _said(server, verification_id)
    latest = str(deliveries[-1].channel) if deliveries else "sms"
    channel = _after(latest, said["channels"]) if body.channel == _NEXT else body.channel or latest
    (whole,) = await caller.service.operator.challenges.show(verification_id, reveal=True)
    caller.check(purpose=challenge.purpose, channels={"/channel": channel}, to=whole.phone)
    if status_of(challenge) in _FINAL:
        raise ProblemError("over")
    until = next((one for over, one in challenge.cooldowns.items() if over == channel), None)
    wait = 0.0 if until is None else (until - datetime.now(UTC)).total_seconds()
    if wait > 0:
        raise ProblemError("too_early", retry_after=wait)
    sent = await send(
        server,
        caller,
        whole.phone,
        asked=["/channel"] if body.channel else [],
        channel=channel,
        purpose=challenge.purpose,
        client=body.client.ip if body.client else None,
        locale=said["locale"],
        payment=payment_of(said["bind"]),
    )
    if sent.id != verification_id:  # it ended just now, and what went out is another verification's
        await caller.service.cancel(sent.id)
        raise ProblemError("over")
    return _begun(caller, await look_up(caller, verification_id), said["metadata"], channel)


def _begun(caller: Caller, seen: Seen, metadata: dict[str, str], channel: str) -> Answered:
    verification = told(caller, seen, metadata, channel)
    return Answered(status=202, body=verification, headers={"Location": f"/v1/verifications/{verification.id}"})


def _after(channel: str, ladder: list[str]) -> str:
    """The next one of the ladder; behind the last one comes the first."""
    if channel not in ladder:
        return ladder[0] if ladder else channel
    return ladder[(ladder.index(channel) + 1) % len(ladder)]


async def _said(server: Server, verification_id: str) -> dict[str, Any]:
    """What was said when it was started, besides what the core keeps."""
    kept = await server.records.get(_NAMESPACE, verification_id)
    return kept.value if kept is not None else {"metadata": {}, "channels": [], "locale": None, "bind": None}
