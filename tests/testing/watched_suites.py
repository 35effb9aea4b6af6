"""Suites that go wrong as a whole, for ``test_contract_supervision.py``."""

from __future__ import annotations

import pytest

from otpcore.models import Channel

from .acme import Acme
from .broken_beginnings import AsksAnotherPath, CallsAnotherPath, StumblesBeforeItSends
from .broken_manners import Blocks, ComputesForEver, FailsToLoad, FailsToStart, WaitsInStart
from .broken_receipts import HasAnotherKey
from .suites import CodeSuite, TextSuite


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


class AcceptsNot(TextSuite):
    provider = AsksAnotherPath

    @pytest.fixture
    def simulator(self):
        with Acme() as simulator:
            simulator.paths = ("POST /messages", "GET /account")
            yield simulator


class SendsNot(TextSuite):
    provider = StumblesBeforeItSends


class CallsNot(CodeSuite):
    provider = CallsAnotherPath


class ReadsNot(TextSuite):
    provider = HasAnotherKey


class ReportsNot(TextSuite):
    """Its own method is wrong."""

    def callback(self, simulator, request, receipt, status):
        return {}["url"]


class DeclaresMore(TextSuite):
    """Says that it calls, too."""

    channels = (Channel.SMS, Channel.CALL)
