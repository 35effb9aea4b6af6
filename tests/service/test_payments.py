"""Codes that confirm a payment: the person is told which, and they verify for that one alone (PSD2's dynamic linking)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from otpcore import (
    AsyncOTPService,
    Carries,
    Challenge,
    Channel,
    CheckRequest,
    CheckResult,
    CodeOwner,
    DeliveryReceipt,
    DeliveryRequest,
    InvalidArgument,
    NoRouteError,
    Payment,
    ProviderInfo,
    VerificationStatus,
    hookimpl,
)
from otpcore.messages.payments import payment_text
from otpcore.messages.texts import render_call, render_sms, segments
from otpcore.messages.wordings import WORDINGS
from otpcore.testing import Outbox, wrong_code

PHONE = "+359871234567"
BOOKS = Payment(payee="Linden Books", amount="49.90", currency="EUR")
OTHERS = (
    Payment(payee="Linden Book", amount="49.90", currency="EUR"),
    Payment(payee="Linden Books", amount="49.9", currency="EUR"),
    Payment(payee="Linden Books", amount="49.90", currency="BGN"),
    None,
)


async def _asked(otp: AsyncOTPService, challenge: Challenge, code: str, payment: Any) -> tuple[str, int | None]:
    answer = await otp.verify(code=code, challenge_id=challenge.id, payment=payment)
    return str(answer.status), answer.attempts_left


async def test_the_person_reads_what_the_code_confirms_and_it_verifies_for_that(otp_outbox: Outbox) -> None:
    async with otp_outbox.service({"otp": {"app": "Bank"}}) as otp:
        challenge = await otp.send_sms(PHONE, payment=BOOKS)
        text = otp_outbox.messages[-1].text
        assert text == (
            f"{otp_outbox.code} is your Bank code. It confirms a payment of 49.90 EUR to Linden Books. "
            "Do not share it with anyone."
        )
        assert await _asked(otp, challenge, otp_outbox.code, BOOKS) == ("approved", 4)
        assert await _asked(otp, challenge, otp_outbox.code, BOOKS) == ("not_found", None)


async def test_another_payment_or_none_is_a_wrong_code_whatever_the_code(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        challenge = await otp.send_sms(PHONE, payment=BOOKS)
        for left, other in zip((4, 3, 2, 1), OTHERS, strict=True):
            assert await _asked(otp, challenge, otp_outbox.code, other) == ("incorrect", left)
        assert await _asked(otp, challenge, otp_outbox.code, BOOKS) == ("approved", 0)


async def test_whether_it_is_this_payment_is_not_told_for_nothing(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        challenge = await otp.send_sms(PHONE, payment=BOOKS)
        assert await _asked(otp, challenge, "12", BOOKS) == ("incorrect", 5)  # nobody could have been sent that
        assert await _asked(otp, challenge, "12", OTHERS[0]) == ("incorrect", 4)
        assert await _asked(otp, challenge, "12", None) == ("incorrect", 3)


async def test_a_code_of_no_payment_confirms_none(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        challenge = await otp.send_sms(PHONE)
        assert await _asked(otp, challenge, otp_outbox.code, BOOKS) == ("incorrect", 4)
        assert await _asked(otp, challenge, otp_outbox.code, None) == ("approved", 3)


async def test_each_payment_has_a_challenge_of_its_own(otp_outbox: Outbox) -> None:
    async with otp_outbox.service({"otp": {"cooldown": 0}}) as otp:
        first = await otp.send_sms(PHONE, payment=BOOKS)
        code = otp_outbox.code
        others = [await otp.send_sms(PHONE, payment=other) for other in OTHERS]
        assert len({first.id, *(one.id for one in others)}) == 1 + len(OTHERS)
        again = await otp.call(PHONE, payment=BOOKS)
        assert (again.id, otp_outbox.code) == (first.id, code)
        assert otp_outbox.messages[-1].text.count("It confirms a payment of 49.90 EUR to Linden Books.") == 2
        assert (await otp.verify(PHONE, code, payment=OTHERS[0])).status is VerificationStatus.INCORRECT
        unknown = Payment(payee="Else", amount="1", currency="EUR")
        assert (await otp.verify(PHONE, code, payment=unknown)).status is VerificationStatus.NOT_FOUND
        assert await otp.verify(PHONE, code, payment=BOOKS)


async def test_a_retry_says_it_too(otp_outbox: Outbox) -> None:
    otp_outbox.fail("unavailable")
    retry = {"sms": {"retry": True}, "retry": {"runner": "inline", "first_delay": 0.01}}
    async with otp_outbox.service(retry) as otp:
        challenge = await otp.send_sms(PHONE, payment=BOOKS, locale="de-AT")
        text = otp_outbox.messages[-1].text
        assert text.startswith(f"{otp_outbox.code} ist Ihr Code. Sie bestätigen damit eine Zahlung")
        assert await _asked(otp, challenge, otp_outbox.code, BOOKS) == ("approved", 4)


async def test_a_vendor_is_not_asked_whether_its_code_confirms_a_payment(otp_outbox: Outbox) -> None:
    class Vendor:
        @hookimpl
        def describe(self) -> ProviderInfo:
            return ProviderInfo(display_name="Vendor", code_owner=CodeOwner.PROVIDER, code_scope="vendor:1")

        @hookimpl
        def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
            return DeliveryReceipt(reference="V1")

        @hookimpl
        def check_code(self, request: CheckRequest) -> CheckResult:
            return CheckResult.APPROVED

    async with otp_outbox.service(providers={"vendor": Vendor()}) as otp:
        challenge = await otp.send_sms(PHONE)
        assert await _asked(otp, challenge, "408162", BOOKS) == ("incorrect", 4)
        assert await _asked(otp, challenge, "408162", None) == ("approved", 3)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_every_store_keeps_payments_apart(
    otp_outbox: Outbox, request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    url = f"sqlite:///{tmp_path}/otp.sqlite3" if kind == "sqlite" else request.getfixturevalue("empty_postgres_url")
    settings = {**otp_outbox.settings, "storage": {"store": "sql", "url": url}, "otp": {"cooldown": 0}}
    async with AsyncOTPService(settings, providers=otp_outbox.providers) as otp:
        challenge = await otp.send_sms(PHONE, payment=BOOKS)
        code = otp_outbox.code
        for other in OTHERS:
            assert (await otp.send_sms(PHONE, payment=other)).id != challenge.id
            assert await _asked(otp, challenge, code, other) != ("approved", 4)
        assert (await otp.send_sms(PHONE, payment=BOOKS)).id == challenge.id
        assert await otp.verify(PHONE, code, payment=BOOKS)


def test_the_blocking_faces_take_it(otp_outbox: Outbox) -> None:
    with otp_outbox.blocking_service() as otp:
        for send in (otp.send, otp.send_sms, otp.call):
            challenge = send(PHONE, purpose=send.__name__, payment=BOOKS)
            asked: dict[str, Any] = {"challenge_id": challenge.id, "purpose": send.__name__}
            assert not otp.verify(code=otp_outbox.code, **asked)
            assert otp.verify(code=otp_outbox.code, payment=BOOKS, **asked)


async def test_who_words_the_text_is_left_out(otp_outbox: Outbox) -> None:
    class Worder:
        @hookimpl
        def describe(self) -> ProviderInfo:
            return ProviderInfo(display_name="Worder", carries={Channel.SMS: Carries(features=frozenset())})

        @hookimpl
        def send_sms(self, request: DeliveryRequest) -> DeliveryReceipt:
            raise AssertionError(request)

    async with otp_outbox.service(providers={"worder": Worder()}) as otp:
        with pytest.raises(NoRouteError) as caught:
            await otp.send_sms(PHONE, payment=BOOKS)
        assert caught.value.reason == "cannot_carry"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"payee": ""}, "payee"),
        ({"payee": "x" * 71}, "payee"),
        ({"payee": " Shop"}, "payee"),
        ({"payee": "Shop\n@evil.example #123456"}, "payee"),
        ({"payee": "Shop {code}"}, "payee"),
        ({"payee": "Shop _CODE_"}, "payee"),
        ({"payee": "Shop \u202e"}, "payee"),
        ({"payee": None}, "payee"),
        ({"amount": "-1"}, "amount"),
        ({"amount": "1e9"}, "amount"),
        ({"amount": "49,90 EUR"}, "amount"),
        ({"amount": "٤٩"}, "amount"),
        ({"amount": 49}, "amount"),
        ({"currency": "eur"}, "currency"),
        ({"currency": "EURO"}, "currency"),
    ],
)
def test_what_could_not_be_read_is_refused_and_not_quoted(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^{problem}: ") as caught:
        Payment(**{"payee": "Shop", "amount": "1", "currency": "EUR", **given})
    assert "Shop" not in str(caught.value)


async def test_what_is_no_payment_or_comes_with_a_text_is_refused(otp_outbox: Outbox) -> None:
    async with otp_outbox.service() as otp:
        wrong: list[dict[str, Any]] = [
            {"payment": {"payee": "Shop"}},
            {"payment": BOOKS, "message": "Pay? {code}"},
            {"payment": BOOKS, "verifiable": False, "code": "123456"},
        ]
        for given in wrong:
            with pytest.raises(InvalidArgument):
                await otp.send_sms(PHONE, **given)
        with pytest.raises(InvalidArgument):
            await otp.verify(PHONE, "123456", payment=("Shop", "1", "EUR"))  # type: ignore[arg-type] # that is the test
    assert otp_outbox.messages == []


async def test_nothing_of_it_is_shown(otp_outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with otp_outbox.service() as otp:
        challenge = await otp.send_sms(PHONE, payment=BOOKS)
        await otp.verify(code=wrong_code(otp_outbox.code), challenge_id=challenge.id, payment=BOOKS)
        shown = f"{caplog.text} {BOOKS!r} {challenge!r} {challenge.to_dict()} {await otp.store.view(challenge_id=challenge.id)}"
    assert "Linden" not in shown
    assert "49.90" not in shown


@pytest.mark.parametrize("locale", sorted(WORDINGS))
@pytest.mark.parametrize("app", ["", "Bank"])
def test_every_language_says_it(locale: str, app: str) -> None:
    for is_spoken in (False, True):
        text, language = payment_text(BOOKS, is_spoken=is_spoken, app=app, locale=locale, default_locale="en")
        render: Any = render_call if is_spoken else render_sms
        given = {"code": "408162", "locale": locale, "purpose": "default", "app": app, "minutes": 5, "message": text}
        said = render(**given)
        assert language == locale
        assert ("4, 0, 8, 1, 6, 2" if is_spoken else "408162") in said
        assert app in said
        assert "{" not in said
        assert said.count("Linden Books") == said.count("49.90 EUR") == (2 if is_spoken else 1)
        if not is_spoken:
            assert segments(said).count <= 2
            latin = segments(render_sms(code="1", locale=locale, purpose="x", minutes=5, app=app)).encoding
            assert segments(said).encoding == latin  # the sentence has no letter that the others spare


@pytest.mark.parametrize(
    ("locale", "default", "language", "start"),
    [
        ("pt-BR", "en", "pt-BR", "408162 é"),
        ("xx", "de", "de", "408162 ist"),
        ("", "fr", "fr", "408162 est"),
        ("xx", "yy", "en", ""),
    ],
)
def test_the_language_is_the_persons_or_the_hosts(locale: str, default: str, language: str, start: str) -> None:
    text, found = payment_text(BOOKS, is_spoken=False, app="", locale=locale, default_locale=default)
    assert found == language
    assert text.replace("{code}", "408162").startswith(start)
