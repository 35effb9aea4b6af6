"""``nox -s mutants``: changes each constant and each comparison that somebody's safety hangs on, one at a time, and names what no test noticed.

Every change is tried in a process of its own with the tests that run through it, on the memory store. What survives is a
test that is missing, or is explained in ``survivors.toml``; exit code 1 where it is neither.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from .coverage_map import covered
from .sites import Mutant, mutants_of
from .survivors import explained
from .trial import Trials, Verdict, try_all

ROOT = Path(__file__).parent.parent.parent
FILES = (
    "otpcore/stores/lifecycle.py",
    "otpcore/retrying.py",
    "otpcore/rate_limits/admission.py",
    "otpcore/service/charging.py",
    "otpcore/stores/transactions/auditing.py",
    "otpcore/stores/transactions/begin.py",
    "otpcore/stores/transactions/changes.py",
    "otpcore/stores/transactions/early_receipts.py",
    "otpcore/stores/transactions/limits.py",
    "otpcore/stores/transactions/lists.py",
    "otpcore/stores/transactions/receipts.py",
    "otpcore/stores/transactions/retry.py",
    "otpcore/stores/transactions/choosing.py",
    "otpcore/stores/transactions/failover.py",
    "otpcore/stores/transactions/sealed.py",
    "otpcore/stores/transactions/series.py",
    "otpcore/stores/transactions/upkeep.py",
    "otpcore/stores/transactions/verify.py",
    "otpcore/stores/contract.py",
    "otpcore/stores/units.py",
    "otpcore/runners/loop.py",
    "otpcore/service/asking_vendors.py",
    "otpcore/service/failover.py",
    "otpcore/service/live.py",
    "otpcore/service/service.py",
    "otpcore/service/receipts.py",
    "otpcore/service/retries.py",
    "otpcore/service/sending.py",
    "otpcore/service/upkeep.py",
    "otpcore/service/verifying.py",
)
TESTS = (
    "tests/rate_limits/test_limits.py",
    "tests/service/test_deadline.py",
    "tests/service/test_failing_over.py",
    "tests/service/test_service.py",
    "tests/service/test_vendor_verifies.py",
    "tests/service/test_reasons.py",
    "tests/service/test_protections.py",
    "tests/runners/test_loop.py",
    "tests/runners/test_pace.py",
    "tests/stores/test_contract_memory.py",
    "tests/stores/test_transactions.py",
    "tests/stores/test_receipt_transactions.py",
    "tests/stores/test_leaving.py",
    "tests/stores/test_lost_commits.py",
    "tests/stores/test_portions.py",
    "tests/rate_limits/test_abuse.py",
    "tests/rate_limits/test_barriers.py",
    "tests/service/test_receipts.py",
    "tests/service/test_many_receipts.py",
    "tests/service/test_asking_vendors.py",
    "tests/providers/test_instances.py",
    "tests/providers/test_slow_starts.py",
    "tests/service/test_channels.py",
    "tests/service/test_extras.py",
    "tests/service/test_late_answers.py",
    "tests/service/test_late_receipts.py",
    "tests/service/test_outcomes.py",
    "tests/service/test_own_codes.py",
    "tests/service/test_payments.py",
    "tests/service/test_prices.py",
    "tests/service/test_relaying.py",
    "tests/service/test_run_retry.py",
    "tests/service/test_guessing.py",
    "tests/service/test_vendors_codes.py",
    "tests/service/test_upkeep.py",
    "tests/service/test_races.py",
    "tests/providers/test_sandbox.py",
    "tests/providers/test_sandbox_numbers.py",
    "tests/service/test_status.py",
    "tests/faults/test_clock.py",
    "tests/faults/test_vendors.py",
    "tests/lifecycle/test_histories.py",
    "tests/lifecycle/test_rules.py",
    "tests/readable/test_reprs.py",
    "tests/messages/test_carrying.py",
    "tests/messages/test_carrying_later.py",
    "tests/test_clock.py",
    "tests/test_retrying.py",
    "tests/test_codes.py",
    "tests/test_events.py",
    "tests/test_log_records.py",
    "tests/test_logs.py",
    "tests/service/test_housekeeping.py",
    "tests/service/test_rotation.py",
    "tests/service/test_lacking_keys.py",
    "tests/test_routing.py",
    "tests/service/test_worlds.py",
    "tests/operator/test_instance_tests.py",
)


def main() -> int:
    """0: every change is noticed or explained."""
    parser = argparse.ArgumentParser(prog="nox -s mutants --", description=__doc__)
    parser.add_argument("files", nargs="*", help="such as otpcore/stores/lifecycle.py; all of them if none is named")
    parser.add_argument("--line", action="append", default=[], help="only lines that hold this text, or another such")
    parser.add_argument("--tests", nargs="*", default=TESTS, help="which tests are to notice")
    parser.add_argument("--sample", type=int, help="try only so many, chosen by --seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--map", type=Path, help="a file to keep which test runs through which line, for the next run")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds that tests may hang, before that counts")
    options = parser.parse_args()
    options.map = options.map and options.map.absolute()
    os.chdir(ROOT)
    found = (mutant for file in options.files or FILES for mutant in mutants_of(ROOT, file))
    mutants = [mutant for mutant in found if not options.line or any(text in mutant.code for text in options.line)]
    if options.sample is not None:
        mutants = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))
    started = time.monotonic()
    count, survivors = _tried(mutants, options)
    reasons = explained()
    unexplained = [mutant for mutant in survivors if mutant.key not in reasons]
    told = ", ".join(f"{number} {verdict}" for verdict, number in sorted(count.items()))
    print(f"{told} in {time.monotonic() - started:.0f} s")
    for mutant in sorted(unexplained, key=str):
        print(f"no test notices, and nothing explains: {mutant}")
    if len(mutants) == len([mutant for file in FILES for mutant in mutants_of(ROOT, file)]):
        for key in sorted(reasons.keys() - {mutant.key for mutant in survivors}):
            print(f"explained in survivors.toml, and noticed or gone: {' | '.join(key)}")
    return 1 if unexplained else 0


def _tried(mutants: list[Mutant], options: argparse.Namespace) -> tuple[Counter[Verdict], list[Mutant]]:
    count, survivors = Counter[Verdict](), list[Mutant]()
    with tempfile.TemporaryDirectory(prefix="otpcore-mutants-") as directory:
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = directory
        kept = options.map or Path(directory, "map.json")
        tests = covered(ROOT, FILES, options.tests, kept)
        print(f"{len(tests.seconds)} tests, {len(mutants)} changes", flush=True)

        def tell(mutant: Mutant, verdict: Verdict) -> None:
            count[verdict] += 1
            if verdict in (Verdict.SURVIVED, Verdict.NO_TEST):
                survivors.append(mutant)
                print(f"{verdict}: {mutant}", flush=True)

        try_all(mutants, tests, Trials(options.jobs, options.patience, tell))
    return count, survivors


if __name__ == "__main__":
    sys.exit(main())
