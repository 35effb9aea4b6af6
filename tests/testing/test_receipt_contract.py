"""Receipts in the provider contract: a vendor that signs nothing, and one that reports many at once."""

from __future__ import annotations

from .gateway_suites import BellSuite, HiveSuite


class TestBell(BellSuite): ...


class TestHive(HiveSuite): ...
