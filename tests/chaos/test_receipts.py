"""A process is killed at every step of taking in a receipt; the vendor reports again, and others finish what it began."""

from __future__ import annotations

import pytest

from otpcore.models import ReceiptOutcome
from otpcore.simulators.exchange import Fault

from .plant import Plant
from .scenes import EVERYTHING, Act, Scene, Stage, Verdict

SEND, RECEIPT = Act(do="send_sms"), Act(do="handle_receipt")
STEPS = (
    "store.receive/uncommitted",
    "store.go_on/uncommitted",
    "http.POST/after",
    "store.record/uncommitted",
)
UNDELIVERED = Scene(
    name="undelivered, then ours by another vendor",
    rules="reporter;mada",
    before=(SEND,),
    lost=True,
    act=RECEIPT,
    begins="store.receive/after#1",
    needs=STEPS,
)
NEXT_IS_AWAY = Scene(
    name="undelivered, and the next vendor fails too",
    rules="reporter;mada;twilio",
    before=(SEND,),
    lost=True,
    faults={"mada": Fault.HTTP_503},
    act=RECEIPT,
    begins="store.receive/after#1",
    needs=STEPS,
)


def report_again(stage: Stage, phones: list[str]) -> list[str]:
    """What the vendor hears when it repeats its reports."""
    host = stage.plant.service(stage.settings)
    told = [stage.act(host, phone) for phone in phones]
    host.end()
    return [one["answer"]["outcome"] if one is not None and "answer" in one else str(one) for one in told]


@pytest.mark.parametrize("retried", [True, False], ids=["with retries", "without retries"])
@pytest.mark.parametrize(
    "scene", [UNDELIVERED, NEXT_IS_AWAY] if EVERYTHING else [UNDELIVERED], ids=lambda scene: scene.name
)
def test_killed_at_every_step_of_a_receipt(plant: Plant, scene: Scene, retried: bool) -> None:
    stage = Stage(plant, scene, retried=retried)
    deaths = stage.die_everywhere()
    known = [death for death in deaths if scene.begins in stage.done(death)]
    assert 0 < len(known) < len(deaths)
    at_once = [death.phone for death in known[::2]]  # while the lease of the dead process still runs
    assert set(report_again(stage, at_once)) == {ReceiptOutcome.REPLAYED}
    plant.settle(stage.settings)
    before = {death.phone: len(plant.vendors.of(death.phone)) for death in known}
    assert set(report_again(stage, [death.phone for death in known])) == {ReceiptOutcome.REPLAYED}
    assert {phone: len(plant.vendors.of(phone)) for phone in before} == before
    assert Verdict(stage, deaths, usual=1).check() == []
