"""Codes that are bound to a payment: in the message, on the page, and at the check (PSD2's dynamic linking)."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from page_client import Person, decoy_of, page_of

from otpcore.testing import wrong_code

START = "/v1/verifications"
BOOKS = {"payee": "Linden <Books>", "amount": "49.90", "currency": "EUR"}
SAID = "It confirms a payment of 49.90 EUR to Linden <Books>."


def _start(client: httpx.Client, phone: str, **more: Any) -> dict[str, Any]:
    answer = client.post(START, json={"to": phone, "bind": BOOKS, **more})
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


def _check(client: httpx.Client, begun: dict[str, Any], code: str, bind: Any) -> tuple[Any, ...]:
    more = {} if bind is None else {"bind": bind}
    answer = client.post(f"{START}/{begun['id']}/check", json={"code": code, **more}).json()
    return answer["valid"], answer["status"], answer["attempts_left"], answer["reason"]


def test_the_message_says_it_and_a_check_must_repeat_it(shared: Any, client: httpx.Client, phone: str) -> None:
    begun = _start(client, phone)
    assert SAID in shared.server.sandbox.sandbox_inbox()[-1].text
    code = shared.code()
    assert _check(client, begun, code, None) == (False, "pending", 4, "transaction_missing")
    assert _check(client, begun, "12", None) == (False, "pending", 3, "transaction_missing")
    other = {**BOOKS, "amount": "4990.00"}
    assert _check(client, begun, code, other) == (False, "pending", 2, "transaction_mismatch")
    assert _check(client, begun, wrong_code(code), BOOKS) == (False, "pending", 1, None)
    assert _check(client, begun, code, BOOKS) == (True, "approved", 0, None)
    assert _check(client, begun, code, BOOKS) == (False, "approved", None, None)


def test_a_code_of_no_payment_is_right_for_none(shared: Any, client: httpx.Client, phone: str) -> None:
    begun = client.post(START, json={"to": phone}).json()
    assert _check(client, begun, shared.code(), BOOKS) == (False, "pending", 4, "transaction_mismatch")
    assert _check(client, begun, shared.code(), None) == (True, "approved", 3, None)


def test_another_payment_is_another_verification_and_a_resend_is_of_the_same(
    shared: Any, tmp_path: Any, run_server: Any, phone: str
) -> None:
    with (
        run_server(f"sqlite:///{tmp_path}/otp.sqlite3", otp={"cooldown": 0}) as server,
        server.client() as client,
    ):
        begun = _start(client, phone)
        code = server.code()
        other = client.post(START, json={"to": phone, "bind": {**BOOKS, "amount": "1"}}).json()
        assert other["id"] != begun["id"]
        again = client.post(f"{START}/{begun['id']}/resend", json={"channel": "call"})
        assert (again.status_code, server.code()) == (202, code)
        assert "49.90 EUR" in server.server.sandbox.sandbox_inbox()[-1].text
        assert _check(client, begun, code, BOOKS)[0] is True


def test_the_page_says_it_and_repeats_it(shared: Any, client: httpx.Client, phone: str) -> None:
    begun = _start(client, phone, page={}, channels=["sms", "call"])
    person = Person(begun["page_url"])
    with person.client:
        seen = person.look()
        assert 'payment of <bdi dir="ltr">49.90 EUR</bdi> to <bdi>Linden &lt;Books&gt;</bdi>.' in seen.text
        assert person.asks("call").says("We have passed on your request.")
        assert person.types(shared.code()).heading == "Your number is confirmed"
    assert client.get(f"{START}/{begun['id']}").json()["status"] == "approved"


def test_the_page_of_a_decoy_says_it_too(client: httpx.Client, phone: str) -> None:
    own = re.compile(r"[0-9a-f]{64}|/v/[\w-]{22}|\d+")
    opened = [Person(opener(client, phone, bind=BOOKS)) for opener in (page_of, decoy_of)]
    seen = [own.sub("*", one.look().text) for one in opened]
    assert seen[0] == seen[1]
    assert "Linden" in seen[0]
    assert opened[1].types("123456").alert == "That code did not work"
    for one in opened:
        one.client.close()


@pytest.mark.parametrize(
    ("bind", "pointer"),
    [
        ({"payee": "", "amount": "1", "currency": "EUR"}, "/bind/payee"),
        ({"payee": "Shop", "amount": "1 EUR", "currency": "EUR"}, "/bind/amount"),
        ({"payee": "Shop", "amount": 1, "currency": "EUR"}, "/bind/amount"),
        ({"payee": "Shop", "amount": "1", "currency": "€"}, "/bind/currency"),
        ({"payee": "Shop", "amount": "1"}, "/bind/currency"),
        ({"payee": "Shop", "amount": "1", "currency": "EUR", "more": 1}, "/bind/more"),
    ],
)
def test_what_is_no_payment_is_refused(client: httpx.Client, phone: str, bind: Any, pointer: str) -> None:
    answer = client.post(START, json={"to": phone, "bind": bind})
    assert (answer.status_code, [one["pointer"] for one in answer.json()["errors"]]) == (422, [pointer])


@pytest.mark.parametrize("payee", ["Shop {code}", "Shop\n@evil.example #1", " Shop"])
def test_a_payee_that_could_not_be_shown_is_refused_everywhere(client: httpx.Client, phone: str, payee: str) -> None:
    for path in ("verifications", "decoys"):
        answer = client.post(f"/v1/{path}", json={"to": phone, "bind": {**BOOKS, "payee": payee}})
        assert (answer.status_code, answer.json()["reason"]) == (422, "invalid")
        assert "Shop" not in answer.text
