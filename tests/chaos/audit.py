"""After the storm: what was lost, what was repeated, and every rule that was broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import attrs

from otpcore.lifecycle import IN_DOUBT, NOT_SENT, OVER
from otpcore.models import ChallengeState, Outcome
from otpcore.records import ChallengeView, DeliveryRecord

from .people import ROUTES, Story
from .plant import Plant
from .vendors import Received

WELL = timedelta(seconds=25)
"""A vendor that was up for so long has been tried meanwhile, whatever the leases and delays."""


@attrs.define
class Weather:
    """When which vendor was away."""

    away: list[tuple[str, datetime, datetime]] = attrs.field(factory=list)

    def was_well(self, vendor: str, begin: datetime, end: datetime) -> bool:
        """It was up for ``WELL`` within these times."""
        moment = begin
        for name, left, back in sorted(self.away, key=lambda one: one[1]):
            if name != vendor or back < begin or left > end:
                continue
            if left - moment >= WELL:
                return True
            moment = max(moment, back)
        return end - moment >= WELL


@attrs.define
class Figures:
    """What a run came to."""

    sends: int = 0
    challenges: int = 0
    retries: int = 0
    delivered: int = 0
    duplicates: int = 0
    verified: int = 0
    unconfirmed: int = 0
    ended: Counter[str] = attrs.field(factory=Counter)
    lost: int = 0
    wrong: list[str] = attrs.field(factory=list)


def audit(plant: Plant, stories: Sequence[Story], weather: Weather, *, retried: bool) -> Figures:
    """Look at everything that is stored and everything that arrived."""
    figures = Figures()
    views = plant.look({story.phone for story in stories})
    for story in stories:
        figures.sends += story.sends
        figures.wrong += story.wrong
        own = [view for view in views[story.phone] if view.challenge.purpose == story.purpose]
        received = plant.vendors.of(story.phone)
        for view in own:
            messages = [one for one in received if plant.belongs(one, view, views[story.phone])]
            _one(figures, story, view, messages, weather, retried=retried)
        _attempts(figures, story, own)
    for phone, of_phone in views.items():
        strangers = [
            one for one in plant.vendors.of(phone) if not any(plant.belongs(one, view, of_phone) for view in of_phone)
        ]
        if strangers:
            figures.wrong.append(f"{phone}: {len(strangers)} messages that no challenge sent")
        _charges(plant, figures, phone, of_phone, sum(s.sends for s in stories if s.phone == phone))
    if rows := plant.rows():
        figures.wrong.append(f"{rows} schedule rows are left")
    return figures


def _one(
    figures: Figures,
    story: Story,
    view: ChallengeView,
    messages: list[Received],
    weather: Weather,
    *,
    retried: bool,
) -> None:
    challenge, name = view.challenge, f"{story.phone} ({story.purpose})"
    figures.challenges += 1
    figures.delivered += bool(messages)
    figures.retries += sum(delivery.is_retry for delivery in view.deliveries)
    figures.verified += challenge.state is ChallengeState.APPROVED
    sends = {delivery.send_id for delivery in view.deliveries}
    figures.duplicates += max(len(messages) - len(sends), 0)
    may_have_left = [delivery for delivery in view.deliveries if delivery.outcome not in NOT_SENT]
    if len(messages) > len(may_have_left):
        figures.wrong.append(f"{name}: {len(messages)} messages of {len(may_have_left)} deliveries")
    if not messages:
        figures.ended[
            f"{challenge.state} ({challenge.reason or 'in doubt' if may_have_left else challenge.reason})"
        ] += 1
        accepted = any(delivery.outcome is Outcome.ACCEPTED for delivery in view.deliveries)
        unresolved = [delivery for delivery in view.deliveries if delivery.outcome in IN_DOUBT]
        if accepted:
            figures.wrong.append(f"{name}: accepted, and nothing arrived")
        elif retried and challenge.state is ChallengeState.EXPIRED and not challenge.reason and not unresolved:
            vendors = {{"texter": "twilio"}.get(one, one) for one in ROUTES[story.phone[:7]]}
            end = challenge.expires_at - timedelta(seconds=10)
            if any(weather.was_well(one, challenge.first_sent_at, end) for one in vendors):
                figures.lost += 1
                figures.wrong.append(f"{name}: lost, though a vendor was well; {view}")
    _rules(figures, name, story, view)


def _rules(figures: Figures, name: str, story: Story, view: ChallengeView) -> None:
    challenge = view.challenge
    approvals = [at for one, at in story.approvals if one == challenge.id]
    if len(approvals) > 1:
        figures.wrong.append(f"{name}: accepted {len(approvals)} times")
    if approvals and challenge.state is not ChallengeState.APPROVED:
        figures.wrong.append(f"{name}: accepted, and {challenge.state}")
    if challenge.state is ChallengeState.APPROVED and not approvals and not story.died:
        figures.wrong.append(f"{name}: approved, and nobody was told")
    for delivery in view.deliveries:
        if delivery.recorded_at >= challenge.expires_at:
            figures.wrong.append(f"{name}: a delivery recorded after the end of the code's life")
        if approvals and delivery.recorded_at.timestamp() > approvals[0]:
            figures.wrong.append(f"{name}: a delivery recorded after the person was verified")
    for send in {delivery.send_id for delivery in view.deliveries}:
        _repeats(figures, name, [delivery for delivery in view.deliveries if delivery.send_id == send])
    if challenge.state not in OVER or challenge.code_sealed is not None or view.schedule:
        figures.wrong.append(f"{name}: in the end {challenge.state}, {len(view.schedule)} rows")


def _repeats(figures: Figures, name: str, send: Sequence[DeliveryRecord]) -> None:
    """A further delivery needs a reason: the one before certainly did not leave, or nobody knew in time."""
    for number, delivery in enumerate(send):
        for earlier in send[:number]:
            known = earlier.outcome is Outcome.ACCEPTED and earlier.lease_until > delivery.recorded_at
            if known:
                figures.wrong.append(f"{name}: sent again, though {earlier.instance} had taken it")
    doubts = Counter(delivery.instance for delivery in send if delivery.outcome in IN_DOUBT)
    if any(count > 2 for count in doubts.values()):
        figures.wrong.append(f"{name}: more than one repeat in doubt: {dict(doubts)}")


def _attempts(figures: Figures, story: Story, own: Sequence[ChallengeView]) -> None:
    used = sum(view.challenge.attempts + view.challenge.givebacks for view in own)
    if not story.counted <= used <= story.asked:
        figures.wrong.append(f"{story.phone}: {used} attempts, answered {story.counted}, asked {story.asked}")


def _charges(plant: Plant, figures: Figures, phone: str, views: Sequence[ChallengeView], asked: int) -> None:
    left = {d.send_id for view in views for d in view.deliveries if d.outcome not in NOT_SENT}
    charged = plant.charged(phone)
    if not len(left) <= charged <= 2 * asked:  # a resend that dies half-way may have charged twice
        figures.wrong.append(f"{phone}: {charged} sends count; {len(left)} may have left, {asked} were asked for")
