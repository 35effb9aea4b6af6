"""otpcore as a host runs it: a service over one store and one provider."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.floors import ACCOUNT, TOKEN
from otpcore import AsyncOTPService
from otpcore.clock import utc_now
from otpcore.errors import ErrorKind, ProviderError
from otpcore.models import CodeOwner
from otpcore.providers.hooks import hookimpl
from otpcore.providers.requests import DeliveryReceipt, DeliveryRequest, ProviderInfo
from otpcore.settings.tree import KeySettings, Settings, generate_keys

__all__ = ["Gateway", "emptied", "file_path", "opened", "settings", "twilio"]

_NOBODY_VERIFIES = "100000000/1h"  # counted as in any host, and never reached
_REDIS_STORES = ("redis", "valkey")


class Gateway:
    """A provider in this process that accepts everything, after ``latency`` seconds, unless it is ``down``."""

    def __init__(self, latency: float = 0.0) -> None:
        self.latency = latency
        self.down = False
        self.refusal = ErrorKind.UNAVAILABLE

    @hookimpl
    def describe(self) -> ProviderInfo:
        return ProviderInfo(display_name="Gateway", code_owner=CodeOwner.CORE)

    @hookimpl
    async def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
        down = self.note(request)
        if self.latency:
            await asyncio.sleep(self.latency)
        if down:
            raise ProviderError(self.refusal, "down")
        self.accepted(request)
        return DeliveryReceipt(reference=request.delivery_id)

    def note(self, request: DeliveryRequest) -> bool:  # noqa: ARG002 - others look at it
        """A call begins; whether it will fail."""
        return self.down

    def accepted(self, request: DeliveryRequest) -> None:
        """A message is on its way."""


def twilio(base_url: str) -> dict[str, Any]:
    """The section of one instance of otp-twilio that sends text."""
    return {
        "mode": "messaging",
        "account_sid": ACCOUNT,
        "auth_token": TOKEN,
        "from_number": "+15005550006",
        "api_base_url": base_url,
    }


def settings(storage: Mapping[str, str], **more: Any) -> Settings:
    """Defaults, except that numbers need not be assigned, and that sends nobody verifies do not use a budget up."""
    keys: KeySettings = generate_keys(utc_now())
    return Settings.from_mapping(
        {
            "otp": {"number_policy": "possible"},
            "storage": dict(storage),
            "limits": {"unverified": [_NOBODY_VERIFIES]},
            "keys": {"index": keys.index, "code": dict(keys.code), "current": keys.current},
            **more,
        }
    )


def file_path(storage: Mapping[str, str]) -> Path:
    """The SQLite file of ``emptied`` settings."""
    return Path(storage["url"].removeprefix("sqlite:///"))


@asynccontextmanager
async def emptied(storage: Mapping[str, str], directory: str) -> AsyncIterator[dict[str, str]]:
    """The same store without any rows: a new file, or the server's tables emptied."""
    with tempfile.TemporaryDirectory(dir=directory, ignore_cleanup_errors=True) as place:
        made = dict(storage)
        if made["store"] == "sql" and "url" not in made:
            made["url"] = f"sqlite:///{place}/otp.sqlite3"
        elif made["store"] == "sql":
            await asyncio.to_thread(_truncate, made["url"])
        elif made["store"] in _REDIS_STORES:
            await asyncio.to_thread(_flush, made["url"])
        yield made


@asynccontextmanager
async def opened(
    storage: Mapping[str, str],
    directory: str,
    *,
    gateway: Gateway | None = None,
    base_url: str = "",
    observers: Sequence[object] = (),
    **more: Any,
) -> AsyncIterator[AsyncOTPService]:
    """A service over an empty store; with ``gateway`` its only provider, else otp-twilio at ``base_url``."""
    async with emptied(storage, directory) as made:
        providers = {} if gateway else {"otp_sms_provider": "twilio", "providers": {"twilio": twilio(base_url)}}
        configured = settings(made, **providers, **more)
        forced = {"gateway": gateway} if gateway else None
        async with AsyncOTPService(configured, providers=forced, observers=observers) as otp:
            yield otp


def _truncate(url: str) -> None:
    from sqlalchemy import create_engine, inspect, text  # noqa: PLC0415 - SQLite and memory do without

    from otpcore.stores.sql.store import upgrade  # noqa: PLC0415 - as above

    upgrade(url)
    engine = create_engine(url)
    try:
        names = [name for name in inspect(engine).get_table_names() if name != "otp_alembic_version"]
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"TRUNCATE {', '.join(names)}"))
            else:
                for name in names:  # MariaDB truncates one at a time, and takes seconds where there is little to remove
                    connection.execute(text(f"DELETE FROM {name}"))  # noqa: S608 - our own tables
    finally:
        engine.dispose()


def _flush(url: str) -> None:
    import redis  # noqa: PLC0415 - a plugin's

    with redis.Redis.from_url(url) as client:
        client.flushall()
