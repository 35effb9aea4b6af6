"""Sends at once to one phone: exactly the limit goes through, and one challenge lives."""

from __future__ import annotations

from collections import Counter

from otpcore.lifecycle import OVER
from otpcore.models import Outcome

from .courses import Call, Course, new_phone


def test_exactly_the_limit_goes_through(course: Course) -> None:
    phone = new_phone()
    said = Counter(course.race([Call("send_sms", (phone,), {"purpose": f"purpose {n}"}) for n in range(20)]))
    assert said == Counter(sent=3, phone=17)
    assert course.messages(phone) == 3


def test_one_challenge_lives_whoever_asks_at_once(course: Course) -> None:
    """Whoever asked before another one's send began gets that one's challenge, and nothing more is sent or charged."""
    phone = new_phone()
    said = Counter(course.race([Call("send_sms", (phone,))] * 20))
    assert set(said) <= {"sent", "sending", "phone"}
    (view,) = course.look(phone)
    assert view.challenge.state not in OVER
    sends = len({delivery.send_id for delivery in view.deliveries})
    assert 1 <= sends <= 3  # fewer where all places were taken for a moment by callers who then had nothing to send
    assert course.messages(phone) <= sends
    assert [delivery for delivery in view.deliveries if delivery.outcome is Outcome.ACCEPTED]
    assert course.race([Call("verify", (phone, course.code(phone)))]) == ["approved"]


def test_sends_of_two_people_do_not_meet(course: Course) -> None:
    phones = [new_phone() for _ in range(10)]
    assert course.race([Call("send_sms", (phone,)) for phone in phones]) == ["sent"] * 10
    assert [course.messages(phone) for phone in phones] == [1] * 10
