"""What people receive, what it costs as SMS, and what they type back."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpcore.codes import normalise_code
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
# 3GPP TS 23.038, read off the standard's two tables, apart from the code under test.
GSM_BASIC = (
    "@\u00a3$\u00a5\u00e8\u00e9\u00f9\u00ec\u00f2\u00c7\n\u00d8\u00f8\r\u00c5\u00e5"
    "\u0394_\u03a6\u0393\u039b\u03a9\u03a0\u03a8\u03a3\u0398\u039e\u00c6\u00e6\u00df\u00c9"
    " !\"#\u00a4%&'()*+,-./0123456789:;<=>?\u00a1ABCDEFGHIJKLMNOPQRSTUVWXYZ\u00c4\u00d6\u00d1\u00dc\u00a7"
    "\u00bfabcdefghijklmnopqrstuvwxyz\u00e4\u00f6\u00f1\u00fc\u00e0"
)
GSM_EXTENSION = "\f^{}\\[~]|\u20ac"


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


@pytest.mark.parametrize(
    ("text", "encoding", "units", "count"),
    [
        ("", "GSM-7", 0, 1),
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("a" * 306, "GSM-7", 306, 2),
        ("a" * 307, "GSM-7", 307, 3),
        ("€" * 80, "GSM-7", 160, 1),
        ("€" * 81, "GSM-7", 162, 2),
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 306, 3),  # the escape pair moves to the second part as a whole
        ("a" * 151 + "€" + "a" * 153, "GSM-7", 306, 2),
        ("ç" * 70, "UCS-2", 70, 1),
        ("ç" * 71, "UCS-2", 71, 2),
        ("ç" * 134, "UCS-2", 134, 2),
        ("ç" * 135, "UCS-2", 135, 3),
        ("😀" * 35, "UCS-2", 70, 1),
        ("😀" * 36, "UCS-2", 72, 2),
        ("ç" * 66 + "😀" + "ç" * 66, "UCS-2", 134, 3),
        ("ç" * 65 + "😀" + "ç" * 67, "UCS-2", 134, 2),
        ("€" * 35 + "ç" * 35, "UCS-2", 70, 1),  # no escapes in UCS-2
        ("\ud83d", "UCS-2", 1, 1),
    ],
)
def test_segments_are_counted_as_networks_do(text, encoding, units, count):
    counted = segments(text)
    assert (counted.encoding, counted.units, counted.count) == (encoding, units, count)


def test_the_gsm_alphabet_is_the_standards():
    everything = map(chr, range(0x3000))
    in_gsm = {character: cost.units for character in everything if (cost := segments(character)).encoding == "GSM-7"}
    assert in_gsm == dict.fromkeys(GSM_BASIC, 1) | dict.fromkeys(GSM_EXTENSION, 2)
    assert len(in_gsm) == 127 + 10


@given(st.text(st.sampled_from("a€ç😀"), max_size=400))
def test_segments_hold_all_units_and_waste_at_most_one_each(text):
    counted = segments(text)
    alone, joined = (160, 153) if counted.encoding == "GSM-7" else (70, 67)
    if counted.units <= alone:
        assert counted.count == 1
    else:
        assert counted.units <= counted.count * joined
        assert counted.units > (counted.count - 1) * (joined - 1)


@pytest.mark.parametrize(
    "typed",
    [
        "123456",
        "123 456",
        " 123-456\n",
        "123\u2011456",  # non-breaking hyphen
        "123\u2212456",  # minus
        "123\u2014456",
        "1\u00a02\u20093\u30004\u200b5\ufeff6",
        "123\u30fc456",  # what a Japanese keyboard gives for a hyphen
        "\u202a123456\u202c",
        "\uff11\uff12\uff13\uff14\uff15\uff16",  # full width
        "\u0661\u0662\u0663\u0664\u0665\u0666",  # Arabic-Indic
        "\u06f1\u06f2\u06f3\u06f4\u06f5\u06f6",  # Persian
        "\u0967\u0968\u0969\u096a\u096b\u096c",  # Devanagari
        "123456.",
        "#123456",  # from the last line of our own texts
        "\u201c123456\u201d",
        "(123-456),",
        "\u2066123456\u2069!",
        "1\ufe0f\u20e32\ufe0f\u20e33\ufe0f\u20e3456",  # keycaps
        "12\u00ad3\u034f4\ufe0e56",
        "\u2800123456\u3164",
        "<123456>",
        "1, 2, 3, 4, 5, 6.",  # as our own calls say it
        "123.456",
        "12/34/56",
        "123\u2027456",
        "(123) 456",
        "\ufffc123\u2065456\uffff",
    ],
)
def test_a_code_is_recognised_however_it_is_typed(typed):
    assert normalise_code(typed) == "123456"


@given(st.data())
def test_what_surrounds_a_code_or_cannot_be_seen_does_not_matter(data):
    between = st.text("\u200b\u200e\ufeff\u00ad\ufe0f\u034f \t\n\u00a0\u3000\u2800-\u2013\u2212.,;/_\u00b7", max_size=4)
    around = st.text("\"'`.,;:!?#*()[]{}<>/\\|@_~=+\u00ab\u00bb\u201e\u2026\u3002 \u200b", max_size=6)
    inside = "".join(digit + data.draw(between) for digit in "163406")
    assert normalise_code(data.draw(around) + inside + data.draw(around)) == "163406"


@pytest.mark.parametrize("typed", ["12345O", "12e4", "\u2460\u2461", "1\u00b2", "", "abc"])
def test_what_is_no_digit_stays_and_makes_no_code(typed):
    assert normalise_code(typed) == typed


@given(st.text())
def test_normalising_twice_changes_nothing_more_and_invents_no_digits(typed):
    once = normalise_code(typed)
    assert normalise_code(once) == once
    assert sum(map(str.isdecimal, once)) == sum(map(str.isdecimal, typed))
