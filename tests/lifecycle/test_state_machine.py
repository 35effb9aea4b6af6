"""The whole life cycle on every store: random histories, step by step, beside the model of the design.

Sends, resends, retries, verifications and cancellations of one person run as tasks of two processes that stop before every
transaction and every network call; processes die, answers come late, the clock jumps to where something changes, and
upkeep runs. After each step the store shows what `model` says, and `invariants` hold.

A run is short by default. ``LIFECYCLE_STEPS=20000`` takes about so many steps on each store.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from otpcore.interfaces import Store
from otpcore.lifecycle import NOT_SENT
from otpcore.models import ChallengeState
from otpcore.stores.memory import MemoryStore
from otpcore.stores.sql import SqlStore, upgrade

from .invariants import check
from .model import Rules
from .world import ANSWERS, Task, World, at

STEPS = int(os.environ.get("LIFECYCLE_STEPS", "1500"))
STEPS_IN_A_HISTORY = 100
TASKS_AT_ONCE = 4

SCOPES = {"verify": "twilio", "verify_eu": "twilio", "sinch": "sinch"}
ROUTES = (
    ("verify", "mada"),
    ("mada", "verify"),
    ("verify",),
    ("mada",),
    ("mada", "backup"),
    ("verify", "verify_eu"),
    ("sinch", "verify", "mada"),
    ("sinch",),
)
RETRIES = ({}, {"sms": 20}, {"sms": 2, "call": 1}, {"sms": 20, "call": 2})

PURPOSES = ("login", "payment")
CHANNELS = ("sms", "call")
CLIENTS = ("", "203.0.113.7")
SIMPLY = ("ok", "ok", "lost after delivery", "lost", "unavailable", "unavailable")

WEIGHTS = {
    "step": 24,
    "run": 4,
    "send": 4,
    "send_at_once": 4,
    "claim": 8,
    "tick": 8,
    "verify": 4,
    "guess": 1,
    "sweep": 4,
    "crash": 1,
    "decide": 2,
    "clean_up": 1,
    "settle": 1,
}
"""How often things happen, of those that can."""


class LifeCycle(RuleBasedStateMachine):
    """One person's challenges on one store."""

    def __init__(self, new_store: Callable[[], Store]) -> None:
        super().__init__()
        self.resources = ExitStack()
        portal = self.resources.enter_context(start_blocking_portal("asyncio"))
        stack = self.resources.enter_context(portal.wrap_async_context_manager(AsyncExitStack()))
        self.store = new_store()
        portal.call(self.store.start, stack)
        self.wait = lambda coroutine: portal.call(_awaited, coroutine)

    @initialize(
        sms=st.sampled_from(ROUTES),
        call=st.sampled_from(ROUTES),
        retries=st.sampled_from(RETRIES),
        roomy=st.booleans(),
    )
    def begin(self, sms: tuple[str, ...], call: tuple[str, ...], retries: dict[str, int], roomy: bool) -> None:
        tight = (
            {}
            if not roomy
            else {"limits": ((50, 600),), "attempts": 10, "lock_from": 10, "hard_limit": 50, "breaker_from": 1000}
        )
        rules = Rules(routes={"sms": sms, "call": call}, retries=retries, scopes=SCOPES, **tight)
        self.world = World(self.store, self.wait, rules)
        self.views = self.world.views()

    def teardown(self) -> None:
        self.resources.close()

    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        """One step of anything that can happen now, the interesting things more often."""
        able = [name for name, weight in WEIGHTS.items() if self.options(name) for _ in range(weight)]
        name = data.draw(st.sampled_from(able), label="what")
        chosen = data.draw(st.sampled_from(self.options(name)), label=name)
        getattr(self, name)(*chosen)
        self.check()

    def options(self, name: str) -> Sequence[tuple[Any, ...]]:
        """Arguments with which something may happen now."""
        world, model = self.world, self.world.model
        living = [c for c in model.challenges.values() if model.lives(c)]
        received = list(dict.fromkeys(reversed(world.memory.codes.values())))[:4]
        tasks = range(len(world.tasks))
        return {
            "step": lambda: [(one, answer) for one in tasks for answer in self.answers(world.tasks[one])],
            "run": lambda: [(one, answer) for one in tasks for answer in SIMPLY],
            "crash": lambda: sorted({(task.process,) for task in world.tasks}),
            "send": lambda: list(itertools.product(PURPOSES, CHANNELS, CLIENTS)) if len(tasks) < TASKS_AT_ONCE else (),
            "send_at_once": lambda: list(itertools.product(PURPOSES, CHANNELS, SIMPLY)),
            "verify": lambda: (
                [
                    (c.purpose, code, client, one)
                    for c in [*living, *model.challenges.values()][:3]
                    for code in [*received, "wrong"]
                    for client in CLIENTS
                    for one in ("", c.id)
                ]
                if len(tasks) < TASKS_AT_ONCE
                else ()
            ),
            "guess": lambda: [(c.purpose, times, how) for c in living for times in (1, 4) for how in ("up", "down")],
            "claim": lambda: [(None,), (None,), *((key,) for key in model.due())] if model.due() else (),
            "tick": lambda: [(instant,) for instant in model.instants()[:4]],
            "sweep": lambda: [()] if world.to_sweep() else (),
            "decide": lambda: [
                (what, c.id) for what in ("cancel", "drop", "requeue") for c in model.challenges.values()
            ],
            "clean_up": lambda: [("erase",), ("reset_limits",), ("purge", 0, 3600), ("purge", 600, 7200)],
            "settle": lambda: [("ok",), ("unavailable",), ("lost",)] if model.rows else (),
        }[name]()

    def send(self, purpose: str, channel: str, client: str) -> None:
        self.world.start_send(purpose, channel, client)

    def send_at_once(self, purpose: str, channel: str, answer: str) -> None:
        self.world.start_send(purpose, channel, "")
        self.run(-1, answer)

    def verify(self, purpose: str, code: str, client: str, challenge: str) -> None:
        self.world.start_verify(purpose, code, client, challenge)

    def guess(self, purpose: str, times: int, answer: str) -> None:
        for _ in range(times):
            self.world.start_verify(purpose, "wrong", "")
            self.run(-1, answer)

    def step(self, task: int, answer: str) -> None:
        self.world.go(self.world.tasks[task], answer)

    def run(self, number: int, answer: str) -> None:
        task = self.world.tasks[number]
        while task in self.world.tasks:
            answers = self.answers(task)
            self.world.go(task, answer if answer in answers else answers[0])
            self.check()

    def crash(self, process: str) -> None:
        self.world.crash(process)

    def claim(self, only: tuple[str, str] | None) -> None:
        self.world.claim(only)

    def tick(self, to: float) -> None:
        self.world.tick(to)

    def sweep(self) -> None:
        self.world.sweep()

    def decide(self, what: str, challenge: str) -> None:
        getattr(self.world, what)(challenge)

    def clean_up(self, what: str, *keep: float) -> None:
        self.world.tick(self.world.model.now + 1)  # so that a window which begins anew ends at another time
        getattr(self.world, what)(*keep)
        if what == "erase":
            self.views = {}

    def settle(self, answer: str) -> None:
        """Under a fair schedule all sending ends, with a message or with a reason."""
        world, rules = self.world, self.world.rules
        enough = world.model.now + rules.useful_life + rules.lease + rules.call_lease
        waiting = [one for one, v in self.views.items() if v.schedule and at(v.challenge.expires_at) > enough]
        for _ in range(400):
            if world.tasks:
                self.run(0, answer)
                continue
            if world.model.due():
                world.claim()
            elif world.to_sweep():
                world.sweep()
            elif world.model.rows:
                world.tick(min(row.due_at for row in world.model.rows.values()))
            else:
                break
            self.check()
        assert not any(view.schedule for view in self.views.values()), "sending never ends"
        for view in (self.views[one] for one in waiting):
            reached = any(delivery.outcome not in NOT_SENT for delivery in view.deliveries)
            assert reached or view.challenge.reason or view.challenge.state is not ChallengeState.EXPIRED, "given up"

    def answers(self, task: Task) -> tuple[str, ...]:
        return ANSWERS.get(task.at, ("",))

    def check(self) -> None:
        """Store, model and invariants."""
        before, self.views = self.views, self.world.views()
        self.world.compare(self.views)
        check(self.world, before, self.views)


async def _awaited(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await coroutine


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database to copy: migrating takes longer than a history."""
    path = tmp_path_factory.mktemp("lifecycle") / "migrated.sqlite3"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["memory", "sql"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Callable[[], Store]:
    """Makes empty stores of one kind, one for each history."""
    caplog.set_level(logging.CRITICAL, "otpcore.stores")  # each start of each store says something
    if request.param == "memory":
        return MemoryStore

    def make() -> SqlStore:
        for old in tmp_path.iterdir():
            old.unlink()
        path = shutil.copy(request.getfixturevalue("migrated"), tmp_path / "otp.sqlite3")
        return SqlStore(f"sqlite:///{path}", synchronous="NORMAL")

    return make


def test_every_history_goes_as_the_design_says(new_store: Callable[[], Store]) -> None:
    run_state_machine_as_test(
        lambda: LifeCycle(new_store),
        settings=settings(
            max_examples=max(1, STEPS // STEPS_IN_A_HISTORY),
            stateful_step_count=STEPS_IN_A_HISTORY,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        ),
    )
