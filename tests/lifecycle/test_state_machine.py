"""The whole life cycle on every store: random histories, step by step, beside the model of the design.

Sends, resends, retries, verifications and cancellations of one person run as tasks of two processes that stop before every
transaction and every network call; processes die, answers come late, rules and keys change, operators pause and deny, the
clock jumps to where something changes or is set back, and upkeep runs. After each step the store shows what `model` says, and `invariants` hold.

A run is short by default, shorter still on servers. ``LIFECYCLE_STEPS=20000`` takes about so many steps on each store.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from otpcore.models import ChallengeState
from otpcore.stores.commands import ChallengeView
from otpcore.stores.contract import Store
from otpcore.stores.lifecycle import NOT_SENT, is_living

from .invariants import check
from .kept import DENIED, PAUSED, UNLESS_VERIFIED, Challenge, Rules
from .seeing import compare, views_of
from .sides import at
from .world import ANSWERS, World

Options = Iterable[tuple[Any, ...]]


STEPS = int(os.environ.get("LIFECYCLE_STEPS", "1000"))
STEPS_IN_A_HISTORY = 100
SERVERS = {"postgres", "mariadb", "redis"}  # fewer steps by default: each takes longer there
TASKS_AT_ONCE = 4
BACKENDS = ("asyncio", "trio")

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
ROOMY = {
    "limits": ((50, 600),),
    "toll": (50, 600),
    "attempts": 10,
    "lock_from": 10,
    "hard_limit": 50,
    "breaker_from": 1000,
}

WANTED = tuple(itertools.product(("login", "payment"), ("sms", "call")))
CLIENTS = ("", "203.0.113.7")
SIMPLY = ("ok", "ok", "lost after delivery", "lost", "unavailable", "unavailable")
KEYS = (("key-1",), ("key-1", "key-2"), ("key-2", "key-1"), ("key-2",))
GUESSES = (("up",), ("up", "up", "down"), ("up",) * 4, ("down",) * 4)

WEIGHTS = {
    "step": 24,
    "run": 4,
    "send": 4,
    "send_at_once": 4,
    "claim": 8,
    "tick": 8,
    "verify": 4,
    "guess": 2,
    "receive": 6,
    "sweep": 4,
    "crash": 1,
    "set_clock_back": 1,
    "decide": 2,
    "reroute": 2,
    "switch": 1,
    "change_keys": 2,
    "clean_up": 1,
    "settle": 1,
}
"""How often things happen, of those that can."""

FIGURES: Counter[str] = Counter()
"""How much happened; ``pytest -s`` shows it."""


class LifeCycle(RuleBasedStateMachine):
    """One person's challenges on one store."""

    def __init__(self, new_store: Callable[[], Store]) -> None:
        super().__init__()
        self.new_store = new_store
        FIGURES["histories"] += 1
        self.resources = ExitStack()

    @initialize(
        sms=st.sampled_from(ROUTES),
        call=st.sampled_from(ROUTES),
        retries=st.sampled_from(RETRIES),
        roomy=st.booleans(),
        backend=st.sampled_from(BACKENDS),
    )
    def begin(
        self, sms: tuple[str, ...], call: tuple[str, ...], retries: dict[str, int], roomy: bool, backend: str
    ) -> None:
        self.resources.close()
        portal = self.resources.enter_context(start_blocking_portal(backend))
        stack = self.resources.enter_context(portal.wrap_async_context_manager(AsyncExitStack()))
        store = self.new_store()
        portal.call(store.start, stack)
        rules = Rules(routes={"sms": sms, "call": call}, retries=retries, scopes=SCOPES, **(ROOMY if roomy else {}))
        self.world = World(store, lambda coroutine: portal.call(_awaited, coroutine), rules)
        self.views = views_of(self.world.sides)

    def teardown(self) -> None:
        self.resources.close()

    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        """Anything that can happen now, the interesting things more often."""
        options = {name: found for name in WEIGHTS if (found := list(getattr(self, f"{name}_options")()))}
        name = data.draw(st.sampled_from([name for name in options for _ in range(WEIGHTS[name])]), label="what")
        arguments = data.draw(st.sampled_from(options[name]), label=name)
        FIGURES.update(("steps", name))
        getattr(self, name)(*arguments)
        self.check()

    # What can happen, and with which arguments.

    def step(self, task: int, how: str) -> None:
        """One step of a task."""
        self.world.go(self.world.tasks[task], how)

    def step_options(self) -> Options:
        return ((one, how) for one, task in enumerate(self.world.tasks) for how in ANSWERS.get(task.at, ("",)))

    def run(self, number: int, how: str) -> None:
        """A task goes on undisturbed to its end."""
        task = self.world.tasks[number]
        while task in self.world.tasks:
            answers = ANSWERS.get(task.at, ("",))
            self.world.go(task, how if how in answers else answers[0])
            self.check()

    def run_options(self) -> Options:
        return itertools.product(range(len(self.world.tasks)), SIMPLY)

    def send(self, purpose: str, channel: str, client: str) -> None:
        self.world.start_send(purpose, channel, client)

    def send_options(self) -> Options:
        return ((*what, client) for what in self.wanted() for client in CLIENTS)

    def send_at_once(self, purpose: str, channel: str, how: str) -> None:
        self.world.start_send(purpose, channel, "")
        self.run(-1, how)

    def send_at_once_options(self) -> Options:
        return ((*what, how) for what in self.wanted() for how in SIMPLY)

    def claim(self, only: tuple[str, str] | None) -> None:
        self.world.claim(only)

    def claim_options(self) -> Options:
        due = [(key,) for key in self.world.model.due(self.world.keys["worker"])]
        return [(None,), (None,), *due] if due else ()

    def tick(self, to: float) -> None:
        self.world.tick(to)

    def tick_options(self) -> Options:
        return ((instant,) for instant in self.world.model.instants()[:4])

    def set_clock_back(self, seconds: float) -> None:
        self.world.set_clock_back(seconds)

    def set_clock_back_options(self) -> Options:
        return [(one,) for one in (5, 60, 61, 500) if one <= self.world.model.now]

    def verify(self, purpose: str, code: str, client: str, challenge: str) -> None:
        self.world.start_verify(purpose, code, client, challenge)

    def verify_options(self) -> Options:
        codes = [*dict.fromkeys(reversed(self.world.memory.codes.values()))][:4]
        challenges = [*self.living(), *self.world.model.challenges.values()][:3] if self.has_room() else []
        return (
            (c.purpose, code, client, one)
            for c in challenges
            for code in (*codes, "wrong")
            for client in CLIENTS
            for one in ("", c.id)
        )

    def guess(self, purpose: str, answers: tuple[str, ...]) -> None:
        """Wrong codes, one after the other; the vendors are up or down."""
        for how in answers:
            self.world.start_verify(purpose, "wrong", "")
            self.run(-1, how)

    def guess_options(self) -> Options:
        return ((c.purpose, answers) for c in self.living() for answers in GUESSES)

    def receive(self, delivery: str, status: str, kind: str, by: str) -> None:
        self.world.receive(delivery, status, kind, by)

    def receive_options(self) -> Options:
        """Reports on the latest deliveries: early, late, again, and undelivered before delivered. Delivered only what was."""
        if not self.has_room():
            return
        for one in list(self.world.model.deliveries)[-4:]:
            ways = ("id", "reference", "both") if self.world.reference(one) else ("id",)
            if one in self.world.memory.codes:
                yield from ((one, "delivered", "", by) for by in ways)
            kinds = ("", "", "unavailable", "blocked", "misconfigured", "limit_reached")
            yield from ((one, "undelivered", kind, by) for by in ways for kind in kinds)

    def sweep(self) -> None:
        self.world.sweep()

    def sweep_options(self) -> Options:
        return [()] if self.world.to_sweep() else []

    def crash(self, process: str) -> None:
        self.world.crash(process)

    def crash_options(self) -> Options:
        return sorted({(task.process,) for task in self.world.tasks})

    def decide(self, what: str, challenge: str) -> None:
        getattr(self.world.sides, what)(challenge)

    def decide_options(self) -> Options:
        return itertools.product(("cancel", "drop", "requeue"), self.world.model.challenges)

    def reroute(self, channel: str, route: tuple[str, ...]) -> None:
        """Other rules; what is under way keeps its route, and a retry gets a new one."""
        self.world.sides.routes[channel] = route

    def reroute_options(self) -> Options:
        return itertools.product(("sms", "call"), ROUTES) if self.world.model.rows else ()

    def switch(self, barrier: str) -> None:
        """An operator pauses, denies or lifts that."""
        self.world.sides.barrier = barrier

    def switch_options(self) -> Options:
        if self.world.sides.barrier:
            return [("",)]
        return [(one,) for one in (PAUSED, DENIED, UNLESS_VERIFIED)] if self.world.model.challenges else []

    def change_keys(self, process: str, keys: tuple[str, ...]) -> None:
        """A process begins anew with other code keys, the current one first."""
        self.world.crash(process)
        self.world.keys[process] = keys

    def change_keys_options(self) -> Options:
        """Rarely in the midst of something."""
        idle = {"host", "worker"} - {task.process for task in self.world.tasks}
        return itertools.product(sorted(idle), KEYS) if self.world.model.rows or self.living() else ()

    def clean_up(self, what: str, *keep: float) -> None:
        self.world.tick(self.world.model.now + 1)  # so that a window which begins anew ends at another time
        getattr(self.world.sides if what == "purge" else self.world, what)(*keep)
        if what == "erase":
            self.views = {}

    def clean_up_options(self) -> Options:
        return [("purge", 600, 7200), ("purge", 0, 3600), ("reset_limits",), ("erase",)]

    def settle(self, how: str) -> None:
        """Under a fair schedule all sending ends, with a message or with a reason."""
        world, rules = self.world, self.world.rules
        world.sides.barrier, world.keys["worker"] = "", KEYS[1]
        enough = world.model.now + rules.useful_life + rules.lease + rules.call_lease
        waiting = [one for one, v in self.views.items() if v.schedule and self._has_time(v, enough)]
        for _ in range(400):
            if world.tasks:
                self.run(0, how)
            elif world.model.due(KEYS[1]):
                world.claim()
            elif world.to_sweep():
                world.sweep()
            elif world.model.rows:
                world.tick(min(row.claimable_at for row in world.model.rows.values()))
            else:
                break
            self.check()
        assert not any(view.schedule for view in self.views.values()), "sending never ends"
        for view in (self.views[one] for one in waiting):
            reached = any(delivery.outcome not in NOT_SENT for delivery in view.deliveries)
            assert reached or view.challenge.reason or view.challenge.state is not ChallengeState.EXPIRED, "given up"

    def settle_options(self) -> Options:
        return [("ok",), ("unavailable",), ("lost",)] if self.world.model.rows else []

    # Parts.

    def _has_time(self, view: ChallengeView, until: float) -> bool:
        return is_living(view.challenge, self.world.sides.now) and at(view.challenge.expires_at) > until

    def has_room(self) -> bool:
        return len(self.world.tasks) < TASKS_AT_ONCE

    def living(self) -> list[Challenge]:
        return [c for c in self.world.model.challenges.values() if self.world.model.lives(c)]

    def wanted(self) -> Sequence[tuple[str, str]]:
        """Purposes and channels, those more often that are not within their cooldown."""
        now = self.world.model.now
        cooling = {(c.purpose, channel) for c in self.living() for channel, end in c.cooldown.items() if end > now}
        return [*WANTED, *(what for what in WANTED * 3 if what not in cooling)] if self.has_room() else ()

    def check(self) -> None:
        """Store, model and invariants."""
        before, self.views = self.views, views_of(self.world.sides)
        compare(self.world.sides, self.views)
        check(self.world, before, self.views)


async def _awaited(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await coroutine


def test_every_history_goes_as_the_design_says(new_store: Callable[[], Store], request: pytest.FixtureRequest) -> None:
    is_long, on_server = "LIFECYCLE_STEPS" in os.environ, request.node.callspec.params["new_store"] in SERVERS
    steps = STEPS // 5 if on_server and not is_long else STEPS
    FIGURES.clear()
    run_state_machine_as_test(
        lambda: LifeCycle(new_store),
        settings=settings(
            max_examples=max(1, steps // STEPS_IN_A_HISTORY),
            stateful_step_count=STEPS_IN_A_HISTORY,
            derandomize=not is_long,  # the default run is the same every time, the long one never
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        ),
    )
    print(dict(FIGURES.most_common()))  # noqa: T201 - for whoever runs the long form with -s
