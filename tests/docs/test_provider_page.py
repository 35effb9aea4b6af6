"""The page about writing a provider shows what works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib

import pytest

from otpcore import ProviderContext, ReceiptRefused, ReceiptRequest
from otpcore.cli.developing import Receipts
from otpcore.cli.main import run
from otpcore.clock import utc_now
from otpcore.codes import KeyRing
from otpcore.providers.addresses import ReceiptAddresses
from otpcore.providers.provider import PROVIDERS, SIMULATORS, provider_from_object
from otpcore.settings.tree import generate_keys

from .pages import ROOT, WRITING, blocks, tables


def test_fifteen_minutes_begin_with_what_the_command_writes(tmp_path, monkeypatch, capsys):
    (block,), page = blocks(WRITING, "sh"), WRITING.partition("## In fifteen minutes\n")[2].partition("\n## ")[0]
    first, *others = block.splitlines()
    monkeypatch.chdir(tmp_path)
    assert run(first.split()[1:]) == 0
    assert [line.strip() for line in capsys.readouterr().out.splitlines() if line[:1] == " "] == others
    places = set(re.findall(r"`((?:src|tests|\.github)/[\w./-]+)`", page))
    assert len(places) >= 6
    assert all((tmp_path / "otp-acme" / place).is_file() for place in places), places
    (table,) = tables(page)
    assert sorted(row[0].strip("`") for row in table) == sorted(Receipts)


def test_a_provider_that_owns_its_codes_loads_as_the_page_shows_it():
    names_there: dict[str, type] = {}
    exec(blocks(WRITING, "python")[1], names_there)
    provider = provider_from_object("acme", names_there["AcmeVerify"]())
    assert (provider.info.code_scope, provider.can_cancel) == ("acme:A1", True)


async def test_a_provider_whose_vendor_signs_nothing_reads_what_comes_to_its_address():
    names_there: dict[str, type] = {}
    exec(blocks(WRITING, "python")[2], names_there)
    keys = generate_keys(utc_now())
    ring = KeyRing(index=keys.index, code=keys.code, current=keys.current)
    addresses = ReceiptAddresses(proofs=ring.receipt_proofs, base="https://example.com/receipts")
    context = ProviderContext(instance="acme", addresses=addresses)
    acme = provider_from_object("acme", names_there["AcmeUnsigned"](context), addresses=addresses)
    url = context.receipt_url("delivery-1") or ""
    answer = await acme.parse_receipt(ReceiptRequest(url=url, body=b"DELIVRD"), 5)
    assert answer.text == "OK"
    assert [(one.status, one.delivery_id) for one in answer.receipts] == [("delivered", "delivery-1")]
    for forged in (ReceiptRequest(url=f"{url}x", body=b"DELIVRD"), ReceiptRequest(url=url, body=b"nonsense")):
        with pytest.raises(ReceiptRefused):
            await acme.parse_receipt(forged, 5)


def test_the_provider_passes_the_contract_as_the_page_shows_it(tmp_path):
    provider, _, _, simulator, contract = blocks(WRITING, "python")
    for name, text in (("otp_acme", provider), ("acme_simulator", simulator), ("test_acme", contract)):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "test_acme.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = int(re.search(r"(\d+) passed", done.stdout)[1])
    assert passed >= 80, "the page says some eighty"


def test_the_package_of_the_page_registers_where_otpcore_looks():
    _, package = blocks(WRITING, "toml")
    project = tomllib.loads(package)["project"]
    assert set(project["entry-points"]) == {PROVIDERS, SIMULATORS}
    ours = tomllib.loads((ROOT / "plugins/otp-mada/pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["dependencies"] == ours["dependencies"]
