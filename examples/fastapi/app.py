"""Phone verification over HTTP with FastAPI: ``uvicorn app:app``."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Body, FastAPI, Request, Response

from otpcore import AsyncOTPService, InvalidPhoneNumber, NoRouteError, OTPError, RateLimited

STATUSES = {InvalidPhoneNumber: 422, NoRouteError: 422, "permanent": 422, RateLimited: 429}  # all else: 503
Text = Annotated[str, Body(embed=True)]
otp = AsyncOTPService.from_settings()


@asynccontextmanager
async def lifespan(_):
    async with otp:
        yield


async def refused(_, error):
    status = STATUSES.get(type(error)) or STATUSES.get(getattr(error, "reason", ""), 503)
    headers = {"Retry-After": f"{error.retry_after + 1:.0f}"} if getattr(error, "retry_after", None) else {}
    return Response(type(error).__name__, status, headers)


app = FastAPI(lifespan=lifespan, exception_handlers={OTPError: refused})


@app.post("/codes", status_code=202)
async def send(request: Request, phone: Text):
    return {"challenge_id": (await otp.send_sms(phone, client=request.client.host)).id}


@app.post("/codes/verify")  # with the phone, so that the answer is about this phone
async def verify(request: Request, challenge_id: Text, phone: Text, code: Text):
    return {"code_valid": bool(await otp.verify(phone, code, challenge_id=challenge_id, client=request.client.host))}
