"""The numbers that fail at the simulator of every table, and what a simulator reports of its own accord."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from otp_http import create_provider
from otp_http.catalogue import built_in, find
from otp_http.magic import REFUSED, UNREACHABLE, refusal_of
from otp_http.meanings import Meaning
from otp_http.simulator import GatewaySimulator

from otpcore.providers import ErrorKind, ProviderContext, ProviderError

BELL = """
name = "Bell"
base_url = "https://bell.example"
[send.sms]
path = "/send"
form = { to = "{digits}", text = "{text}", callback = "{receipt_url}" }
[answer]
reference = "id"
code = "code"
[answer.codes]
twice = "rejected_number"
wrong = "rejected_number: not a number"
other = "rejected_number"
[receipts]
methods = ["GET"]
body = "query"
reference = "id"
status = "state"
proof = { kind = "address" }
[receipts.statuses]
QUEUED = "progress"
ARRIVED = "delivered"
READ = "delivered"
LOST = "undelivered"
"""


class Addresses:
    """The one to which the gateway reports."""

    def address(self, instance, delivery_id):
        return f"https://otp.example/{instance}/{delivery_id}"


@pytest.fixture
def table(tmp_path):
    """The file of a table that reports."""
    file = tmp_path / "bell.toml"
    file.write_text(BELL.replace("[answer.codes]", 'duplicates = ["twice"]\n[answer.codes]'), encoding="utf-8")
    return file


async def reported(simulator, request_to, *recipients):
    """Send to these; what the simulator would have called."""
    told = []
    simulator.call_back = lambda url, *_, **__: told.append(dict(parse_qsl(urlsplit(url).query)).get("state"))
    settings = simulator.provider_settings()
    made = create_provider(ProviderContext(instance="bell", settings=settings, addresses=Addresses()))
    async with AsyncExitStack() as stack:
        await made.start(stack)
        for number in recipients:
            await made._send(request_to(number))
    return told


@pytest.mark.parametrize("gateway", built_in())
def test_each_is_refused_by_the_first_code_of_its_kind(gateway):
    table = find(gateway)
    for answer in map(table.answer_of, table.send):
        kinds = {Meaning.read(text).kind for code, text in answer.codes.items() if code not in answer.duplicates}
        for number, kind in REFUSED.items():
            code = refusal_of(answer, number)
            assert bool(code) == (kind in kinds), kind
            assert not code or Meaning.read(answer.codes[code]).kind is kind
        assert not refusal_of(answer, UNREACHABLE)


async def test_a_test_may_say_otherwise(table, request_to):
    with GatewaySimulator(table) as bell:
        with pytest.raises(ProviderError) as refused:
            await reported(bell, request_to, "+359880000013")
        assert (refused.value.kind, refused.value.provider_code) == (ErrorKind.REJECTED_NUMBER, "wrong")
        await reported(bell, request_to, "+359880000014")  # the table lists no code of this kind
        bell.refusals["+359880000013"] = ""
        await reported(bell, request_to, "+359880000013")
        assert [message.recipient for message in bell.inbox] == ["+359880000014", "+359880000013"]


def test_the_readme_names_them():
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    said = dict(re.findall(r"^\| (\+[0-9]+) \| (.*) \|$", readme, re.MULTILINE))
    assert said.pop(UNREACHABLE) == "taken, and reported as not delivered"
    assert said == {number: f"refused: `{kind.value}`" for number, kind in REFUSED.items()}


async def test_what_is_reported(table, request_to):
    both = ("+359871234567", UNREACHABLE)
    with GatewaySimulator(table) as bell:
        assert await reported(bell, request_to, *both) == []
        bell.reports("READ")
        assert await reported(bell, request_to, *both) == ["READ", "LOST"]
        bell.reports("")
        assert await reported(bell, request_to, *both) == []
    with GatewaySimulator(table, reporting=True) as bell:
        assert await reported(bell, request_to, *both) == ["ARRIVED", "LOST"]


@pytest.mark.parametrize(("word", "fix"), [("QUEUD", "did you mean 'QUEUED'?"), ("delivered", "there are ARRIVED")])
def test_a_status_that_the_table_does_not_list_is_not_reported(table, word, fix):
    with GatewaySimulator(table) as bell, pytest.raises(ValueError, match=re.escape(fix)):
        bell.reports(word)


@pytest.mark.parametrize("name", ["infobip", "kavenegar"])  # the second reports nothing
def test_what_the_command_runs_reports_where_its_gateway_does(name):
    (point,) = entry_points(group="otpcore.simulators", name=name)
    with point.load()() as simulator:
        assert simulator._status == {"infobip": "3", "kavenegar": ""}[name]
