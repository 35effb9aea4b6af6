"""A shop that pays only for who has just confirmed the number of the account: ``uvicorn shop:app``.

``otp_server.router`` adds the service's addresses below ``/otp``: pages, receipts, and the API for programs with a key.
``FORWARDED_ALLOW_IPS`` lists the proxies whose word about the client's address counts; uvicorn reads it too.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated

import otp_server
from fastapi import Body, Depends, FastAPI, Header, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from otpcore import AsyncOTPService, OTPError
from otpcore.embedding import TrustedProxies, answer_to

PROXIES = TrustedProxies.of([*os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1").split(","), "unix"])
otp = AsyncOTPService.from_settings()
ACCOUNTS = {"ann": "+359871234567", "bob": "+359887654321"}  # your database


@asynccontextmanager
async def lifespan(_):
    async with otp:  # retries go on from here, before the first request
        yield


def number_of(user: Annotated[str, Header()]) -> str:
    """The number of the account that asks; a header stands for your own way to sign in."""
    if user not in ACCOUNTS:
        raise HTTPException(HTTPStatus.UNAUTHORIZED)
    return ACCOUNTS[user]


async def refused(_, error):
    told = answer_to(error)
    return JSONResponse(told.content, told.status, told.headers)


async def not_understood(_, error):  # FastAPI's own answer would repeat what was sent
    first = error.errors()[0]
    content = {"error": "RequestValidationError", "reason": first["type"], "field": str(first["loc"][-1])}
    return JSONResponse(content, HTTPStatus.UNPROCESSABLE_ENTITY)


async def who_asks(request: Request):
    """The nearest address that is not ours; over our Unix socket there is no other end to name."""
    peer = request.client.host if request.client else ""
    return PROXIES.client_of(peer, ",".join(request.headers.getlist("x-forwarded-for")))


Client = Annotated[str, Depends(who_asks)]
Number = Annotated[str, Depends(number_of)]
Paying = Annotated[otp_server.Verified, Depends(otp_server.verified("pay", phone=number_of))]
app = FastAPI(lifespan=lifespan, exception_handlers={OTPError: refused})
app.include_router(otp_server.router(otp, prefix="/otp"))
app.add_exception_handler(RequestValidationError, not_understood)


@app.post("/codes", status_code=HTTPStatus.ACCEPTED)
async def send(number: Number, client: Client):
    challenge = await otp.send_sms(number, purpose="pay", client=client)
    return {"id": challenge.id}


@app.post("/codes/{verification}")
async def check(verification: str, number: Number, client: Client, code: Annotated[str, Body(embed=True)]):
    answer = await otp.verify(number, code, challenge_id=verification, purpose="pay", client=client)
    return {"valid": bool(answer)}


@app.post("/pay")
async def pay(proof: Paying):
    return {"paid": True, "verification": proof.id}
