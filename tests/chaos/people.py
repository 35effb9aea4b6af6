"""People who ask for codes, wait, type them, right and wrong, again and again; and what each of them lived through."""

from __future__ import annotations

import itertools
import random
import time
from datetime import datetime

import attrs

from .crew import Crew
from .plant import Plant
from .vendors import Received

ROUTES = {
    "+359870": ("mada",),
    "+359871": ("twilio", "mada"),
    "+359872": ("sinch", "twilio"),
    "+359873": ("texter", "mada"),
    "+359874": ("twilio",),
    "+359875": ("sinch",),
    "+359876": ("sinch", "texter"),
    "+359877": ("reporter", "mada"),
}
TEXTS_ONLY = ("+359870", "+359877")
RULES = ";".join(f"{instance}:{prefix}" for prefix, route in ROUTES.items() for instance in route)
LIFE = 60.0
COOLDOWN = 5.0
_numbers = itertools.count(100_000)


@attrs.define(eq=False)
class Story:
    """One person and one purpose.

    Args:
        sends: How often the host was asked to send; those that died are among them.
        unsure: How often nobody said what came of a send.
        asked: How often a code was typed.
        counted: How often the answer says that an attempt was used up.
        died: How often nobody said what came of a code, or of a cancellation: the process died, or the store did not answer.
        approvals: When somebody was told that the code is right, by challenge.
        wrong: Rules that were broken.
    """

    phone: str
    purpose: str
    began: datetime
    sends: int = 0
    unsure: int = 0
    asked: int = 0
    counted: int = 0
    died: int = 0
    approvals: list[tuple[str, float]] = attrs.field(factory=list)
    cancelled: bool = False
    wrong: list[str] = attrs.field(factory=list)

    def says(self, wrong: str) -> None:
        self.wrong.append(f"{self.phone} ({self.purpose}): {wrong}")


class Person:
    """Lives one story after the other."""

    def __init__(self, plant: Plant, crew: Crew, rng: random.Random) -> None:
        self.plant, self.crew, self.rng = plant, crew, rng
        self.stories: list[Story] = []

    def live(self, until: float) -> None:
        """Until then (monotonic seconds); a story that has begun is lived to its end."""
        while time.monotonic() < until:
            prefix = self.rng.choice(list(ROUTES))
            phone = f"{prefix}{next(_numbers)}"
            if "reporter" in ROUTES[prefix] and self.rng.random() < 0.7:
                self.plant.vendors.lose(phone)
            purposes = self.rng.choice((("login",), ("login",), ("login", "payment")))
            for purpose in purposes:
                story = Story(phone=phone, purpose=purpose, began=self.plant.clock())
                self.stories.append(story)
                self._story(story, may_call=prefix not in TEXTS_ONLY)

    def _story(self, story: Story, *, may_call: bool) -> None:
        self._send(story, call=may_call and self.rng.random() < 0.15)
        if not self._wait_for_message(story):
            return
        fate = self.rng.random()
        if fate < 0.08:
            self._cancel(story)
            return
        if fate < 0.14:
            return  # never typed
        if fate < 0.34:
            self._pause(COOLDOWN + 1)
            self._send(story, call=may_call and self.rng.random() < 0.3)
            self._pause(1.0)
        for _ in range(self.rng.choice((0, 0, 0, 1, 2))):
            self._type(story, self._wrong_code(story), right=None)
        for _ in range(4):
            kept = self._usable(story)
            if not kept or self._is_over(story):
                return
            message = self.rng.choice(kept)
            if self._type(story, message.code, right=message):
                self._type(story, message.code, right=None)  # never twice
                return
            self._pause(1.0)

    def _send(self, story: Story, *, call: bool) -> None:
        for _ in range(4):
            story.sends += 1
            told = self.crew.ask(self.rng, "call" if call else "send_sms", story.phone, purpose=story.purpose)
            if told is not None and "answer" in told:
                return
            story.unsure += told is None or told["error"] == "StoreError"
            if told is None:
                story.died += 1
                if self.rng.random() < 0.4:
                    return
            self._pause(self.rng.uniform(1.0, 4.0))

    def _wait_for_message(self, story: Story) -> bool:
        while not self._messages(story):
            if (self.plant.clock() - story.began).total_seconds() > LIFE * 1.2:
                return False
            time.sleep(0.05)
        self._pause(self.rng.uniform(0.2, 3.0))
        return True

    def _type(self, story: Story, code: str, *, right: Received | None) -> bool:
        """Type a code; ``right``: the message it is from, where it must be accepted."""
        story.asked += 1
        began = self.plant.clock()
        told = self.crew.ask(self.rng, "verify", story.phone, code, purpose=story.purpose)
        if told is None:
            story.died += 1
            return False
        status = told.get("answer", {}).get("status", told.get("error"))
        story.died += status == "StoreError"
        story.counted += status in ("approved", "incorrect", "ProviderError")
        if status == "approved":
            if right is None:
                story.says(f"a code was accepted that is wrong or was used ({code})")
            story.approvals.append((told["answer"]["id"], told["at"]))
            return True
        if right is not None and status in ("incorrect", "expired", "not_found"):
            self._was_it_right_to_refuse(story, right, status, began)
        return status == "not_found"

    def _was_it_right_to_refuse(self, story: Story, message: Received, status: str, began: datetime) -> None:
        """Only what is over, or what its vendor no longer keeps, may be refused."""
        views = self.plant.look([story.phone])[story.phone]
        challenge = next((view.challenge for view in views if view.challenge.purpose == story.purpose), None)
        if challenge is None or challenge.expires_at <= self.plant.clock() or challenge.first_sent_at > message.at:
            return
        if challenge.state == "approved" and story.died:
            return  # approved, and the process died before it could say so
        if self.plant.vendors.keeps(message):
            story.says(f"{status}, though {message.vendor or 'our'} code lives (asked at {began}); {challenge}")

    def _wrong_code(self, story: Story) -> str:
        """A code that nobody sent to this person."""
        sent = {one.code for one in self.plant.vendors.of(story.phone)}
        length = len(next(iter(sent)))
        codes = (f"{self.rng.randrange(10**length):0{length}}" for _ in itertools.count())
        return next(code for code in codes if code not in sent)

    def _cancel(self, story: Story) -> None:
        views = self.plant.look([story.phone])[story.phone]
        found = next((view.challenge for view in views if view.challenge.purpose == story.purpose), None)
        if found is not None:
            story.cancelled = True
            told = self.crew.ask(self.rng, "cancel", found.id)
            story.died += told is None or "error" in told

    def _messages(self, story: Story) -> list[Received]:
        return [one for one in self.plant.vendors.of(story.phone) if one.at >= story.began]

    def _usable(self, story: Story) -> list[Received]:
        """What the person's own challenge sent, and its owner still keeps."""
        views = self.plant.look([story.phone])[story.phone]
        mine = [view for view in views if view.challenge.purpose == story.purpose][:1]
        return [
            one
            for view in mine
            for one in self._messages(story)
            if self.plant.belongs(one, view, views) and self.plant.vendors.keeps(one)
        ]

    def _is_over(self, story: Story) -> bool:
        views = self.plant.look([story.phone])[story.phone]
        mine = [view.challenge for view in views if view.challenge.purpose == story.purpose]
        return not mine or mine[0].expires_at <= self.plant.clock() or mine[0].attempts >= mine[0].max_attempts

    def _pause(self, seconds: float) -> None:
        """Of the clock that all share."""
        ends = self.plant.clock().timestamp() + seconds
        while (left := ends - self.plant.clock().timestamp()) > 0:
            time.sleep(min(max(left / 4, 0.01), 0.5))  # the clock may go faster than the machine's
