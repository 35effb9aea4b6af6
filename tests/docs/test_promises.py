"""What the pages on reliability and security promise, and the tests that they name."""

from __future__ import annotations

import ast
import itertools
import re
from types import SimpleNamespace
from typing import Any

import pytest

from otpcore.retrying import RetryPolicy
from otpcore.settings.tree import Settings, load_settings

from .pages import FUNCTIONS, PAGES, RELIABILITY, ROOT, SECURITY, blocks, tables


def test_as_many_attempts_fit_as_the_page_says():
    numbers, seconds = re.findall(r"^\| (?:attempt|after seconds) \| (.*) \|$", RELIABILITY, re.MULTILINE)
    settings = Settings()
    retry, sms = settings.retry, settings.sms
    policy = RetryPolicy(
        max_retries=sms.max_retries, first_delay=retry.first_delay, max_delay=retry.max_delay, jitter=0
    )
    moments = [0.0, *itertools.accumulate(policy.delay(number) for number in range(policy.max_retries))]
    fitting = [moment for moment in moments if settings.otp.life - moment >= retry.min_useful_life]
    assert [float(moment) for moment in seconds.split(" | ")] == fitting
    assert [int(number) for number in numbers.split(" | ")] == list(range(1, len(fitting) + 1))
    assert f"about {len(fitting)} tries fit" in RELIABILITY
    assert f"about {len(fitting)} tries fit" in PAGES["docs/guide.md"]
    assert 600 - moments[-1] >= retry.min_useful_life, "ten minutes have room for all"
    assert settings.call.max_retries == 2


def test_the_recommended_setting_is_one(tmp_path):
    (block,) = blocks(SECURITY, "toml")
    (tmp_path / "otpcore.toml").write_text(block, encoding="utf-8")
    assert load_settings(tmp_path / "otpcore.toml").otp.verify_by == "id"


async def test_a_payments_code_is_for_that_payment(otp_outbox):
    names_there: dict[str, Any] = {}
    exec(blocks(SECURITY, "python")[0], names_there)
    transfers = [SimpleNamespace(amount=f"{number}0", payee="ACME") for number in (1, 2)]
    confirm, is_confirmed = names_there["confirm"], names_there["is_confirmed"]
    async with otp_outbox.service() as otp:
        first, second = [await confirm(otp, "+359871234567", transfer) for transfer in transfers]
        message, other = otp_outbox.messages
        assert "10 EUR to ACME" in message.text
        assert message.code in message.text
        assert not await is_confirmed(otp, first.id, message.code, transfers[1])
        assert await is_confirmed(otp, second.id, other.code, transfers[1])
        assert await is_confirmed(otp, first.id, message.code, transfers[0])


def test_each_requirement_has_one_line_that_says_where_it_stands():
    (requirements,) = (table for table in tables(SECURITY) if table[0][0] == "R1")
    assert [row[0] for row in requirements] == [f"R{number}" for number in range(1, 43)]
    for number, requirement, answer, how in requirements:
        assert requirement, number
        assert answer in ("met", "in part", "host"), number
        if answer == "host":
            assert "](#" in how, f"{number} does not say where it stands what the host must do"
        else:
            assert re.search(r"::(test_|\w*Tests\b)", how), f"{number} names no test"


TESTS_OF = {
    file.relative_to(ROOT).as_posix(): ast.parse(file.read_text(encoding="utf-8"))
    for folder in ("tests", "plugins", "otpcore/testing")
    for file in sorted((ROOT / folder).rglob("*.py"))
    if ".venv" not in file.parts
}


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs/")])
def test_every_named_test_is_there(page):
    for path, *inside in (
        name.split("::")
        for name in re.findall(r"`((?:tests|plugins/[\w-]+/tests|otpcore/testing)/[^`\s]+\.py[^`\s]*)`", PAGES[page])
    ):
        node = TESTS_OF[path]
        for name in inside:
            found = [one for one in node.body if getattr(one, "name", "") == name]
            assert found, f"{page} names {'::'.join([path, *inside])}"
            node = found[0]


def test_every_test_that_the_page_of_faults_names_in_short_is_there():
    every = {one.name for tree in TESTS_OF.values() for one in ast.walk(tree) if isinstance(one, FUNCTIONS)}
    for name, more in re.findall(r"`(test_\w+)(…?)`", PAGES["docs/faults.md"]):
        assert [one for one in every if (one.startswith(name) if more else one == name)], name
