"""Whoever breaks one promise of the provider contract fails where it is tested, with words that say what to do.

The default run takes a sample; ``OTPCORE_TEST_CONTRACTS=all`` (``nox -s contracts``) takes every row of the tables.
"""

from __future__ import annotations

import os

import pytest

from . import broken_beginnings, broken_gateways, broken_manners, broken_providers, broken_receipts
from .acme import Codes, Messages
from .suites import CodeSuite, MessageSuite, TextSuite

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("imported_before")

EVERY = (
    *broken_providers.BROKEN,
    *broken_beginnings.BROKEN,
    *broken_gateways.BROKEN,
    *broken_receipts.BROKEN,
    *broken_manners.BROKEN,
)
SAMPLE = {
    *("RepeatsInSecret", "LogsTheCode", "TakesGoneForWrong", "HasAnotherKey", "ComparesTheBeginning", "ReadsTheFirst"),
    *("BelievesOldReceipts", "BlocksWatchdog", "LeavesItsClientOpen", "TextSigned"),
}
ROWS = [row for row in EVERY if os.environ.get("OTPCORE_TEST_CONTRACTS") == "all" or row.name in SAMPLE]


def suite_of(row):
    if row.suite is not None:
        return row.suite
    suites = {Codes: CodeSuite, Messages: MessageSuite}
    return next((suite for correct, suite in suites.items() if issubclass(row.provider, correct)), TextSuite)


# Collected by the inner pytest only, which looks for classes of this name.
for number, row in enumerate(ROWS):
    only_asyncio = pytest.fixture(lambda self: "asyncio")
    changed = {"provider": row.provider, "anyio_backend": only_asyncio, "short_timeout": 0.3, **row.said}
    globals()[f"Broken{number:03}"] = type(f"Broken{number:03}", (suite_of(row),), changed)


def test_whoever_breaks_a_promise_fails_where_it_is_tested(pytester):
    chosen = " or ".join(f"(Broken{number:03} and ({row.tests}))" for number, row in enumerate(ROWS))
    plugins = ["no:cacheprovider", "no:hypothesispytest", "no:xdist", "no:timeout"]
    run = pytester.inline_run(
        *(__file__, "--import-mode=importlib", "-o", "python_classes=Broken", "-k", chosen),
        # What one leaves behind is freed in another's test.
        *("-W", "ignore::pytest.PytestUnraisableExceptionWarning"),
        *(part for plugin in plugins for part in ("-p", plugin)),
    )
    reports = [report for report in run.getreports("pytest_runtest_logreport") if report.when == "call"]
    problems = []
    for number, row in enumerate(ROWS):
        own = [report for report in reports if f"::Broken{number:03}::" in report.nodeid]
        if {report.outcome for report in own} != {"failed"}:
            problems.append(
                f"{row.name} was not noticed by {[one.nodeid for one in own if not one.failed] or row.tests}"
            )
        for report in own:
            crash = getattr(report.longrepr, "reprcrash", None)
            said = crash.message if crash else str(report.longrepr)
            if report.failed and row.words not in said:
                problems.append(f"{row.name} failed for another reason: {said}")
    assert not problems, "\n".join(problems)


def test_the_tables_have_a_row_for_each_promise():
    assert len(EVERY) >= 50
    assert len({(row.name, row.tests) for row in EVERY}) == len(EVERY)
    assert {row.name for row in EVERY} >= SAMPLE
