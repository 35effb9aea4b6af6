"""The model of the life cycle with delivery receipts, read from DESIGN §5 and §6: what a vendor tells later, once each.

A receipt knows more than the answer to a call did. One that comes before that answer waits for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from .kept import IN_DOUBT, NOT_SENT, PAUSED, STOPS, Challenge, Delivery, Row, Rules, Said, Walk
from .model import Model


@dataclass(frozen=True)
class Heard:
    """One receipt; ``delivery`` is empty while nobody knows which it is about."""

    status: str
    instance: str
    reference: str
    delivery: str


@dataclass
class Note:
    """What is kept with a receipt; one that is not applied waits for the answer to a call."""

    kind: str
    at: float
    applied: bool


class ToldModel(Model):
    """As `Model`, and receipts."""

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.receipts: dict[Heard, Note] = {}

    def receive(self, receipt: Heard, kind: str, owner: str, keys: Collection[str]) -> tuple[str, Walk | None]:
        """What becomes of a receipt that names a delivery, a reference or both, in a process with these keys; and the walk that
        goes on.
        """
        found = self._found(receipt)
        if found is None:
            if not receipt.delivery:
                self.receipts.setdefault(receipt, Note(kind, self.now, applied=False))
            return "unknown", None
        known = Heard(receipt.status, receipt.instance, receipt.reference, found.id)
        if known in self.receipts:
            return "replayed", None
        failed = receipt.status == "undelivered"
        early = failed and found.outcome == "open" and found.lease_until > self.now
        final = any(one.status == "delivered" for one in self._heard(found))
        self.receipts[known] = Note(kind, self.now, applied=not early)
        if early:
            return "early", None
        if failed and final:
            return "ignored", None
        was = found.outcome
        for one in self.sent(challenge=found.challenge, instance=found.instance):
            alike = receipt.reference and one.reference == receipt.reference
            named = one.id == receipt.delivery and one.reference in ("", receipt.reference)
            if one is found or alike or named:
                self._tell(one, receipt.status, receipt.reference)
        challenge = self.challenges.get(found.challenge)
        if challenge is None or not self.lives(challenge):
            return "applied", None
        if not failed:
            self._recorded(Walk("", "", "", ""), challenge, found, "", go_on=False)
            return "applied", None
        return "applied", None if was in {*NOT_SENT, "undelivered"} else self._failed(
            challenge, found, was, kind, owner, keys
        )

    def go_on(self, walk: Walk, delivery: str) -> Said:
        challenge, row = self.challenges.get(walk.challenge), self._own(walk)
        if challenge is None or row is None:
            return Said("stopped")
        if challenge.expires_at - self.now < self.rules.useful_life:
            return self._stop(challenge, walk.channel, "expired")
        if self.denied(walk):
            return self._stop(challenge, walk.channel, "permanent")
        return self._walk_on(challenge, row, walk, delivery, go_on=walk.barrier != PAUSED)

    def _heed(self, done: Delivery) -> set[str]:
        """Receipts that came before the answer overrule it; the kinds of what they tell."""
        heard = self._heard(done)
        kinds = {self.receipts[one].kind for one in heard}
        for one in sorted(heard, key=lambda one: (one.status == "delivered", self.receipts[one].at)):
            note = self.receipts[one]
            if not note.applied:
                del self.receipts[one]
                self.receipts[Heard(one.status, one.instance, one.reference, done.id)] = note
                note.applied = True
            self._tell(done, one.status, one.reference)
        return kinds

    def _take_back(self, challenge: Challenge, done: Delivery) -> None:
        """An acceptance that came to nothing."""
        challenge.state, challenge.confirmed, challenge.reason = "sent", True, ""
        if any(key[0] == challenge.id for key in self.rows):
            challenge.state, challenge.confirmed = "undelivered", False
        elif all(d.outcome != "accepted" for d in self.sent(challenge=challenge.id)):
            in_doubt = any(d.outcome in IN_DOUBT for d in self.sent(send=done.send))
            challenge.state, challenge.confirmed = "sent" if in_doubt else "unsendable", False
            challenge.reason = "" if in_doubt else "failed"

    def _failed(
        self, challenge: Challenge, found: Delivery, was: str, kind: str, owner: str, keys: Collection[str]
    ) -> Walk | None:
        """A message of a living challenge did not arrive."""
        under_way = {key: row for key, row in self.rows.items() if key[0] == challenge.id}
        own = next((key[1] for key, row in under_way.items() if row.send == found.send), "")
        if kind in STOPS and own:
            self._stop(challenge, own, "permanent")
            return None
        of_challenge = self.sent(challenge=challenge.id)
        later = of_challenge[of_challenge.index(found) + 1 :]
        may_arrive = {"accepted", *IN_DOUBT}
        if under_way or any(d.send != found.send or d.outcome in may_arrive for d in later):
            return None
        if was != "accepted" and challenge.state != "sent":
            return None
        retries = Counter(d.instance for d in self.sent(send=found.send) if d.is_retry)
        attempts = max(retries.values(), default=0)
        row = Row(found.send, owner, self.now + self.rules.lease, attempts=attempts)
        self.rows[challenge.id, found.channel] = row
        able = challenge.key in keys
        reason = "permanent" if kind in STOPS else ""
        if was != "accepted":
            reason = reason or "failed"
        elif self.spent(challenge):
            reason = reason or "max_attempts"
        elif challenge.expires_at - self.now < self.rules.useful_life:
            reason = reason or "expired"
        elif not able and found.channel not in self.rules.retries:
            reason = reason or "failed"
        if reason:
            self._stop(challenge, found.channel, reason)
            return None
        if not able:  # for a process that is
            row.due_at, row.leased, challenge.state, challenge.confirmed = self.now, False, "queued", False
            return None
        challenge.state, challenge.confirmed = "undelivered", False
        return Walk(challenge.id, found.channel, owner, found.send, is_retry=True)

    def _found(self, receipt: Heard) -> Delivery | None:
        if receipt.reference:
            named = self.sent(instance=receipt.instance, reference=receipt.reference)
            if named:
                return named[-1]
        one = self.deliveries.get(receipt.delivery)
        fits = one is not None and one.instance == receipt.instance
        return one if one and fits and one.reference in ("", receipt.reference or one.reference) else None

    def _heard(self, about: Delivery) -> list[Heard]:
        return [
            one
            for one in self.receipts
            if one.instance == about.instance
            and (one.delivery == about.id or (one.reference and one.reference == about.reference))
        ]

    def _tell(self, one: Delivery, status: str, reference: str) -> None:
        one.reference = one.reference or reference
        if status == "delivered":
            one.outcome = "accepted"
        elif one.outcome not in NOT_SENT:
            one.outcome = "undelivered"

    def purge(self, challenges_before: float, deliveries_before: float) -> None:
        super().purge(challenges_before, deliveries_before)
        self.receipts = {one: note for one, note in self.receipts.items() if note.at >= deliveries_before}

    def erase(self) -> None:
        """Everything of the person; what nobody knows whom it is about stays."""
        self.receipts = {one: note for one, note in self.receipts.items() if one.delivery not in self.deliveries}
        super().erase()
