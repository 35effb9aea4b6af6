"""Sends at once to one phone: exactly the limit goes through, and one challenge lives."""

from __future__ import annotations

from collections import Counter

from otpcore.models import Outcome
from otpcore.stores.lifecycle import OVER

from .courses import Call, Course, new_phone

LIMIT = 3


def test_exactly_the_limit_goes_through(course: Course) -> None:
    phone = new_phone()
    said = Counter(course.race([Call("send_sms", (phone,), {"purpose": f"purpose {n}"}) for n in range(20)]))
    assert said == Counter(sent=3, phone=17)
    assert course.messages(phone) == 3


def test_one_challenge_lives_whoever_asks_at_once(course: Course) -> None:
    """Whoever asked before another one's send began gets that one's challenge, and nothing more is sent or charged.

    Where a send is charged apart, callers who then have nothing to begin may hold all places for a moment: others are refused
    though fewer than the limit were sent. What they held is free again as soon as all have their answer.
    """
    phone = new_phone()
    said = Counter(course.race([Call("send_sms", (phone,))] * 20))
    assert set(said) <= {"sent", "sending", "phone"}
    sends = _sends(course, phone)
    assert 1 <= sends <= LIMIT
    if said["phone"] and not course.charges_apart:
        assert sends == LIMIT
    assert said["sent"] + said["sending"] >= sends
    assert course.charged(phone) == sends
    assert course.messages(phone) == sends
    later = [course.race([Call("send_sms", (phone,))]) for _ in range(LIMIT - sends + 1)]
    assert later == [["sent"]] * (LIMIT - sends) + [["phone"]]
    assert course.charged(phone) == _sends(course, phone) == course.messages(phone) == LIMIT
    assert course.race([Call("verify", (phone, course.code(phone)))]) == ["approved"]


def _sends(course: Course, phone: str) -> int:
    """How many sends the one challenge has, which lives; all of them were taken."""
    (view,) = course.look(phone)
    assert view.challenge.state not in OVER
    assert {delivery.outcome for delivery in view.deliveries} == {Outcome.ACCEPTED}
    return len({delivery.send_id for delivery in view.deliveries})


def test_sends_of_two_people_do_not_meet(course: Course) -> None:
    phones = [new_phone() for _ in range(10)]
    assert course.race([Call("send_sms", (phone,)) for phone in phones]) == ["sent"] * 10
    assert [course.messages(phone) for phone in phones] == [1] * 10
