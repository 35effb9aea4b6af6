"""The contract suite of stores: subclass ``StoreContract``, say how your store is made, inherit the tests."""

from __future__ import annotations

import pytest

# Before they are imported: pytest shows the values in a failed assertion only of modules that it was told about.
pytest.register_assert_rewrite(
    "otpcore.testing.stores.admission",
    "otpcore.testing.stores.admitted",
    "otpcore.testing.stores.auditing",
    "otpcore.testing.stores.base",
    "otpcore.testing.stores.budgets",
    "otpcore.testing.stores.changes",
    "otpcore.testing.stores.crash",
    "otpcore.testing.stores.crash_child",
    "otpcore.testing.stores.equivalence",
    "otpcore.testing.stores.erasing",
    "otpcore.testing.stores.histories",
    "otpcore.testing.stores.leases",
    "otpcore.testing.stores.limits",
    "otpcore.testing.stores.lists",
    "otpcore.testing.stores.prices",
    "otpcore.testing.stores.races",
    "otpcore.testing.stores.receipt_claims",
    "otpcore.testing.stores.receipt_order",
    "otpcore.testing.stores.receipt_races",
    "otpcore.testing.stores.receipts",
    "otpcore.testing.stores.redaction",
    "otpcore.testing.stores.relayed",
    "otpcore.testing.stores.replacing",
    "otpcore.testing.stores.resending",
    "otpcore.testing.stores.retries",
    "otpcore.testing.stores.scenes",
    "otpcore.testing.stores.sealed",
    "otpcore.testing.stores.sending",
    "otpcore.testing.stores.series",
    "otpcore.testing.stores.service_rules",
    "otpcore.testing.stores.slots",
    "otpcore.testing.stores.upkeep",
    "otpcore.testing.stores.verifying",
    "otpcore.testing.stores.waking",
    "otpcore.testing.stores.watching",
    "otpcore.testing.stores.windows",
    "otpcore.testing.stores.withdrawing",
    "otpcore.testing.stores.world",
    "otpcore.testing.stores.worlds",
)

from otpcore.testing.stores.admission import (  # noqa: E402 - after the registration
    BarrierTests,
    NeighbourTests,
    RefusalTests,
    TollTests,
)
from otpcore.testing.stores.admitted import AdmittedReceiptTests, AdmittedRetryTests  # noqa: E402 - after the registration
from otpcore.testing.stores.auditing import AuditTests  # noqa: E402 - after the registration
from otpcore.testing.stores.base import CrashFactory  # noqa: E402 - after the registration
from otpcore.testing.stores.budgets import BudgetTests  # noqa: E402 - after the registration
from otpcore.testing.stores.changes import OutboxTests  # noqa: E402 - after the registration
from otpcore.testing.stores.crash import CrashTests  # noqa: E402 - after the registration
from otpcore.testing.stores.equivalence import EquivalenceTests  # noqa: E402 - after the registration
from otpcore.testing.stores.erasing import PurgingTests  # noqa: E402 - after the registration
from otpcore.testing.stores.leases import ClaimingTests, LeaseTests  # noqa: E402 - after the registration
from otpcore.testing.stores.limits import BreakerTests, CounterTests, RefundTests  # noqa: E402 - after the registration
from otpcore.testing.stores.lists import ListTests  # noqa: E402 - after the registration
from otpcore.testing.stores.prices import PriceTests  # noqa: E402 - after the registration
from otpcore.testing.stores.races import RaceTests  # noqa: E402 - after the registration
from otpcore.testing.stores.receipt_claims import (  # noqa: E402 - after the registration
    AgreementTests,
    QuestionTests,
)
from otpcore.testing.stores.receipt_order import (  # noqa: E402 - after the registration
    EarlyReceiptTests,
    InDoubtTests,
    NewerMessageTests,
)
from otpcore.testing.stores.receipt_races import ReceiptRaceTests  # noqa: E402 - after the registration
from otpcore.testing.stores.receipts import (  # noqa: E402 - after the registration
    DeliveredTests,
    ReceiptUpkeepTests,
    UndeliveredTests,
)
from otpcore.testing.stores.redaction import RedactionTests  # noqa: E402 - after the registration
from otpcore.testing.stores.relayed import RelayedTests  # noqa: E402 - after the registration
from otpcore.testing.stores.replacing import (  # noqa: E402 - after the registration
    ReplacedCodeTests,
    ReplacedVendorCodeTests,
)
from otpcore.testing.stores.resending import ResendingTests  # noqa: E402 - after the registration
from otpcore.testing.stores.retries import RetryTests  # noqa: E402 - after the registration
from otpcore.testing.stores.sealed import SealedTests  # noqa: E402 - after the registration
from otpcore.testing.stores.sending import SendingTests  # noqa: E402 - after the registration
from otpcore.testing.stores.series import SeriesTests  # noqa: E402 - after the registration
from otpcore.testing.stores.slots import (  # noqa: E402 - after the registration
    LateAcceptanceTests,
    SlotRetryTests,
    SlotTests,
    TakingOverTests,
)
from otpcore.testing.stores.upkeep import CancellingTests, OperatorTests, SweepingTests  # noqa: E402 - after the registration
from otpcore.testing.stores.verifying import (  # noqa: E402 - after the registration
    FindingTests,
    GivingBackTests,
    GuessTests,
    LockTests,
    VerifyingTests,
)
from otpcore.testing.stores.waking import WakingTests  # noqa: E402 - after the registration
from otpcore.testing.stores.watching import (  # noqa: E402 - after the registration
    BreakerStatusTests,
    CountTests,
    PuttingOffTests,
    ReportedTests,
    SignOfLifeTests,
    WaitingTests,
)
from otpcore.testing.stores.windows import WindowTests  # noqa: E402 - after the registration
from otpcore.testing.stores.withdrawing import WithdrawingTests  # noqa: E402 - after the registration
from otpcore.testing.stores.world import START, Failover, World  # noqa: E402 - after the registration
from otpcore.testing.stores.worlds import WorldsTests  # noqa: E402 - after the registration

__all__ = ["START", "CrashFactory", "Failover", "StoreContract", "World"]


class StoreContract(
    SendingTests,
    ResendingTests,
    ReplacedCodeTests,
    ReplacedVendorCodeTests,
    RelayedTests,
    RetryTests,
    ClaimingTests,
    LeaseTests,
    VerifyingTests,
    FindingTests,
    GivingBackTests,
    GuessTests,
    LockTests,
    SlotTests,
    TakingOverTests,
    SlotRetryTests,
    LateAcceptanceTests,
    DeliveredTests,
    UndeliveredTests,
    ReceiptUpkeepTests,
    InDoubtTests,
    EarlyReceiptTests,
    NewerMessageTests,
    AgreementTests,
    QuestionTests,
    ReceiptRaceTests,
    PriceTests,
    CounterTests,
    RefundTests,
    BreakerTests,
    WindowTests,
    BarrierTests,
    TollTests,
    RefusalTests,
    NeighbourTests,
    BudgetTests,
    AdmittedRetryTests,
    AdmittedReceiptTests,
    WakingTests,
    SweepingTests,
    CancellingTests,
    OperatorTests,
    AuditTests,
    PurgingTests,
    ListTests,
    SealedTests,
    SeriesTests,
    OutboxTests,
    CountTests,
    ReportedTests,
    WaitingTests,
    BreakerStatusTests,
    PuttingOffTests,
    SignOfLifeTests,
    WithdrawingTests,
    WorldsTests,
    RaceTests,
    CrashTests,
    RedactionTests,
    EquivalenceTests,
):
    """What every store must do: the rules of ``otpcore.stores.contract.Store``, shown command by command, in races and against the oracle.

    ::

        import pytest

        from otpcore.testing import StoreContract
        from otp_acme.store import AcmeStore


        class TestAcme(StoreContract):
            event_loops = ("asyncio",)

            @pytest.fixture
            def new_store(self, new_stores):
                return new_stores()

            @pytest.fixture
            def new_stores(self, server):
                def make():
                    server.flush()
                    return AcmeStore(server.url)

                return make

            @pytest.fixture
            def reopen(self, server):
                return lambda: AcmeStore(server.url)

    Fixtures to supply:

    - ``new_store``: a fresh, empty store, not started.
    - ``new_stores``: a function that makes one such store after another; what the one before kept may be gone. Hypothesis
      works with it; without it these tests are skipped.
    - ``reopen``, where the store is durable: a function that makes another store object on the data of ``new_store``, as
      another process would. The suite uses it from threads with event loops of their own.
    - ``crash_factory``, where the store is durable: a ``CrashFactory``, how a process of its own opens the data of
      ``new_store``. The suite kills such processes.
    - ``raw_contents``: a function that reads everything on the medium, as bytes. The suite looks in it for what no one
      may read; without it that test is skipped.
    - ``unreachable``: a store whose medium is away, and the password in its address; without it that test is skipped.

    Attributes to set where the default does not fit:

    - ``durable``: what the store keeps survives its process; default True. Where it is False, what needs a second
      process is skipped.
    - ``event_loops``: what the store runs on; default ``("asyncio", "trio")``. Where each unit of work runs in a thread of
      its own anyway, one is enough.
    - ``examples``: how many histories Hypothesis compares with the memory store; default 15. Twice as many orders of
      charges and refunds are compared with plain arithmetic.
    - ``passes_over``: of several sweeps at once, one may leave rows that no other ends, as a database does that locks what
      it sorts and not only what it returns; the next sweep finds them. Default False.

    ``kept`` may be extended: what is compared of all that a store keeps. ``START`` is when the clock of each test begins;
    a ``World`` gives an author's own tests the same clock, requests and failovers.
    """
