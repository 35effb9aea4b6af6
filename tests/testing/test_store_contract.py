"""Whoever breaks one rule of stores fails the contract where that rule is tested."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest
from hypothesis import Phase, settings

from otpcore.models import Outcome
from otpcore.rate_limits.admission import Admission
from otpcore.stores.commands import ClaimBatch, Refused, ReservationStatus
from otpcore.stores.counts import PurgeCount
from otpcore.stores.memory.store import MemoryStore
from otpcore.stores.steps import Recorded, Stopped
from otpcore.testing.stores.contract import CrashFactory, StoreContract

pytest_plugins = ["pytester"]


class AcceptsTwice(MemoryStore):
    async def approve(self, reservation, **more):
        await super().approve(reservation, **more)
        return True


class ConsumesNothing(MemoryStore):
    async def reserve(self, *, guess=None, **more):
        reservation = await super().reserve(**more)
        right = guess and reservation.status is ReservationStatus.RESERVED and guess.fits(reservation.challenge)
        return attrs.evolve(reservation, status=ReservationStatus.APPROVED) if right else reservation


class ComparesForEver(MemoryStore):
    async def reserve(self, **more):
        reservation = await super().reserve(**more)
        if reservation.status is ReservationStatus.RESERVED:
            await self.settle(reservation, give_back=True, gone=(), now=more["now"])
        return reservation


class LivesOneSecondLonger(MemoryStore):
    async def approve(self, reservation, *, now, **more):
        return await super().approve(reservation, now=now - timedelta(seconds=1), **more)


class ClaimsTwice(MemoryStore):
    last = ClaimBatch()

    async def claim(self, rule, limit, now):
        batch, self.last = self.last, await super().claim(rule, limit, now)
        return ClaimBatch(claims=(*batch.claims, *self.last.claims), ended=self.last.ended)


class TrustsOldTokens(MemoryStore):
    async def record(self, failover, delivery, result, plan, now):
        (view,) = await self.view(challenge_id=failover.challenge_id)
        for row in view.schedule:
            failover = attrs.evolve(failover, token=row.token)
        return await super().record(failover, delivery, result, plan, now)


class LosesLateAcceptances(MemoryStore):
    async def record(self, failover, delivery, result, plan, now):
        (view,) = await self.view(challenge_id=failover.challenge_id)
        if result.outcome is Outcome.ACCEPTED and failover.token not in [row.token for row in view.schedule]:
            return Recorded(step=Stopped(challenge=None))
        return await super().record(failover, delivery, result, plan, now)


class ChargesBeyondTheLimit(MemoryStore):
    async def begin(self, send, now):
        begun = await super().begin(send, now)
        refused = isinstance(begun, Refused)
        return await super().begin(attrs.evolve(send, asked=Admission()), now) if refused else begun


class NeverRefunds(MemoryStore):
    async def begin(self, send, now):
        kept = tuple(attrs.evolve(charge, refundable=False) for charge in send.asked.charges)
        return await super().begin(attrs.evolve(send, asked=attrs.evolve(send.asked, charges=kept)), now)


class ForgetsWhatIsDue(MemoryStore):
    async def next_due(self):
        return None


class ForgetsNobody(MemoryStore):
    async def purge(self, *, phone_key, **more):
        return PurgeCount() if phone_key else await super().purge(phone_key=phone_key, **more)


class CountsReceiptsTwice(MemoryStore):
    times = 0

    async def receive(self, instance, receipt, rule, now):
        self.times += 1
        again = attrs.evolve(receipt, provider_code=str(self.times), reference=receipt.reference + " " * self.times)
        return await super().receive(instance, again, rule, now)


class SkipsTheLastOfAPage(MemoryStore):
    async def list_deliveries(self, wanted=None, *, after=None, limit=50):
        page = await super().list_deliveries(wanted, after=after, limit=limit)
        return page if page.cursor is None else attrs.evolve(page, items=page.items[:-1])


class FoldsTwice(MemoryStore):
    async def fold(self, now):
        before = self._rows.folded_until()
        more = await super().fold(now)
        self._rows.note_folded(self._rows.folded_until(), before)
        return more


class ReplacesAnyVersion(MemoryStore):
    async def put_record(self, namespace, key, sealed, *, expect=None, **more):
        return await super().put_record(namespace, key, sealed, **more)


class LeasesForHalfTheTime(MemoryStore):
    async def claim_changes(self, token, *, lease, **more):
        return await super().claim_changes(token, lease=lease / 2, **more)


class OpensOneByOne(MemoryStore):
    """Says that it is durable, and keeps everything in its process."""

    durable = True


BROKEN = {
    AcceptsTwice: "of_50_right_answers",
    ConsumesNothing: "guesses_of_50_right or one_that_fits or of_many_right_guesses_everywhere",
    ComparesForEver: "of_200_guesses",
    LivesOneSecondLonger: "comes_too_late_is_not_accepted and expired",
    ClaimsTwice: "of_many_claimers_each_row",
    TrustsOldTokens: "an_answer_after_a_lost_lease",
    LosesLateAcceptances: "an_acceptance_after_a_lost_lease",
    ChargesBeyondTheLimit: "concurrent_charges_never_pass or counters_do_the_arithmetic",
    NeverRefunds: "certainly_not_sent_is_refunded",
    ForgetsWhatIsDue: "keeps_what_the_memory_store_does",
    ForgetsNobody: "one_person_is_erased",
    CountsReceiptsTwice: "of_many_equal_receipts",
    SkipsTheLastOfAPage: "lists_neither_skip_nor_repeat",
    FoldsTwice: "series_count_once_however_often",
    ReplacesAnyVersion: "records_are_replaced_only",
    LeasesForHalfTheTime: "outbox_is_claimed_once",
    OpensOneByOne: "right_answers_everywhere or no_more_is_charged or killed_send",
}


class Broken(StoreContract):
    store = MemoryStore
    event_loops = ("asyncio",)
    examples = 5

    @pytest.fixture
    def new_store(self):
        return self.store()

    @pytest.fixture
    def new_stores(self):
        return self.store

    @pytest.fixture
    def reopen(self):
        return self.store

    @pytest.fixture
    def crash_factory(self):
        return CrashFactory("otpcore.stores.memory.store:MemoryStore")


# Collected by the inner pytest only, which looks for classes of this name.
for broken in BROKEN:
    globals()[f"Teeth{broken.__name__}"] = type(f"Teeth{broken.__name__}", (Broken,), {"store": broken})


@pytest.fixture
def no_shrinking():
    """A failure need not be made small to be noticed."""
    settings.register_profile("teeth", phases=[Phase.explicit, Phase.generate])
    before = settings.get_current_profile_name()
    settings.load_profile("teeth")
    yield
    settings.load_profile(before)


def test_whoever_breaks_a_rule_fails_where_it_is_tested(pytester, no_shrinking):
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
    pytester.makepyfile("from otpcore.testing import StoreContract\nclass TestNothing(StoreContract): ...")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-k", "doctor")
    result.stdout.fnmatch_lines(["*give the fixture `new_store`*"])
