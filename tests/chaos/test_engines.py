"""On each engine: workers that die or stall, a server that is killed, a network that breaks off; then the audit of the storms."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import attrs
import pytest

from otpcore.lifecycle import OVER
from otpcore.models import ChallengeState
from otpcore.simulators import Fault

from .audit import Figures, Weather, audit
from .people import Story
from .plant import LEASE, Plant, open_plant
from .processes import Process
from .scenes import EVERYTHING, approved, new_phone

LIFE = 301.0
CROWD = 8
ENGINES = ("postgres, worker", "mariadb, worker", "redis, worker", "sqlite, rabbitmq")

FATES = ("killed and started again", "cut off", *(["silent"] if EVERYTHING else []))
POINTS = ("store.claim/after#1", "http.POST/after#1") if EVERYTHING else ("http.POST/after#1",)


@pytest.fixture(scope="module", params=ENGINES)
def plant(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """One installation for this file; every test brings people of its own, and leaves nothing under way."""
    store, runner = request.param.split(", ")
    with open_plant(tmp_path_factory.mktemp("plant"), store=store, runner=runner) as made:
        yield made


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
            for code in [f"{(int(received[0].code) + 1) % 1_000_000:06}", received[-1].code] if received else []:
                story.asked += 1
                told = host.do("verify", story.phone, code)
                assert told is not None
                story.counted += 1
                if approved(told):
                    story.approvals.append((told["answer"]["id"], told["at"]))
            if received:
                assert not approved(host.do("verify", story.phone, received[-1].code))
        host.end()

    def end(self, *, lost: int = 0, twice: int = 0) -> Figures:
        """Finish everything; what the audit finds. Everybody whose send began got a message, and at most so many two."""
        plant = self.plant
        plant.settle(self.settings)
        self.type_codes()
        phones = [story.phone for story in self.stories]
        if any(view.challenge.state not in OVER for views in plant.look(phones).values() for view in views):
            plant.clock.jump(LIFE)
            worker = plant.worker(self.settings)
            plant.wait_until_over(phones, patience=60.0)
            worker.stop()
        figures = audit(plant, self.stories, self.weather, {}, retried=True)
        assert figures.wrong == []
        assert figures.challenges - figures.delivered == lost
        assert figures.verified == figures.delivered
        assert figures.duplicates <= twice
        for views in plant.look(phones).values():
            assert [view.challenge.attempts for view in views] in ([], [2])
        return figures


@pytest.fixture
def crowd(plant: Plant) -> Crowd:
    plant.clock.go(1.0)
    return Crowd(plant, plant.settings("mada"))


def test_a_worker_is_killed_in_the_middle_of_an_outage(plant: Plant, crowd: Crowd) -> None:
    """It dies over the first retries that reach the vendor again: each of them comes once more at most."""
    plant.vendors.mada.down()
    host = plant.service(crowd.settings)
    crowd.ask(host)
    host.end()
    plant.clock.jump(1.0)
    worker = plant.worker(crowd.settings)
    plant.wait_until(lambda: _tried(plant, crowd) > CROWD)
    plant.vendors.mada.up()
    plant.wait_until(lambda: crowd.messages() > 0, every=0.001)
    worker.kill()
    figures = crowd.end(twice=CROWD)
    assert figures.retries >= CROWD


def _tried(plant: Plant, crowd: Crowd) -> int:
    views = plant.look(story.phone for story in crowd.stories)
    return sum(len(view.deliveries) for of_phone in views.values() for view in of_phone)


@pytest.mark.parametrize("fate", FATES)
def test_a_server_fails_while_people_send_and_workers_retry(plant: Plant, crowd: Crowd, fate: str) -> None:
    """What nobody heard of may not have begun; whatever began is delivered, and what was in flight comes once more at most."""
    (part,) = plant.engine.parts
    plant.vendors.mada.down()
    host = plant.service(crowd.settings)
    crowd.ask(host)
    plant.vendors.mada.up()
    workers = [plant.worker(crowd.settings) for _ in range(2)]
    for worker in workers:
        assert worker.wait_for("text") is not None
    plant.clock.jump(1.0)
    asking = threading.Thread(target=crowd.ask, args=(host,))
    asking.start()
    plant.wait_until(lambda: crowd.messages() > 0, every=0.001)
    if fate == "killed and started again":
        part.server.kill()
        part.server.start()
    else:
        (part.network.cut if fate == "cut off" else part.network.halt)()
        time.sleep(0.5)
        part.network.mend()
    asking.join()
    crowd.ask(host, 1)  # it goes on by itself
    assert crowd.stories[-1].unsure == 0
    for worker in workers:
        worker.kill()
    host.kill()
    crowd.end(twice=2 * CROWD)


def test_two_workers_fight_over_the_same_retries(plant: Plant, crowd: Crowd) -> None:
    plant.vendors.mada.down()
    host = plant.service(crowd.settings)
    crowd.ask(host, 4 * CROWD)
    host.end()
    workers = [plant.worker(crowd.settings, concurrency=2) for _ in range(2)]
    for worker in workers:
        assert worker.wait_for("text") is not None
    plant.vendors.mada.up()
    plant.clock.jump(1.0)
    plant.wait_until(lambda: not plant.rows(), every=0.05)
    steps = [worker.stop() for worker in workers]
    assert all("http.POST/after" in one for one in steps), "one of them did all of it"
    crowd.end()


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_that_wakes_after_its_lease_decides_nothing(plant: Plant, crowd: Crowd, point: str) -> None:
    """Another one has gone on meanwhile, and still waits for the vendor: the first neither calls nor records anything."""
    plant.vendors.mada.down()
    host = plant.service(crowd.settings)
    crowd.ask(host, 1)
    host.end()
    plant.vendors.mada.up()
    plant.vendors.mada.fail(Fault.HTTP_503)
    plant.clock.jump(1.0)
    plant.clock.go(0.0)  # what waits for its time goes on waiting
    slow = plant.worker(crowd.settings, stop_at=[point])
    slow.wait_until_stopped()
    plant.vendors.mada.recover()
    plant.vendors.mada.down()
    # A broker has given the stopped one the message: the other finds the row by its sweep.
    plant.clock.jump(LEASE + 5.0)
    other = plant.worker(crowd.settings)
    plant.wait_until(lambda: plant.leased() == 0)
    other.stop()
    plant.vendors.mada.up()
    ((before,),) = plant.look([crowd.stories[0].phone]).values()
    seen = plant.vendors.hunter.seen
    slow.go_on()
    slow.stop()
    ((after,),) = plant.look([crowd.stories[0].phone]).values()
    assert plant.vendors.hunter.seen == seen
    assert after.schedule == before.schedule
    assert after.challenge.state is ChallengeState.QUEUED
    crowd.end()
