"""Codes are made, digested, compared and sealed as the standards ask."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import Counter

import pytest

from otpcore import InvalidArgument, SettingsError, parse_code
from otpcore.codes import KeyRing, make_code
from otpcore.models import World
from otpcore.service.service import new_id

INDEX, FIRST, SECOND = (secrets.token_urlsafe(32) for _ in range(3))
CHALLENGE, CODE = "a" * 32, "012345"


@pytest.fixture
def keys() -> KeyRing:
    return KeyRing(index=INDEX, code={"first": FIRST, "second": SECOND}, current="first")


def test_a_code_is_drawn_from_the_systems_generator_over_its_whole_range(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def draw(count: int, *, drawn: int) -> int:
        asked.append(count)
        return drawn

    for drawn, code in ((0, "000000"), (7, "000007"), (999_999, "999999")):
        monkeypatch.setattr(secrets, "randbelow", lambda count, drawn=drawn: draw(count, drawn=drawn))
        assert make_code(6) == code
    assert asked == [1_000_000] * 3


@pytest.mark.parametrize("length", [4, 6, 10])
def test_every_digit_is_as_likely_in_every_place(length: int) -> None:
    codes = [make_code(length) for _ in range(20_000)]
    assert {len(code) for code in codes} == {length}
    for place in range(length):
        counts = Counter(code[place] for code in codes)
        assert len(counts) == 10
        assert all(abs(count - 2_000) < 300 for count in counts.values())  # seven standard deviations


def test_a_digest_says_nothing_without_the_key_and_belongs_to_one_challenge(keys: KeyRing) -> None:
    digest = keys.digest(CHALLENGE, CODE)
    key_id, length, mac = digest.split(":")
    assert (key_id, length, len(mac)) == ("first", "6", hashlib.sha256().digest_size * 2)
    other_keys = KeyRing(index=INDEX, code={"first": SECOND}, current="first")
    others = {keys.digest("b" * 32, CODE), keys.digest(CHALLENGE, "012346"), other_keys.digest(CHALLENGE, CODE)}
    assert digest not in others
    assert len(others) == 3
    assert keys.matches(CHALLENGE, CODE, digest)
    assert not any(keys.matches(CHALLENGE, CODE, other) for other in others)


def test_codes_are_compared_in_constant_time_on_their_digests(keys: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    digest, compared = keys.digest(CHALLENGE, CODE), list[tuple[bytes, bytes]]()
    compare = hmac.compare_digest

    def seen(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", seen)
    assert [keys.matches(CHALLENGE, code, digest) for code in (CODE, "912345", "012346")] == [True, False, False]
    assert len(compared) == 3
    for one, other in compared:
        assert len(one) == len(other)
        assert CODE.encode() not in (one, other)


def test_what_is_sealed_opens_for_its_own_challenge_and_purpose_only(keys: KeyRing) -> None:
    sealed = keys.seal(CHALLENGE, "code", CODE)
    assert keys.unseal(CHALLENGE, "code", sealed) == CODE
    assert sealed != keys.seal(CHALLENGE, "code", CODE)
    for challenge, what, bytes_ in (
        ("b" * 32, "code", sealed),
        (CHALLENGE, "phone", sealed),
        (CHALLENGE, "code", sealed[:-1] + bytes([sealed[-1] ^ 1])),
    ):
        with pytest.raises(SettingsError):
            keys.unseal(challenge, what, bytes_)


def test_an_id_has_128_bits_from_the_systems_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len({new_id() for _ in range(1_000)}) == 1_000
    monkeypatch.setattr(secrets, "token_hex", lambda count: f"{count} bytes")
    assert new_id()[8:] == "16 bytes"


def test_a_proof_is_for_one_delivery_of_one_instance_in_one_world_and_holds_while_its_key_is_here(
    keys: KeyRing,
) -> None:
    proof = keys.receipt_proofs.make("bell", "d1")
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", proof), "128 bits that need no quoting in a URL"
    assert keys.receipt_proofs.hold("bell", "d1", proof)
    for instance, delivery_id, given in (
        ("bell2", "d1", proof),
        ("bell", "d2", proof),
        ("bell", "d1", proof[:-1]),
        ("bell", "d1", ""),
        ("bell", "d1", "\udc80" * 22),
        ("bell", "d1", keys.digest("bell", "d1").rpartition(":")[2][:22]),
    ):
        assert not keys.receipt_proofs.hold(instance, delivery_id, given)
    rotated = KeyRing(index=INDEX, code={"first": FIRST, "second": SECOND}, current="second")
    assert rotated.receipt_proofs.hold("bell", "d1", proof)
    assert rotated.receipt_proofs.make("bell", "d1") != proof
    assert not KeyRing(index=INDEX, code={"second": SECOND}, current="second").receipt_proofs.hold("bell", "d1", proof)
    sandbox = KeyRing(index=INDEX, code={"first": FIRST}, current="first", world=World.SANDBOX)
    assert not sandbox.receipt_proofs.hold("bell", "d1", proof)


def test_a_relayed_message_is_looked_up_by_the_phone_and_all_that_is_said(keys: KeyRing) -> None:
    said = keys.relayed_subject("+359871234567", "", "login", "", "1234", "")
    assert keys.relayed_subject("+359871234567", "", "login", "", "1234", "") == said
    others = [
        ("", "login", "", "12345", ""),
        ("", "login", "", "", "1234"),
        ("login", "", "", "1234", ""),
        ("x", "login", "", "1234", ""),
    ]
    looked_up = {
        said,
        keys.subject("+359871234567", "login"),
        keys.relayed_subject("+359881234567", "", "login", "", "1234", ""),
    }
    looked_up |= {keys.relayed_subject("+359871234567", *one) for one in others}
    assert len(looked_up) == 3 + len(others)


def test_a_code_that_replaces_another_is_under_the_key_of_its_challenge(keys: KeyRing) -> None:
    digest = keys.digest("challenge", "123456", "second")
    assert digest.startswith("second:6:")
    assert keys.matches("challenge", "123456", digest)
    assert not keys.matches("challenge", "123457", digest)
    with pytest.raises(SettingsError, match="missing"):
        keys.digest("challenge", "123456", "missing")


@pytest.mark.parametrize(
    "typed", ["163406", " 163-406. ", "\u3164163406\u200b", "`163406`", "\u0661\u0666\u0663\u0664\u0660\u0666"]
)
def test_a_form_reads_a_code_as_verify_does(typed):
    assert parse_code(typed) == "163406"


@pytest.mark.parametrize("typed", ["", "163", "12345678901", "16340O", "1\u00b263406", 163406, None])
def test_what_can_be_no_code_is_refused(typed):
    with pytest.raises(InvalidArgument, match=r"^code"):
        parse_code(typed)
