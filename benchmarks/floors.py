"""Floors: the least that the work costs without a framework around it."""

from __future__ import annotations

import asyncio
import hmac
import itertools
import json
import secrets
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import httpx_aiohttp

__all__ = [
    "ACCOUNT",
    "TOKEN",
    "Codes",
    "RawConnection",
    "RawConnections",
    "http_poster",
    "lean_client",
    "shipped_client",
]

ACCOUNT = "AC" + "0" * 32
TOKEN = "0" * 32
PATH = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
_KEY = b"k" * 32
_MANY = 2_000  # seconds: httpx as shipped lets requests wait for longer than its default timeout of five


def form(phone: str, code: str) -> dict[str, str]:
    """The same fields as otp-twilio sends."""
    text = f"{code} is your verification code. It is valid for 5 minutes."
    return {"To": phone, "Body": text, "ValidityPeriod": "300", "From": "+15005550006"}


class Codes:
    """Makes, keeps and checks codes with plain SQL: one commit for each.

    Args:
        path: Of the SQLite file (WAL).
        synchronous: ``FULL`` or ``NORMAL``.
    """

    def __init__(self, path: Path, synchronous: str) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.executescript(
            f"PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};"
            "CREATE TABLE code (id TEXT PRIMARY KEY, phone TEXT, digest BLOB, state TEXT, attempts INTEGER, expires INTEGER);"
            "CREATE INDEX by_phone ON code (phone)"
        )
        self._ids = itertools.count(1)

    def make(self, phone: str) -> tuple[str, str]:
        """A new challenge: its id and code, committed."""
        number, code = f"challenge-{next(self._ids)}", f"{secrets.randbelow(10**6):06d}"
        row = (number, phone, self._digest(number, code), "sent", 0, 2**40)
        self._database.execute("INSERT INTO code VALUES (?, ?, ?, ?, ?, ?)", row)
        return number, code

    def verify(self, number: str, code: str) -> None:
        """Look up, compare, mark as used: one commit.

        Raises:
            ValueError: It is wrong.
        """
        (digest,) = self._database.execute("SELECT digest FROM code WHERE id = ?", (number,)).fetchone()
        right = hmac.compare_digest(digest, self._digest(number, code))
        change = "UPDATE code SET state = 'approved', attempts = attempts + 1 WHERE id = ? AND state = 'sent'"
        if not right or self._database.execute(change, (number,)).rowcount != 1:
            raise ValueError("a right code was refused")

    def close(self) -> None:
        self._database.close()

    @staticmethod
    def _digest(number: str, code: str) -> bytes:
        return hmac.digest(_KEY, f"{number}:{code}".encode(), "sha256")


class RawConnection(asyncio.Protocol):
    """One keep-alive connection that carries one request after another; nothing of HTTP but the length is read."""

    def __init__(self, host: str) -> None:
        self._head = (
            f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {'A' * 88}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
        ).encode()
        self._answer = b""
        self._waiter: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, _, body = self._answer.partition(b"\r\n\r\n")
        if self._waiter is not None and len(body) == int(head.rpartition(b" ")[2]):
            self._waiter.set_result(body)
            self._answer, self._waiter = b"", None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiter is not None:
            self._waiter.set_exception(exc or ConnectionError("closed"))

    async def post(self, phone: str, code: str) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        body = urlencode(form(phone, code)).encode()
        self.transport.write(self._head + b"%d\r\n\r\n" % len(body) + body)
        json.loads(await self._waiter)


class RawConnections:
    """As many open connections as there are callers."""

    def __init__(self, connections: list[RawConnection]) -> None:
        self._idle = connections

    @classmethod
    async def open(cls, base_url: str, count: int) -> RawConnections:
        host, port = (url := urlsplit(base_url)).hostname, url.port
        loop = asyncio.get_running_loop()
        made = [await loop.create_connection(lambda: RawConnection(url.netloc), host, port) for _ in range(count)]
        return cls([protocol for _, protocol in made])

    async def post(self, phone: str, code: str) -> None:
        connection = self._idle.pop()
        await connection.post(phone, code)
        self._idle.append(connection)

    def close(self) -> None:
        for connection in self._idle:
            connection.transport.close()


def lean_client(base_url: str, connections: int, *, verify: Any = True) -> httpx.AsyncClient:
    """Httpx over the best maintained transport, ``httpx-aiohttp``."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    transport = httpx_aiohttp.AiohttpTransport(verify=verify, limits=limits, trust_env=False)
    return _client(base_url, transport=transport)


def shipped_client(base_url: str) -> httpx.AsyncClient:
    """Httpx with its own pool and its default limits."""
    return _client(base_url)


def http_poster(client: httpx.AsyncClient) -> Callable[[str, str], Awaitable[None]]:
    """A send through httpx."""

    async def post(phone: str, code: str) -> None:
        answer = await client.post(PATH, data=form(phone, code))
        answer.raise_for_status().json()

    return post


def _client(base_url: str, **more: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=base_url, auth=(ACCOUNT, TOKEN), trust_env=False, timeout=_MANY, **more)
