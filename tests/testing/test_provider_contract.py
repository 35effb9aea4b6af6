"""Tests of the provider contract: two correct providers pass all of it, and whoever breaks one promise fails."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from otpcore.errors import ErrorKind
from otpcore.models import Channel, CodeOwner
from otpcore.providers.requests import ReceiptRequest
from otpcore.testing.providers.contract import Bench, ProviderContract, Refusal

from .acme import NO_SUCH_NUMBER, WHATSAPP, Acme, Codes, Messages, Text, signed
from .broken_providers import BROKEN, SignsTheBodyOnly

pytest_plugins = ["pytester"]


class TestText(ProviderContract):
    provider = Text
    channels = (Channel.SMS,)
    required_settings = ("token",)
    secret_settings = ("token",)
    refusals = (
        Refusal(NO_SUCH_NUMBER, ErrorKind.REJECTED_NUMBER, "13"),
        Refusal(lambda simulator: setattr(simulator, "credit", 0), ErrorKind.MISCONFIGURED, "99", Channel.SMS),
    )

    @pytest.fixture
    def simulator(self):
        with Acme() as simulator:
            yield simulator

    @pytest.fixture
    def plugin(self):
        return self.provider

    prices = ("answer", "receipt")

    def callback(self, simulator, request, receipt, status):
        charged = simulator.inbox[-1].price
        price = {"price": str(charged.amount), "currency": charged.currency} if charged else {}
        url, body = (
            "https://example.com/acme",
            json.dumps({"id": receipt.reference, "status": status, **price}).encode(),
        )
        return ReceiptRequest(url=url, headers={"Signature": signed(simulator.token, url, body)}, body=body)


class TestUnsignedUrl(TestText):
    """A vendor whose signature does not cover the URL says so, and passes."""

    provider = SignsTheBodyOnly
    signs_url = False


class TestMessages(TestText):
    provider = Messages
    channels = (Channel.SMS, WHATSAPP)


class TestCodes(TestText):
    provider = Codes
    channels = (Channel.SMS, Channel.CALL)
    code_owner = CodeOwner.PROVIDER
    prices = ()


# Collected by the inner pytest only, which looks for classes of this name.
for broken in BROKEN:
    suites = {Codes: TestCodes, Messages: TestMessages}
    suite = next((suite for correct, suite in suites.items() if issubclass(broken, correct)), TestText)
    only_asyncio = pytest.fixture(lambda self: "asyncio")
    changed = {"provider": broken, "anyio_backend": only_asyncio, "short_timeout": 0.3}
    globals()[f"Broken{broken.__name__}"] = type(f"Broken{broken.__name__}", (suite,), changed)


def test_whoever_breaks_a_promise_fails_where_it_is_tested(pytester):
    chosen = " or ".join(f"(Broken{broken.__name__} and ({tests}))" for broken, (tests, _) in BROKEN.items())
    plugins = ["no:cacheprovider", "no:hypothesispytest", "no:xdist", "no:timeout"]
    run = pytester.inline_run(
        *(__file__, "--import-mode=importlib", "-o", "python_classes=Broken", "-k", chosen),
        *(part for plugin in plugins for part in ("-p", plugin)),
    )
    reports = [report for report in run.getreports("pytest_runtest_logreport") if report.when == "call"]
    for broken, (_, words) in BROKEN.items():
        own = [report for report in reports if f"::Broken{broken.__name__}::" in report.nodeid]
        assert {report.outcome for report in own} == {"failed"}, f"{broken.__name__} was not noticed"
        for report in own:
            said = report.longrepr.reprcrash.message
            assert words in said, f"{broken.__name__} failed for another reason: {said}"


def test_a_vendor_s_code_that_is_the_year_is_not_taken_for_the_date_in_a_log_record():
    year = f"{datetime.now(UTC):%Y}"
    with Acme() as acme:
        bench = Bench(suite=TestCodes(), simulator=acme, plugin="", settings={"token": acme.token})
        acme.deliver(recipient="+359871234567", channel=Channel.SMS, text="Yours", code=year)
        bench.assert_safe(f"Date: Sun, 29 Nov {year} 20:45:49 GMT", "a record")
        acme.deliver(recipient="+359871234567", channel=Channel.SMS, text="Yours", code="4071")
        with pytest.raises(AssertionError, match="shows a code"):
            bench.assert_safe("code=4071", "a record")


def test_a_suite_without_its_fixtures_says_what_is_missing(pytester):
    pytester.makepyfile("from otpcore.testing import ProviderContract\nclass TestNothing(ProviderContract): ...")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-k", "declaration")
    result.stdout.fnmatch_lines(["*give the fixture `simulator`*"])
