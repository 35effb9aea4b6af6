"""What the tests of the store contract share: the author's answers, the fixtures, and which event loops they run on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import ClassVar, NamedTuple

import pytest

from otpcore.stores.contract import Store
from otpcore.testing.stores.world import World

__all__ = ["EXAMPLES", "CrashFactory", "StoreBase"]

EXAMPLES = 15
"""Histories that the default run compares."""


class CrashFactory(NamedTuple):
    """How another process opens the store of a test: a function by name, and what it is called with.

    Args:
        function: ``"module:function"``; returns a store on the same data, not started.
        arguments: What can be written as JSON.
        path: A folder in which the module is found, if it is not installed.
    """

    function: str
    arguments: tuple[object, ...] = ()
    path: str = ""


class StoreBase:
    """What the author says of the store; ``StoreContract`` documents each fixture and attribute."""

    pytestmark: ClassVar = [pytest.mark.anyio]

    durable: ClassVar[bool] = True
    event_loops: ClassVar[Sequence[str]] = ("asyncio", "trio")
    examples: ClassVar[int] = EXAMPLES
    passes_over: ClassVar[bool] = False

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test on the event loops that the author names."""
        if "anyio_backend" in metafunc.fixturenames:
            metafunc.parametrize("anyio_backend", self.event_loops, scope="module")

    @pytest.fixture
    def new_store(self) -> Store:
        """The author's: a fresh, empty store, not started."""
        raise NotImplementedError("give the fixture `new_store`: a fresh, empty store of yours, not started")

    @pytest.fixture
    def new_stores(self) -> Callable[[], Store]:
        """The author's: a function that makes one empty store after another, for tests that need many."""
        pytest.skip("give the fixture `new_stores`, which makes one empty store after another, to run this")

    @pytest.fixture
    def reopen(self, new_store: Store) -> Callable[[], Store]:  # noqa: ARG002 - it is reopened, so it is there
        """The author's, where the store is durable: makes another store object on the data of ``new_store``."""
        if self.durable:
            raise NotImplementedError(
                "give the fixture `reopen`: makes another store object on the data of `new_store`"
            )
        pytest.skip("the store does not survive its process")

    @pytest.fixture
    def crash_factory(self, new_store: Store) -> CrashFactory:  # noqa: ARG002 - the data is that store's
        """The author's, where the store is durable: how another process opens the data of ``new_store``."""
        if self.durable:
            raise NotImplementedError("give the fixture `crash_factory`: how a process opens the data of `new_store`")
        pytest.skip("the store does not survive its process")

    @pytest.fixture
    def raw_contents(self, new_store: Store) -> Callable[[], bytes]:  # noqa: ARG002 - the data is that store's
        """The author's: reads everything on the medium of ``new_store``, to be searched for what nobody may read."""
        pytest.skip("give the fixture `raw_contents`, which reads the whole medium, to run this")

    @pytest.fixture
    def unreachable(self) -> tuple[Store, str]:
        """The author's: a store whose medium is away, and the password in its address."""
        pytest.skip("give the fixture `unreachable`, a store whose medium is away and its password, to run this")

    @pytest.fixture
    async def world(self, new_store: Store) -> AsyncIterator[World]:
        """A world around the started store."""
        async with AsyncExitStack() as stack:
            await new_store.start(stack)
            yield World(store=new_store)
