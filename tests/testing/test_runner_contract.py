"""Whoever breaks one rule of retry runners fails the contract where that rule is tested."""

from __future__ import annotations

import anyio
import pytest

from otpcore.runners.background import BackgroundRunner
from otpcore.runners.inline import InlineRunner
from otpcore.testing.runners.contract import RetryRunnerContract

pytest_plugins = ["pytester"]


class DropsJobs(InlineRunner):
    async def submit(self, job):
        pass


class NeverWaits(InlineRunner):
    async def submit(self, job):
        while job is not None:
            job = getattr(await self._host.run_retry(job), "job", None)


class StopsAfterOne(InlineRunner):
    async def submit(self, job):
        await anyio.sleep(max((job.due_at - self._host.now()).total_seconds(), 0))
        await self._host.run_retry(job)


class OneAtATime(BackgroundRunner):
    def __init__(self):
        super().__init__(concurrency=1, poll=0.1)


class Loop:
    """As small as a correct one can be, but for what its subclasses break."""

    pause = 0.05

    async def start(self, exit_stack, host):
        self.host, self.open, self.tasks = host, True, anyio.create_task_group()
        await self.tasks.__aenter__()
        exit_stack.push_async_callback(self.finish)
        self.tasks.start_soon(self.loop)

    async def finish(self):
        self.open = False
        await self.tasks.__aexit__(None, None, None)

    async def submit(self, job):
        pass

    async def loop(self):
        while self.open:
            await self.guarded()
            await anyio.sleep(self.pause)
        await self.host.leave()

    async def guarded(self):
        try:
            await self.round()
        except Exception:  # noqa: BLE001 - whatever the store says
            await anyio.sleep(self.pause)

    async def round(self):
        await self.host.upkeep()
        for claim in await self.host.claim(64):
            self.tasks.start_soon(self.host.run, claim)


class DropsOnClosing(Loop):
    async def finish(self):
        self.tasks.cancel_scope.cancel()
        await self.tasks.__aexit__(None, None, None)


class DiesOfTheStore(Loop):
    async def guarded(self):
        await self.round()


class NeverSweeps(Loop):
    async def round(self):
        for claim in await self.host.claim(64):
            self.tasks.start_soon(self.host.run, claim)


class NeverLeaves(Loop):
    async def loop(self):
        while self.open:
            await self.guarded()
            await anyio.sleep(self.pause)


class OnlyWhatIsSubmitted(Loop):
    async def round(self):
        await self.host.upkeep()

    async def submit(self, job):
        self.tasks.start_soon(self.later, job)

    async def later(self, job):
        while job is not None:
            await anyio.sleep(max((job.due_at - self.host.now()).total_seconds(), 0))
            job = getattr(await self.host.run_retry(job), "job", None)


BROKEN = {
    DropsJobs: "about_when_it_is_due",
    NeverWaits: "about_when_it_is_due",
    StopsAfterOne: "until_one_is_taken",
    OneAtATime: "many_retries_run_at_once",
    DropsOnClosing: "closing_finishes",
    DiesOfTheStore: "a_store_that_is_away",
    NeverSweeps: "upkeep_is_done",
    NeverLeaves: "upkeep_is_done",
    OnlyWhatIsSubmitted: "nobody_submitted or whose_process_died",
}


class Broken(RetryRunnerContract):
    runner = Loop
    event_loops = ("asyncio",)
    patience = 1.5

    @pytest.fixture
    def new_runner(self):
        return self.runner()


class TestLoop(Broken):
    """The loop itself is correct."""

    patience = 20.0


# Collected by the inner pytest only, which looks for classes of this name.
for broken in BROKEN:
    changed = {"runner": broken, "background": not issubclass(broken, InlineRunner)}
    globals()[f"Teeth{broken.__name__}"] = type(f"Teeth{broken.__name__}", (Broken,), changed)


def test_whoever_breaks_a_rule_fails_where_it_is_tested(pytester):
    chosen = " or ".join(f"(Teeth{broken.__name__} and ({tests}))" for broken, tests in BROKEN.items())
    plugins = ["no:cacheprovider", "no:xdist", "no:timeout"]
    run = pytester.inline_run(
        *(__file__, "--import-mode=importlib", "-o", "python_classes=Teeth", "-o", "anyio_mode=auto", "-k", chosen),
        *(part for plugin in plugins for part in ("-p", plugin)),
    )
    reports = [report for report in run.getreports("pytest_runtest_logreport") if report.when == "call"]
    for broken, tests in BROKEN.items():
        own = [report for report in reports if f"::Teeth{broken.__name__}::" in report.nodeid]
        assert {report.outcome for report in own} == {"failed"}, f"{broken.__name__} was not noticed: {own}"
        assert len(own) == tests.count(" or ") + 1, f"{broken.__name__}: {own}"


def test_a_suite_without_its_fixtures_says_what_is_missing(pytester):
    pytester.makepyfile("from otpcore.testing import RetryRunnerContract\nclass TestNothing(RetryRunnerContract): ...")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-k", "about_when")
    result.stdout.fnmatch_lines(["*give the fixture `new_runner`*"])
