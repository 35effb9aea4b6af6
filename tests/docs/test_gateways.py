"""The pages about gateways say what the tables say, and what they show works."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import chdir
from typing import Literal, get_args, get_origin, get_type_hints

import attrs
import pytest
from otp_http import receipt_sections, sections
from otp_http.catalogue import built_in, find
from otp_http.placeholders import compiled, names_in
from otp_http.simulator import GatewaySimulator
from otp_http.tables import Account, Outcome, Source, Table
from otp_http.values import VALUES

from otpcore import DeliveryError, OTPService
from otpcore.clock import utc_now
from otpcore.providers.loading import load_instance
from otpcore.settings.tree import load_settings
from otpcore.testing import Outbox

from .pages import PAGES, ROOT, blocks
from .test_fields import told

LIST, WRITING = PAGES["docs/gateways.md"], PAGES["docs/writing-a-gateway.md"]
README = PAGES["plugins/otp-http/README.md"]
TABLES = {name: find(name) for name in built_in()}
PROOFS = {
    "address": "at an address of each message",
    "hmac": "signed (HMAC)",
    "jwt": "signed (JWT)",
    "ed25519": "signed (Ed25519)",
    "basic": "user and password",
    "header": "a secret in a header",
    "query": "a secret in the URL",
}
SECTIONS = {
    "": Table,
    "settings.NAME": sections.Setting,
    "auth": sections.Auth,
    "auth.hmac": sections.BodyHmac,
    "number": sections.NumberFormat,
    "send.CHANNEL": sections.Request,
    "send.CHANNEL.life": sections.Life,
    "answer": sections.Answer,
    "answer.accepted": sections.Accepted,
    "answer.retry_after": sections.Wait,
    "answer.price": sections.PriceAt,
    "answer.examples": sections.Examples,
    "receipts": receipt_sections.Receipts,
    "receipts.proof": receipt_sections.Proof,
    "receipts.challenge": receipt_sections.Challenge,
    "account": Account,
    "outcomes.END": Outcome,
    "sources.PART": Source,
}


def rows_of_gateways() -> Iterator[str]:
    for name, table in TABLES.items():
        cells = (
            f"`{name}`",
            f"[{table.name}]({table.docs})",
            ", ".join(table.send),
            table.regions,
            " · ".join(dict.fromkeys(_content(request) for request in table.send.values())),
            _proof(table),
            " and ".join(table.outcomes) or "no",
            _life(table),
            _price(table),
            _certainty(table),
        )
        yield f"| {' | '.join(cells)} |"


def _proof(table: Table) -> str:
    if table.receipts is None:
        return "no"
    proof, signature = table.receipts.proof, table.receipts.signature
    if signature is None:
        return PROOFS[proof.kind]
    (key,) = names_in(compiled(signature.key))
    return f"{PROOFS[proof.kind]}; with `{key}` {PROOFS[signature.kind]}"


def _content(request: sections.Request) -> str:
    return "your text" if request.content == "text" else "the code, in the gateway's words"


def _life(table: Table) -> str:
    names = ("{life", "{expires")
    telling = [one for one in table.send.values() if any(name in repr(attrs.asdict(one)) for name in names)]
    if not telling:
        return "not told"
    lives = [one.life for one in telling if one.life]
    return f"{_time(lives[0].min)} to {_time(lives[0].max)}" if lives else "told"


def _time(seconds: int) -> str:
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    unit, size = next((unit, size) for unit, size in units if seconds % size == 0)
    return f"{seconds // size} {unit}"


def _price(table: Table) -> str:
    answers = any(table.answer_of(channel).price for channel in table.send)
    reports = table.receipts is not None and table.receipts.price is not None
    return (
        " and ".join(text for text, there in (("with the answer", answers), ("in reports", reports)) if there) or "no"
    )


def _certainty(table: Table) -> str:
    request = table.sources["request"].certainty
    return f"request {request}" + (f"; unconfirmed: {', '.join(table.unconfirmed)}" if table.unconfirmed else "")


def rows_of_keys() -> Iterator[str]:
    for section, cls in SECTIONS.items():
        yield f"| **`[{section}]`** | {told_of(cls)} |" if section else f"| **the file** | {told_of(cls)} |"
        said, types = told(inspect.getdoc(cls), "Args"), get_type_hints(cls)
        for field in attrs.fields(cls):
            need = "" if field.default is attrs.NOTHING else "?"
            words = said[field.name] + _choice(types[field.name], field.default)
            yield f"| `{field.name.removesuffix('_')}`{need} | {words} |"


def _choice(kind: object, default: object) -> str:
    """The values of a key that takes no others, and which of them it has where it is left out."""
    if get_origin(kind) is not Literal:
        return ""
    without = "" if default is attrs.NOTHING else f"; left out: `{default}`"
    return f" One of {', '.join(f'`{value}`' for value in get_args(kind))}{without}."


def told_of(cls: type) -> str:
    return " ".join(inspect.getdoc(cls).partition("\n\n")[0].split())


def rows_of_placeholders() -> Iterator[str]:
    yield from (f"| `{{{name}}}` | {value.meaning} |" for name, value in VALUES.items())


def rows_of_settings() -> Iterator[str]:
    for name, table in TABLES.items():
        own = [f"`{key}`" if one.must_be_given else f"(`{key}`)" for key, one in table.settings.items()]
        base_url = [] if table.base_url else ["`base_url`"]
        yield f"| `{name}` | {', '.join([*base_url, *own])} |"


@pytest.mark.parametrize(
    ("page", "rows"),
    [
        (LIST, rows_of_gateways),
        (WRITING, rows_of_keys),
        (WRITING, rows_of_placeholders),
        (README, rows_of_settings),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_table_on_a_page_is_made_from_the_tables(page, rows):
    wanted = "\n".join(rows())
    assert f"|\n{wanted}\n" in page, wanted


def test_the_six_lines_of_the_readme_send_through_every_gateway():
    (settings, _) = blocks(README, "toml")
    assert len(settings.splitlines()) == 6
    said = tomllib.loads(settings)
    assert said["providers"]["infobip"].keys() <= {"gateway", "base_url", *TABLES["infobip"].settings}
    for name, table in TABLES.items():
        assert _arrives(name, table), name


def _arrives(name: str, table: Table) -> bool:
    """Whether a code arrives over each channel with nothing but a gateway's name and credentials."""
    with GatewaySimulator(name) as simulator:
        routes = {f"otp_{channel}_provider": "One" for channel in table.send}
        settings = {**routes, "providers": {"one": simulator.provider_settings()}, "keys": Outbox().settings["keys"]}
        number = "+989121234567" if table.regions == "Iran" else "+359871234567"
        with OTPService({**settings, "storage": {"store": "memory"}}) as otp:
            for channel in table.send:
                otp.send(number, channel=channel, purpose=channel)
                if not otp.verify(number, simulator.inbox[-1].code, purpose=channel):
                    return False
        return [message.channel for message in simulator.inbox] == list(table.send)


def test_the_example_of_the_readme_runs():
    names_there: dict[str, object] = {}
    (example,) = blocks(README, "python")
    exec(example, names_there)
    assert names_there["codes"] == {}


@pytest.fixture
def bell(tmp_path):
    """The page's files in a directory."""
    for name, text in zip(("bell.toml", "otpcore.toml", "tulip.toml"), blocks(WRITING, "toml"), strict=True):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_the_table_of_the_page_sends_as_the_page_shows_it(bell, capsys):
    example, _ = blocks(WRITING, "python")
    with chdir(bell):
        exec(example, {})
    sent = capsys.readouterr().out
    assert "'msisdn': ['359871234567']" in sent
    assert "'ttl'" in sent


@pytest.mark.parametrize(("rule", "ends"), [(True, "not sent"), (False, "sent")], ids=["otherwise", "nothing said"])
def test_a_code_that_no_table_lists_ends_as_the_page_says(bell, rule, ends):
    table = bell / "tulip.toml"
    text = table.read_text(encoding="utf-8")
    table.write_text(text if rule else text.replace('otherwise = "unavailable"\n', ""), encoding="utf-8")
    with GatewaySimulator(table) as tulip:
        tulip.refuse("99")
        settings = {"otp_sms_provider": "Tulip", "providers": {"tulip": tulip.provider_settings()}}
        with OTPService({**Outbox().settings, **settings}) as otp:
            assert _end(otp) == ends
            assert (otp.send("+359871234568").state, tulip.inbox[-1].reference) == ("sent", "1")


def _end(otp: OTPService) -> str:
    try:
        return otp.send("+359871234567").state.value
    except DeliveryError:
        return "not sent"


def test_the_settings_of_the_page_make_an_instance(bell, monkeypatch):
    monkeypatch.chdir(bell.parent)
    settings = load_settings(str(bell / "otpcore.toml"))
    assert load_instance("bell", settings, utc_now, sandbox=None).info.display_name == "Bell Telecom"


def test_the_tables_pass_the_contract_as_the_page_shows_it(bell):
    _, contract = blocks(WRITING, "python")
    (bell / "test_bell.py").write_text(contract, encoding="utf-8")
    (bell / "test_tulip.py").write_text(contract.replace("bell", "tulip").replace("Bell", "Tulip"), encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-W",
            "error",
            "-p",
            "no:cacheprovider",
            "-k",
            "not trio",
            "test_bell.py",
            "test_tulip.py",
        ],
        cwd=bell,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = int(re.search(r"(\d+) passed", done.stdout)[1])
    assert passed >= 100
