"""A verifying process is killed at every step; the person then types the same code again."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from otpcore.models import ChallengeState
from otpcore.simulators.exchange import Fault
from otpcore.testing import wrong_code

from .plant import Plant
from .scenes import EVERYTHING, approved, new_phone, numbered, vendor_points
from .vendors import WORKED, Received

COOLDOWN = 31.0
"""Seconds after which a send of the same person sends anew."""

COMMITTED = ("store.approve/after#1", "store.reserve/after#1")
"""Where a right code is consumed: what we recorded, in the step that counts the attempt."""


@attrs.frozen(kw_only=True)
class Typed:
    """A code that a person types.

    Args:
        faults: What went wrong at the vendors when it was sent.
        which: Which of the messages is typed; 0: the oldest.
        right: The code is the one that arrived.
        lost: What the same code comes to when the process died between the vendor's approval and our record.
    """

    name: str
    rules: str
    faults: dict[str, Fault] = attrs.field(factory=dict)
    which: int = -1
    right: bool = True
    lost: str = ""


LOST = Fault.RESET_AFTER_WORK
TYPED = (
    Typed(name="our code", rules="mada"),
    Typed(name="Twilio's code", rules="twilio", lost="expired"),
    Typed(
        name="Sinch's code, whose start was not answered",
        rules="sinch;mada",
        faults={"sinch": LOST},
        which=0,
        lost="incorrect",
    ),
    Typed(name="a wrong code", rules="mada", right=False),
)
if EVERYTHING:
    TYPED += (
        Typed(name="Sinch's code", rules="sinch", lost="expired"),
        Typed(name="Twilio's code, ours too", rules="twilio;mada", faults={"twilio": LOST}, which=0, lost="incorrect"),
        Typed(name="our code, Twilio's too", rules="twilio;mada", faults={"twilio": LOST}),
        Typed(name="a code that Sinch finds wrong", rules="sinch", right=False),
    )


@attrs.frozen(kw_only=True)
class Person:
    phone: str
    messages: list[Received]
    code: str


def people(plant: Plant, settings: str, typed: Typed, count: int) -> list[Person]:
    host, found = plant.service(settings), []
    for _ in range(count):
        phone = new_phone()
        for name, fault in typed.faults.items():
            plant.vendors.all()[name].fail(fault)
        told = host.do("send_sms", phone)
        assert told is not None
        assert "answer" in told, told
        messages = plant.vendors.of(phone)
        code = messages[typed.which].code
        if not typed.right:
            code = wrong_code(code)
        found.append(Person(phone=phone, messages=messages, code=code))
    host.end()
    return found


def verify(plant: Plant, settings: str, person: Person, point: str = "") -> tuple[list[str], dict[str, Any] | None]:
    by_vendor = point.startswith("vendor.")
    host = plant.service(settings, kill_at="" if by_vendor else point)
    if by_vendor:
        plant.vendors.hunter.aim(host.pid, point)
    told = host.do("verify", person.phone, person.code)
    steps = host.end()
    plant.vendors.hunter.rest()
    return steps, told


@pytest.mark.parametrize("typed", TYPED, ids=lambda typed: typed.name)
def test_killed_at_every_step_of_a_verification(plant: Plant, typed: Typed) -> None:
    settings = plant.settings(typed.rules, retried=False)
    (first,) = people(plant, settings, typed, 1)
    seen = plant.vendors.hunter.seen
    steps, told = verify(plant, settings, first)
    assert approved(told) is typed.right
    order = numbered(steps)
    points = [*order, *vendor_points(plant.vendors.hunter.seen - seen)]
    crowd = people(plant, settings, typed, len(points))
    for person, point in zip(crowd, points, strict=True):
        assert verify(plant, settings, person, point) == ([], None), f"it did not die at {point}"
    before = plant.look(person.phone for person in crowd)
    host, wrong = plant.service(settings), []
    for person, point in zip(crowd, points, strict=True):
        (view,) = before[person.phone]
        done = order[: order.index(point) + 1] if point in order else order
        reserved = "store.reserve/after#1" in done
        if view.challenge.attempts != reserved:
            wrong.append(f"{point}: {view.challenge.attempts} attempts")
        again = host.do("verify", person.phone, person.code)
        assert again is not None
        expected = _expected(typed, point, order)
        if again.get("answer", {}).get("status") != expected:
            wrong.append(f"{point}: then {again}, not {expected}")
        wrong += _in_the_end(plant, host, typed, person, point, again, attempts=reserved)
    host.end()
    assert wrong == []


@pytest.mark.parametrize("rules", ["twilio", "sinch"])
def test_killed_before_an_approval_is_recorded_the_person_needs_another_code(plant: Plant, rules: str) -> None:
    """The vendor accepts a code once, and said so to a process that died: the attempt counts, and the next code verifies."""
    settings = plant.settings(rules, retried=False)
    (person,) = people(plant, settings, Typed(name="its code", rules=rules), 1)
    assert verify(plant, settings, person, "store.approve/before#1") == ([], None)
    host = plant.service(settings)
    again = host.do("verify", person.phone, person.code)
    assert again is not None
    assert again["answer"]["status"] == "expired"
    plant.let_pass(COOLDOWN)
    assert host.do("send_sms", person.phone) is not None
    newest = plant.vendors.of(person.phone)[-1]
    assert newest not in person.messages
    assert approved(host.do("verify", person.phone, newest.code))
    host.end()
    (view,) = plant.look([person.phone])[person.phone]
    assert (view.challenge.state, view.challenge.attempts) == (ChallengeState.APPROVED, 3)


def _expected(typed: Typed, point: str, order: list[str]) -> str:
    """What the same code comes to when it is typed again."""
    if not typed.right:
        return "incorrect"
    if point == next(step for step in COMMITTED if step in order):
        return "not_found"
    report = next((step for step in order if step.startswith(("http.PUT/after", "http.POST/after"))), None)
    if not typed.lost or report is None:
        return "approved"
    if point.startswith("vendor."):
        asked = len([step for step in order if step.startswith("http") and step.endswith("#1") and "/before" in step])
        approves_at = f"{WORKED}#{asked}"
        return typed.lost if point == approves_at else "approved"
    return typed.lost if order.index(point) >= order.index(report) else "approved"


def _in_the_end(
    plant: Plant, host: Any, typed: Typed, person: Person, point: str, again: dict[str, Any], *, attempts: int
) -> list[str]:
    """Another message's code where there is one; then nothing verifies any more, and the count is exact."""
    tries = attempts + (again["answer"]["status"] != "not_found")
    done = again["answer"]["status"] in ("approved", "not_found")
    wrong = []
    if not typed.right or (not done and len(person.messages) > 1):
        done = approved(host.do("verify", person.phone, person.messages[-1].code))
        tries += 1
        if not done:
            wrong.append(f"{point}: the other message's code is refused")
    if approved(host.do("verify", person.phone, person.code)):
        wrong.append(f"{point}: a consumed code verified twice")
    tries += not done
    (view,) = plant.look([person.phone])[person.phone]
    if view.challenge.attempts != tries:
        wrong.append(f"{point}: {view.challenge.attempts} attempts in the end, not {tries}")
    if (view.challenge.state is ChallengeState.APPROVED) is not done or view.schedule:
        wrong.append(f"{point}: {view.challenge.state} in the end, {len(view.schedule)} rows")
    return wrong
