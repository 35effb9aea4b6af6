"""What the scenario ``service`` asks, as a process: ``otp serve`` over SQLite in the sandbox, or FastAPI alone.

``python -m benchmarks.served KIND FOLDER`` prints a JSON object with its port and a key, and serves until its standard input
ends. Both are served as ``otp serve`` is, and tell the code of a start in a header, as nobody reads a telephone here.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from otp_server.app import app_of
from otp_server.keys import Kind
from otp_server.server import Server
from otp_server.serving import configured, settle

from benchmarks.ours import settings
from benchmarks.scenarios.service import BARE, CODE
from otpcore import AsyncOTPService

__all__: list[str] = []

_ID = b'"id":"'
_BEGUN = {
    "id": "6b0db182996e512d9f9b680a9a47e7fa2a7301b1",
    "status": "pending",
    "delivery_state": "sent",
    "to": "+35987******21",
    "channel": "sms",
    "purpose": "default",
    "confirmed": True,
    "restricted": True,
    "attempts_left": 5,
    "created_at": "2026-11-30T20:00:00.000000Z",
    "expires_at": "2026-11-30T20:05:00.000000Z",
    "resend_at": "2026-11-30T20:00:30.000000Z",
    "approved_at": None,
    "metadata": {},
    "deliveries": [
        {
            "provider": "anyone",
            "channel": "sms",
            "outcome": "accepted",
            "provider_code": None,
            "is_retry": False,
            "at": "2026-11-30T20:00:00.000000Z",
            "delivered_at": None,
        }
    ],
    "page_url": None,
}


class _Telling:
    """Adds the code to the answer to a start."""

    def __init__(self, app: FastAPI, service: Any) -> None:
        self._app = app
        self._inbox = service._service.sandbox.inbox  # noqa: SLF001 - what the public look reads, which looks at all of it

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != "/v1/verifications":
            await self._app(scope, receive, send)
            return
        head: list[Any] = []

        async def answer(message: Any) -> None:
            if message["type"] == "http.response.start":
                head.append(message)
                return
            if head:
                start = head.pop()
                start["headers"] = [*start["headers"], (CODE, self._code(message["body"]))]
                await send(start)
            await send(message)

        await self._app(scope, receive, answer)

    def _code(self, body: bytes) -> bytes:
        wanted = body.partition(_ID)[2].partition(b'"')[0].decode()
        return next((one.code.encode() for one in reversed(self._inbox) if one.challenge_id == wanted), b"")


def _bare() -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None)

    @app.post("/v1/verifications")
    async def start(request: Request) -> JSONResponse:
        await request.json()
        return JSONResponse(_BEGUN, 202, {CODE.decode(): "123456"})

    @app.post("/v1/verifications/{name}/check")
    async def check(name: str, request: Request) -> JSONResponse:  # noqa: ARG001 - read as in ours
        await request.json()
        return JSONResponse({"valid": True, "status": "approved", "attempts_left": 4})

    return app


async def _serve(kind: str, storage: dict[str, str]) -> None:
    service = AsyncOTPService(settings(storage, otp_sms_provider="anyone", sms={"sandbox": True}))
    server = Server(service)
    app: Any = _bare() if kind == BARE else app_of(server)
    config = configured(app, server)
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # as `otp serve` listens
    listening.bind(("127.0.0.1", 0))
    runs = uvicorn.Server(config)
    task = asyncio.create_task(runs.serve(sockets=[listening]))
    while not runs.started:  # noqa: ASYNC110 - uvicorn sets no event
        await asyncio.sleep(0.01)
    told = {"port": listening.getsockname()[1], "token": ""}
    if kind != BARE:
        told["token"] = (await server.keys.new(Kind.TEST, by="the bench")).token
        config.loaded_app = _Telling(config.loaded_app, service)
    settle()
    print(json.dumps(told), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    runs.should_exit = True
    await task


if __name__ == "__main__":
    logging.getLogger("otpcore").addHandler(logging.NullHandler())
    asyncio.run(_serve(sys.argv[1], json.loads(sys.argv[2])))
