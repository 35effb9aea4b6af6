"""How far the tests of one contract suite have come: which gates were passed, and what stopped the rest."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

__all__ = ["Course", "Stop", "Visit", "made", "visit_of", "visits_of"]


@attrs.frozen
class _Gate:
    """A test without which others make no sense.

    Args:
        test: Its name.
        fixture: Who asks for this one needs what the gate shows.
        why: What is said of the tests that are skipped.
        by_channel: It is passed for each channel by itself, and first for the first of the suite's.
    """

    test: str
    fixture: str
    why: str
    by_channel: bool = True


_GATES = (
    _Gate(
        "test_the_instance_loads_and_starts_as_a_service_does_it",
        "bench",
        "the instance does not load",
        by_channel=False,
    ),
    _Gate("test_a_plain_message_is_accepted", "accepting", "no message is accepted"),
    _Gate("test_what_the_vendor_reports_is_read", "reporting", "the vendor's receipt is not read"),
)


@attrs.frozen
class Visit:
    """One gate, for a channel, on an event loop; ``""``: on whichever."""

    gate: _Gate
    channel: str
    loop: str

    @property
    def everywhere(self) -> Visit:
        """The same on all event loops."""
        return attrs.evolve(self, loop="")


@attrs.frozen
class Stop:
    """Why something is not tried.

    Args:
        why: In a few words.
        found_by: The test that has found it, and tells it.
        words: What that test says, where it is not the gate itself but ran the gate before it.
    """

    why: str
    found_by: str
    words: str = ""


@attrs.define(eq=False)
class Course:
    """How far the tests of one class have come.

    Args:
        reached: The author's fixtures have worked.
        passed: What was shown.
        stopped: What was shown not to be; under None: the fixtures fail.
    """

    reached: bool = False
    passed: set[Visit] = attrs.field(factory=set)
    stopped: dict[Visit | None, Stop] = attrs.field(factory=dict)

    def is_passed(self, visit: Visit) -> bool:
        """Whether it was shown there; for a test without an event loop: on any."""
        return visit in self.passed or (not visit.loop and any(one.everywhere == visit for one in self.passed))

    def stop(self, visit: Visit | None, stop: Stop) -> None:
        """Note what failed; where it has worked on no event loop, it counts for all of them."""
        failed = visit.everywhere if visit is not None and not self.is_passed(visit.everywhere) else visit
        self.stopped[failed] = stop

    def stops(self, item: pytest.Function) -> list[tuple[Visit | None, Stop]]:
        """What stops this test."""
        own = visit_of(item)
        visits = [*visits_of(item), *((own,) if own is not None else ())]
        places = [None, *(place for visit in visits for place in dict.fromkeys((visit.everywhere, visit)))]
        return [(place, self.stopped[place]) for place in places if place in self.stopped]

    def why_not(self, item: pytest.Function) -> str:
        """Why this test has no chance; empty: it has. The one that found it may be tried once more, as by a rerun."""
        for place, stop in self.stops(item):
            if stop.found_by != item.nodeid:
                return f"{stop.why}: see {stop.found_by.rpartition('::')[2]} first"
            if not stop.words:
                self.stopped.pop(place)
        return ""

    def forget_untold(self, item: pytest.Function) -> None:
        """This test was to tell of a gate, and is skipped for a reason of its own: the next one finds it again."""
        for place, stop in self.stops(item):
            if stop.found_by == item.nodeid and stop.words:
                self.stopped.pop(place)

    def told_by(self, item: pytest.Function) -> str:
        """What this test has to say of a gate that failed before it; empty: nothing."""
        return next((stop.words for _, stop in self.stops(item) if stop.found_by == item.nodeid), "")


def visit_of(item: pytest.Function) -> Visit | None:
    """The gate that this test is."""
    gate = next((one for one in _GATES if one.test == item.originalname), None)
    return _visit(gate, item, _channel_of(item)) if gate is not None else None


def visits_of(item: pytest.Function) -> list[Visit]:
    """The gates that this test needs, in their order; each of another channel needs that of the first."""
    needed = [gate for gate in _GATES if gate.fixture in item.fixturenames or gate.test == item.originalname]
    channels = dict.fromkeys((_first_channel_of(item), _channel_of(item)))
    visits = dict.fromkeys(_visit(gate, item, channel) for gate in needed for channel in channels)
    return [visit for visit in visits if visit != visit_of(item)]


def made(visit: Visit, item: pytest.Function) -> pytest.Function | None:
    """The test of a gate, to be run before this one of the same class; None: the class has it no more."""
    name = visit.gate.test
    test, parent = getattr(item.cls, name, None), item.parent
    if test is None or parent is None:
        return None
    collected: Any = parent.ihook.pytest_pycollect_makeitem(collector=parent, name=name, obj=test)
    for one in collected or ():
        own = visit_of(one)
        if own is not None and visit in (own, own.everywhere):
            found: pytest.Function = one
            return found
    return None


def _visit(gate: _Gate, item: pytest.Function, channel: str) -> Visit:
    backend = _parameters(item).get("anyio_backend", "")
    loop = backend if isinstance(backend, str) else str(backend[0])
    return Visit(gate, channel if gate.by_channel else "", loop)


def _channel_of(item: pytest.Function) -> str:
    return str(_parameters(item).get("channel", _first_channel_of(item)))


def _first_channel_of(item: pytest.Function) -> str:
    return str(next(iter(getattr(item.cls, "channels", ())), ""))


def _parameters(item: pytest.Function) -> dict[str, Any]:
    called = getattr(item, "callspec", None)
    return dict(called.params) if called is not None else {}
