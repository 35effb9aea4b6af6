"""What tests that run pytest within pytest share."""

from __future__ import annotations

import importlib

import pytest

from otpcore.testing.providers.contract import Bench

from .acme import Acme
from .suites import TextSuite


@pytest.fixture(scope="session")
def imported_before() -> None:
    """pytester forgets what an inner run imports first, and what is written in C or Rust is not imported twice."""
    for name in ("cattrs", "httpcore", "otpcore.http.causes", "otpcore.http.proxy", "otpcore.http.transport", "trio"):
        importlib.import_module(name)
    Bench(suite=TextSuite(), simulator=Acme(), plugin="", settings={}).foreign_proof("delivery-1")
