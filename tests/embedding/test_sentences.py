"""What people and programs are told of an error."""

from __future__ import annotations

import re

import pytest

from otpcore import ANSWERS, DeliveryError, InvalidPhoneNumber, OTPError, RateLimited, Verification, VerificationStatus
from otpcore.embedding import ENTER_PHONE, SENTENCES, answer_to, said_of, said_of_code


class Marked:
    """A translation that shows what was translated, as which number's form."""

    def gettext(self, message):
        return f"<{message}>"

    def ngettext(self, singular, plural, number):
        return f"<{singular if number == 1 else plural}>"


class Babel(Marked):
    """As flask_babel, which puts the number in by itself."""

    def ngettext(self, singular, plural, number):
        return super().ngettext(singular, plural, number) % {"num": number}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InvalidPhoneNumber("no"), f"<{ENTER_PHONE}>"),
        (RateLimited("paused"), "<No code could be sent. Please try again later.>"),
        (RateLimited("paused", retry_after=3600), "<No code could be sent.> <Try again in 60 minutes.>"),
        (RateLimited("phone", retry_after=60), "<This number has got enough codes for now.> <Try again in a minute.>"),
        (RateLimited("phone", retry_after=60.5), "<This number has got enough codes for now.> <Try again in 2 minutes.>"),
        (DeliveryError("permanent"), "<This number cannot be reached.>"),
    ],
)  # fmt: skip
def test_a_person_is_told_what_is_wrong_and_when_to_try_again(error, said):
    assert said_of(error, Marked()) == said
    assert said_of(error, Babel()) == said
    assert said_of(error) == re.sub("[<>]", "", said)


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (2, "<This is not the code. You can try 2 more times.>"),
        (1, "<This is not the code. You can try 1 more time.>"),
        (0, "<This code can no longer be used. Ask for a new one.>"),
        (None, "<This code can no longer be used. Ask for a new one.>"),
    ],
)
def test_of_a_wrong_code_a_person_is_told_how_often_another_may_be_tried(left, said):
    wrong = None if left is None else Verification(status=VerificationStatus.INCORRECT, attempts_left=left)
    assert said_of_code(wrong, Marked()) == said
    assert said_of_code(wrong) == re.sub("[<>]", "", said)


def _errors():
    for name, reason in ANSWERS:
        made = {"RateLimited": RateLimited, "DeliveryError": DeliveryError}.get(name)
        for retry_after in (None, 30.0, 300.0):
            yield made(reason, retry_after=retry_after) if made else OTPError("told to the log alone")


def test_every_sentence_is_in_the_list_for_catalogues():
    plurals = {*SENTENCES.values()}
    for error in _errors():
        for sentence in re.findall("<(.*?)>", said_of(error, Marked())):
            one = re.sub(r"in \d+ ", "in %(num)d ", sentence)
            assert one in SENTENCES or one in plurals, sentence
            assert "alone" not in sentence


@pytest.mark.parametrize("row", [one for one in sorted(ANSWERS) if one[0] in ("RateLimited", "DeliveryError")], ids=str)
def test_a_program_is_told_the_status_and_reason_of_the_table(row):
    kind, reason = {"RateLimited": RateLimited, "DeliveryError": DeliveryError}[row[0]], row[1]
    told = answer_to(kind(reason, retry_after=30.2))
    assert told.status == ANSWERS[row].http_status
    assert told.content == {"error": row[0], "reason": reason, "try_channel": None}
    assert told.headers in ({"Retry-After": "31"}, {}), "not where waiting does not help"
    assert bool(told.headers) == ANSWERS[row].waiting_helps


def test_without_a_time_there_is_no_header_and_another_channel_is_named():
    told = answer_to(DeliveryError("permanent", try_channel="call"))
    assert (told.status, told.headers, told.content["try_channel"]) == (422, {}, "call")
