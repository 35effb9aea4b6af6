"""Tests of the provider contract: providers that are correct pass all of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from otpcore.models import Channel
from otpcore.testing.providers.contract import Bench

from .acme import Acme
from .suites import CodeSuite, MessageSuite, OneKeySuite, SignsNoUrl, TextSuite, ThreadSuite

pytest_plugins = ["pytester"]


class TestText(TextSuite): ...


class TestUnsignedUrl(TextSuite):
    """A vendor whose signature does not cover the URL says so, and passes."""

    provider = SignsNoUrl
    signed = frozenset({"body", "headers"})


class TestOneKey(OneKeySuite):
    """A vendor that signs nothing, and sends a secret of the account along."""


class TestThreads(ThreadSuite):
    """Plain hooks over a blocking client, with the timeouts that it has."""


class TestMessages(MessageSuite): ...


class TestCodes(CodeSuite): ...


def test_a_vendor_s_code_that_is_the_year_is_not_taken_for_the_date_in_a_log_record():
    year = f"{datetime.now(UTC):%Y}"
    with Acme() as acme:
        bench = Bench(suite=CodeSuite(), simulator=acme, plugin="", settings={"token": acme.token})
        acme.deliver(recipient="+359871234567", channel=Channel.SMS, text="Yours", code=year)
        bench.assert_safe(f"Date: Sun, 29 Nov {year} 20:45:49 GMT", "a record")
        acme.deliver(recipient="+359871234567", channel=Channel.SMS, text="Yours", code="4071")
        with pytest.raises(AssertionError, match="shows a code"):
            bench.assert_safe("code=4071", "a record")


def test_a_suite_without_its_fixtures_says_what_is_missing(pytester):
    pytester.makepyfile("from otpcore.testing import ProviderContract\nclass TestNothing(ProviderContract): ...")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-k", "declaration")
    result.stdout.fnmatch_lines(["*give the fixture `simulator`*"])
