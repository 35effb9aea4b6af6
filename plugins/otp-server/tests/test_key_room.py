"""Two keys of an app and kind are in use at a time: also where many make one at the same moment, and where one of them dies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from otp_server import keys as _keys
from otp_server.keys import ApiKeys, Kind
from otp_server.vault import Records, Vault

from otpcore import AsyncOperator, InvalidArgument, Settings, StoreError
from otpcore.stores import World
from otpcore.testing import Outbox

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a store that several processes share."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/otp.sqlite3"
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def processes(url: str) -> AsyncIterator[list[Records]]:
    """The records of one store as four processes have them, each with a store of its own."""
    settings = Settings.from_mapping({"keys": Outbox().settings["keys"], "storage": {"url": url}})
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(AsyncOperator(settings)) for _ in range(4)]
        yield [Records(store=one.store.within(World.REAL), vault=Vault(settings)) for one in opened]


async def _race(processes: list[Records], kind: Kind, app: str) -> int:
    """How many of twelve that are made at once are made."""
    made: list[Any] = []

    async def make(records: Records) -> None:
        try:
            made.append(await ApiKeys(records).new(kind, app=app, by="the test"))
        except InvalidArgument as error:
            assert "two" in str(error)  # noqa: PT017 - it is one of many

    async with anyio.create_task_group() as tasks:
        for number in range(12):
            tasks.start_soon(make, processes[number % len(processes)])
    return len(made)


async def test_of_many_that_are_made_at_once_two_are(processes: list[Records]) -> None:
    for app in ("shop", "bank"):
        assert await _race(processes, Kind.LIVE, app) == 2
        living = [one for one in await ApiKeys(processes[0]).list() if one.app == app]
        assert len(living) == 2
        await ApiKeys(processes[1]).revoke(living[0].id, by="the test")
        assert await _race(processes, Kind.LIVE, app) == 1


async def test_who_died_while_he_made_one_holds_its_place_for_a_minute_and_cannot_come_back(
    processes: list[Records], monkeypatch: pytest.MonkeyPatch
) -> None:
    dying, other = ApiKeys(processes[0]), ApiKeys(processes[1])
    taken: list[Any] = []

    class Died(Exception):  # noqa: N818 - a death
        """The process is gone between its two writes."""

    async def die(key: Any) -> None:
        await ApiKeys._take_room(dying, key)
        taken.append(key)
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(dying, "_take_room", die)
        with pytest.raises(Died):
            await dying.new(Kind.LIVE, by="the test")
    await other.new(Kind.LIVE, by="the test")
    with pytest.raises(InvalidArgument, match="are in use"):
        await other.new(Kind.LIVE, by="the test")
    monkeypatch.setattr(_keys, "_PATIENCE", timedelta(seconds=-1))
    await other.new(Kind.LIVE, by="the test")
    assert len([one for one in await other.list() if not one.app]) == 2
    late = {"kind": "live", "digest": "0" * 64, "at": datetime.now(UTC).isoformat()}
    assert await processes[0].put("keys", taken[0].id, late, expect=0) is None
    assert await other.revoke(taken[0].id, by="the test") is None


async def test_a_key_that_comes_too_late_is_told_as_a_slow_store(
    processes: list[Records], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ApiKeys(processes[0])

    async def slowly(key: Any) -> None:
        await processes[1].put("keys", key.id, {"digest": "0" * 64}, expect=0)

    monkeypatch.setattr(keys, "_take_room", slowly)
    with pytest.raises(StoreError, match="too slow"):
        await keys.new(Kind.LIVE, by="the test")
