"""Vendors that own the code, as the person and the store meet them: what lives there, and what was delivered."""

from __future__ import annotations

from dataclasses import dataclass

MOST_SENDS = 5
MOST_CHECKS = 5
LIFE = 600  # seconds that a verification lives


@dataclass
class Verification:
    """One verification at a vendor.

    Args:
        reference: The vendor's id.
        ended: Why it is over; empty while it lives.
        starter: The challenge whose delivery started it.
        stale: A call that had stalled for longer than its lease had a hand in it: nothing is promised then
            (docs/reliability.md, "What remains").
    """

    reference: str
    starter: str
    expires_at: float
    ended: str = ""
    sends: int = 0
    checks: int = 0
    stale: bool = False


class Vendor:
    """At most one living verification for a person, with one code while it lives.

    Args:
        scope: The account.
        replaces: A start ends the living verification and makes a new one, instead of sending the same code again.
    """

    def __init__(self, scope: str, *, replaces: bool) -> None:
        self.scope = scope
        self.replaces = replaces
        self.all: list[Verification] = []

    def living(self, now: float) -> Verification | None:
        newest = self.all[-1] if self.all else None
        return newest if newest and not newest.ended and newest.expires_at > now else None

    def code(self, verification: Verification) -> str:
        return f"{self.scope} {verification.reference}"

    def send(self, challenge: str, now: float, *, stale: bool) -> Verification | None:
        """Start a verification or send its code again; None: it has been sent too often."""
        living = self.living(now)
        if living and self.replaces:
            living.ended, living = "replaced", None
        if living is None:
            living = Verification(f"VE{len(self.all) + 1}", challenge, now + LIFE)
            self.all.append(living)
        if living.sends >= MOST_SENDS:
            return None
        living.sends += 1
        living.stale |= stale
        return living

    def check(self, reference: str, code: str, now: float) -> str:
        """Is the code right; by recipient where there is no reference."""
        living = self.living(now)
        if living is None or reference not in ("", living.reference):
            return "gone"
        living.checks += 1
        if code == self.code(living):
            living.ended = "approved"
            return "approved"
        if living.checks >= MOST_CHECKS:
            living.ended = "checks used up"
        return "incorrect"

    def cancel(self, reference: str, now: float, *, stale: bool) -> None:
        """End a verification; by recipient where there is no reference."""
        living = self.living(now)
        if living and reference in ("", living.reference):
            living.ended = "cancelled"
            living.stale |= stale

    def forget(self) -> None:
        """Nothing lives here any more."""
        if self.all:
            self.all[-1].ended = self.all[-1].ended or "forgotten"
