"""A shop that pays only for who has just confirmed the number of the account: ``uvicorn shop:app``.

``otp_server.router`` adds the service's addresses below ``/otp``: pages, receipts, and the API for programs with a key.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated

import otp_server
from fastapi import Body, Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import JSONResponse

from otpcore import AsyncOTPService, OTPError
from otpcore.embedding import answer_to

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


Number = Annotated[str, Depends(number_of)]
Paying = Annotated[otp_server.Verified, Depends(otp_server.verified("pay", phone=number_of))]
app = FastAPI(lifespan=lifespan, exception_handlers={OTPError: refused})
app.include_router(otp_server.router(otp, prefix="/otp"))


@app.post("/codes", status_code=HTTPStatus.ACCEPTED)
async def send(number: Number, request: Request):
    challenge = await otp.send_sms(number, purpose="pay", client=request.client.host)
    return {"id": challenge.id}


@app.post("/codes/{verification}")
async def check(verification: str, number: Number, code: Annotated[str, Body(embed=True)]):
    return {"valid": bool(await otp.verify(number, code, challenge_id=verification, purpose="pay"))}


@app.post("/pay")
async def pay(proof: Paying):
    return {"paid": True, "verification": proof.id}
