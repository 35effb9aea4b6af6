"""The memory store keeps the contract of stores; it is what the others are compared with."""

from __future__ import annotations

import pytest

from otpcore.stores.memory.store import MemoryStore
from otpcore.testing.stores.contract import StoreContract


class TestMemory(StoreContract):
    durable = False
    test_it_answers_and_keeps_what_the_memory_store_does = None

    @pytest.fixture
    def new_store(self):
        return MemoryStore()

    @pytest.fixture
    def new_stores(self):
        return MemoryStore
