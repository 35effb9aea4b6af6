"""A code is accepted once and attempts are counted exactly, whoever races (requirements R6 and R16)."""

from __future__ import annotations

from collections import Counter

import pytest

from otpcore.models import ChallengeState
from otpcore.testing import wrong_code

from .courses import Call, Course, new_phone, send

LIMIT = 5


def verify(phone: str, code: str, times: int = 1) -> list[Call]:
    return [Call("verify", (phone, code))] * times


def test_of_200_right_codes_at_once_exactly_one_is_approved(course: Course, compared: Counter[str]) -> None:
    phone = new_phone()
    code = send(course, phone)
    said = Counter(course.race(verify(phone, code, 200)))
    assert said["approved"] == 1
    assert set(said) <= {"approved", "not_found", "max_attempts"}
    (view,) = course.look(phone)
    assert view.challenge.state is ChallengeState.APPROVED
    assert 1 <= view.challenge.attempts <= LIMIT
    if course.processes == 1:
        assert compared[view.challenge.id] == view.challenge.attempts


@pytest.mark.parametrize("count", [LIMIT - 1, LIMIT, LIMIT + 1, 200])
def test_wrong_codes_at_once_are_compared_no_more_often_than_the_limit(
    course: Course, compared: Counter[str], count: int
) -> None:
    phone = new_phone()
    code = send(course, phone)
    calls = [Call("verify", (phone, wrong_code(code, by))) for by in range(1, count + 1)]
    said = Counter(course.race(calls))
    expected = min(count, LIMIT)
    assert said == Counter({"incorrect": expected, "max_attempts": count - expected})
    (view,) = course.look(phone)
    assert view.challenge.attempts == expected
    if course.processes == 1:
        assert compared[view.challenge.id] == expected
    assert course.race(verify(phone, code)) == ["approved" if count < LIMIT else "max_attempts"]


def test_right_and_wrong_codes_at_once(course: Course) -> None:
    phone = new_phone()
    code = send(course, phone)
    calls = [Call("verify", (phone, wrong_code(code, number) if number % 3 else code)) for number in range(60)]
    said = course.race(calls)
    assert all(word != "approved" for number, word in enumerate(said) if number % 3)
    counted = Counter(said)
    (view,) = course.look(phone)
    assert counted["approved"] == (view.challenge.state is ChallengeState.APPROVED)
    assert counted["approved"] + counted["incorrect"] <= view.challenge.attempts <= LIMIT
    assert counted["approved"] == 1 or view.challenge.attempts == LIMIT


def test_one_wrong_code_fewer_than_the_limit_leaves_the_right_one_its_attempt(course: Course) -> None:
    phone = new_phone()
    code = send(course, phone)
    calls = [Call("verify", (phone, wrong_code(code, by))) for by in range(1, LIMIT)]
    said = Counter(course.race([*calls, *verify(phone, code)]))
    assert said["approved"] == 1
    assert said["incorrect"] + said["not_found"] == LIMIT - 1


def test_verifying_against_resending(course: Course) -> None:
    """A resend carries the same code; one that comes after the approval starts anew, with another code."""
    phone = new_phone()
    code = send(course, phone)
    said = course.race([*verify(phone, code, 4), Call("send_sms", (phone,)), Call("send_sms", (phone,))])
    assert said[:4].count("approved") == 1  # a resend that was under way may say the same of its challenge
    views = course.look(phone)
    assert sum(view.challenge.state is ChallengeState.APPROVED for view in views) == 1
    assert not [row for view in views for row in view.schedule]


def test_verifying_against_cancelling(course: Course) -> None:
    phone = new_phone()
    code = send(course, phone)
    (view,) = course.look(phone)
    said = Counter(course.race([*verify(phone, code, 3), *[Call("cancel", (view.challenge.id,))] * 3]))
    assert said["approved"] + said["True"] == 1
    (view,) = course.look(phone)
    expected = ChallengeState.APPROVED if said["approved"] else ChallengeState.CANCELLED
    assert view.challenge.state is expected
    assert course.race(verify(phone, code)) == ["not_found"]


def test_verifying_against_purging(course: Course) -> None:
    phone = new_phone()
    code = send(course, phone)
    said = Counter(course.race([*verify(phone, code, 20), Call("purge", (), {"phone": phone})]))
    assert said["approved"] <= 1
    assert set(said) <= {"approved", "not_found", "expired", "max_attempts", "PurgeCount"}
    assert course.look(phone) == ()
    assert course.race(verify(phone, code)) == ["not_found"]


def test_verifying_against_the_end_of_life(course: Course) -> None:
    """Time passes while they verify; whoever is approved was in time."""
    phone = new_phone()
    code = send(course, phone)
    (view,) = course.look(phone)
    course.jump(view.challenge.expires_at.timestamp() - course.now() - 0.02)
    said = Counter(course.race(verify(phone, code, 20)))
    course.jump(1.0)
    late = course.race(verify(phone, code))
    assert said["approved"] <= 1
    assert set(said) <= {"approved", "not_found", "expired", "max_attempts"}
    (view,) = course.look(phone)
    assert (view.challenge.state is ChallengeState.APPROVED) == (said["approved"] == 1)
    assert late == ["not_found" if said["approved"] else "expired"]
