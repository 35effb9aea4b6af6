"""256 sends in flight against a provider that takes 50 ms: otpcore's whole send against the bare HTTP transport alone.

Both run in this process, interleaved, against one stub server in another process. Goal: at least half the rate of the
transport. Run it as ``python benchmarks/sending.py``; it needs ``otpcore[http]`` and ``otp-twilio``.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx_aiohttp

from otpcore import AsyncOTPService
from otpcore.config import generate_keys
from otpcore.hookspecs import utc_now

IN_FLIGHT = 256
SENDS = 2048
LATENCY = 0.05
ROUNDS = 5
NUMBERS = random.Random(7).sample(range(10_000_000), 8192)  # people who ask at the same time are no neighbours
ANSWER = json.dumps({"sid": "SM" + "0" * 32, "status": "queued"}).encode()


class Stub(asyncio.Protocol):
    """Answers every request after the latency; reads only as much of HTTP as it must."""

    def connection_made(self, transport: Any) -> None:
        self.transport, self.buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, _, rest = self.buffer.partition(b"\r\n\r\n")
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                ),
                0,
            )
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            asyncio.get_running_loop().call_later(LATENCY, self.answer)

    def answer(self) -> None:
        head = f"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: {len(ANSWER)}\r\n\r\n"
        self.transport.write(head.encode() + ANSWER)


def serve(ports: Any) -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0, backlog=1024)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


async def in_flight(send: Any) -> float:
    """Sends a second."""
    numbers = iter(range(SENDS))

    async def worker() -> None:
        for number in numbers:
            await send(number)

    start = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(IN_FLIGHT):
            tasks.start_soon(worker)
    return SENDS / (time.perf_counter() - start)


async def bare(base: str) -> float:
    transport = httpx_aiohttp.AiohttpTransport(limits=httpx.Limits(max_connections=IN_FLIGHT))
    auth = ("AC" + "0" * 32, "0" * 32)
    async with httpx.AsyncClient(transport=transport, base_url=base, auth=auth, trust_env=False) as client:

        async def send(number: int) -> None:
            body = {"To": f"+35987{number:07d}", "From": "+15005550006", "Body": "123456 is your code."}
            answer = await client.post("/2010-04-01/Accounts/AC/Messages.json", data=body)
            answer.raise_for_status().json()

        return await in_flight(send)


async def ours(base: str, directory: Path) -> float:
    keys = generate_keys(utc_now())
    account = "AC" + "0" * 32
    twilio = {
        "mode": "messaging",
        "account_sid": account,
        "auth_token": "0" * 32,
        "from_number": "+15005550006",
        "api_base_url": base,
    }
    settings = {
        "otp_sms_provider": "twilio",
        "providers": {"twilio": twilio},
        "limits": {"phone": ["3/10m", "10/1d"], "unverified": []},
        "keys": {"index": keys.index, "code": dict(keys.code), "current": keys.current},
        "otp": {"number_policy": "possible"},
        "storage": {"url": f"sqlite:///{directory / f'{time.monotonic_ns()}.sqlite3'}"},
    }
    async with AsyncOTPService(settings) as otp:
        return await in_flight(lambda number: otp.send_sms(f"+35987{NUMBERS[number]:07d}"))


async def compare(base: str) -> None:
    rates: dict[str, list[float]] = {"bare transport": [], "otpcore, sqlite FULL": []}
    with tempfile.TemporaryDirectory() as directory:
        for _ in range(ROUNDS):
            rates["bare transport"].append(await bare(base))
            rates["otpcore, sqlite FULL"].append(await ours(base, Path(directory)))
    floor = statistics.median(rates["bare transport"])
    for name, measured in rates.items():
        median = statistics.median(measured)
        print(f"{name:24} {median:8.0f} sends/s   {median / floor:5.2f} of the transport")


def main() -> None:
    context = multiprocessing.get_context("spawn")
    ports = context.Queue()
    server = context.Process(target=serve, args=(ports,), daemon=True)
    server.start()
    try:
        asyncio.run(compare(f"http://127.0.0.1:{ports.get(timeout=30)}"))
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
