"""Suites that go wrong as a whole, for ``test_contract_supervision.py``."""

from __future__ import annotations

import pytest

from .acme import Acme
from .broken_manners import Blocks, ComputesForEver, FailsToLoad, FailsToStart, WaitsInStart
from .suites import TextSuite


class LoadsNot(TextSuite):
    provider = FailsToLoad


class StartsNot(TextSuite):
    provider = FailsToStart


class HasNoVendor(TextSuite):
    @pytest.fixture
    def simulator(self):
        raise RuntimeError("the licence of the simulator has expired")


class IsSkippedOnce(TextSuite):
    """A fixture that skips is no failure, and the next test has its chance."""

    skipped = 0

    @pytest.fixture
    def simulator(self):
        if not type(self).skipped:
            type(self).skipped += 1
            pytest.skip("not now")
        with Acme() as simulator:
            yield simulator


class BlocksIts(TextSuite):
    provider = Blocks
    watchdog = 0.5


class ComputesIts(TextSuite):
    provider = ComputesForEver
    watchdog = 0.5


class WaitsIts(TextSuite):
    provider = WaitsInStart
    watchdog = 0.5
