"""The pages and sentences in the languages that otpcore words messages in."""

from __future__ import annotations

import gettext
import re
from html import unescape
from io import BytesIO
from pathlib import Path

import otp_django
import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from django.test import Client
from django.utils import translation
from otp_django import fields
from otp_django.answers import said_of, said_of_code

from otpcore import RateLimited, Verification, VerificationStatus
from otpcore.embedding import SENTENCES
from otpcore.messages.wordings import WORDINGS

PLACE = Path(otp_django.__file__).parent
CATALOGUES = sorted(one.name for one in (PLACE / "locale").iterdir())
PHONE = "+359871234567"


def catalogue(locale):
    with (PLACE / "locale" / locale / "LC_MESSAGES" / "django.mo").open("rb") as file:
        return gettext.GNUTranslations(file)


def of_pages():
    """What the templates and the fields say to people, as the catalogues have it."""
    for page in (PLACE / "templates" / "otp").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        yield from re.findall(r'{% translate "(.*?)" %}', text)
        for found in re.findall(r"{% blocktranslate %}(.*?){% endblocktranslate %}", text):
            yield re.sub(r"{{ (\w+) }}", r"%(\1)s", found)
    with translation.override(None):
        for field in (fields.OTPCodeField(), fields.PhoneField()):
            yield str(field.label)
            yield str(field.default_error_messages["invalid"])


def test_there_is_one_for_each_language_that_messages_have():
    assert {one.partition("_")[0] for one in CATALOGUES} == {one.partition("-")[0] for one in WORDINGS} - {"en"}


@pytest.mark.parametrize("locale", CATALOGUES)
def test_what_is_compiled_is_what_is_written(locale):
    place = PLACE / "locale" / locale / "LC_MESSAGES"
    with (place / "django.po").open("rb") as file:
        written = read_po(file)
    assert not [one.id for one in written if one.fuzzy and one.id]
    made = BytesIO()
    write_mo(made, written)
    made.seek(0)
    compiled, anew = catalogue(locale), gettext.GNUTranslations(made)
    assert compiled.info()["plural-forms"] == anew.info()["plural-forms"]
    assert {**compiled._catalog, "": ""} == {**anew._catalog, "": ""}, "but for the date in the head"


@pytest.mark.parametrize("locale", CATALOGUES)
def test_every_text_for_people_is_translated_with_what_stands_in_it(locale):
    known = catalogue(locale)
    texts = {*of_pages(), *(one for one, plural in SENTENCES.items() if not plural)}
    assert len(texts) > 15
    for text in texts:
        told = known.gettext(text)
        assert told != text or (locale, text) in SAME, text
        assert sorted(re.findall(r"%\(\w+\)\w|<[^>]+>", told)) == sorted(re.findall(r"%\(\w+\)\w|<[^>]+>", text))
    for one, plural in SENTENCES.items():
        if plural:
            for number in (1, 2, 3, 5, 11, 21, 1_000_000):
                told = known.ngettext(one, plural, number) % {"num": number}
                assert told not in (one % {"num": number}, plural % {"num": number})
                assert str(number) in told or locale == "ar"


SAME = {("de", "Code"), ("fr", "Code")}


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "de",
            [
                '<html lang="de">',
                "Telefonnummer bestätigen",
                "Geben Sie eine Telefonnummer mit + und Ländervorwahl ein.",
                'die auf <bdi dir="ltr">…67</bdi> endet',
                "Geben Sie den Code ein, der Ihnen gesendet wurde: nur Ziffern.",
                "Dieser Code hat nicht funktioniert. 4 Versuche bleiben.",
            ],
        ),
        (
            "ar",
            [
                '<html lang="ar" dir="rtl">',
                "تأكيد هاتفك",
                "أدخل رقم هاتف مع علامة + ورمز البلد.",
                'الذي ينتهي بـ <bdi dir="ltr">…67</bdi>.',
                "أدخل الرمز الذي أُرسل إليك: أرقام فقط.",
                "هذا الرمز لم ينجح. بقيت 4 محاولات.",
            ],
        ),
    ],
)
def test_the_pages_speak_the_language_of_the_browser(tables, otp_outbox, language, words):
    client = Client(headers={"accept-language": language})
    first = client.get("/phone/")
    refused = client.post("/phone/", {"phone": "12"})
    second = client.post("/phone/", {"phone": PHONE}, follow=True)
    unfit = client.post("/phone/code/", {"code": "abc"})
    wrong = client.post("/phone/code/", {"code": f"{(int(otp_outbox.code) + 1) % 1_000_000:06}"})
    pages = [first, first, refused, second, unfit, wrong]
    for page, word in zip(pages, words, strict=True):
        assert word in unescape(page.content.decode()), word
    for page in pages:
        for english in ("Verify", "Enter the", "Another number", "Send ", "This is not"):
            assert english not in page.content.decode()
    assert all('dir="ltr"' in re.findall("<input[^>]*inputmode[^>]*>", one.content.decode())[0] for one in pages)


def test_a_variant_of_a_language_has_the_words_of_the_language():
    for tag, said in (("pt-br", "Introduza o seu código"), ("zh-hans", "输入验证码"), ("de-at", "Code eingeben")):
        with translation.override(tag):
            assert translation.gettext("Enter the code") == said


def test_forms_of_numbers_are_those_of_the_language():
    wrong = Verification(status=VerificationStatus.INCORRECT, attempts_left=2)
    with translation.override("ru"):
        assert said_of_code(wrong) == "Этот код не подошёл. Осталось 2 попытки."
        assert said_of(RateLimited("phone", retry_after=300)).endswith("Попробуйте ещё раз через 5 минут.")
    with translation.override("ar"):
        assert said_of_code(wrong) == "هذا الرمز لم ينجح. بقيت محاولتان."
    with translation.override("en"):
        assert said_of_code(wrong) == "This is not the code. You can try 2 more times."
