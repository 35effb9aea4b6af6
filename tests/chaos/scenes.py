"""A scene is played once to learn its steps, then once for each step, with a process that dies there."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from otpcore.models import ChallengeState, UnsendableReason
from otpcore.simulators.exchange import Fault
from otpcore.stores.commands import ChallengeView

from .plant import Plant
from .processes import Process
from .vendors import ARRIVED, WORKED, Received

_numbers = itertools.count(1_000_000)
IN_FLIGHT = (WORKED, "http.POST/after", "store.record/before", "store.record/uncommitted")
"""Where a process dies after the vendor took the message, and before we know it."""
CAN_BE_ASKED = frozenset({"sinch", "texter"})
"""Instances that are asked for an unresolved start before it is repeated."""


EVERYTHING = os.environ.get("CHAOS_SCENES") == "all"
"""Play all scenes. By default each kind of step is died at in some scene; the rest are variations."""


def new_phone() -> str:
    """A number of Bulgaria that no simulator knows for its failures."""
    return f"+35987{next(_numbers)}"


@attrs.frozen(kw_only=True)
class Act:
    """One call of the host, and how many seconds pass after it."""

    do: str
    more: Mapping[str, Any] = attrs.field(factory=dict)
    then: float = 0.0


@attrs.frozen(kw_only=True)
class Scene:
    """A send over a route.

    Args:
        before: What happened to the person earlier.
        faults: What goes wrong at the vendors during the act.
        begins: The step after which the act is not forgotten. A resend learns by its first ``begin`` that a challenge lives.
        refused: The act ends with an error, and is paid back with the last step of it.
        lost: What Twilio takes for the person does not arrive.
        needs: Steps that must be among those found, so that the scene shows what it is meant to.
    """

    name: str
    rules: str
    act: Act
    before: tuple[Act, ...] = ()
    faults: Mapping[str, Fault] = attrs.field(factory=dict)
    begins: str = "store.begin/after#1"
    refused: bool = False
    lost: bool = False
    needs: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Death:
    """One process that died, and what the person had before."""

    phone: str
    point: str
    earlier: int
    charged: int

    @property
    def step(self) -> str:
        return self.point.partition("#")[0]


def numbered(steps: Sequence[str]) -> list[str]:
    """Each step by its name and which time it was."""
    seen = Counter[str]()
    found = []
    for step in steps:
        seen[step] += 1
        found.append(f"{step}#{seen[step]}")
    return found


def vendor_points(requests: int) -> list[str]:
    return [f"{point}#{number + 1}" for number in range(requests) for point in (ARRIVED, WORKED)]


class Stage:
    """Plays one scene at one plant."""

    def __init__(self, plant: Plant, scene: Scene, *, retried: bool) -> None:
        self.plant, self.scene, self.retried = plant, scene, retried
        self.settings = plant.settings(scene.rules, retried=retried)
        self.steps: list[str] = []

    def prepare(self, count: int) -> list[str]:
        """People with the scene's earlier life."""
        phones = [new_phone() for _ in range(count)]
        for phone in phones if self.scene.lost else ():
            self.plant.vendors.lose(phone)
        for act in self.scene.before:
            host = self.plant.service(self.settings)
            for phone in phones:
                told = host.do(act.do, phone, **act.more)
                assert told is not None
                assert "answer" in told, told
            host.end()
            self.plant.clock.jump(act.then)
        return phones

    def play(self, phone: str, point: str = "") -> tuple[list[str], dict[str, Any] | None]:
        """One process acts, and dies at the point if there is one: its steps, and what the host heard."""
        vendors = self.plant.vendors
        by_vendor = point.startswith("vendor.")
        for name, fault in self.scene.faults.items():
            vendors.all()[name].fail(fault)
        host = self.plant.service(self.settings, kill_at="" if by_vendor else point)
        if by_vendor:
            vendors.hunter.aim(host.pid, point)
        told = self.act(host, phone)
        steps = host.end()
        vendors.hunter.rest()
        for vendor in vendors.all().values():
            vendor.recover()
        return steps, told

    def act(self, host: Process, phone: str) -> dict[str, Any] | None:
        """What the scene is about, by this process."""
        act = self.scene.act
        if act.do == "handle_receipt":
            return host.do(act.do, "reporter", self.plant.vendors.undelivered(phone))
        return host.do(act.do, phone, **act.more)

    def points(self) -> list[str]:
        """Every step of the scene, by playing it to its end."""
        (phone,) = self.prepare(1)
        asked = self.plant.vendors.hunter.seen
        steps, told = self.play(phone)
        assert told is not None
        assert ("answer" not in told) is self.scene.refused, told
        names = set(steps)
        assert names >= set(self.scene.needs), names
        self.steps = numbered(steps)
        return [*self.steps, *vendor_points(self.plant.vendors.hunter.seen - asked)]

    def die_everywhere(self) -> list[Death]:
        """One dead process for each point."""
        points = self.points()
        deaths = []
        for phone, point in zip(self.prepare(len(points)), points, strict=True):
            earlier, charged = len(self.plant.vendors.of(phone)), self.plant.charged(phone)
            steps, told = self.play(phone, point)
            assert (steps, told) == ([], None), f"it did not die at {point}"
            deaths.append(Death(phone=phone, point=point, earlier=earlier, charged=charged))
        return deaths

    def done(self, death: Death) -> list[str]:
        """The steps of the process, until it died at the last of them."""
        return self.steps[: self.steps.index(death.point) + 1] if death.point in self.steps else self.steps


class Verdict:
    """What came of the deaths of one scene; each check appends what is wrong."""

    def __init__(self, stage: Stage, deaths: Sequence[Death], *, usual: int) -> None:
        self.stage, self.deaths, self.usual = stage, deaths, usual
        self.plant = stage.plant
        self.wrong: list[str] = []
        self.views = self.plant.look(death.phone for death in deaths)

    def current(self, death: Death) -> ChallengeView | None:
        """The challenge that the act is about, if it was begun."""
        purpose = self.stage.scene.act.more.get("purpose", "default")
        return next((view for view in self.views[death.phone] if view.challenge.purpose == purpose), None)

    def messages(self, death: Death) -> list[Received]:
        return self.plant.vendors.of(death.phone)[death.earlier :]

    def says(self, death: Death, wrong: str) -> None:
        self.wrong.append(f"{self.stage.scene.name}, killed at {death.point}: {wrong}")

    def begun(self) -> Iterator[tuple[Death, ChallengeView]]:
        for death in self.deaths:
            view = self.current(death)
            if view is not None and self.is_begun(death):
                yield death, view

    def is_begun(self, death: Death) -> bool:
        """The transaction that begins the send was committed."""
        return self.stage.scene.begins in self.stage.done(death)

    def nothing_is_lost(self) -> None:
        for death, view in self.begun():
            challenge, messages = view.challenge, self.messages(death)
            if self.stage.retried:
                if not messages or challenge.state is not ChallengeState.SENT or not challenge.confirmed:
                    self.says(death, f"{len(messages)} messages, {challenge.state}, confirmed={challenge.confirmed}")
            else:
                ended = ChallengeState.UNSENDABLE if self.stage.scene.refused else ChallengeState.SENT
                recorded = challenge.state is ended and death.step == "store.record/after"
                interrupted = (challenge.state, challenge.reason) == (
                    ChallengeState.UNSENDABLE,
                    UnsendableReason.INTERRUPTED,
                )
                if not recorded and not interrupted:
                    self.says(death, f"{challenge.state} ({challenge.reason}) without retries")
        for death in self.deaths:
            if not self.is_begun(death) and self.messages(death):
                self.says(death, "a message of a send that was never begun")

    def repeats_are_bounded(self) -> None:
        for death in self.deaths:
            asks = self.stage.scene.rules in CAN_BE_ASKED and self.stage.scene.act.do == "send_sms"
            allowed = self.usual + (death.step in IN_FLIGHT and self.stage.retried and not asks)
            if len(self.messages(death)) > allowed:
                self.says(death, f"{len(self.messages(death))} messages, not {allowed}")

    def nothing_is_recorded_late(self) -> None:
        for views in self.views.values():
            for view in views:
                late = [d for d in view.deliveries if d.recorded_at >= view.challenge.expires_at]
                if late or view.schedule:
                    self.wrong.append(f"{view.challenge.id}: {len(late)} late deliveries, {len(view.schedule)} rows")

    def sends_are_paid_for(self) -> None:
        """Charged with the transaction that begins; given back only where certainly nothing left."""
        for death in self.deaths:
            done = Counter(step.partition("#")[0] for step in self.stage.done(death))
            refused = min(done["store.begin/after"], int(self.stage.scene.begins.rpartition("#")[2]) - 1)
            paid_back = self.stage.scene.refused and death.step == "store.record/after"
            owed = death.charged + done["store.begin/after"] - refused - paid_back
            if self.plant.charged(death.phone) != owed:
                self.says(death, f"{self.plant.charged(death.phone)} sends count, not {owed}")

    def no_verification_serves_two(self) -> None:
        """What a vendor had started for an older purpose is over before it starts anything for another."""
        for death, view in self.begun():
            older = {
                one.reference for one in self.plant.vendors.of(death.phone) if one.at < view.challenge.first_sent_at
            }
            if older.intersection(one.reference for one in self.messages(death)):
                self.says(death, "the older verification goes on")

    def every_code_verifies_once(self) -> None:
        """The oldest message for one person, the newest for the next; the second time it is refused, and uses nothing up."""
        host, verified = self.plant.service(self.stage.settings), []
        for number, (death, view) in enumerate(self.begun()):
            kept = [one for one in self.plant.vendors.of(death.phone) if self._is_of(one, view)]
            if not kept:
                continue
            message = kept[0 if number % 2 else -1]
            purpose = view.challenge.purpose
            first = host.do("verify", death.phone, message.code, purpose=purpose)
            again = host.do("verify", death.phone, message.code, purpose=purpose)
            if not approved(first) or approved(again):
                self.says(death, f"the code of {message.vendor or 'ours'}: {first}, then {again}")
            verified.append((death, view.challenge.id))
        host.end()
        after = self.plant.look(death.phone for death, _ in verified)
        for death, challenge_id in verified:
            challenge = next(one.challenge for one in after[death.phone] if one.challenge.id == challenge_id)
            found = (challenge.attempts, challenge.state, challenge.code_sealed)
            if found != (1, ChallengeState.APPROVED, None):
                self.says(death, f"{challenge.attempts} attempts, {challenge.state}")

    def _is_of(self, message: Received, view: ChallengeView) -> bool:
        """It belongs to the challenge, and whoever owns its code still has it."""
        return message.at >= view.challenge.first_sent_at and self.plant.vendors.keeps(message)

    def the_unbegun_can_ask_again(self) -> None:
        host = self.plant.service(self.stage.settings)
        act = self.stage.scene.act
        for death in self.deaths:
            if self.is_begun(death):
                continue
            earlier = len(self.plant.vendors.of(death.phone))
            told = self.stage.act(host, death.phone)
            received = self.plant.vendors.of(death.phone)[earlier:]
            purpose = act.more.get("purpose", "default")
            verified = host.do("verify", death.phone, received[-1].code, purpose=purpose) if received else None
            if not approved(verified):
                self.says(death, f"asked again: {told}, {len(received)} messages, {verified}")
        host.end()

    def check(self) -> list[str]:
        """Everything; what is wrong."""
        self.nothing_is_lost()
        self.repeats_are_bounded()
        self.nothing_is_recorded_late()
        self.sends_are_paid_for()
        self.no_verification_serves_two()
        self.every_code_verifies_once()
        self.the_unbegun_can_ask_again()
        if rows := self.plant.rows():
            self.wrong.append(f"{rows} schedule rows are left")
        return self.wrong


def approved(told: Mapping[str, Any] | None) -> bool:
    """Whether this answer to ``verify`` accepts the code."""
    return told is not None and told.get("answer", {}).get("status") == "approved"
