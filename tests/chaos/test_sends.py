"""A sending process is killed at every step of a send; others then finish what it began."""

from __future__ import annotations

import pytest

from otpcore.simulators.exchange import Fault

from .plant import Plant
from .scenes import EVERYTHING, Act, Scene, Stage, Verdict

SEND = Act(do="send_sms")
STEPS = ("store.begin/uncommitted", "http.POST/after", "store.record/uncommitted")

OURS = Scene(name="our code", rules="mada", act=SEND, needs=STEPS)
SILENT = Scene(
    name="a vendor that was silent, then ours",
    rules="twilio;mada",
    act=SEND,
    faults={"twilio": Fault.RESET_AFTER_WORK},
)
TWILIO = Scene(name="Twilio's code", rules="twilio", act=SEND, needs=STEPS)
WITH_RETRIES = (
    OURS,
    SILENT,
    Scene(name="Sinch's code", rules="sinch", act=SEND, needs=STEPS),
    Scene(
        name="a slot that changes hands",
        rules="twilio",
        before=(Act(do="send_sms", more={"purpose": "login"}, then=301.0),),
        act=Act(do="send_sms", more={"purpose": "payment"}),
        needs=(*STEPS, "store.clear_mark/uncommitted"),
    ),
)
WITHOUT_RETRIES = (
    OURS,
    Scene(name="nobody takes it", rules="mada", act=SEND, faults={"mada": Fault.HTTP_503}, refused=True, needs=STEPS),
)
if EVERYTHING:
    WITH_RETRIES += (
        TWILIO,
        Scene(name="our code by Twilio", rules="texter", act=SEND, needs=STEPS),
        Scene(name="the next vendor", rules="twilio;sinch", act=SEND, faults={"twilio": Fault.HTTP_503}),
        Scene(name="a call", rules="twilio", act=Act(do="call"), needs=STEPS),
        Scene(
            name="a resend",
            rules="mada",
            before=(Act(do="send_sms", then=31.0),),
            act=SEND,
            begins="store.begin/after#2",
        ),
    )
    WITHOUT_RETRIES += (TWILIO, SILENT)


def play(plant: Plant, scene: Scene, *, retried: bool) -> None:
    stage = Stage(plant, scene, retried=retried)
    (phone,) = stage.prepare(1)
    earlier = len(plant.vendors.of(phone))
    stage.play(phone)
    usual = len(plant.vendors.of(phone)) - earlier
    deaths = stage.die_everywhere()
    plant.settle(stage.settings)
    assert Verdict(stage, deaths, usual=usual).check() == []


@pytest.mark.parametrize("scene", WITH_RETRIES, ids=lambda scene: scene.name)
def test_killed_at_every_step_of_a_send(plant: Plant, scene: Scene) -> None:
    play(plant, scene, retried=True)


@pytest.mark.parametrize("scene", WITHOUT_RETRIES, ids=lambda scene: scene.name)
def test_killed_at_every_step_of_a_send_that_nobody_retries(plant: Plant, scene: Scene) -> None:
    play(plant, scene, retried=False)
