"""What people receive: our texts and a host's, with lines for machines, and what a call says."""

from __future__ import annotations

import re
import unicodedata

import pytest

from otpcore.errors import SettingsError
from otpcore.messages.texts import (
    check_android_hash,
    check_message,
    check_template,
    check_web_otp_host,
    render_call,
    render_sms,
    segments,
    text_locale,
)
from otpcore.messages.wordings import WORDINGS

CODE = "123456"
HASH = "FA+9qCX9VSu"
LATIN = {"de", "en", "es", "fr", "it", "pt", "tr"}


TELL_NOBODY = {
    "ar": "\u0644\u0627 \u062a\u0634\u0627\u0631\u0643\u0647 \u0645\u0639 \u0623\u062d\u062f.",
    "bg": "\u041d\u0435 \u0433\u043e \u0441\u043f\u043e\u0434\u0435\u043b\u044f\u0439\u0442\u0435",
    "de": "Geben Sie ihn nicht weiter.",
    "en": "Do not share it with anyone.",
    "es": "comparta con nadie.",
    "fr": "Ne le communiquez \u00e0 personne.",
    "hi": "\u0915\u093f\u0938\u0940 \u0915\u094b \u0928 \u092c\u0924\u093e\u090f\u0902\u0964",
    "it": "Non comunicarlo a nessuno.",
    "pt": "o divulgue a ",
    "ru": "\u041d\u0438\u043a\u043e\u043c\u0443 \u0435\u0433\u043e \u043d\u0435 \u0441\u043e\u043e\u0431\u0449\u0430\u0439\u0442\u0435.",
    "tr": "kimse",
    "zh": "\u8bf7\u52ff\u544a\u8bc9\u4ed6\u4eba\u3002",
}


def sms(**given):
    return render_sms(**{"code": CODE, "locale": "en", "purpose": "login", "minutes": 5, "app": "Acme", **given})


def call(**given):
    return render_call(**{"code": CODE, "locale": "en", "purpose": "login", "app": "Acme", **given})


def test_the_promised_languages_are_there():
    assert {"en", "bg", "de", "es", "fr", "it", "pt", "ar", "ru", "tr", "hi", "zh"} <= set(WORDINGS)


@pytest.mark.parametrize("minutes", [0, 1, 2, 5, 10])
@pytest.mark.parametrize("app", ["", "Acme", "Acme Bank"])
@pytest.mark.parametrize("locale", sorted(WORDINGS))
def test_every_text_of_ours_reads_well_and_fits(locale, app, minutes):
    text = sms(locale=locale, app=app, minutes=minutes, code="987654")
    assert text.count("987654") == 1
    assert app in text
    assert str(max(minutes, 1)) in text or minutes <= 2  # 0, 1 and 2 may be words
    assert "0" not in text.replace("10", "")
    assert not re.search(r"[{}_]|  | [.,:]|^\s|\s$", text)
    assert text == unicodedata.normalize("NFC", text)
    cost = segments(text)
    assert (cost.encoding, cost.count) == ("GSM-7" if locale in LATIN else "UCS-2", 1)


@pytest.mark.parametrize("locale", sorted(WORDINGS))
def test_every_text_of_ours_says_to_tell_nobody_and_holds_no_link(locale):
    for app in ("", "Acme"):
        for text in (sms(locale=locale, app=app), call(locale=locale, app=app)):
            assert TELL_NOBODY[locale] in text
            assert not re.search(r"/|www|\w\.\w", text)


HOSTS = [None, "a.io", "accounts.example.com", "login.first-example-bank.example.co.uk"]


@pytest.mark.parametrize("android_hash", [None, HASH])
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("locale", sorted(WORDINGS))
def test_our_texts_are_one_sms_beside_lines_for_machines(locale, host, android_hash):
    if not (host or android_hash):
        return
    for app in ("", "Acme", "First Example Bank Ltd"):
        for minutes in (0, 1, 2, 5, 10):
            for code in ("123456", "1234567890"):
                given = {"web_otp_host": host, "android_hash": android_hash}
                text = sms(locale=locale, app=app, minutes=minutes, code=code, **given)
                assert segments(text).count == 1
                if android_hash:  # Google, "SMS Retriever": at most 140 bytes, with code and hash
                    assert len(text.encode()) <= 140
                    assert segments(text).units * (7 if segments(text).encoding == "GSM-7" else 16) <= 140 * 8
                lines = text.split("\n")
                assert code in lines[0]
                assert app in lines[0]
                assert lines[1:] == [*filter(None, [android_hash, host and f"@{host} #{code}"])]
                assert not re.search(r"[{}_]|  | [.,:]|\s$", lines[0])


def test_what_is_worth_least_gives_way_first():
    assert sms(locale="bg", app="", android_hash=HASH) == f"{sms(locale='bg', app='')}\n{HASH}"
    without_time = sms(locale="bg", web_otp_host="shop.example.com")
    assert TELL_NOBODY["bg"] in without_time
    assert "5" not in without_time.replace(CODE, "")
    words_alone = sms(locale="bg", web_otp_host="accounts.example.com", android_hash=HASH)
    assert words_alone.split("\n")[0] == "\u041a\u043e\u0434 \u0437\u0430 Acme: 123456."
    code_alone = sms(locale="bg", web_otp_host=HOSTS[3], android_hash=HASH)
    assert code_alone.split("\n")[0] == "Acme: 123456"
    assert sms(locale="bg", app="", web_otp_host=HOSTS[3], android_hash=HASH).split("\n")[0] == "123456"


def test_without_lines_for_machines_our_text_is_whole():
    app = "First Example Bank Ltd with a name so long that it takes several messages" * 2
    text = sms(app=app)
    assert "5 minutes" in text
    assert TELL_NOBODY["en"] in text
    assert segments(text).count > 1


def test_a_hosts_text_is_never_shortened():
    template = "Hello, " * 30 + "{code}"
    text = sms(templates={"default": {"en": template}}, web_otp_host="a.io", android_hash=HASH)
    assert text.startswith(template.format(code=CODE))


def test_english_says_the_time_left_as_people_do():
    assert "in less than a minute." in sms(minutes=0)
    assert "in 1 minute." in sms(minutes=1)
    assert "in 5 minutes." in sms(minutes=5)


def test_arabic_counts_minutes_in_its_own_way():
    texts = [sms(locale="ar", minutes=minutes) for minutes in (0, 1, 2, 3, 10, 11)]
    assert len({re.sub(r"\d", "", text) for text in texts}) == 5  # 3 and 10 share a form


@pytest.mark.parametrize(
    ("locale", "sounds"),
    [
        ("pt-BR", "PIN"),
        ("pt_br", "PIN"),
        ("PT", "PIN"),
        ("bg-Cyrl-BG", "\u041a\u043e\u0434"),
        ("ja", "your"),
        ("", "your"),
        ("-", "your"),
    ],
)
def test_a_locale_falls_back_to_its_language_then_to_english(locale, sounds):
    assert sounds in sms(locale=locale)


def test_an_unknown_language_takes_the_default_locale():
    assert sms(locale="ja", default_locale="de-AT") == sms(locale="de")
    assert call(locale="ja", default_locale="de-AT") == call(locale="de")


TEMPLATES = {
    "payment": {"en": "Pay with {code}", "pt_BR": "Pague com {code}"},
    "default": {"en": "Hi {code}", "fr": "Salut {code}"},
}


@pytest.mark.parametrize(
    ("purpose", "locale", "text"),
    [
        ("payment", "en-GB", "Pay with 123456"),
        ("payment", "pt-BR", "Pague com 123456"),
        ("payment", "pt-PT", "Pay with 123456"),
        ("payment", "fr", "Pay with 123456"),
        ("login", "fr-CA", "Salut 123456"),
        ("login", "de", "Hi 123456"),
    ],
)
def test_a_hosts_template_goes_by_purpose_then_by_language(purpose, locale, text):
    assert sms(purpose=purpose, locale=locale, templates=TEMPLATES) == text


def test_templates_in_no_language_that_fits_leave_our_own_text():
    assert sms(locale="de", templates={"default": {"fr": "Salut {code}"}}) == sms(locale="de")


@pytest.mark.parametrize(
    ("locale", "purpose", "templates", "language"),
    [
        ("pt-BR", "login", None, "pt-BR"),  # our text is plain Portuguese, a Brazilian voice may speak it
        ("ja", "login", None, "en"),
        ("fr-CA", "login", TEMPLATES, "fr-CA"),
        ("de", "login", TEMPLATES, "en"),
    ],
)
def test_the_voice_is_told_the_language_of_the_text(locale, purpose, templates, language):
    assert text_locale(locale=locale, purpose=purpose, templates=templates) == language


def test_placeholders_are_filled_in():
    message = "{app}: {code} or _CODE_, {minutes} min"
    assert sms(message=message) == "Acme: 123456 or 123456, 5 min"
    assert sms(templates={"default": {"en": message}}) == "Acme: 123456 or 123456, 5 min"


def test_time_left_under_a_minute_is_no_zero_in_a_hosts_text():
    assert sms(message="{code}, {minutes} min", minutes=0) == "123456, <1 min"


@pytest.mark.parametrize(
    "literal",
    ["{code.__class__}", "{code[0]}", "{0}", "{}", "{{", "{Code}", "{ code }", "%s", "$code", "{code!r}", "\\1"],
)
def test_anything_else_is_literal_text(literal):
    assert sms(message=f"{literal} {{code}}") == f"{literal} 123456"


def test_what_a_placeholder_brings_in_is_not_looked_at_again():
    assert sms(app="{code}_CODE_{minutes}", message="{app} {code}") == "{code}_CODE_{minutes} 123456"


@pytest.mark.parametrize("render", [sms, call])
def test_a_message_without_the_code_is_refused_without_quoting_it(render):
    with pytest.raises(ValueError, match=r"\{code\}") as refused:
        render(message="my secret greeting")
    assert "secret" not in repr(refused.value)
    with pytest.raises(ValueError, match=r"\{code\}"):
        check_message("")
    check_message("{code}")
    check_message("_CODE_")


@pytest.mark.parametrize("render", [sms, call])
def test_a_template_without_the_code_is_a_settings_error_with_its_key(render):
    with pytest.raises(SettingsError, match=r"otp\.templates\.login\.en-GB"):
        render(locale="en-gb", templates={"login": {"en-GB": "hello"}})
    with pytest.raises(SettingsError, match=r"otp\.templates\.x\.y"):
        check_template("hello {Code}", key="otp.templates.x.y")
    check_template("hello _CODE_", key="otp.templates.x.y")


def test_the_web_otp_line_is_the_last_and_holds_nothing_else():
    assert sms(web_otp_host="shop.example").split("\n")[-1] == "@shop.example #123456"
    assert sms(message="Code {code}\n\n", web_otp_host="shop.example") == "Code 123456\n@shop.example #123456"


def test_the_android_hash_is_the_last_line_but_before_web_otp():
    assert sms(message="{code}", android_hash=HASH) == f"123456\n{HASH}"
    both = sms(message="{code}", android_hash=HASH, web_otp_host="shop.example")
    assert both == f"123456\n{HASH}\n@shop.example #123456"


@pytest.mark.parametrize(
    "host",
    [
        "https://shop.example",
        "shop.example/",
        "shop.example:443",
        "shop example",
        "",
        "@shop",
        "a..b",
        "münz.example",
        "x\ny",
    ],
)
def test_a_web_otp_host_that_no_browser_would_match_is_a_settings_error(host):
    with pytest.raises(SettingsError, match=r"otp\.web_otp_host"):
        check_web_otp_host(host)
    if host:
        with pytest.raises(SettingsError):
            sms(web_otp_host=host)


@pytest.mark.parametrize("wrong", ["FA+9qCX9VS", "FA+9qCX9VSu1", "FA-9qCX9VSu", "FA+9qCX9VSu\n", ""])
def test_an_android_hash_that_is_none_is_a_settings_error(wrong):
    with pytest.raises(SettingsError, match=r"otp\.android_hash"):
        check_android_hash(wrong)
    if wrong:
        with pytest.raises(SettingsError):
            sms(android_hash=wrong)


@pytest.mark.parametrize("app", ["", "Acme"])
@pytest.mark.parametrize("locale", sorted(WORDINGS))
def test_a_call_says_the_digits_one_by_one_and_everything_twice(locale, app):
    spoken = call(locale=locale, app=app, code="9876")
    assert spoken.count("9, 8, 7, 6") == 2
    assert "9876" not in spoken
    assert spoken.count("Acme") == (2 if app else 0)
    half = len(spoken) // 2
    assert spoken[:half] == spoken[half + 1 :]


def test_a_custom_call_is_spoken_twice_with_a_pause_between():
    assert call(message="Code _CODE_", code="12") == "Code 1, 2. Code 1, 2"
    assert call(message=" Code {code}! ", code="12") == "Code 1, 2! Code 1, 2!"
    assert call(templates={"login": {"en": "{app} {code}."}}, code="12") == "Acme 1, 2. Acme 1, 2."


def test_a_call_with_minutes_never_speaks_a_zero():
    assert call(message="{code} {minutes}", code="1", minutes=0).startswith("1 1.")
    assert call(message="{code} {minutes}", code="1", minutes=4).startswith("1 4.")
