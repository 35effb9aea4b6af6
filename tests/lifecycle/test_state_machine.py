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
from .model import Challenge, Rules
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
moves = st.lists(st.tuples(small, st.integers(0, 15)), min_size=1, max_size=8)  # which task, how the call ends


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

    # Somebody asks for something.

    @precondition(lambda self: len(self.world.tasks) < TASKS_AT_ONCE)
    @rule(purpose=purposes, channel=channels, client=clients, moves=moves)
    def send(self, purpose: str, channel: str, client: str, moves: list[tuple[int, int]]) -> None:
        self.world.start_send(purpose, channel, client)
        self.go_on(moves)

    @precondition(lambda self: len(self.world.tasks) < TASKS_AT_ONCE)
    @rule(purpose=purposes, channel=channels, answer=st.sampled_from(["ok", "lost after delivery", "unavailable"]))
    def send_in_one_go(self, purpose: str, channel: str, answer: str) -> None:
        self.world.start_send(purpose, channel, "")
        self.run_to_its_end(-1, answer)

    @precondition(lambda self: len(self.world.tasks) < TASKS_AT_ONCE and self.world.model.challenges)
    @rule(which=small, guess=small, client=clients, by_id=st.booleans(), moves=moves)
    def verify(self, which: int, guess: int, client: str, by_id: bool, moves: list[tuple[int, int]]) -> None:
        challenge = self.nth_newest(which // 2)
        received = list(dict.fromkeys(reversed(self.world.memory.codes.values())))
        code = received[guess] if guess < len(received) else "wrong"
        self.world.start_verify(challenge.purpose, code, client, challenge.id if by_id else "")
        self.go_on(moves)

    @precondition(lambda self: not self.world.tasks and self.world.model.challenges)
    @rule(which=small, times=st.integers(1, 4), client=clients, answer=st.sampled_from(["up", "down"]))
    def guess(self, which: int, times: int, client: str, answer: str) -> None:
        for _ in range(times):
            self.world.start_verify(self.nth_newest(which // 2).purpose, "wrong", client)
            self.run_to_its_end(-1, answer)

    # What is under way goes on, or ends.

    @precondition(lambda self: self.world.tasks)
    @rule(moves=moves)
    def go_on(self, moves: list[tuple[int, int]]) -> None:
        for which, answer in moves:
            if self.world.tasks:
                task = self.world.tasks[-1 - which % len(self.world.tasks)]
                answers = ANSWERS.get(task.at, ("",))
                self.step(task, answers[answer % len(answers)])

    @precondition(lambda self: self.world.tasks)
    @rule(moves=moves)
    def go_on_too(self, moves: list[tuple[int, int]]) -> None:
        self.go_on(moves)

    @precondition(lambda self: self.world.tasks)
    @rule(which=small, answer=st.sampled_from(["ok", "lost after delivery", "unavailable"]))
    def run_to_its_end(self, which: int, answer: str) -> None:
        task = self.world.tasks[-1 if which < 0 else which % len(self.world.tasks)]
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

    @precondition(lambda self: self.world.to_sweep())
    @rule()
    def sweep(self) -> None:
        self.world.sweep()
        self.check()

    @precondition(lambda self: self.world.model.challenges)
    @rule(what=st.sampled_from(["cancel", "drop", "requeue", "erase", "reset limits", "purge"]), which=small)
    def somebody_decides(self, what: str, which: int) -> None:
        self.world.tick(self.world.model.now + 1)  # so that a window which begins anew ends at another time
        if what in ("cancel", "drop", "requeue"):
            getattr(self.world, what)(self.nth_newest(which).id)
        elif what == "erase":
            self.world.erase()
            self.views = {}
        elif what == "reset limits":
            self.world.reset_limits()
        else:
            self.world.purge(*((0, 3600) if which else (600, 7200)))
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

    def nth_newest(self, which: int) -> Challenge:
        challenges = list(self.world.model.challenges.values())
        return challenges[-1 - which % len(challenges)]

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
