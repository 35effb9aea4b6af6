"""Phone verification over HTTP with FastAPI: ``uvicorn app:app``.

``PUBLIC_URL`` is what people and vendors call, such as ``https://example.com``. ``FORWARDED_ALLOW_IPS`` lists the proxies whose
word about the client's address counts; uvicorn reads it too.
"""

from __future__ import annotations

import logging
import os
import re
from contextlib import asynccontextmanager
from http import HTTPStatus
from ipaddress import ip_address, ip_network
from typing import Annotated

from fastapi import Body, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from otpcore import AsyncOTPService, OTPError, ReceiptRequest, UnknownProviderError, known_as

logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
PUBLIC_URL = os.environ["PUBLIC_URL"].rstrip("/")
PROXIES = [ip_network(one.strip()) for one in os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1").split(",")]
otp = AsyncOTPService.from_settings()


@asynccontextmanager
async def lifespan(_):
    async with otp:  # retries go on from here, before the first request
        yield


async def refused(_, error):
    name, reason = known_as(error)  # a page chooses its text by them; str(error) is for the log
    content = {"error": name, "reason": reason, "try_channel": getattr(error, "try_channel", None)}
    headers = {"Retry-After": f"{error.retry_after + 1:.0f}"} if error.retry_after else {}
    return JSONResponse(content, error.http_status, headers)


async def not_understood(_, error):  # FastAPI's own answer would repeat what was sent
    first = error.errors()[0]
    content = {"error": "RequestValidationError", "reason": first["type"], "field": str(first["loc"][-1])}
    return JSONResponse(content, HTTPStatus.UNPROCESSABLE_ENTITY)


async def other(_, error):
    return JSONResponse({"error": "HTTPException", "reason": error.detail}, error.status_code, error.headers)


async def unknown(_, __):
    return JSONResponse({"error": "UnknownProviderError", "reason": ""}, HTTPStatus.NOT_FOUND)


def is_ours(hop):
    """A proxy of ours, with or without its port, or whoever connected to our Unix socket."""
    found = re.fullmatch(r"\[([^\]]*)\](?::\d+)?|([^:]*):\d+", hop)
    try:
        address = ip_address((found[1] or found[2]) if found else hop)
    except ValueError:
        return not hop
    return any((getattr(address, "ipv4_mapped", None) or address) in network for network in PROXIES)


async def who_asks(request: Request):
    """The nearest address that is not ours. A header is read where one of ours sent it, and there from its end."""
    peer = request.client.host if request.client else ""
    forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
    hops = [peer, *reversed(re.findall(r"[^\s,]+", forwarded))]
    return next((hop for hop in hops if not is_ours(hop)), hops[-1])


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
