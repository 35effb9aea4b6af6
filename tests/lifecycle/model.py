"""The life cycle of challenges in plain Python: what every store must do.

One person, several purposes. Nothing is imported from otpcore, so that a mistake there is not repeated here.
"""

from __future__ import annotations

from collections.abc import Collection

from .kept import FOREVER, OVER, PAUSED, STOPS, Challenge, Delivery, Failover, Failures, Reserved, Row, Said, Windows
from .steps import Steps


class Model(Steps):
    """The store as the design wants it; one method for each command."""

    # Sending.

    def charge(
        self, purpose: str, channel: str, client: str, barrier: str
    ) -> tuple[Windows, Windows] | set[float | None]:
        """What was charged, to be refunded or for good; else how long the refusal may last.

        A barrier charges nothing. What a living challenge's cooldown spares is not refused: it lasts as long as that.
        """
        living = self.of(purpose)
        cooldown = living.cooldown.get(channel, 0) if living is not None and self.lives(living) else 0
        spared = {cooldown - self.now} if cooldown > self.now else None
        if self.stands(barrier):
            return spared or {None}
        limits = {str(window): (limit, window) for limit, window in self.rules.limits}
        if client:
            limits[f"toll-{client}"] = self.rules.toll
        windows = {name: self.counters.get(name, (0, 0)) for name in limits}
        for name, (_, ends_at) in windows.items():
            if ends_at <= self.now:
                windows[name] = (0, self.now + limits[name][1])
        full = {windows[name][1] - self.now for name, (limit, _) in limits.items() if windows[name][0] >= limit}
        charged = {name: (count + (not full), ends_at) for name, (count, ends_at) in windows.items()}
        self.counters |= charged  # what is refused may begin a window too, with nothing in it
        if full:
            return spared or {max(full)}
        made = [(name, ends_at) for name, (_, ends_at) in charged.items()]
        return tuple(one for one in made if one[0].isdecimal()), tuple(one for one in made if not one[0].isdecimal())

    def begin(
        self,
        failover: Failover,
        purpose: str,
        *,
        is_resend: bool,
        charges: Windows,
        tolls: Windows,
        client: str,
        delivery: str,
        key: str,
    ) -> Said:
        said = self._begin(failover, purpose, is_resend, charges, client, delivery, key)
        if said.kind == "refused":
            self.refund(charges)
        if said.reason in ("cooldown", "conflict"):
            self.refund(tolls)
        return said

    def record(
        self,
        failover: Failover,
        delivery: str,
        outcome: str,
        reference: str,
        retry_after: float,
        following: str,
        *,
        go_on: bool,
    ) -> Said:
        done, challenge = self.deliveries.get(delivery), self.challenges.get(failover.challenge)
        said, opened, closed = Said("stopped"), None, None
        if done and challenge:
            opened, closed = self._note(done.instance, outcome)
            done.outcome, done.reference = outcome, reference
            done.not_before = self.now + retry_after if retry_after else 0
            kinds = self._heed(done)
            if outcome == "accepted" != done.outcome and self.lives(challenge):
                self._take_back(challenge, done)
            stops = not STOPS.isdisjoint(kinds)
            said = self._recorded(failover, challenge, done, following, go_on=go_on, stops=stops)
        return Said(**{**vars(said), "opened": opened, "closed": closed})

    def clear_mark(self, failover: Failover, scope: str) -> bool:
        if self._own(failover) is None or self.slots[scope].holder != failover.challenge:
            return False
        self.slots[scope].mark = None
        return True

    def claim(self, key: tuple[str, str], owner: str) -> Failover | None:
        """Claim one due row, which gets the new owner; None: its send is over now."""
        challenge, row, rules = self.challenges[key[0]], self.rows[key], self.rules
        if not self.lives(challenge):
            self.close(challenge, "expired")
        elif self.spent(challenge):
            self._stop(challenge, key[1], "max_attempts")
        elif challenge.expires_at - self.now < rules.useful_life:
            self._stop(challenge, key[1], "expired")
        elif row.attempts >= rules.retries[key[1]]:
            self._stop(challenge, key[1], "max_retries")
        else:
            row.owner, row.lease_until, row.attempts = owner, self.now + rules.lease, row.attempts + 1
            return Failover(challenge.id, key[1], owner, row.send, is_retry=True)
        return None

    def due(self, keys: Collection[str]) -> list[tuple[str, str]]:
        """Rows that a process with these keys may claim, the earliest first."""
        found = [
            (row.claimable_at, key)
            for key, row in self.rows.items()
            if row.claimable_at <= self.now and key[1] in self.rules.retries and self.challenges[key[0]].key in keys
        ]
        return [key for _, key in sorted(found)]

    def begin_retry(self, failover: Failover, delivery: str) -> Said:
        challenge, row = self.challenges.get(failover.challenge), self._own(failover)
        if challenge is None or row is None:
            return Said("stopped")
        if self.spent(challenge):
            return self._stop(challenge, failover.channel, "max_attempts")
        if challenge.expires_at - self.now < self.rules.useful_life:
            return self._stop(challenge, failover.channel, "expired")
        if self.denied(failover):
            return self._stop(challenge, failover.channel, "denied")
        if failover.barrier == PAUSED:
            free_at = [self.now + self.rules.hold]
        else:
            instance, free_at, _ = self._pick(challenge, failover)
            if instance:
                return self._deliver(challenge, row, failover, instance, delivery)
        if not free_at:
            return self._stop(challenge, failover.channel, self._refused_by(failover.send))
        if challenge.expires_at - min(free_at) >= self.rules.useful_life:
            row.attempts -= 1
        return self._queue(challenge, row, failover, min(free_at))

    def denied(self, failover: Failover) -> bool:
        """Nothing more goes to this number."""
        return failover.barrier != PAUSED and self.stands(failover.barrier)

    # Verifying.

    def reserve(self, purpose: str, challenge_id: str, client: str) -> Reserved:
        challenge = self.challenges.get(challenge_id) if challenge_id else self.of(purpose)
        if challenge is None or challenge.purpose != purpose or challenge.state in ("approved", "cancelled"):
            return Reserved("not_found")
        if not self.lives(challenge):
            return Reserved("expired", challenge.id)
        if self.locked_until(client) > self.now:
            return Reserved("locked", challenge.id)
        if self.spent(challenge):
            return Reserved("max_attempts", challenge.id)
        challenge.attempts += 1
        self.reservations += 1
        for key in (client, "*"):
            self.failures.setdefault(key, Failures()).count += 1
        mine, everybody = self.failures[client], self.failures["*"]
        if everybody.count >= self.rules.hard_limit:
            everybody.locked_until, everybody.locked_by = FOREVER, self.reservations
        elif mine.count >= self.rules.lock_from:
            wait = min(self.rules.first_wait * 2 ** (mine.count - self.rules.lock_from), self.rules.max_wait)
            mine.locked_until, mine.locked_by = self.now + wait, self.reservations
        known = frozenset(d.id for d in self.sent(challenge=challenge.id) if d.reference)
        return Reserved("reserved", challenge.id, self.reservations, self.marked(challenge.id), known)

    def settle(self, reserved: Reserved, client: str, *, give_back: bool, gone: set[str]) -> None:
        challenge = self.challenges.get(reserved.challenge)
        if challenge is None:
            return
        self._mark_gone(gone)
        if give_back and self.lives(challenge) and challenge.givebacks < self.rules.givebacks and challenge.attempts:
            challenge.attempts, challenge.givebacks = challenge.attempts - 1, challenge.givebacks + 1
            for failed in (self.failures[key] for key in (client, "*") if key in self.failures):
                failed.count = max(0, failed.count - 1)
                if failed.locked_by == reserved.number:
                    failed.locked_until = 0

    def approve(self, reserved: Reserved, client: str, settled: set[str]) -> bool:
        challenge = self.challenges.get(reserved.challenge)
        if challenge is None or not self.lives(challenge):
            return False
        self.close(challenge, "approved")
        self._mark_gone(settled & reserved.known)
        for key in (client, "*"):
            self.failures.pop(key, None)
        self.verified = True
        return True

    def _mark_gone(self, deliveries: set[str]) -> None:
        for one in deliveries & self.deliveries.keys():
            self.deliveries[one].gone = True

    # Upkeep.

    def cancel(self, challenge: Challenge) -> bool:
        if challenge.state in OVER:
            return False
        lived = self.lives(challenge)
        self.close(challenge, "cancelled" if lived else "expired")
        return lived

    def sweep(self, *, set_back: bool) -> None:
        for challenge in self.to_expire(set_back=set_back):
            self.close(challenge, "expired")
        overdue = [(row.claimable_at, key) for key, row in self.rows.items() if row.claimable_at <= self.now]
        for _, (challenge_id, channel) in sorted(overdue):
            if channel not in self.rules.retries and self.lives(self.challenges[challenge_id]):
                self._stop(self.challenges[challenge_id], channel, "interrupted")

    def to_expire(self, *, set_back: bool) -> list[Challenge]:
        """Over, and not called so; those that begin in the future are only looked for after the clock was set back."""
        candidates = [c for c in self.challenges.values() if c.state not in OVER]
        return [c for c in candidates if c.expires_at <= self.now or (set_back and self.begins_later(c))]

    def drop(self, challenge: Challenge) -> None:
        for channel in ("sms", "call"):
            if self.lives(challenge) and (challenge.id, channel) in self.rows:
                self._stop(challenge, channel, "failed")

    def requeue(self, challenge: Challenge) -> None:
        for key, row in self.rows.items():
            if key[0] == challenge.id and row.lease_until is None:
                row.due_at = self.now

    def purge(self, challenges_before: float, deliveries_before: float) -> None:
        gone = {c.id for c in self.challenges.values() if c.state in OVER and c.expires_at < challenges_before}
        self.challenges = {one: c for one, c in self.challenges.items() if one not in gone}
        self.slots = {scope: slot for scope, slot in self.slots.items() if slot.holder not in gone}
        for slot in self.slots.values():
            if not slot.holder and slot.left_by not in self.challenges:  # what it was to cancel is long over
                slot.mark = None
        self.deliveries = {d.id: d for d in self.deliveries.values() if d.recorded_at >= deliveries_before}
        self.counters = {window: counter for window, counter in self.counters.items() if counter[1] > self.now}

    def erase(self) -> None:
        """Everything of the person."""
        for kept in (self.challenges, self.deliveries, self.rows, self.slots, self.counters, self.failures):
            kept.clear()
        self.verified = False

    # Parts of commands.

    def _begin(
        self,
        failover: Failover,
        purpose: str,
        is_resend: bool,
        charges: Windows,
        client: str,
        delivery: str,
        key: str,
    ) -> Said:
        rules, now, holder = self.rules, self.now, self.of(purpose)
        if is_resend:
            challenge = self.challenges.get(failover.challenge)
            if challenge is None or not self.lives(challenge):
                return Said("refused", reason="conflict")
            expires_at = min(now + rules.life, challenge.began_at + rules.cap)
            if refused := self._not_again(challenge, failover.channel, expires_at):
                return refused
        else:
            if self.lives(holder):
                return Said("refused", reason="conflict")
            expires_at = now + rules.life
            challenge = Challenge(failover.challenge, purpose, now, expires_at, key)
        if (locked := self.locked_until(client)) >= expires_at:
            return Said("refused", reason="locked", at=None if locked == FOREVER else locked - now)
        instance, free_at, breaker_open = self._pick(challenge, failover)
        if not instance and not breaker_open:
            return Said("refused", reason="provider_busy", at=min(free_at) - now)
        if not instance and failover.channel not in rules.retries:
            return Said("refused", reason="breaker_open", at=min(free_at) - now)
        self._make_way(challenge, holder, failover.channel)
        self.challenges[challenge.id] = challenge
        challenge.state, challenge.confirmed, challenge.reason, challenge.expires_at = "sending", False, "", expires_at
        row = self.rows[challenge.id, failover.channel] = Row(
            failover.send, failover.owner, now, now + rules.lease, charges=charges
        )
        if instance:
            return self._deliver(challenge, row, failover, instance, delivery)
        row.due_at, row.lease_until, challenge.state = now + rules.probe_every, None, "queued"
        return Said("queued", at=row.due_at)

    def _not_again(self, challenge: Challenge, channel: str, expires_at: float) -> Said | None:
        """Why a living challenge is not sent again."""
        lasts = challenge.expires_at - self.now
        if self.spent(challenge):
            return Said("refused", reason="max_attempts", at=lasts)
        if (until := challenge.cooldown.get(channel, 0)) > self.now:
            return Said("refused", reason="cooldown", at=until - self.now)
        return Said("refused", reason="renewal", at=lasts) if expires_at - self.now < self.rules.renewal else None

    def _make_way(self, challenge: Challenge, holder: Challenge | None, channel: str) -> None:
        """End what a send takes the place of: an expired challenge, or the older send of the channel."""
        if holder is not None and holder.state not in OVER and holder is not challenge:
            self.close(holder, "expired")
        if older := self.rows.pop((challenge.id, channel), None):
            self._end_send(older)

    def _heed(self, done: Delivery) -> set[str]:
        """What receipts told about the delivery before its answer, by their kinds; they overrule it."""
        raise NotImplementedError

    def _take_back(self, challenge: Challenge, done: Delivery) -> None:
        """An acceptance that came to nothing."""
        raise NotImplementedError
