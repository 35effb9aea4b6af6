"""Phone verification over HTTP with FastAPI: ``uvicorn app:app``.

``PUBLIC_URL`` is what people and vendors call, such as ``https://example.com``. ``FORWARDED_ALLOW_IPS`` lists the proxies whose
word about the client's address counts; uvicorn reads it too.
"""

from __future__ import annotations

import logging
import os
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated

from fastapi import Body, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from otpcore import AsyncOTPService, OTPError, ReceiptRequest, UnknownProviderError
from otpcore.embedding import TrustedProxies, answer_to

logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
PUBLIC_URL = os.environ["PUBLIC_URL"].rstrip("/")
PROXIES = TrustedProxies.of([*os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1").split(","), "unix"])
otp = AsyncOTPService.from_settings()


@asynccontextmanager
async def lifespan(_):
    async with otp:  # retries go on from here, before the first request
        yield


async def refused(_, error):
    told = answer_to(error)
    return JSONResponse(told.content, told.status, told.headers)


async def not_understood(_, error):  # FastAPI's own answer would repeat what was sent
    first = error.errors()[0]
    content = {"error": "RequestValidationError", "reason": first["type"], "field": str(first["loc"][-1])}
    return JSONResponse(content, HTTPStatus.UNPROCESSABLE_ENTITY)


async def other(_, error):
    return JSONResponse({"error": "HTTPException", "reason": error.detail}, error.status_code, error.headers)


async def unknown(_, __):
    return JSONResponse({"error": "UnknownProviderError", "reason": ""}, HTTPStatus.NOT_FOUND)


async def who_asks(request: Request):
    """The nearest address that is not ours; over our Unix socket there is no other end to name."""
    peer = request.client.host if request.client else ""
    return PROXIES.client_of(peer, ",".join(request.headers.getlist("x-forwarded-for")))


Client = Annotated[str, Depends(who_asks)]
Text = Annotated[str, Body(embed=True, max_length=200)]
app = FastAPI(
    lifespan=lifespan,
    exception_handlers={
        OTPError: refused,
        RequestValidationError: not_understood,
        HTTPException: other,
        UnknownProviderError: unknown,
    },
)


@app.post("/codes", status_code=HTTPStatus.ACCEPTED)
async def send(client: Client, phone: Text):
    return {"challenge_id": (await otp.send_sms(phone, client=client)).id}


@app.post("/codes/verify")  # with the phone, so that the answer is about this phone
async def verify(client: Client, challenge_id: Text, phone: Text, code: Text):
    return {"code_valid": bool(await otp.verify(phone, code, challenge_id=challenge_id, client=client))}


@app.api_route("/receipts/{instance}", methods=["GET", "POST"], include_in_schema=False)
@app.api_route("/receipts/{instance}/{delivery}/{proof}", methods=["GET", "POST"], include_in_schema=False)
async def receipt(request: Request, instance: str):
    """What a vendor reports: it has signed the public URL and the raw body, or the address is proof itself."""
    path, query = (request.scope[name].decode("latin-1") for name in ("raw_path", "query_string"))
    url = f"{PUBLIC_URL}{path}?{query}" if query else f"{PUBLIC_URL}{path}"
    told = ReceiptRequest(method=request.method, url=url, headers=request.headers, body=await request.body())
    result = await otp.handle_receipt(instance, told)
    return Response(result.text, result.status, result.headers)
