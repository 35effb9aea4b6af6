"""A second server takes the place of the first while people send and workers retry; a pooler dies, a server stands still."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from .crowd import CROWD, Crowd
from .engines import Part
from .plant import Plant, open_plant
from .processes import Process
from .quakes import DEMOTED, FAIL_OVERS, KILLED, REPLACED, STILL, strike

ENGINES = {
    "postgres, standby, pgbouncer": {"store": "postgres", "standby": True, "pooler": True},
    "mariadb, standby": {"store": "mariadb", "standby": True},
    "redis, standby": {"store": "redis", "standby": True},
}
QUAKES = {
    "postgres": (DEMOTED, STILL, REPLACED),
    "pgbouncer": (KILLED, STILL),
    "mariadb": (DEMOTED, STILL),
    "redis": (DEMOTED, STILL),
}


@pytest.fixture(scope="module", params=ENGINES)
def plant(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with open_plant(tmp_path_factory.mktemp("plant"), **ENGINES[request.param]) as made:
        assert made.engine.name == request.param
        yield made


def test_people_send_and_workers_retry_through_it(plant: Plant) -> None:
    """Whatever began is delivered, what was in flight comes once more at most, and everything goes on by itself."""
    plant.clock.go(1.0)
    crowd = Crowd(plant, plant.settings("mada"))
    host, worker = plant.service(crowd.settings), plant.worker(crowd.settings)
    assert worker.wait_for("text") is not None
    quakes = [(part, fate) for part in reversed(plant.engine.parts) for fate in QUAKES[part.name]]
    for part, fate in quakes:
        _go_through(plant, crowd, host, part, fate)
        if fate in FAIL_OVERS and part.pair is not None and (part, fate) != quakes[-1]:
            part.pair.follow()
    worker.kill()
    host.kill()
    crowd.end(twice=2 * CROWD * len(quakes))


def _go_through(plant: Plant, crowd: Crowd, host: Process, part: Part, fate: str) -> None:
    plant.vendors.mada.down()
    crowd.ask(host)
    plant.vendors.mada.up()
    before = crowd.messages()
    asking = threading.Thread(target=crowd.ask, args=(host,))
    asking.start()
    plant.wait_until(lambda: crowd.messages() > before, every=0.001)
    strike(part, fate, time.sleep, 0.5)
    asking.join()
    crowd.ask(host)
    unsure = sum(story.unsure for story in crowd.stories[-CROWD:])
    assert unsure == 0, f"{part.name} {fate}: it does not go on"
