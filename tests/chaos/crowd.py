"""Some people who all send at once, and an end at which everything must be right to the last count."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from otpcore.models import UnsendableReason
from otpcore.stores.commands import ChallengeView
from otpcore.stores.lifecycle import OVER
from otpcore.testing import wrong_code

from .audit import Counts, Weather, audit
from .people import Story
from .plant import Plant
from .processes import Process
from .scenes import approved, new_phone

LIFE = 301.0
CROWD = 8


@attrs.define(eq=False)
class Crowd:
    """People of one test and what each was told; by ``mada``, which makes no code and cannot be asked what it has sent."""

    plant: Plant
    settings: str
    stories: list[Story] = attrs.field(factory=list)
    weather: Weather = attrs.field(factory=Weather)

    def ask(self, host: Process, count: int = CROWD) -> None:
        """So many people want a code, all at once."""
        asked = {}
        for _ in range(count):
            story = Story(phone=new_phone(), purpose="default", began=self.plant.clock(), sends=1)
            self.stories.append(story)
            asked[host.wish("send_sms", story.phone)] = story
        while asked and (told := host.wait_for("id")) is not None:
            story = asked.pop(told["id"])
            story.unsure += told.get("error") == "StoreError"
            assert told.get("error") in (None, "StoreError"), told
        for story in asked.values():
            story.unsure += 1

    def messages(self) -> int:
        return sum(len(self.plant.vendors.of(story.phone)) for story in self.stories)

    def type_codes(self) -> None:
        """Everybody types a wrong code, the right one, and the right one again."""
        host = self.plant.service(self.settings)
        for story in self.stories:
            received = self.plant.vendors.of(story.phone)
            for code in [wrong_code(received[0].code), received[-1].code] if received else []:
                story.asked += 1
                told = host.do("verify", story.phone, code)
                assert told is not None
                story.counted += 1
                if approved(told):
                    story.approvals.append((told["answer"]["id"], told["at"]))
            if received:
                assert not approved(host.do("verify", story.phone, received[-1].code))
        host.end()

    def end(self, *, lost: int = 0, twice: int = 0) -> Counts:
        """Finish everything; what the audit finds. Everybody whose send began got a message, and at most so many
        two, unless the host heard of a store that does not answer and the send was withdrawn.
        """
        plant = self.plant
        plant.settle(self.settings)
        self.type_codes()
        phones = [story.phone for story in self.stories]
        if any(view.challenge.state not in OVER for views in plant.look(phones).values() for view in views):
            plant.clock.jump(LIFE)
            worker = plant.worker(self.settings)
            plant.wait_until_over(phones, patience=60.0)
            worker.stop()
        counts = audit(plant, self.stories, self.weather, {}, retried=True)
        assert counts.wrong == [], counts.wrong
        kept = plant.look(phones)
        withdrawn = [story for story in self.stories if story.unsure and _is_withdrawn(kept[story.phone])]
        undelivered = {phone: views for phone, views in kept.items() if views and not plant.vendors.of(phone)}
        assert counts.challenges - counts.delivered == lost + len(withdrawn), undelivered
        assert counts.verified == counts.delivered
        assert counts.duplicates <= twice
        for phone, views in plant.look(phones).items():
            typed = [2] if plant.vendors.of(phone) else [0] * len(views)
            assert [view.challenge.attempts for view in views] == typed
        return counts


def _is_withdrawn(views: Sequence[ChallengeView]) -> bool:
    """The host was told in time that nobody knows, so the send was not made any more."""
    return [view.challenge.reason for view in views] == [UnsendableReason.FAILED]
