"""The model of the life cycle with delivery receipts: what a vendor tells later, once each.

A receipt knows more than the answer to a call did. One that comes before that answer waits for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from .kept import IN_DOUBT, NOT_SENT, PAUSED, STOPS, Challenge, Delivery, Failover, Row, Rules, Said
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

    def receive(self, receipt: Heard, kind: str, owner: str, keys: Collection[str]) -> tuple[str, Failover | None]:
        """What becomes of a receipt that names a delivery, a reference or both, in a process with these keys; and the failover that
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
        for one in self.sent(send=found.send, instance=found.instance):
            alike = receipt.reference and one.reference == receipt.reference
            named = one.id == receipt.delivery and one.reference in ("", receipt.reference)
            if one is found or alike or named:
                self._tell(one, receipt.status, receipt.reference)
        challenge = self.challenges.get(found.challenge)
        if challenge is None or not self.lives(challenge):
            return "applied", None
        if not failed:
            self._recorded(Failover("", "", "", ""), challenge, found, "", go_on=False)
            return "applied", None
        return "applied", None if was in {*NOT_SENT, "undelivered"} else self._failed(
            challenge, found, was, kind, owner, keys
        )

    def go_on(self, failover: Failover, delivery: str) -> Said:
        challenge, row = self.challenges.get(failover.challenge), self._own(failover)
        if challenge is None or row is None:
            return Said("stopped")
        if challenge.expires_at - self.now < self.rules.useful_life:
            return self._stop(challenge, failover.channel, "expired")
        if self.denied(failover):
            return self._stop(challenge, failover.channel, "denied")
        return self._failover_on(challenge, row, failover, delivery, go_on=failover.barrier != PAUSED)

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

    def _kinds(self, done: Delivery) -> set[str]:
        if done.outcome != "undelivered":
            return set()
        return {self.receipts[one].kind for one in self._heard(done)} - {""}

    def _take_back(self, challenge: Challenge, done: Delivery) -> None:
        """An acceptance that came to nothing."""
        challenge.state, challenge.confirmed, challenge.reason = "sent", True, ""
        if any(key[0] == challenge.id for key in self.rows):
            challenge.state, challenge.confirmed = "undelivered", False
        elif all(d.outcome != "accepted" for d in self.sent(challenge=challenge.id)):
            in_doubt = any(d.outcome in IN_DOUBT for d in self.sent(send=done.send))
            challenge.state, challenge.confirmed = "sent" if in_doubt else "unsendable", False
            challenge.reason = "" if in_doubt else self._refused_by(done.send)

    def _failed(
        self, challenge: Challenge, found: Delivery, was: str, kind: str, owner: str, keys: Collection[str]
    ) -> Failover | None:
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
        if self._has_another(of_challenge, found.send) or (was != "accepted" and challenge.state != "sent"):
            return None
        retries = Counter(d.instance for d in self.sent(send=found.send) if d.is_retry)
        attempts = max(retries.values(), default=0)
        row = Row(found.send, owner, self.now, self.now + self.rules.lease, attempts=attempts)
        self.rows[challenge.id, found.channel] = row
        able = challenge.key in keys
        reason = "permanent" if kind in STOPS else ""
        if was != "accepted":
            reason = self._refused_by(found.send)
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
            row.due_at, row.lease_until, challenge.state, challenge.confirmed = self.now, None, "queued", False
            return None
        challenge.state, challenge.confirmed = "undelivered", False
        return Failover(challenge.id, found.channel, owner, found.send, is_retry=True)

    def _has_another(self, deliveries: list[Delivery], send: str) -> bool:
        """Another send's message was reported as delivered since this send began."""
        began = min(d.recorded_at for d in deliveries if d.send == send)
        arrived = [d for d in deliveries if d.send != send and d.outcome == "accepted"]
        told = [one for d in arrived for one in self._heard(d) if one.status == "delivered"]
        return any(self.receipts[one].at >= began for one in told)

    def _found(self, receipt: Heard) -> Delivery | None:
        """By reference first: a repeat takes the message of an earlier try of its send over. By id, where the vendor gave the
        reference to another send again. None where nobody is known, or instance, id and reference contradict each other.
        """
        alike = self.sent(instance=receipt.instance, reference=receipt.reference) if receipt.reference else []
        named = self.deliveries.get(receipt.delivery)
        fits = named is not None and named.instance == receipt.instance
        if named is None or not fits or named.reference not in ("", receipt.reference or named.reference):
            return alike[-1] if alike and not receipt.delivery else None
        if alike and named.send == alike[-1].send:
            return alike[-1]
        if alike and named.reference != receipt.reference:
            return None
        told = {one.reference for one in self._heard(named)} if receipt.reference and not named.reference else set()
        return named if told <= {"", receipt.reference} else None

    def _heard(self, about: Delivery) -> list[Heard]:
        """What was said of it, or of an earlier try of its send whose message it took over."""
        return [one for one in self.receipts if one.instance == about.instance and self._is_about(one, about)]

    def _is_about(self, one: Heard, about: Delivery) -> bool:
        if one.delivery != about.id and not (one.reference and one.reference == about.reference):
            return False
        if one.reference not in ("", about.reference or one.reference):
            return False
        named = self.deliveries.get(one.delivery)
        return one.delivery in ("", about.id) or (named is not None and named.send == about.send)

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
