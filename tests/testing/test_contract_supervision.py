"""One failure for one cause: what cannot load fails once, and a test that waits for ever ends without the run."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from . import watched_suites

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("imported_before")

WATCHED = Path(watched_suites.__file__)

QUIET = ["no:cacheprovider", "no:hypothesispytest", "no:xdist", "no:timeout"]
BOTH = pytest.mark.parametrize("loop", ["asyncio", "trio"])


def run(
    pytester: pytest.Pytester, name: str, tests: str = "", *options: str, plugins: Sequence[object] = ()
) -> list[pytest.TestReport]:
    """What became of the tests of one of those suites."""
    done = pytester.inline_run(
        *(str(WATCHED), "--import-mode=importlib", "-o", f"python_classes={name}", *(("-k", tests) if tests else ())),
        *options,
        *(part for plugin in QUIET for part in ("-p", plugin)),
        plugins=plugins,
    )
    return done.getreports("pytest_runtest_logreport")


def told(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return crash.message if crash else str(report.longrepr)


@pytest.mark.parametrize(
    ("name", "cause"),
    [("LoadsNot", "its factory raised KeyError at"), ("StartsNot", "start raised KeyError at")],
)
def test_what_does_not_load_fails_once_with_cause_and_fix(pytester, name, cause):
    reports = run(pytester, name)
    failures = [one for one in reports if one.failed]
    assert [one.nodeid.rpartition("::")[2] for one in failures] == [
        "test_the_instance_loads_and_starts_as_a_service_does_it[asyncio]"
    ]
    assert cause in told(failures[0])
    assert "Fix: " in told(failures[0])
    skipped = [one for one in reports if one.skipped]
    assert len(skipped) > 100
    reasons = {one.longrepr[2] for one in skipped} - {"Skipped: got empty parameter set for (refusal, channel)"}
    assert reasons == {f"Skipped: the instance does not load: see {failures[0].nodeid.rpartition('::')[2]} first"}
    passed = {one.nodeid.rpartition("::")[2].partition("[")[0] for one in reports if one.passed and one.when == "call"}
    assert passed == {"test_what_the_suite_must_know_is_said"}, "which asks no instance"


def test_a_failure_that_is_tried_once_more_stays_a_failure(pytester):
    pytest.importorskip("pytest_rerunfailures")
    reports = run(pytester, "LoadsNot", "instance_loads or side_by_side", "--reruns", "1")
    outcomes = [(one.nodeid.rpartition("::")[2].partition("[")[0], one.outcome) for one in reports if not one.passed]
    first, other = "test_the_instance_loads_and_starts_as_a_service_does_it", "test_two_instances_live_side_by_side"
    assert outcomes == [(first, "rerun"), (first, "failed"), (other, "skipped"), (first, "skipped"), (other, "skipped")]


def test_without_the_first_test_the_first_that_finds_it_tells_it(pytester):
    reports = run(pytester, "StartsNot", "arrives_once or side_by_side")
    assert len([one for one in reports if one.failed]) == 1
    assert len([one for one in reports if one.skipped]) == 3


GATES = {
    "AcceptsNot": ("test_a_plain_message_is_accepted[sms-asyncio]", "It knows POST /messages, GET /account."),
    "SendsNot": ("test_a_plain_message_is_accepted[sms-asyncio]", "send_sms raised KeyError at"),
    "ReadsNot": ("test_what_the_vendor_reports_is_read[sms-asyncio]", "was refused (signature:"),
    "ReportsNot": (
        "test_what_the_vendor_reports_is_read[sms-asyncio]",
        "`callback` of the suite raised KeyError('url')",
    ),
    "DeclaresMore": ("test_the_instance_loads_and_starts_as_a_service_does_it[asyncio]", "set `channels` of the suite"),
}


class Backwards:
    """The tests in another order."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        items.reverse()


@pytest.mark.parametrize("name", GATES)
def test_what_others_need_fails_once_with_cause_and_fix(pytester, name):
    gate, words = GATES[name]
    reports = run(pytester, name)
    (failure,) = [one for one in reports if one.failed]
    assert failure.nodeid.rpartition("::")[2] == gate
    assert words in "".join([told(failure), failure.caplog])
    waiting = [one for one in reports if one.skipped and one.longrepr[2].endswith(f"see {gate} first")]
    assert len(waiting) > 10
    assert [one for one in reports if one.passed and one.when == "call"], "what does not need it is tried"


@pytest.mark.parametrize("name", GATES)
def test_in_another_order_it_is_one_failure_all_the_same(pytester, name):
    reports = run(pytester, name, plugins=[Backwards()])
    (failure,) = [one for one in reports if one.failed]
    gate, words = GATES[name]
    assert told(failure).startswith(f"Failed: {gate.partition('[')[0]} comes before this test, and fails:")
    assert words in told(failure)


def test_a_single_test_tells_why_it_has_no_chance(pytester):
    (failure,) = [one for one in run(pytester, "AcceptsNot", "a_refusal_of and 13 and trio") if one.failed]
    assert "answered 404" in told(failure)
    assert "13 is rejected_number" not in told(failure)


def test_the_first_failure_ends_a_run_that_asks_for_it(pytester):
    reports = run(pytester, "AcceptsNot", "", "-x")
    assert len([one for one in reports if one.failed]) == 1
    assert told(next(one for one in reports if one.failed)).startswith("Failed: a message was not accepted")


def test_a_gate_that_holds_is_no_result_of_another_test(pytester):
    reports = run(pytester, "TextSuite", "side_by_side and asyncio")
    assert {one.nodeid.rpartition("::")[2] for one in reports} == {"test_two_instances_live_side_by_side[asyncio]"}
    assert {one.outcome for one in reports} == {"passed"}


def test_a_channel_that_is_not_accepted_stops_no_other(pytester):
    reports = run(pytester, "CallsNot", "accepted or arrives_once or only_once")
    (failure,) = [one for one in reports if one.failed]
    assert failure.nodeid.endswith("test_a_plain_message_is_accepted[call-asyncio]")
    passed = [one.nodeid for one in reports if one.passed and one.when == "call"]
    assert len([name for name in passed if "sms" in name]) == 6
    assert not [name for name in passed if "call-" in name]


def test_each_process_of_xdist_tells_it_once(pytester):
    pytest.importorskip("xdist")
    options = ["--import-mode=importlib", "-o", "python_classes=AcceptsNot", "-k", "asyncio", "-n", "2"]
    result = pytester.runpytest_subprocess(str(WATCHED), *options, "-p", "no:cacheprovider")
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] <= 2
    assert "errors" not in outcomes
    assert outcomes["skipped"] > 20


def test_a_fixture_that_fails_fails_once(pytester):
    reports = run(pytester, "HasNoVendor")
    (failure,) = [one for one in reports if one.failed]
    assert "the licence of the simulator has expired" in told(failure)
    assert {one.longrepr[2] for one in reports if one.skipped and one.when == "setup"} == {
        "Skipped: the fixtures of the suite fail: see test_the_instance_loads_and_starts_as_a_service_does_it[asyncio] first"
    }


def test_a_fixture_that_skips_stops_nothing(pytester):
    reports = run(pytester, "IsSkippedOnce", "instance_loads or arrives_once")
    assert len([one for one in reports if one.skipped]) == 1
    assert len([one for one in reports if one.passed and one.when == "call"]) == 3


@BOTH
def test_a_hook_that_blocks_ends_its_test_and_not_the_run(pytester, loop):
    before, handler, began = set(threading.enumerate()), signal.getsignal(signal.SIGALRM), time.monotonic()
    reports = run(pytester, "BlocksIts", f"(arrives_once or does_not_answer_in_time or side_by_side) and {loop}")
    calls = {one.nodeid.rpartition("::")[2].partition("[")[0]: one for one in reports if one.when == "call"}
    failed = [name for name, one in calls.items() if one.failed]
    assert failed == ["test_a_vendor_who_does_not_answer_in_time_is_ambiguous"]
    assert len(calls) == 3, "the others ran, before and after it"
    assert told(calls[failed[0]]).startswith("Failed: your hook blocks the event loop: use `def`")
    assert "broken_manners.py" in told(calls[failed[0]]), "the place where it stands is shown"
    assert told(calls[failed[0]]).endswith(" in ask")
    assert "Traceback" not in str(calls[failed[0]].longrepr), "one sentence, without the lines of an event loop"
    assert time.monotonic() - began < 30, "after half a second; the machine may be busy"
    assert [one.name for one in set(threading.enumerate()) - before if "Trio" not in one.name] == []
    assert signal.getsignal(signal.SIGALRM) is handler
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0 or signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL


@BOTH
def test_one_that_computes_for_ever_is_interrupted(pytester, loop):
    (failure,) = [one for one in run(pytester, "ComputesIts", f"instance_loads and {loop}") if one.failed]
    assert "your hook blocks the event loop" in told(failure)


@BOTH
def test_one_that_waits_for_ever_is_cancelled(pytester, loop):
    (failure,) = [one for one in run(pytester, "WaitsIts", f"instance_loads and {loop}") if one.failed]
    assert "the test is not over after 0.5 s" in told(failure)


def test_a_timer_that_ran_before_goes_on_after_a_test(pytester):
    heard = []
    handler = signal.signal(signal.SIGALRM, lambda *_: heard.append("timer"))
    previous = signal.setitimer(signal.ITIMER_REAL, 60)
    try:
        run(pytester, "BlocksIts", "loading_asks")
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        assert 20 < left < 60
        assert not heard
    finally:
        signal.setitimer(signal.ITIMER_REAL, *previous)
        signal.signal(signal.SIGALRM, handler)
