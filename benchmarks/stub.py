"""The stub provider: one process that answers every request in any client's words, at once or after a latency.

It must never be what is measured, so it reads only as much of HTTP as it must. ``python -m benchmarks.stub`` prints a
JSON object with its ports and serves until its standard input ends. Standard library only.
"""

from __future__ import annotations

import asyncio
import functools
import json
import re
import ssl
import sys
from typing import Any

__all__ = ["LATENCIES"]

LATENCIES = (0.0, 0.05)  # seconds; one port for each
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_SID = "SM" + "0" * 32
_MESSAGE = {  # what Twilio's SDK reads of a message, and more than otp-twilio does
    "sid": _SID,
    "status": "queued",
    "account_sid": "AC" + "0" * 32,
    "body": "",
    "direction": "outbound-api",
    "date_created": "Thu, 01 Jan 2026 00:00:00 +0000",
    "date_updated": "Thu, 01 Jan 2026 00:00:00 +0000",
    "error_code": None,
    "num_segments": "1",
    "uri": f"/2010-04-01/Accounts/AC/Messages/{_SID}.json",
}
_BATCH = {  # what Sinch's SDK reads of an accepted batch
    "id": "01FC66621XXXXX119Z8PMV1QPQ",
    "to": ["359871234567"],
    "from": "15005550006",
    "canceled": False,
    "body": "123456 is your code.",
    "type": "mt_text",
    "created_at": "2026-01-01T00:00:00.000Z",
    "modified_at": "2026-01-01T00:00:00.000Z",
    "delivery_report": "none",
    "expire_at": "2026-01-04T00:00:00.000Z",
    "flash_message": False,
}


def _answer(body: dict[str, Any]) -> bytes:
    text = json.dumps(body, separators=(",", ":")).encode()
    head = f"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    return head.encode() + text


_ANSWERS = {True: _answer(_BATCH), False: _answer(_MESSAGE)}


class Stub(asyncio.Protocol):
    """Answers each request of one connection after ``latency`` seconds."""

    def __init__(self, latency: float) -> None:
        self._latency = latency
        self._loop = asyncio.get_running_loop()
        self._buffer = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            found = _LENGTH.search(self._buffer, 0, end)
            whole = end + 4 + (int(found[1]) if found else 0)
            if len(self._buffer) < whole:
                return
            answer = _ANSWERS[b"/batches" in self._buffer[: self._buffer.find(b"\r")]]
            self._buffer = self._buffer[whole:]
            if self._latency:
                self._loop.call_later(self._latency, self._write, answer)
            else:
                self._transport.write(answer)

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


async def _serve(certificate: str, key: str) -> None:
    loop = asyncio.get_running_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    ports = {}
    for name, latency, tls in (*((f"{latency:g}", latency, None) for latency in LATENCIES), ("tls", 0.0, context)):
        server = await loop.create_server(functools.partial(Stub, latency), "127.0.0.1", 0, backlog=1024, ssl=tls)
        ports[name] = server.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:3]))
