"""What watches over the tests of a contract suite: one failure for one cause, and no test that waits for ever."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from typing import Any

import anyio
import attrs
import pytest
from _pytest.runner import runtestprotocol

from otpcore.testing.providers.courses import Course, Stop, Visit, made, visit_of, visits_of
from otpcore.testing.providers.watchdog import Watchdog

__all__ = ["Supervisor"]

_NAME = "otpcore-provider-contract"
_BEFORE = "{gate} comes before this test, and fails:\n{said}"
_WAITS = (
    "the test is not over after {limit:g} s: something that it waits for never ends, such as a `start` that waits, or "
    "a blocking call in an async hook, which holds up the whole event loop: make such a hook a plain `def`. Every wait "
    "needs a timeout that fits into context.timeout; a suite that needs longer sets `watchdog`"
)


@attrs.define(eq=False)
class Supervisor:
    """A plugin of the running pytest, which the first collected suite registers; it leaves other tests alone.

    Before a test that needs a gate, the gate is tried in this process, unless it was: so it holds for a single test, in
    any order, and in each process of pytest-xdist. A gate that fails out of turn is told by the test that needed it.
    """

    _courses: dict[type, Course] = attrs.field(factory=dict)

    @classmethod
    def of(cls, config: pytest.Config) -> Supervisor:
        """The one of this run."""
        found = config.pluginmanager.get_plugin(_NAME)
        if found is None:
            found = cls()
            config.pluginmanager.register(found, _NAME)
        supervisor: Supervisor = found
        return supervisor

    def reached(self, item: pytest.Item) -> None:
        """The fixtures of this test's class work."""
        self._course_of(item).reached = True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Try the gates that it needs first."""
        if isinstance(item, pytest.Function) and _is_supervised(item):
            course = self._course_of(item)
            for visit in visits_of(item):
                if not course.stops(item) and not course.is_passed(visit):
                    _try(course, visit, item)
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip what has no chance."""
        if isinstance(item, pytest.Function) and _is_supervised(item):
            why = self._course_of(item).why_not(item)
            if why:
                pytest.skip(why)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note what becomes of gates, and fixtures that fail."""
        report = yield
        if isinstance(item, pytest.Function) and _is_supervised(item):
            course = self._course_of(item)
            visit = visit_of(item)
            if report.skipped:
                course.forget_untold(item)
            elif call.when == "setup" and report.failed and not course.reached:
                course.stop(None, Stop("the fixtures of the suite fail", item.nodeid))
            elif call.when == "call" and visit is not None:
                if report.failed:
                    course.stop(visit, Stop(visit.gate.why, item.nodeid))
                else:
                    course.passed.add(visit)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
        """Run a test under a watchdog."""
        limit: float = getattr(pyfuncitem.cls, "watchdog", 0)
        if _is_supervised(pyfuncitem):
            words = self._course_of(pyfuncitem).told_by(pyfuncitem)
            if words:
                pytest.fail(words, pytrace=False)
        if not _is_supervised(pyfuncitem) or not limit:
            return (yield)
        if not inspect.iscoroutinefunction(pyfuncitem.obj):
            with Watchdog(limit):
                return (yield)
        test = pyfuncitem.obj
        pyfuncitem.obj = _within(limit, test)
        try:
            return (yield)
        finally:
            pyfuncitem.obj = test

    def _course_of(self, item: pytest.Item) -> Course:
        return self._courses.setdefault(getattr(item, "cls", type(None)), Course())


def _try(course: Course, visit: Visit, item: pytest.Function) -> None:
    """Run a gate out of turn; what it says is told by the test that needs it, as it may not be among those that run."""
    gate = made(visit, item)
    if gate is None:  # the author's class has taken it out
        return
    reports = runtestprotocol(gate, log=False, nextitem=item)
    said = "\n".join(f"{one.longreprtext}\n{one.caplog}".rstrip() for one in reports if one.failed)
    for place, stop in list(course.stopped.items()):
        if stop.found_by != gate.nodeid:
            continue
        if place is None:  # the fixtures fail: so they do for the test itself
            course.stopped.pop(place)
        else:
            words = _BEFORE.format(gate=visit.gate.test, said=said)
            course.stopped[place] = attrs.evolve(stop, found_by=item.nodeid, words=words)


def _within(limit: float, test: Callable[..., Any]) -> Callable[..., Any]:
    """The asynchronous test, ended where the loop goes on and the test does not, and where the loop stands still."""

    @functools.wraps(test)
    async def within(**arguments: Any) -> None:
        with Watchdog(limit):
            with anyio.move_on_after(limit) as scope:
                await test(**arguments)
            if scope.cancelled_caught:
                pytest.fail(_WAITS.format(limit=limit), pytrace=False)

    return within


def _is_supervised(item: pytest.Item) -> bool:
    """Whether it is a test of a contract suite; its base is not imported, as it imports this."""
    return getattr(getattr(item, "cls", None), "is_provider_contract", False)
