"""What vendors report is brought to the hosts, again and again until one has answered; some of it twice, none in order."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import attrs

from .plant import Plant

_BEARERS = 6
_TWICE = 0.15
_PAUSE = 0.2  # seconds before a report is repeated

Ask = Callable[..., dict[str, Any] | None]


@attrs.define(eq=False)
class Postman:
    """Carries Twilio's reports.

    Args:
        outcomes: What the hosts made of them; ``died``: the process was killed over it.
        heard: When a person's report was answered at last.
        wrong: Answers that nobody should get.
    """

    plant: Plant
    rng: random.Random
    taken: int = 0
    outcomes: Counter[str] = attrs.field(factory=Counter)
    heard: dict[str, datetime] = attrs.field(factory=dict)
    wrong: list[str] = attrs.field(factory=list)

    def carry(self, ask: Ask, stop: threading.Event) -> None:
        """All reports that come until then."""
        with ThreadPoolExecutor(_BEARERS) as bearers:
            while not stop.wait(0.02):
                for report in self._new():
                    for _ in range(1 + (self.rng.random() < _TWICE)):
                        bearers.submit(self._bring, ask, report)

    def rest(self, ask: Ask) -> int:
        """What has come since, one after the other; how many."""
        reports = self._new()
        for report in reports:
            self._bring(ask, report)
        return len(reports)

    def _new(self) -> list[Mapping[str, Any]]:
        reports = self.plant.vendors.reports(self.taken)
        self.taken += len(reports)
        return reports

    def _bring(self, ask: Ask, report: Mapping[str, Any]) -> None:
        while (outcome := self._once(ask, report)) in ("died", "StoreError"):
            time.sleep(_PAUSE)
        (phone,) = parse_qs(report["body"])["To"]
        self.heard[phone] = self.plant.clock()
        if outcome == "ReceiptRefused":
            self.wrong.append(f"{phone}: a genuine report was refused")

    def _once(self, ask: Ask, report: Mapping[str, Any]) -> str:
        told = ask("handle_receipt", "reporter", report)
        outcome = "died" if told is None else str(told.get("error") or told["answer"]["outcome"])
        self.outcomes[outcome] += 1
        return outcome
