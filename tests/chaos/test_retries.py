"""A real `otp worker` is killed at every step of a retry; another one then finishes what it had claimed."""

from __future__ import annotations

import pytest

from otpcore.models import ChallengeState

from .plant import Plant
from .scenes import CAN_BE_ASKED, EVERYTHING, IN_FLIGHT, approved, new_phone, numbered, vendor_points
from .vendors import Received

STEPS = {
    "store.claim/uncommitted",
    "store.begin_retry/uncommitted",
    "http.POST/after",
    "store.record/uncommitted",
}
LAST = "store.record/after#1"
HOUSE = ("store.beat", "store.sweep", "store.wake", "store.due_keys", "store.purge")
"""What a worker does beside its retries: one of them may be on its way when the worker dies at it."""


def queued(plant: Plant, settings: str, count: int) -> list[str]:
    """People whose first send reached nobody, because every vendor was away."""
    phones = [new_phone() for _ in range(count)]
    for vendor in plant.vendors.all().values():
        vendor.down()
    host = plant.service(settings)
    for phone in phones:
        told = host.do("send_sms", phone)
        assert told is not None
        assert told["answer"]["state"] == "queued"
    host.end()
    for vendor in plant.vendors.all().values():
        vendor.up()
    return phones


def learn(plant: Plant, settings: str, *, upkeep: bool) -> list[str]:
    """The steps of one retry, with everything that a worker does before, or from the claim on."""
    (phone,) = queued(plant, settings, 1)
    plant.clock.jump(1.0)
    seen, worker = plant.vendors.hunter.seen, plant.worker(settings, concurrency=1)
    worker.wait_for("text")
    plant.wait_until(lambda: plant.vendors.of(phone) and not plant.rows())
    steps = numbered(worker.stop())
    assert {step.partition("#")[0] for step in steps} >= STEPS
    first = 0 if upkeep else steps.index("store.claim/before#1")
    once = [step for step in steps[first : steps.index(LAST) + 1] if step.endswith("#1")]
    return [*once, *vendor_points(plant.vendors.hunter.seen - seen)]


@pytest.mark.parametrize("rules", ["mada", "sinch", "twilio", "texter;mada"] if EVERYTHING else ["mada", "sinch"])
def test_killed_at_every_step_of_a_retry(plant: Plant, rules: str) -> None:
    settings = plant.settings(rules)
    points = learn(plant, settings, upkeep=rules == "mada")
    phones = queued(plant, settings, len(points))
    plant.clock.jump(1.0)
    for point in points:  # each takes the person whose turn it is
        by_vendor = point.startswith("vendor.")
        worker = plant.worker(settings, kill_at="" if by_vendor else point, concurrency=1)
        if by_vendor:
            plant.vendors.hunter.aim(worker.pid, point)
        assert worker.wait_for("passed") is None, f"it did not die at {point}"
        plant.vendors.hunter.rest()
    plant.settle(settings)
    in_flight = sum(point.partition("#")[0] in IN_FLIGHT for point in points)
    asked = rules.partition(";")[0] in CAN_BE_ASKED
    messages = {phone: plant.vendors.of(phone) for phone in phones}
    assert all(messages.values()), "a message is lost"
    assert max(len(received) for received in messages.values()) <= (1 if asked else 2)
    most = in_flight + sum(point.startswith(HOUSE) for point in points)
    twice = sum(len(received) for received in messages.values()) - len(phones)
    assert twice == 0 if asked else in_flight <= twice <= most
    check(plant, settings, messages)


def check(plant: Plant, settings: str, messages: dict[str, list[Received]]) -> None:
    """Every message verifies, once; nothing is left under way; what may have left is paid for."""
    host, wrong = plant.service(settings), []
    for number, (phone, received) in enumerate(messages.items()):
        code = received[0 if number % 2 else -1].code
        if not approved(host.do("verify", phone, code)) or approved(host.do("verify", phone, code)):
            wrong.append(f"{phone}: not approved exactly once")
    host.end()
    for phone, views in plant.look(messages).items():
        (view,) = views
        challenge = view.challenge
        if (challenge.state, challenge.attempts, view.schedule) != (ChallengeState.APPROVED, 1, ()):
            wrong.append(f"{phone}: {challenge.state}, {challenge.attempts} attempts, {len(view.schedule)} rows")
        if any(delivery.recorded_at >= challenge.expires_at for delivery in view.deliveries):
            wrong.append(f"{phone}: recorded too late")
        if plant.charged(phone) != 1:
            wrong.append(f"{phone}: {plant.charged(phone)} sends count")
    assert wrong == []
