"""otp-django's catalogues say what otp-server's pages say, where both say the same."""

from __future__ import annotations

import gettext
import tomllib
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[2] / "plugins"
SERVER = PLUGINS / "otp-server/src/otp_server/texts"
LOCALES = sorted((PLUGINS / "otp-django/src/otp_django/locale").iterdir())


@pytest.mark.parametrize("place", LOCALES, ids=lambda one: one.name)
def test_a_person_reads_the_same_words_on_the_pages_of_both(place):
    texts = tomllib.loads((SERVER / f"{place.name.partition('_')[0]}.toml").read_text(encoding="utf-8"))
    with (place / "LC_MESSAGES/django.mo").open("rb") as file:
        known = gettext.GNUTranslations(file)
    for key, text in (("title", "Enter the code"), ("label", "Code"), ("change", "Another number")):
        assert known.gettext(text) == texts[key]
    one, more = (
        "This is not the code. You can try %(num)d more time.",
        "This is not the code. You can try %(num)d more times.",
    )
    wrong = known.ngettext(one, more, 4)
    assert wrong.startswith(texts["wrong"])
    assert wrong.endswith(tuple(form.replace("{n}", "%(num)d") for form in texts["wrong_left"].values()))


def test_the_languages_are_those_of_the_pages():
    assert [one.name.partition("_")[0] for one in LOCALES] == sorted({one.stem for one in SERVER.iterdir()} - {"en"})
