"""The rows that read ahead keep the contract of stores, also where now and then another unit is faster."""

from __future__ import annotations

import itertools
import shutil

import pytest

from otpcore.testing.stores.contract import StoreContract
from otpcore.testing.stores.equivalence import EquivalenceTests

from .ahead import ahead_store
from .rows import KeptInRows


class TestAhead(KeptInRows, StoreContract):
    """A thread does the work, whichever event loop waits for it; other processes are for the contracts of real servers."""

    event_loops = ("asyncio",)
    durable = False
    examples = 4

    @pytest.fixture
    def new_store(self, database):
        return ahead_store(database)

    @pytest.fixture
    def new_stores(self, migrated, tmp_path):
        numbers = itertools.count()
        return lambda: ahead_store(shutil.copy(migrated, tmp_path / f"{next(numbers)}.sqlite3"))


class TestOutrun(KeptInRows, EquivalenceTests):
    """A unit that is run again reads nothing ahead, and comes to the same."""

    examples = 4

    @pytest.fixture
    def new_stores(self, migrated, tmp_path):
        numbers = itertools.count()
        return lambda: ahead_store(shutil.copy(migrated, tmp_path / f"{next(numbers)}.sqlite3"), outrun=0.3)
