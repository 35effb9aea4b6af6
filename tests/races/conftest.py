"""Every way to race, over every store. A new store adds a line to `STORES`, and its own processes where it has any.

On a server, where every unit is a transaction in a thread whoever asked for it, the threads and the processes race by default;
``CHAOS_SCENES=all`` adds the tasks.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

import pytest

from otpcore.codes import KeyRing
from otpcore.stores.contract import Store
from otpcore.stores.memory.store import MemoryStore
from otpcore.stores.sql.store import SqlStore, upgrade

from ..chaos.scenes import EVERYTHING  # noqa: TID252 - tests are no package that could be imported by name
from ..own_servers import own_postgres  # noqa: TID252 - the same
from .courses import Course, count_comparisons, processes, tasks, threads

STORES: dict[str, Callable[[Path], AbstractContextManager[Store]]] = {
    "memory": lambda _: nullcontext(MemoryStore()),
    "sqlite": lambda directory: nullcontext(SqlStore(f"sqlite:///{directory / 'otp.sqlite3'}")),
    "postgres": lambda _: _on_postgres(),
}
WAYS = ("asyncio tasks", "trio tasks", "threads")
RACES = [f"{way}, {store}" for store in ("memory", "sqlite") for way in WAYS] + ["processes, sqlite"]
ON_A_SERVER = [f"{way}, postgres" for way in ((*WAYS, "processes") if EVERYTHING else ("threads", "processes"))]


@contextmanager
def _on_postgres() -> Iterator[Store]:
    with own_postgres() as server:
        upgrade(server.url)
        yield SqlStore(server.url)


@pytest.fixture(scope="module", params=[*RACES, *ON_A_SERVER])
def course(request: pytest.FixtureRequest) -> Iterator[Course]:
    """One installation for a file; every test brings people of its own."""
    way, store = request.param.split(", ")
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        if way == "processes":
            yield stack.enter_context(processes(Path(directory), store))
            return
        made = stack.enter_context(STORES[store](Path(directory)))
        if way == "threads":
            yield stack.enter_context(threads(made))
        else:
            yield stack.enter_context(tasks(way.partition(" ")[0], made))


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a code was compared, by challenge, in this process."""
    matches, counted = count_comparisons(KeyRing.matches)
    monkeypatch.setattr(KeyRing, "matches", matches)
    return counted
