"""What watches over the tests of a contract suite: one failure for one cause, and no test that waits for ever."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from typing import Any

import anyio
import attrs
import pytest

from otpcore.errors import PluginLoadError, SettingsError
from otpcore.testing.providers.watchdog import Watchdog

__all__ = ["FIRST_TEST", "Supervisor"]

FIRST_TEST = "test_the_instance_loads_and_starts_as_a_service_does_it"
"""The test without which no other makes sense; every other is skipped once it has failed."""

_NAME = "otpcore-provider-contract"
_WAITS = (
    "the test is not over after {limit:g} s: something that it waits for never ends, such as a `start` that waits, or "
    "a blocking call in an async hook, which holds up the whole event loop: make such a hook a plain `def`. Every wait "
    "needs a timeout that fits into context.timeout; a suite that needs longer sets `watchdog`"
)


@attrs.define(eq=False)
class _Course:
    """How far the tests of one class have come.

    Args:
        reached: The author's fixtures have worked.
        started: The event loops on which an instance has started.
        stopped: Why nothing more is tried, and which test has found it, by event loop; under "": on none.
    """

    reached: bool = False
    started: set[str] = attrs.field(factory=set)
    stopped: dict[str, tuple[str, str]] = attrs.field(factory=dict)

    def why_not(self, item: pytest.Item) -> str:
        """Why this test has no chance; empty: it has. The one that found it may be tried once more, as by a rerun."""
        for loop in ("", _event_loop_of(item)):
            why, found_by = self.stopped.get(loop, ("", ""))
            if found_by == item.nodeid:
                self.stopped.pop(loop)
            elif why:
                return why
        return ""


@attrs.define(eq=False)
class Supervisor:
    """A plugin of the running pytest, which the first collected suite registers; it leaves other tests alone."""

    _courses: dict[type, _Course] = attrs.field(factory=dict)

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

    def started(self, item: pytest.Item) -> None:
        """An instance has started in this test."""
        self._course_of(item).started.add(_event_loop_of(item))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip what has no chance."""
        if _is_supervised(item):
            why = self._course_of(item).why_not(item)
            if why:
                pytest.skip(why)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note what makes the rest hopeless: fixtures that fail, and an instance that does not load or start."""
        report = yield
        if _is_supervised(item) and report.failed and call.excinfo is not None:
            course = self._course_of(item)
            if call.when == "setup" and not course.reached:
                course.stopped[""] = (f"the fixtures of the suite fail: see {item.name}", item.nodeid)
            elif call.when == "call" and _does_not_load(item, course, call.excinfo.value):
                loop = _event_loop_of(item) if course.started else ""
                course.stopped[loop] = (f"the instance does not load: see {item.name}", item.nodeid)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
        """Run a test under a watchdog."""
        limit: float = getattr(pyfuncitem.cls, "watchdog", 0)
        if not _is_supervised(pyfuncitem) or not limit:
            return (yield)
        if not inspect.iscoroutinefunction(pyfuncitem.obj):
            with Watchdog(limit, is_loading=True):
                return (yield)
        test = pyfuncitem.obj
        pyfuncitem.obj = _within(limit, test)
        try:
            return (yield)
        finally:
            pyfuncitem.obj = test

    def _course_of(self, item: pytest.Item) -> _Course:
        return self._courses.setdefault(getattr(item, "cls", type(None)), _Course())


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


def _event_loop_of(item: pytest.Item) -> str:
    parameters = getattr(item, "callspec", None)
    backend = parameters.params.get("anyio_backend", "") if parameters else ""
    return backend if isinstance(backend, str) else str(backend[0])


def _does_not_load(item: pytest.Item, course: _Course, error: BaseException) -> bool:
    if getattr(item, "originalname", "") == FIRST_TEST:
        return True
    return not course.started and isinstance(error, PluginLoadError | SettingsError)
