"""What every table in the box says of itself."""

from __future__ import annotations

import pytest
from captured import captures
from otp_http.catalogue import built_in, find

TABLES = {name: find(name) for name in built_in()}
OFFICIAL = {one.gateway for one in captures()}


def parts(table):
    """What the table has, each of which names its source."""
    answers = [table.answer_of(channel) for channel in table.send]
    yield from ("request", "answer")
    has = {
        "codes": any(answer.codes for answer in answers),
        "life": any(request.life for request in table.send.values()),
        "account": table.account,
        "outcomes": table.outcomes,
        "price": any(answer.price for answer in answers) or (table.receipts and table.receipts.price),
        "receipts": table.receipts,
        "statuses": table.receipts,
        "proof": table.receipts,
        "receipt_codes": table.receipts and table.receipts.codes,
    }
    yield from (part for part, there in has.items() if there)


@pytest.mark.parametrize("name", TABLES)
def test_every_part_has_its_source(name):
    table = TABLES[name]
    assert {part.partition(".")[0] for part in table.sources} == set(parts(table))
    assert all(source.source for source in table.sources.values())


@pytest.mark.parametrize("name", TABLES)
def test_what_is_unconfirmed_is_in_the_table(name):
    table = TABLES[name]
    known = {
        "codes": {code for channel in table.send for code in table.answer_of(channel).codes},
        "statuses": set(table.receipts.statuses) if table.receipts else set(),
        "receipt_codes": set(table.receipts.codes) if table.receipts else set(),
    }
    for part, source in table.sources.items():
        if part in known:
            assert set(source.unconfirmed) <= known[part], part


@pytest.mark.parametrize("name", TABLES)
def test_it_says_where_it_is_from_and_where_it_delivers(name):
    table = TABLES[name]
    assert table.docs.startswith("https://")
    assert table.regions
    assert "sources" not in table.unconfirmed
    assert all(setting.meaning for setting in table.settings.values())


@pytest.mark.parametrize("name", TABLES)
def test_every_refusal_has_words_and_no_secret_is_open(name):
    table = TABLES[name]
    for channel in table.send:
        assert all(":" in text for text in table.answer_of(channel).codes.values()), "kind: what it means"
    secretive = ("key", "token", "secret", "password", "pass")
    open_ones = [key for key, setting in table.settings.items() if key.endswith(secretive) and not setting.secret]
    assert set(open_ones) <= {"api_key"} if name == "vonage_sms" else not set(open_ones) - {"public_key"}
