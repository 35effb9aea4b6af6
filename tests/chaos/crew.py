"""Hosts and workers that die at random and are replaced; whoever talks to one that died hears nothing."""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from .plant import NotOpenedError, Plant
from .processes import Process
from .vendors import ARRIVED, WORKED

_HTTP = [f"http.{method}/{phase}" for method in ("POST", "POST", "PUT", "GET") for phase in ("before", "after")]
_COMMANDS = {
    "host": (
        "begin",
        "record",
        "clear_mark",
        "reserve",
        "settle",
        "approve",
        "view",
        "receive",
        "go_on",
    ),
    "worker": ("claim", "begin_retry", "record", "clear_mark", "sweep", "next_due", "beat"),
}
POINTS = {
    kind: [f"store.{command}/{phase}" for command in commands for phase in ("before", "uncommitted", "after")] + _HTTP
    for kind, commands in _COMMANDS.items()
}
"""Where each kind of process may die by itself."""


@attrs.define(eq=False)
class Lateness:
    """How long after its time each retry was begun, in seconds; those that something else made due earlier are left out."""

    seconds: list[float] = attrs.field(factory=list)
    _due: dict[str, float] = attrs.field(factory=dict)

    def hear(self, told: Mapping[str, Any]) -> None:
        if "queued" in told:
            self._due[told["queued"]] = told["due"]
        elif "tried" in told and (due := self._due.pop(told["tried"], None)) is not None and told["at"] >= due:
            self.seconds.append(told["at"] - due)


@attrs.define(eq=False)
class Member:
    """One process of the crew and what it is asked."""

    process: Process
    point: str
    answers: dict[int, queue.SimpleQueue[dict[str, Any] | None]] = attrs.field(factory=dict)
    guard: threading.Lock = attrs.field(factory=threading.Lock)
    gone: bool = False
    lateness: Lateness = attrs.field(factory=Lateness)

    @property
    def is_ready(self) -> bool:
        """It has said something."""
        return any("ready" in told or "text" in told for told in list(self.process.said))

    def listen(self) -> None:
        """Hand each answer to whoever waits for it, until it is gone."""
        while (told := self.process.next()) is not None:
            if "id" in told:
                with self.guard:
                    waiting = self.answers.pop(told["id"], None)
                if waiting is not None:
                    waiting.put(told)
            self.lateness.hear(told)
        with self.guard:
            self.gone = True
            for waiting in self.answers.values():
                waiting.put(None)

    def ask(self, do: str, *arguments: Any, **more: Any) -> dict[str, Any] | None:
        """The answer; None: it died over it."""
        waiting: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        with self.guard:
            if self.gone:
                return None
            self.answers[self.process.wish(do, *arguments, **more)] = waiting
        return waiting.get()


class Crew:
    """Some hosts and workers of one plant.

    Args:
        hosts: How many processes send and verify.
        workers: How many run retries.
        kills: Counts the kills by place.
    """

    def __init__(self, plant: Plant, settings: str, rng: random.Random, *, hosts: int, workers: int) -> None:
        self.plant, self.settings, self.rng = plant, settings, rng
        self.kills: Counter[str] = Counter()
        self.lateness = Lateness()
        self.deadly = True
        self._stop = threading.Event()
        self._starting = threading.Lock()
        self.hosts: list[Member | None] = [None] * hosts
        self._threads = [
            *(threading.Thread(target=self._keep_host, args=(number,)) for number in range(hosts)),
            *(threading.Thread(target=self._keep_worker) for _ in range(workers)),
        ]
        for thread in self._threads:
            thread.start()

    def ask(self, rng: random.Random, do: str, *arguments: Any, **more: Any) -> dict[str, Any] | None:
        """Ask any host that is there."""
        while not (there := [host for host in self.hosts if host is not None and not host.gone]):
            time.sleep(0.02)
        return rng.choice(there).ask(do, *arguments, **more)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _keep_host(self, number: int) -> None:
        def start(point: str) -> Process:
            return self.plant.service(self.settings, kill_at=point)

        def watch(member: Member) -> None:
            self.hosts[number] = member
            member.listen()

        self._keep(start, watch, "host")

    def _keep_worker(self) -> None:
        def start(point: str) -> Process:
            return self.plant.worker(self.settings, kill_at=point)

        self._keep(start, Member.listen, "worker")

    def _keep(self, start: Callable[[str], Process], watch: Callable[[Member], None], kind: str) -> None:
        """One after the other, for as long as the run lasts."""
        while not self._stop.is_set():
            with self._starting:
                point, after, from_outside = self._fate(kind)
                try:
                    process = start(point)
                except NotOpenedError:  # the store is away; whoever supervises it tries again
                    self._stop.wait(0.2)
                    continue
                process.channel.settimeout(None)
            member = Member(process=process, point=point, lateness=self.lateness)
            listener = threading.Thread(target=watch, args=(member,))
            listener.start()
            killed = self._live(member, after, from_outside)
            process.kill()  # at the end of the run, one that is still there is not missed
            listener.join()
            process.channel.close()
            if killed:
                self.kills[f"{kind} {killed}"] += 1

    def _fate(self, kind: str) -> tuple[str, float, str]:
        """Where it dies, or after how many seconds it is killed, and whether at a vendor's hands."""
        after = self.rng.uniform(1.0, 8.0)
        chosen = self.rng.random()
        if not self.deadly:
            return "", float("inf"), ""
        if chosen < 0.6:
            return f"{self.rng.choice(POINTS[kind])}#{self.rng.choice((1, 2, 3, 5, 10))}", after * 3, ""
        return "", after, self.rng.choice((ARRIVED, WORKED, "at any time"))

    def _live(self, member: Member, after: float, from_outside: str) -> str:
        """Until it is dead; where it died, or "" when the run was over first."""
        hunted = from_outside in (ARRIVED, WORKED)
        if hunted:
            self.plant.vendors.hunter.aim(member.process.pid, from_outside)
        ends = time.monotonic() + after
        while time.monotonic() < ends and not member.gone:
            if not member.is_ready:  # on a machine with much else to do it would never get to work
                ends = time.monotonic() + after
            if self._stop.wait(0.02):
                return ""
            if not self.deadly:
                ends = float("inf")
        if member.gone and any("passed" in told for told in member.process.said):
            return ""  # a worker that found no store
        if member.gone:
            return from_outside if hunted else member.point.partition("#")[0] or "by itself"
        member.process.kill()
        return "at any time"
