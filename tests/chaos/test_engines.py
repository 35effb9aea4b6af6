"""On each engine: workers that die or stall, a server that is killed, a network that breaks off; then the audit of the storms."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from otpcore.models import ChallengeState
from otpcore.simulators.exchange import Fault

from .crowd import CROWD, Crowd
from .plant import LEASE, Plant, open_plant
from .quakes import CUT, HALTED, KILLED, strike
from .scenes import EVERYTHING

ENGINES = ("postgres, worker", "mariadb, worker", "redis, worker", "sqlite, rabbitmq")

FATES = (KILLED, CUT, *([HALTED] if EVERYTHING else []))
POINTS = ("store.claim/after#1", "http.POST/after#1") if EVERYTHING else ("http.POST/after#1",)


@pytest.fixture(scope="module", params=ENGINES)
def plant(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """One installation for this file; every test brings people of its own, and leaves nothing under way."""
    store, runner = request.param.split(", ")
    with open_plant(tmp_path_factory.mktemp("plant"), store=store, runner=runner) as made:
        yield made


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
    counts = crowd.end(twice=CROWD)
    assert counts.retries >= CROWD


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
    strike(part, fate, time.sleep, 0.0 if fate == KILLED else 0.5)
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
