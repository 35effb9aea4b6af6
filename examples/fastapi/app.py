"""Phone verification over HTTP with FastAPI: ``uvicorn app:app``."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Body, FastAPI, Request
from fastapi.responses import JSONResponse

from otpcore import AsyncOTPService, InvalidPhoneNumber, NoRouteError, OTPError, RateLimited

STATUSES = {InvalidPhoneNumber: 422, NoRouteError: 422, RateLimited: 429}  # the others: 503
Text = Annotated[str, Body(embed=True)]


@asynccontextmanager
async def lifespan(app):
    async with AsyncOTPService.from_settings() as app.state.otp:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/codes", status_code=202)
async def send(request: Request, phone: Text):
    challenge = await request.app.state.otp.send_sms(phone, client=request.client.host)
    return {"challenge_id": challenge.id, "expires_at": challenge.expires_at}


@app.post("/codes/verify")
async def verify(request: Request, challenge_id: Text, code: Text):
    otp = request.app.state.otp
    return {"code_valid": bool(await otp.verify(challenge_id=challenge_id, code=code, client=request.client.host))}


@app.exception_handler(OTPError)
async def refused(_: Request, error: OTPError):
    status = 422 if getattr(error, "reason", "") == "permanent" else STATUSES.get(type(error), 503)
    wait = getattr(error, "retry_after", None)
    headers = {"Retry-After": str(math.ceil(wait))} if wait else {}
    return JSONResponse({"error": type(error).__name__, "reason": getattr(error, "reason", "")}, status, headers)
