"""One person: found without a number in the address, told step by step, and what an operator may do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from console_client import Browser, text_of
from console_scenes import Scene, gateways, rows
from otp_server.console import references
from otp_server.console.references import Named, named_by, reference_of

from otpcore import Price
from otpcore.testing import Outbox, wrong_code

REASON = "ticket 4711"
LIMITS = {"phone": ["3/1d"], "client": []}
OF_THE_US = {"default_region": "US"}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, serve_console: Any) -> Iterator[Scene]:
    mada, twilio = gateways()
    url = f"sqlite:///{tmp_path_factory.mktemp('person')}/otp.sqlite3"
    with serve_console(url, {"mada": mada, "twilio_eu": twilio}, limits=LIMITS, otp=OF_THE_US) as console:
        yield Scene(console, mada, twilio)


def found(browser: Browser, phone: str) -> str:
    """The path of a person's page, as the search leads there."""
    browser.get("/person")
    answer = browser.post("/person", q=phone)
    assert answer.status_code == 303
    return str(answer.headers["location"]).removeprefix("/console")


def masked(phone: str) -> str:
    return f"{phone[:5]}******{phone[-2:]}"


def test_a_number_is_looked_up_and_stands_in_no_address_and_no_page(scene: Scene, phone: str) -> None:
    scene.send(phone)
    browser = scene.console.browser("vera")
    path = found(browser, f"  {phone[:4]} {phone[4:]} ")
    answer = browser.get(path)
    assert answer.status_code == 200
    assert f"<title>{masked(phone)} was sent a code and has not typed it yet." in answer.text
    for hidden in (phone[1:], phone[4:], scene.mada.codes[-1]):
        assert hidden not in path + answer.text + str(answer.headers)
    assert found(browser, phone) != path
    assert text_of(browser.get(found(browser, phone))).count(masked(phone)) == text_of(answer).count(masked(phone))


def test_an_address_of_a_person_is_good_for_a_day(scene: Scene, phone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vault, browser = scene.console.server.server.vault, scene.console.browser("vera")
    path = found(browser, phone)
    reference = path.rpartition("/")[2]
    assert named_by(vault, Named.PHONE, reference) == phone
    assert named_by(vault, Named.CLIENT, reference) is None
    later = references.time.time() + 86_401
    monkeypatch.setattr(references.time, "time", lambda: later)
    assert named_by(vault, Named.PHONE, reference) is None
    answer = browser.get(path)
    assert answer.status_code == 404
    assert "older than a day. Find them again." in text_of(answer)


@pytest.mark.parametrize("reference", ["x", "a" * 3_000, "Ä", "YWJj"])
def test_an_address_that_names_nobody_leads_to_the_search(scene: Scene, reference: str) -> None:
    answer = scene.console.browser("vera").get(f"/person/{reference}")
    assert answer.status_code == 404
    assert 'name="q"' in answer.text
    assert named_by(scene.console.server.server.vault, Named.PHONE, reference) is None


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "Type a whole number, or the id of a verification."),
        ("+359871234567 +359871234568", "This is not one whole number."),
        ("12 x 34", "This is not one whole number."),
        (" 6463092483", "This is not one whole number."),  # a + that was not escaped; else somebody's in the US
        ("vrf_unknown_and_long_enough", "No verification with this id is kept."),
        ("<b>", "This is not one whole number."),
        ("+359871234567\x00", "This is not one whole number."),
        ("+43 664 1234567 ext. 5", "This is not one whole number."),
    ],
)
def test_what_names_nobody_is_said_and_kept_in_the_field(scene: Scene, typed: str, said: str) -> None:
    browser = scene.console.browser("vera")
    browser.get("/person")
    answer = browser.post("/person", q=typed)
    assert answer.status_code == 422
    assert f"<title>{said}" in answer.text
    assert f'value="{typed.replace("<", "&lt;").replace(">", "&gt;")}"' in answer.text


def test_an_id_leads_to_its_verification_and_from_there_to_the_person(scene: Scene, phone: str) -> None:
    begun = scene.send(phone, purpose="pay")
    browser = scene.console.browser("vera")
    browser.get("/person")
    answer = browser.post("/person", q=f" {begun.id} ")
    assert answer.headers["location"] == f"/console/verification/{begun.id}"
    page = browser.get(f"/verification/{begun.id}")
    person = re.search(r'href="/console(/person/[^"]+)"', page.text)
    assert person is not None
    assert phone[4:] not in page.text
    assert masked(phone) in text_of(browser.get(person[1]))


def test_a_story_is_told_in_order(scene: Scene, phone: str) -> None:
    begun = scene.send(phone, ("misconfigured", "HTTP 401"), purpose="sign-in")
    scene.report(begun.id)
    scene.verify(phone, wrong_code(scene.code), purpose="sign-in")
    assert scene.verify(phone, scene.code, purpose="sign-in")
    answer = scene.console.browser("vera").get(f"/verification/{begun.id}")
    told = text_of(answer)
    assert re.search(r"verified at [\d:]+, on the second try\.", told)
    assert "The application names the route: mada, then twilio_eu." in told
    assert "mada refused our account, then twilio_eu delivered." in told
    titles = re.findall(r"<strong[^>]*>([^<]*)</strong>", answer.text)
    assert titles == [
        "Started",
        "mada refused our account",
        "twilio_eu accepted",
        "Delivered",
        "Right code: verified",
    ]
    assert "Attempt 2 of 5." in told
    assert scene.code not in answer.text


def test_what_a_message_costs_is_told_where_the_vendor_says_it(scene: Scene) -> None:
    phone = "+447400123999"  # far from those of the other tests, whose neighbours are counted
    scene.mada.price = Price.read("0.00750", "USD")
    try:
        scene.send(phone)
    finally:
        scene.mada.price = None
    browser = scene.console.browser("vera")
    assert text_of(browser.get(found(browser, phone))).count("Price 0.00750 USD.") == 1
    priced = [row for row in rows(browser.get("/deliveries", instance="mada")) if masked(phone) in row]
    assert [row.count("0.00750 USD") for row in priced] == [1]


def test_the_deliveries_that_fit_a_filter_are_summed(scene: Scene) -> None:
    browser = scene.console.browser("vera")
    assert "Cost of" not in text_of(browser.get("/deliveries", instance="twilio_eu"))
    earlier = scene.do(scene.service.operator.deliveries.cost()).items
    for number, price in enumerate((Price.read("0.1", "EUR"), Price.read("0.2", "EUR"), Price.read("1.5", "SEK"))):
        scene.mada.price = price
        scene.send(f"+44740012{4_000 + number * 100}")
    scene.mada.price = None
    told = text_of(browser.get("/deliveries"))
    unpriced = "".join(f", and {one.unpriced} have no price" for one in earlier if one.unpriced)
    usd = "".join(f" and {one.sums['USD']:f} USD" for one in earlier if "USD" in one.sums)
    assert f"Cost of all that fit the filter: 0.3 EUR and 1.5 SEK{usd}{unpriced}." in told
    assert "Cost of" not in text_of(browser.get("/deliveries", prefix="+999"))


def test_a_message_that_did_not_arrive_is_told_with_what_was_done(scene: Scene, phone: str) -> None:
    begun = scene.send(phone)
    scene.report(begun.id, "undelivered")
    answer = scene.console.browser("vera").get(f"/verification/{begun.id}")
    titles = re.findall(r"<strong[^>]*>([^<]*)</strong>", answer.text)
    assert titles[1:] == ["mada accepted", "Undelivered", "twilio_eu accepted", "The code ends"]
    assert "mada did not deliver, then twilio_eu accepted." in text_of(answer)


def test_what_a_limit_only_records_is_no_refusal(tmp_path: Path, serve_console: Any) -> None:
    mada, twilio = gateways()
    limits = {"phone": [], "unverified": ["1/1h"]}
    with serve_console(
        f"sqlite:///{tmp_path}/otp.sqlite3", {"mada": mada, "twilio_eu": twilio}, limits=limits
    ) as console:
        noted = Scene(console, mada, twilio)
        noted.send("+447400123455")
        begun = noted.send("+447400123456")
        told = text_of(console.browser("vera").get(f"/verification/{begun.id}"))
    assert "A limit was passed Too many sends that nobody verified; it is only recorded." in told
    assert "was refused" not in told


def test_whether_they_may_ask_again_is_told_with_the_time(scene: Scene, phone: str) -> None:
    browser = scene.console.browser("vera")
    path = found(browser, phone)
    assert "Ask again now" in text_of(browser.get(path))
    for number in range(4):
        scene.send(phone, purpose=f"purpose {number}")
    told = text_of(browser.get(path))
    ends = datetime.now(UTC) + timedelta(days=1)
    assert f"Ask again at {ends.day} {ends:%b %H:}" in told
    assert "this phone's sends are used up" in told
    assert "3 of 3" in told
    assert "Refused too many sends to this phone send sms purpose 3 1" in " ".join(rows(browser.get(path), 1))


def test_a_denied_number_may_not_ask_until_somebody_acts(scene: Scene) -> None:
    phone = "+447400987654"
    scene.do(scene.service.operator.sending.deny("+44740098", by="the test"))
    scene.send(phone)
    browser = scene.console.browser("vera")
    told = text_of(browser.get(found(browser, phone)))
    assert "No verification of +4474******54 is kept." in told
    assert "Ask again not now the number is denied, until somebody acts" in told
    assert "Denied yes" in told


def test_cancelling_asks_why_and_is_in_the_audit(scene: Scene, phone: str) -> None:
    begun = scene.send(phone)
    browser = scene.console.browser("otto")
    browser.get(f"/verification/{begun.id}")
    wordless = browser.post(f"/verification/{begun.id}/cancel", reason=" ")
    assert wordless.status_code == 422
    assert "Say why." in text_of(wordless)
    assert scene.do(scene.service.operator.challenges.show(begun.id))[0].living
    done = browser.does(f"/verification/{begun.id}/cancel", reason=REASON)
    assert "Cancelled: nothing more is sent" in text_of(done)
    assert "did not verify: it was cancelled." in text_of(done)
    assert scene.audited()[0] == ("otto", "challenges.cancel", begun.id, REASON)
    assert "It was over already." in text_of(browser.does(f"/verification/{begun.id}/cancel", reason=REASON))


def test_limits_are_given_back(scene: Scene, phone: str) -> None:
    for number in range(4):
        scene.send(phone, purpose=f"purpose {number}")
    browser = scene.console.browser("otto")
    path = found(browser, phone)
    browser.get(path)
    done = browser.does(f"{path}/reset", reason=REASON)
    assert re.search(r"Given back: \d+ counters? (was|were) removed\.", text_of(done))
    assert "a message has just gone out" in text_of(done)  # which is no limit
    assert "Sends, 1 day" not in text_of(done)
    assert scene.audited()[0] == ("otto", "limits.reset", masked(phone), REASON)


def test_a_whole_number_takes_its_right_and_a_reason_and_is_in_the_audit(scene: Scene, phone: str) -> None:
    otto, olga = scene.console.browser("otto"), scene.console.browser("olga")
    path = found(otto, phone)
    assert "Show the whole number" not in text_of(otto.get(path))
    refused = otto.post(f"{path}/reveal", reason=REASON)
    assert (refused.status_code, phone in refused.text) == (403, False)
    assert "Show the whole number" in text_of(olga.get(path))
    wordless = olga.post(f"{path}/reveal", reason="")
    assert (wordless.status_code, phone in wordless.text) == (422, False)
    before = scene.audited()
    assert "reveal" not in [action for _, action, target, _ in before if target == masked(phone)]
    shown = olga.post(f"{path}/reveal", reason=f"they called from {phone}")
    assert shown.status_code == 200
    assert f"The whole number is {phone} ." in text_of(shown)
    assert shown.headers["cache-control"] == "no-store"
    assert scene.audited()[: -len(before) or None] == [
        ("olga", "reveal", masked(phone), f"they called from +…{phone[-2:]}")
    ]
    assert phone not in olga.get(path).text
    scene.do(scene.service.operator.erase(phone, by="the test"))
    assert next(one for one in scene.audited() if one[1] == "reveal") == ("olga", "reveal", "", "")


def test_erasing_takes_an_administrator_and_the_word(scene: Scene, phone: str) -> None:
    begun = scene.send(phone)
    otto, ada = scene.console.browser("otto"), scene.console.browser("ada")
    path = found(otto, phone)
    assert "Erase this person" not in text_of(otto.get(path))
    assert otto.post(f"{path}/erase", reason=REASON, confirmed="erase").status_code == 403
    assert "Removes 1 verification with" in text_of(ada.get(path))
    unsure = ada.post(f"{path}/erase", reason=REASON, confirmed="yes")
    assert unsure.status_code == 422
    assert "Type erase to confirm" in text_of(unsure)
    assert f'value="{REASON}"' in unsure.text
    assert scene.do(scene.service.operator.challenges.show(begun.id))
    done = ada.does(f"{path}/erase", reason=REASON, confirmed="Erase")
    assert "Erased: 1 verification, " in text_of(done)
    assert not scene.do(scene.service.operator.challenges.show(begun.id))
    assert scene.audited()[0] == ("ada", "erase", "", REASON)
    assert masked(phone) not in [target for _, _, target, _ in scene.audited()]
    assert "No verification of" in text_of(ada.get(path))


@pytest.mark.parametrize("action", ["reset", "reveal", "erase"])
def test_a_viewer_changes_nothing(scene: Scene, phone: str, action: str) -> None:
    begun = scene.send(phone)
    browser = scene.console.browser("vera")
    path = found(browser, phone)
    page = browser.get(path)
    assert "/reset" not in page.text
    assert "/cancel" not in page.text
    for address in (f"{path}/{action}", f"/verification/{begun.id}/cancel"):
        assert browser.post(address, reason=REASON, confirmed="erase").status_code == 403
    assert scene.do(scene.service.operator.challenges.show(begun.id))[0].living


def test_a_form_of_another_page_changes_nothing(scene: Scene, phone: str) -> None:
    begun = scene.send(phone)
    browser = scene.console.browser("otto")
    path = found(browser, phone)
    browser.token = "0" * 64
    for address in ("/person", f"{path}/reset", f"/verification/{begun.id}/cancel"):
        assert browser.post(address, reason=REASON, q=phone).status_code == 403
    assert scene.do(scene.service.operator.challenges.show(begun.id))[0].living


def test_all_of_it_works_on_the_memory_store(serve_console: Any, phone: str) -> None:
    mada, twilio = gateways()
    with serve_console("", {"mada": mada, "twilio_eu": twilio}, storage={"store": "memory"}) as console:
        held = Scene(console, mada, twilio)
        begun = held.send(phone, ("throttled", "20429"))
        browser = console.browser("ada")
        person = found(browser, phone)
        for path in (
            "/deliveries",
            "/deliveries/verifications",
            "/person",
            person,
            f"/verification/{begun.id}",
            "/refused",
            "/limits",
            "/limits/prefix/+35987",
        ):
            assert browser.get(path).status_code == 200, path
        assert "Erased: 1 verification, " in text_of(browser.does(f"{person}/erase", reason=REASON, confirmed="erase"))


def test_a_verification_under_a_key_that_is_gone_is_told_without_its_person(
    tmp_path: Path, serve_console: Any, phone: str
) -> None:
    url, outbox = f"sqlite:///{tmp_path}/otp.sqlite3", Outbox()
    index = outbox.settings["keys"]["index"]
    keys = {"index": index, "code": {"old": index[:-2] + "AA"}, "current": "old"}
    with outbox.blocking_service({"keys": keys, "storage": {"url": url}}, clock=lambda: datetime.now(UTC)) as service:
        begun = service.send_sms(phone)
    with serve_console(url) as console:
        answer = console.browser("vera").get(f"/verification/{begun.id}")
    assert answer.status_code == 200
    assert "so its person cannot be looked up." in text_of(answer)
    assert "/person/" not in answer.text


def test_references_differ_each_time(scene: Scene, phone: str) -> None:
    vault = scene.console.server.server.vault
    made = {reference_of(vault, Named.PHONE, phone) for _ in range(20)}
    assert len(made) == 20
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", one) for one in made)
