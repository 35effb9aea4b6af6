"""Every way to race, over every store. A new store adds a line to `STORES`, and its own processes where it has any."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from otpcore.codes import KeyRing
from otpcore.interfaces import Store
from otpcore.stores.memory import MemoryStore
from otpcore.stores.sql import SqlStore

from .courses import Course, count_comparisons, processes, tasks, threads

STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _: MemoryStore(),
    "sql": lambda directory: SqlStore(f"sqlite:///{directory / 'otp.sqlite3'}"),
}
WAYS = ("asyncio tasks", "trio tasks", "threads")


@pytest.fixture(scope="module", params=[f"{way}, {store}" for store in STORES for way in WAYS] + ["processes, sql"])
def course(request: pytest.FixtureRequest) -> Iterator[Course]:
    """One installation for a file; every test brings people of its own."""
    way, store = request.param.split(", ")
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        if way == "processes":
            yield stack.enter_context(processes(Path(directory)))
            return
        made = STORES[store](Path(directory))
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
