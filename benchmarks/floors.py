"""Floors: the least that the work costs without a framework around it."""

from __future__ import annotations

import asyncio
import hmac
import itertools
import json
import secrets
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
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
    """Makes, keeps and checks codes with plain SQL or plain Redis: one commit for each.

    Args:
        storage: The section ``storage`` of settings, as otpcore takes it.
        place: Where an SQLite file is made.
    """

    def __init__(self, storage: Mapping[str, str], place: Path) -> None:
        self._kept = _kept(storage, place)
        self._ids = itertools.count(1)

    def make(self, phone: str) -> tuple[str, str]:
        """A new challenge: its id and code, committed."""
        number, code = f"challenge-{next(self._ids)}", f"{secrets.randbelow(10**6):06d}"
        self._kept.add(number, phone, self._digest(number, code))
        return number, code

    def verify(self, number: str, code: str) -> None:
        """Look up, compare, mark as used: one commit.

        Raises:
            ValueError: It is wrong.
        """
        right = hmac.compare_digest(self._kept.digest(number), self._digest(number, code))
        if not right or not self._kept.use(number):
            raise ValueError("a right code was refused")

    def close(self) -> None:
        self._kept.close()

    @staticmethod
    def _digest(number: str, code: str) -> str:
        return hmac.digest(_KEY, f"{number}:{code}".encode(), "sha256").hex()


_COLUMNS = "id VARCHAR(40) PRIMARY KEY, phone VARCHAR(20), digest VARCHAR(64), state VARCHAR(20), attempts INTEGER, expires BIGINT"


class _InSql:
    """One table, one statement a step, committed by itself."""

    def __init__(self, connection: Any, mark: str) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._put, self._look, self._use = (
            one.replace("?", mark)
            for one in (
                "INSERT INTO code VALUES (?, ?, ?, 'sent', 0, ?)",
                "SELECT digest FROM code WHERE id = ?",
                "UPDATE code SET state = 'approved', attempts = attempts + 1 WHERE id = ? AND state = 'sent'",
            )
        )
        for statement in (
            "DROP TABLE IF EXISTS code",
            f"CREATE TABLE code ({_COLUMNS})",
            "CREATE INDEX code_by_phone ON code (phone)",
        ):
            self._cursor.execute(statement)

    def add(self, number: str, phone: str, digest: str) -> None:
        self._cursor.execute(self._put, (number, phone, digest, 2**40))

    def digest(self, number: str) -> str:
        self._cursor.execute(self._look, (number,))
        found: str = self._cursor.fetchone()[0]
        return found

    def use(self, number: str) -> bool:
        self._cursor.execute(self._use, (number,))
        return bool(self._cursor.rowcount == 1)

    def close(self) -> None:
        self._cursor.execute("DROP TABLE code")
        self._connection.close()


class _InRedis:
    """One key for each code, one command a step."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def add(self, number: str, phone: str, digest: str) -> None:
        self._client.set(number, f"{digest} {phone}", ex=300)

    def digest(self, number: str) -> str:
        return str(self._client.get(number).partition(b" ")[0].decode())

    def use(self, number: str) -> bool:
        return bool(self._client.delete(number) == 1)

    def close(self) -> None:
        self._client.close()


def _kept(storage: Mapping[str, str], place: Path) -> _InSql | _InRedis:
    url = storage.get("url", "")
    if storage["store"] == "redis":
        import redis  # noqa: PLC0415 - a plugin's

        return _InRedis(redis.Redis.from_url(url))
    if url.startswith("postgresql"):
        import psycopg  # noqa: PLC0415 - only where there is such a server

        return _InSql(psycopg.connect(url.replace("+psycopg", ""), autocommit=True), "%s")
    if url.startswith(("mysql", "mariadb")):
        import pymysql  # noqa: PLC0415 - as above

        at = urlsplit(url)
        where = {"host": at.hostname, "port": at.port, "user": at.username, "database": at.path.lstrip("/")}
        return _InSql(pymysql.connect(**where, autocommit=True), "%s")
    connection = sqlite3.connect(place / "codes.sqlite3", isolation_level=None)
    connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = {storage['synchronous']}")
    return _InSql(connection, "?")


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
