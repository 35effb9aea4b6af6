"""``/v1/messages``: carry messages whose codes are made and checked elsewhere."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from otp_server.api.auth import Caller, caller_of
from otp_server.api.schemas import Message, MessageBody, OutcomeBody
from otp_server.api.sending import send
from otp_server.api.views import Seen, deliveries_of, look_up
from otp_server.idempotency import DESCRIBED, Answered, once
from otp_server.keys import Scope
from otp_server.problems import ProblemError
from otp_server.server import Server
from otpcore import InvalidArgument

__all__ = ["router"]

_NAMESPACE = "outcomes"


def router(server: Server, route_class: type[APIRoute] = APIRoute) -> APIRouter:
    """The addresses of messages."""
    made = APIRouter(prefix="/v1/messages", tags=["messages"], route_class=route_class)

    @made.post("", status_code=202, response_model=Message, summary="Carry a message", openapi_extra=DESCRIBED)
    async def carry(body: MessageBody, request: Request) -> Response:
        caller = await caller_of(server, request, Scope.RELAY)
        return await once(server, caller, request, lambda: _carry(server, caller, body), phone=body.to)

    @made.get("/{message_id}", response_model=Message, summary="See what became of it")
    async def see(message_id: str, request: Request) -> Message:
        caller = await caller_of(server, request, Scope.RELAY)
        return await _told(server, caller, await look_up(caller, message_id, verifiable=False))

    @made.post("/{message_id}/outcome", response_model=Message, summary="Tell whether its code was used")
    async def outcome(message_id: str, body: OutcomeBody, request: Request) -> Message:
        caller = await caller_of(server, request, Scope.RELAY)
        seen = await look_up(caller, message_id, verifiable=False)
        keep = timedelta(seconds=server.otp_settings.storage.keep_challenges)
        until = seen[0].expires_at + keep
        about = seen[0].phone_key
        await server.records.put(_NAMESPACE, message_id, {"used": body.used}, expires_at=until, about=about)
        return await _told(server, caller, seen)

    return made


async def _carry(server: Server, caller: Caller, body: MessageBody) -> Answered:
    caller.check(purpose=body.purpose, channels={"/channel": body.channel}, to=body.to)
    asked = {"/locale": body.locale, "/text": body.text, "/code": body.code}
    try:
        sent = await send(
            server,
            caller,
            body.to,
            asked=[pointer for pointer, value in asked.items() if value is not None],
            channel=body.channel,
            purpose=body.purpose,
            client=body.client.ip if body.client else None,
            locale=body.locale,
            message=body.text,
            code=body.code,
            verifiable=False,
        )
    except InvalidArgument:  # all else has its pattern: whether a text has a place for the code, the core says
        raise ProblemError("invalid", errors=[{"pointer": "/text", "reason": "value_error"}]) from None
    message = await _told(server, caller, await look_up(caller, sent.id, verifiable=False))
    return Answered(status=202, body=message, headers={"Location": f"/v1/messages/{sent.id}"})


async def _told(server: Server, caller: Caller, seen: Seen) -> Message:
    challenge, deliveries = seen
    kept = await server.records.get(_NAMESPACE, challenge.id)
    return Message(
        id=challenge.id,
        delivery_state=str(challenge.state),
        to=challenge.phone_masked,
        channel=str(deliveries[-1].channel) if deliveries else "sms",
        purpose=challenge.purpose,
        confirmed=challenge.confirmed,
        created_at=challenge.first_sent_at,
        expires_at=challenge.expires_at,
        used=kept.value["used"] if kept is not None else None,
        deliveries=deliveries_of(caller, deliveries),
    )
