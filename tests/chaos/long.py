"""``nox -s chaos``: random histories of many people while processes are killed and vendors fail; exit code 1 when a rule broke.

The seed decides what everybody means to do and where processes die; how their steps interleave is the machine's affair.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from otpcore.simulators.exchange import Fault

from .audit import COUNTED, LATE, LOST, REFUSED, Counts, Weather, audit
from .crew import Crew
from .engines import RUNNERS, STORES
from .people import COOLDOWN, LIFE, RULES, Person, Story
from .plant import Plant, open_plant
from .postman import Postman
from .processes import PATIENCE
from .quakes import Quakes

SPEED = 2.0
FAULTS = (
    Fault.HTTP_503,
    Fault.HTTP_503,
    Fault.HTTP_500,
    Fault.RESET_AFTER_READ,
    Fault.RESET_AFTER_WORK,
    Fault.RESET_AFTER_WORK,
    Fault.CLOSE_AFTER_READ,
    Fault.HANG,
    Fault.HANG_AFTER_WORK,
    Fault.GARBAGE_BODY,
    Fault.GARBAGE_STATUS_LINE,
)
OTP = {"life": LIFE, "cooldown": COOLDOWN, "provider_timeout": 1.0, "send_timeout": 2.0}
RETRY = {"first_delay": 0.2, "max_delay": 2.0, "lease": 6.0, "min_useful_life": 8.0, "breaker_threshold": 5}


def torment(plant: Plant, rng: random.Random, weather: Weather, faults: Counter[str], stop: threading.Event) -> None:
    """Vendors fail, one after the other, and go away for a while."""
    while not stop.wait(rng.uniform(0.2, 1.5)):
        name, vendor = rng.choice(list(plant.vendors.all().items()))
        if rng.random() < 0.06:
            left = plant.clock()
            vendor.down()
            stop.wait(rng.uniform(0.5, 4.0))
            vendor.up()
            weather.away.append((name, left, plant.clock()))
            faults[f"{name} away"] += 1
        else:
            fault = rng.choice(FAULTS)
            vendor.fail(fault)
            faults[fault.value] += 1


def settle(plant: Plant, settings: str, postman: Postman) -> None:
    """Finish what is left, and take in what vendors report of it."""
    plant.settle(settings)
    host = plant.service(settings)
    while postman.rest(host.do):
        plant.settle(settings)
    host.end()


@attrs.frozen(kw_only=True)
class Storm:
    """What one storm came to."""

    counts: Counts
    kills: Counter[str]
    faults: Counter[str]
    fail_overs: int
    seconds: float


def storm(
    seconds: float,
    seed: int,
    *,
    people: int,
    retried: bool,
    store: str = "sqlite",
    runner: str = "worker",
    **servers: bool,
) -> Storm:
    """One plant in a storm, and calm after it. Servers live by their own clock, at its own speed."""
    speed = SPEED if (store, runner) == ("sqlite", "worker") else None
    rng, weather, faults, stop = random.Random(seed), Weather(), Counter[str](), threading.Event()
    with (
        tempfile.TemporaryDirectory(prefix="otpcore-chaos-") as directory,
        open_plant(Path(directory), speed=speed, store=store, runner=runner, **servers) as plant,
    ):
        settings = plant.settings(RULES, retried=retried, otp={"number_policy": "possible", **OTP}, retry=RETRY)
        quakes = Quakes(plant, random.Random(rng.random()), weather)
        crew = Crew(plant, settings, random.Random(rng.random()), hosts=2, workers=2)
        postman, calm = Postman(plant, random.Random(rng.random())), threading.Event()
        crowd = [Person(plant, crew, random.Random(rng.random())) for _ in range(people)]
        weatherman = threading.Thread(target=torment, args=(plant, random.Random(rng.random()), weather, faults, stop))
        ask, ends = functools.partial(crew.ask, random.Random(rng.random())), time.monotonic() + seconds
        with _running(threading.Thread(target=postman.carry, args=(ask, calm))):
            with _running(weatherman, threading.Thread(target=quakes.rage, args=(ends, stop))):
                _live(crowd, ends)
                stop.set()
            _make_peace(plant, crew)
            calm.set()
        crew.stop()
        settle(plant, settings, postman)
        stories = [story for person in crowd for story in person.stories]
        _outlive(plant, settings, stories)
        counts = audit(plant, stories, weather, postman.heard, retried=retried)
        counts.blame(REFUSED, *postman.wrong)
        counts.reports = postman.outcomes
        counts.late, counts.recovered = crew.lateness.seconds, quakes.recovered
        _keep_log(plant, counts)
    return Storm(
        counts=counts,
        kills=crew.kills,
        faults=faults + quakes.happened,
        fail_overs=quakes.fail_overs,
        seconds=seconds,
    )


def _live(crowd: list[Person], ends: float) -> None:
    with _running(*(threading.Thread(target=person.live, args=(ends,)) for person in crowd)):
        pass


def _outlive(plant: Plant, settings: dict[str, Any], stories: list[Story]) -> None:
    """Until every challenge is over, and a worker has said so."""
    if not plant.is_real:
        plant.clock.jump(11 * LIFE)
    worker = plant.worker(settings)
    plant.wait_until_over((story.phone for story in stories), patience=LIFE + PATIENCE)
    worker.stop()


def _make_peace(plant: Plant, crew: Crew) -> None:
    for vendor in plant.vendors.all().values():
        vendor.recover()
    crew.deadly = False


def _keep_log(plant: Plant, counts: Counts) -> None:
    """Where something was wrong."""
    if counts.wrong:
        kept = Path(tempfile.mkdtemp(prefix="otpcore-chaos-kept-"))
        (kept / "processes.log").write_bytes(plant.nursery.log.read_bytes())
        counts.wrong.append(f"the log of the processes: {kept}")


@contextlib.contextmanager
def _running(*threads: threading.Thread) -> Iterator[None]:
    """Each runs beside the block, which is over when all of them are."""
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join()


def show(title: str, came: Storm) -> None:
    """The counts of one storm, and a line of them to paste."""
    counts, kills, faults, places = came.counts, came.kills, came.faults, Counter[str]()
    for name, count in kills.items():
        places[name.partition("/")[0] if "/" in name else name] += count
    lines = (
        f"{title}:",
        f"  sends asked for {counts.sends}, challenges {counts.challenges}, retries {counts.retries}",
        f"  delivered {counts.delivered}, verified {counts.verified}, duplicates {counts.duplicates}",
        f"  without a message: {dict(counts.ended) or 'none'}",
        f"  of {counts.owed} for which a vendor was well: lost {counts.broken[LOST]}; given up: {_counted(counts.given_up)}",
        f"  reports of vendors taken in: {_counted(counts.reports)}",
        f"  processes killed {kills.total()}: {_counted(places)}",
        f"  faults injected {faults.total()}: {_counted(faults)}",
        f"  retries begun late: {_spread(counts.late)}; the next message after an outage: {_spread(counts.recovered)}",
        f"  rules broken {counts.broken.total()}",
        *(f"    {wrong}" for wrong in counts.wrong),
        f"  {line(came)}",
    )
    print("\n".join(lines), flush=True)  # noqa: T201 - a program that prints its counts


def line(came: Storm) -> str:
    """All that matters, in one line."""
    counts = came.counts
    return ", ".join(
        (
            f"{came.seconds / 60:.1f} minutes",
            f"challenges {counts.challenges} ({counts.challenges / came.seconds:.0f} a second)",
            f"messages {counts.messages}",
            f"kills {came.kills.total()}",
            f"fail-overs {came.fail_overs}",
            f"latest retry {max(counts.late, default=0.0):.1f} s",
            f"twice {counts.duplicates}",
            f"lost {counts.broken[LOST]}",
            f"late {counts.broken[LATE]}",
            f"counted wrong {counts.broken[COUNTED]}",
            f"rules broken {counts.broken.total()}",
        )
    )


def _counted(what: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(what.items())) or "none"


def _spread(seconds: list[float]) -> str:
    if not seconds:
        return "none"
    ordered = sorted(seconds)
    median, late = (ordered[min(int(len(ordered) * share), len(ordered) - 1)] for share in (0.5, 0.99))
    return f"{len(ordered)} times, median {median * 1000:.0f} ms, p99 {late:.2f} s, longest {ordered[-1]:.2f} s"


def main() -> int:
    """Four fifths of the time with retries, the rest without."""
    arguments = argparse.ArgumentParser(prog="nox -s chaos --")
    arguments.add_argument("--minutes", type=float, default=20.0)
    arguments.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    arguments.add_argument("--people", type=int, default=90)
    arguments.add_argument("--store", choices=STORES, default="sqlite")
    arguments.add_argument("--runner", choices=RUNNERS, default="worker")
    arguments.add_argument("--standby", action="store_true", help="the database fails over to a second server")
    arguments.add_argument("--pooler", action="store_true", help="by way of PgBouncer (postgres)")
    given = arguments.parse_args()
    if (given.standby and given.store == "sqlite") or (given.pooler and given.store != "postgres"):
        arguments.error("--standby needs a server, and --pooler PostgreSQL; Fix: --store postgres")
    on = [given.store, *(["standby"] if given.standby else []), *(["pooler"] if given.pooler else []), given.runner]
    what = f"seed {given.seed}, {', '.join(on)}, {given.minutes:g} minutes, {given.people} people"
    print(f"{what} from {datetime.now().astimezone():%H:%M}", flush=True)  # noqa: T201
    wrong = 0
    for title, share, retried in (("with retries", 0.8, True), ("without retries", 0.2, False)):
        came = storm(
            given.minutes * 60 * share,
            given.seed,
            people=given.people,
            retried=retried,
            store=given.store,
            runner=given.runner,
            standby=given.standby,
            pooler=given.pooler,
        )
        show(title, came)
        wrong += came.counts.broken.total()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
