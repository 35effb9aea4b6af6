"""The rules: tried before they are in force, put there for a reason, and gone back from, without running anybody over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from console_client import Browser, Console, text_of

PHONES = ("+359881234567", "+4915112345678", "+4915112345679")
OF_FILE = "twilio;mada:+35987,+35988;sinch"
SANDBOX = {"sms": {"sandbox": True}, "otp_sms_provider": OF_FILE}
_HIDDEN = re.compile(r'<input type="hidden" name="(rules|seen|back|kept)" value="([^"]*)"')


@pytest.fixture
def console(tmp_path: Any, serve_console: Any) -> Iterator[Console]:
    """One whose instances are stood in for."""
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", **SANDBOX) as started:
        yield started


@pytest.fixture
def otto(console: Console) -> Browser:
    made = console.browser("otto")
    made.get("/rules")
    return made


def stored(console: Console) -> str | None:
    rules: str | None = console.server.do(operator(console).routes.show()).database["otp_sms_provider"]
    return rules


def operator(console: Console) -> Any:
    return console.server.server.service.operator


def tried(browser: Browser, rules: str, **more: str) -> Any:
    return browser.post("/rules/sms", do="try", rules=rules, **more)


def saving(answer: Any) -> dict[str, str]:
    """The hidden fields of the form that puts rules in force."""
    form = answer.text.partition('id="save"')[2].partition("</form>")[0]
    return dict(_HIDDEN.findall(form))


def test_what_is_in_force_is_told_in_a_sentence(console: Console) -> None:
    answer = console.browser("vera").get("/rules")
    said = text_of(answer)
    assert "Text messages go to twilio, then sinch; 2 prefixes have a way of their own." in said
    assert "These are the rules of the settings file." in said
    assert "Rules for calls" in said
    assert console.browser("vera").get("/rules/pigeon").status_code == 404


def test_what_a_change_would_move_is_shown_before_it_is_in_force(console: Console, otto: Browser) -> None:
    for phone in PHONES:
        console.server.do(console.server.server.service.send_sms(phone))
    answer = tried(otto, "twilio;twilio_eu:+35987,+35988;mada:+35987,+35988;sinch")
    said = text_of(answer)
    assert answer.status_code == 200
    assert "This change moves 1 of 3 sends to another first instance." in said
    assert "33.3 % of the last hour. It concerns numbers that begin +35987 , +35988 ." in said.replace("\xa0", " ")
    assert "+35988… Moves +35988 mada twilio_eu → , then mada" in said
    assert "any other Same default twilio → , then sinch twilio → , then sinch" in said
    assert "twilio 66.6 % 66.6 % same" in said.replace("\xa0", " ")
    assert "mada 33.3 % 0.0 % \u22121" in said.replace("\xa0", " ")
    assert "Put in force, moves 33.3 %" in said.replace("\xa0", " ")
    assert stored(console) is None


def test_samples_are_masked_and_kept_without_being_shown(console: Console, otto: Browser) -> None:
    answer = tried(otto, "mada", samples=f"{PHONES[0]}, +49 151 12345678")
    assert "+3598******67 Moves" not in text_of(answer)
    assert "+3598******67 Same first" in text_of(answer) or "+3598******67 Same" in text_of(answer)
    assert "+4915*******78 Moves default twilio → , then sinch mada" in text_of(answer)
    again = tried(otto, "sinch", kept=saving(answer)["kept"])
    assert "+3598******67 Moves" in text_of(again)
    for one in (answer, again):
        assert not any(phone[1:] in one.text or "12345678" in one.text for phone in PHONES)
    wrong = tried(otto, "sinch", samples="12")
    assert "One of these is not a phone number." in text_of(wrong)
    assert "more than 10 numbers" in text_of(tried(otto, "sinch", samples=",".join([PHONES[0]] * 11)))
    assert tried(otto, "sinch", kept="AAAA").status_code == 200


def test_who_would_be_served_by_no_one_any_more_stands_above(console: Console, otto: Browser) -> None:
    said = text_of(tried(otto, "mada:+35988", samples=PHONES[0]))
    assert "No one would serve " not in said
    assert "No one would serve +4915*******78." in text_of(tried(otto, "mada:+35987", samples="+49 151 12345678"))
    assert "No one would serve numbers of any other prefix." in text_of(tried(otto, "mada:+35987,+35988"))


def test_where_rules_cannot_be_read_is_marked(console: Console, otto: Browser) -> None:
    answer = tried(otto, "twilio;twilio_eu:+35987,35988;mada:+35987,+35988;sinch")
    assert answer.status_code == 422
    assert "Column 25: a prefix is expected here, beginning with +. The old rules stay in force." in text_of(answer)
    caret = re.search(
        r'<pre class="caret" aria-hidden="true">(.*)\n<strong class="bad">(.*)</strong></pre>', answer.text
    )
    assert caret is not None
    assert caret[1][len(caret[2]) - 1 :].startswith("35988")
    assert len(caret[1]) <= 30
    assert 'aria-invalid="true">twilio;twilio_eu:+35987,35988;mada' in answer.text
    assert "<h2>Nothing was saved.</h2>" in answer.text


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ("", "Column 1"),
        ("twilio;", "Column 8"),
        (f"twilio:{PHONES[0]}", "whole number"),
        ("twilio;" * 400, "Column"),
        ("<script>alert(1)</script>", "Column 1"),
    ],
)
def test_what_cannot_be_put_in_force_is_not(console: Console, otto: Browser, rules: str, why: str) -> None:
    answer = tried(otto, rules)
    assert answer.status_code == 422
    assert why in text_of(answer)
    assert "<script>alert" not in answer.text
    saved = otto.post("/rules/sms", do="save", rules=rules, seen="", back="", reason="so")
    assert saved.status_code == 422
    assert stored(console) is None


def test_rules_are_put_in_force_for_a_reason_and_gone_back_from(console: Console, otto: Browser) -> None:
    form = saving(tried(otto, "\u202asinch;\u00a0mada:\u200b+359\u202c"))
    nameless = otto.post("/rules/sms", do="save", reason="", **form)
    assert nameless.status_code == 422
    assert "Say why." in text_of(nameless)
    assert "sinch; mada:+359" in nameless.text
    said = text_of(otto.does("/rules/sms", do="save", reason="twilio is slow", **form))
    assert "The rules for text messages are stored. Every process follows within 5 s." in said
    assert "Text messages go to sinch; 1 prefix has a way of its own." in said
    assert "by otto: “twilio is slow”" in said
    assert stored(console) == "sinch; mada:+359"
    otto.does("/rules/sms", do="save", reason="as it was", **saving(tried(otto, "twilio")))
    (latest, first, *_) = console.server.do(operator(console).routes.history())
    assert [(one.by, one.rules, one.reason) for one in (latest, first)] == [
        ("otto", "twilio", "as it was"),
        ("otto", "sinch; mada:+359", "twilio is slow"),
    ]
    back = otto.get("/rules/sms", to=str(first.number))
    assert "Nothing is saved yet." in text_of(back)
    otto.does("/rules/sms", do="save", reason="twilio again", **saving(back))
    assert stored(console) == "sinch; mada:+359"
    assert console.server.do(operator(console).audit(1))[0].detail["restored"] == first.number
    removing = otto.get("/rules/sms", to="file")
    assert "In force" in text_of(otto.does("/rules/sms", do="save", reason="the file again", **saving(removing)))
    assert stored(console) is None
    assert otto.get("/rules/sms", to="999999").status_code == 404


def test_nobody_saves_over_newer_rules_that_he_has_not_seen(console: Console, otto: Browser) -> None:
    olga = console.browser("olga")
    olga.get("/rules")
    ottos, olgas = saving(tried(otto, "sinch")), saving(tried(olga, "mada"))
    olga.does("/rules/sms", do="save", reason="mada is cheaper", **olgas)
    refused = otto.post("/rules/sms", do="save", reason="sinch is faster", **ottos)
    assert refused.status_code == 409
    said = text_of(refused)
    assert "Somebody else was faster. Nothing was saved. olga put other rules in force at" in said
    assert "“mada is cheaper”" in said
    assert "sinch is faster" in refused.text
    assert stored(console) == "mada"
    otto.does("/rules/sms", do="save", reason="sinch is faster", **saving(refused))
    assert stored(console) == "sinch"


def test_each_channel_has_rules_of_its_own(console: Console, otto: Browser) -> None:
    before = otto.get("/rules/call")
    assert "These are the rules for text messages: calls have none of their own." in text_of(before)
    tried_out = otto.post("/rules/call", do="try", rules="sinch")
    assert "any other Moves" in text_of(tried_out)
    otto.does("/rules/call", do="save", reason="calls too", **saving(tried_out))
    assert console.server.do(operator(console).routes.show()).database["otp_call_provider"] == "sinch"
    assert "Calls go to sinch." in text_of(otto.get("/rules/call"))
    removing = otto.get("/rules/call", to="file")
    assert "any other Moves default sinch twilio → , then sinch" in text_of(removing)
    otto.does("/rules/call", do="save", reason="no calls", **saving(removing))
    assert console.server.do(operator(console).routes.show()).database["otp_call_provider"] is None


def test_a_viewer_may_try_and_not_save(console: Console) -> None:
    vera = console.browser("vera")
    vera.get("/rules")
    answer = tried(vera, "sinch")
    assert answer.status_code == 200
    assert "It takes the role operator." in text_of(answer)
    assert vera.post("/rules/sms", do="save", rules="sinch", seen="", back="", reason="x").status_code == 403
    vera.token = "0" * 64
    assert tried(vera, "sinch").status_code == 403
    assert stored(console) is None


def test_rules_that_the_host_goes_before_are_told_so(tmp_path: Any, serve_console: Any) -> None:
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3") as console:
        said = text_of(console.browser("vera").get("/rules"))
    assert "The host names its providers itself. No rules are in force." in said


def test_without_any_rules_it_says_that_nobody_is_served(tmp_path: Any, serve_console: Any) -> None:
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", sms={"sandbox": True}) as console:
        otto = console.browser("otto")
        assert "Text messages go to no one: there are no rules." in text_of(otto.get("/rules"))
        answer = tried(otto, "twilio")
        assert "any other Served default no one twilio" in text_of(answer)
        otto.does("/rules/sms", do="save", reason="first", **saving(answer))
        removing = otto.get("/rules/sms", to="file")
        assert "The settings file has no rules for text messages: no one would serve them." in text_of(removing)
        said = text_of(otto.does("/rules/sms", do="save", reason="none", **saving(removing)))
    assert "Text messages go to no one: there are no rules." in said
