"""The whole life cycle on every store: random histories, step by step, beside the model of the design.

Sends, resends, retries, verifications and cancellations of one person run as tasks of two processes that stop before every
transaction and every network call; processes die, answers come late, the clock jumps to where something changes, and
upkeep runs. After each step the store shows what `model` says, and `invariants` hold.

A run is short by default. ``LIFECYCLE_STEPS=20000`` takes about so many steps on each store.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from otpcore.interfaces import Store
from otpcore.lifecycle import NOT_SENT
from otpcore.models import ChallengeState
from otpcore.stores.memory import MemoryStore
from otpcore.stores.sql import SqlStore, upgrade

from .invariants import check
from .model import Rules
from .world import ANSWERS, Task, World, at

STEPS = int(os.environ.get("LIFECYCLE_STEPS", "1500"))
STEPS_IN_A_HISTORY = 50
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

purposes = st.sampled_from(["login", "payment"])
channels = st.sampled_from(["sms", "call"])
clients = st.sampled_from(["", "203.0.113.7"])
small = st.integers(0, 3)


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
        tight = {} if not roomy else {"limits": ((50, 600),), "attempts": 10, "hard_limit": 50, "breaker_from": 1000}
        rules = Rules(routes={"sms": sms, "call": call}, retries=retries, scopes=SCOPES, **tight)
        self.world = World(self.store, self.wait, rules)
        self.views = self.world.views()

    def teardown(self) -> None:
        self.resources.close()

    # Somebody asks for something.

    @precondition(lambda self: len(self.world.tasks) < TASKS_AT_ONCE)
    @rule(purpose=purposes, channel=channels, client=clients)
    def send(self, purpose: str, channel: str, client: str) -> None:
        self.world.start_send(purpose, channel, client)

    @precondition(lambda self: len(self.world.tasks) < TASKS_AT_ONCE)
    @rule(purpose=purposes, channel=channels, answer=st.sampled_from(["ok", "lost after delivery", "unavailable"]))
    def send_in_one_go(self, purpose: str, channel: str, answer: str) -> None:
        self.world.start_send(purpose, channel, "")
        self.run_to_its_end(-1, answer)

    @precondition(lambda self: len(self.world.tasks) < TASKS_AT_ONCE)
    @rule(purpose=purposes, client=clients, which=st.integers(-1, 3), by_id=st.booleans())
    def verify(self, purpose: str, client: str, which: int, by_id: bool) -> None:
        received = list(dict.fromkeys(reversed(self.world.memory.codes.values())))
        code = received[which] if 0 <= which < len(received) else "wrong"
        newest = self.world.model.of(purpose)
        self.world.start_verify(purpose, code, client, newest.id if newest and by_id else "")

    # What is under way goes on, or ends.

    @precondition(lambda self: self.world.tasks)
    @rule(which=small, data=st.data())
    def go_on(self, which: int, data: st.DataObject) -> None:
        task = self.world.tasks[which % len(self.world.tasks)]
        self.step(task, data.draw(st.sampled_from(ANSWERS.get(task.at, ("",))), label=task.at))

    @precondition(lambda self: self.world.tasks)
    @rule(which=small, data=st.data())
    def newest_goes_on(self, which: int, data: st.DataObject) -> None:
        self.go_on(len(self.world.tasks) - 1, data)

    @precondition(lambda self: self.world.tasks)
    @rule(which=small, answer=st.sampled_from(["ok", "ok", "lost after delivery", "unavailable"]))
    def run_to_its_end(self, which: int, answer: str) -> None:
        task = self.world.tasks[which % len(self.world.tasks)]
        while task in self.world.tasks:
            self.step(task, answer)

    @precondition(lambda self: self.world.tasks)
    @rule(process=st.sampled_from(["host", "worker"]))
    def crash(self, process: str) -> None:
        self.world.crash(process)

    @precondition(lambda self: self.world.model.due())
    @rule(by_name=st.booleans())
    def claim(self, by_name: bool) -> None:
        self.world.claim(self.world.model.due()[-1] if by_name else None)
        self.check()

    # Time passes, and somebody keeps house.

    @precondition(lambda self: self.world.model.instants())
    @rule(which=st.integers(0, 2))
    def tick(self, which: int) -> None:
        instants = self.world.model.instants()
        self.world.tick(instants[min(which, len(instants) - 1)])
        self.check()

    @rule()
    def sweep(self) -> None:
        self.world.sweep()
        self.check()

    @precondition(lambda self: self.world.model.challenges)
    @rule(what=st.sampled_from(["cancel", "drop", "requeue"]), which=small)
    def somebody_decides(self, what: str, which: int) -> None:
        ids = list(self.world.model.challenges)
        getattr(self.world, what)(ids[-1 - which % len(ids)])
        self.check()

    @precondition(lambda self: self.world.model.challenges)
    @rule(what=st.sampled_from(["purge", "purge all that is over", "erase", "reset limits"]))
    def clean_up(self, what: str) -> None:
        self.world.tick(self.world.model.now + 1)  # a window that begins anew ends at another time
        if what == "erase":
            self.world.erase()
            self.views = {}
        elif what == "reset limits":
            self.world.reset_limits()
        else:
            self.world.purge(*((0, 3600) if "all" in what else (600, 7200)))
        self.check()

    @precondition(lambda self: self.world.model.rows)
    @rule(answer=st.sampled_from(["ok", "unavailable", "lost"]))
    def all_get_their_turn(self, answer: str) -> None:
        """Under a fair schedule all sending ends, with a message or with a reason."""
        world, rules = self.world, self.world.rules
        enough = world.model.now + rules.useful_life + rules.lease + rules.call_lease
        waiting = [one for one, view in self.views.items() if view.schedule and at(view.challenge.expires_at) > enough]
        for _ in range(400):
            if world.tasks:
                self.step(world.tasks[0], answer)
                continue
            if world.model.due():
                world.claim()
            elif any(row.due_at <= world.model.now for row in world.model.rows.values()):
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

    # Parts.

    def step(self, task: Task, answer: str) -> None:
        """One step of a task, with this answer or, where it makes no sense, the kindest."""
        answers = ANSWERS.get(task.at, ("",))
        self.world.go(task, answer if answer in answers else answers[0])
        self.check()

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
def new_store(
    request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> Callable[[], Store]:
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
