"""The default run and the whole: a test is in one of them, and a rule names what is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from .whole import RULES, Rule, mark, title

ROOT = Path(__file__).parent.parent
MARIADB = "tests/stores/test_contract_mariadb.py"


class Parts:
    def test_part(self): ...


class TestWithParts(Parts):
    def test_own(self): ...


def marked(path, name, cls=None):
    """Which markers a test gets."""
    found = []
    item = SimpleNamespace(
        path=ROOT / path, name=name, cls=cls, originalname=name.partition("[")[0], add_marker=found.append
    )
    mark([item])
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.place}-{rule.tests or rule.but}")
def test_a_rule_leaves_something_in_the_default_run(rule):
    assert (ROOT / rule.place).exists()
    assert rule.instead
    assert rule.tests or rule.but != "(?!)", "it leaves out all that is there"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.place}-{rule.tests or rule.but}")
def test_a_test_that_a_rule_names_is_there(rule):
    """The words of its names; what stands in brackets is made when tests are collected."""
    place = ROOT / rule.place
    texts = [file.read_text(encoding="utf-8") for file in ([place] if place.is_file() else place.rglob("test_*.py"))]
    for expression in (rule.tests, rule.but):
        for word in re.findall(r"[a-z]+_[a-z_]+", re.sub(r"\\[.\w]", " ", expression.partition("^Test")[0])):
            assert any(word.strip("_") in text for text in texts), word


@pytest.mark.parametrize(
    ("path", "name", "is_left_out"),
    [
        ("tests/races/test_sending.py", "test_a[trio tasks, memory]", True),
        ("tests/races/test_sending.py", "test_a[threads, memory]", False),
        ("tests/races_of_others/test_sending.py", "test_a[trio tasks, memory]", False),
        ("tests/lifecycle/test_histories.py", "test_a[mariadb-asyncio]", True),
        ("tests/lifecycle/test_histories.py", "test_a[postgres-asyncio]", False),
        ("plugins/otp-server/tests/console/test_vendors_browser.py", "test_each_page_is_fine[dark]", True),
        ("plugins/otp-server/tests/console/test_vendors.py", "test_each_page_is_fine[dark]", False),
        ("../elsewhere/tests/races/test_sending.py", "test_a[trio tasks, memory]", False),
    ],
)
def test_what_a_rule_fits_is_marked_and_nothing_else(path, name, is_left_out):
    assert marked(path, name) == (["whole"] if is_left_out else [])


def test_a_title_says_which_class_has_the_test(request):
    def item(name):
        return SimpleNamespace(cls=TestWithParts, originalname=name, name=f"{name}[asyncio]")

    assert title(item("test_part")) == "TestWithParts.Parts.test_part[asyncio]"
    assert title(item("test_own")) == "TestWithParts.TestWithParts.test_own[asyncio]"
    assert title(request.node) == request.node.name


def test_each_expression_of_a_rule_is_looked_for():
    rule = Rule(place="tests", tests="one", but="two", instead="")
    assert [rule.fits("tests/a.py", name) for name in ("one", "one two", "two", "")] == [True, False, False, False]


def test_each_test_is_collected_in_one_of_both():
    def collected(*options):
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *options, "tests/races/test_sending.py"]
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        (every,) = re.findall(r"^\d+/(\d+) tests collected", said, re.MULTILINE)
        return {line for line in said.splitlines() if "::" in line}, int(every)

    (default, every), (whole, _) = collected("-m", "not whole"), collected("-m", "whole")
    assert not default & whole
    assert len(default | whole) == every
    assert {"[trio tasks" in name for name in whole} == {True}
    assert {"[trio tasks" in name for name in default} == {False}


def test_ci_runs_both():
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert ".venv/bin/nox -s tests" in lines
    assert lines[-1] == 'while_time_lasts "tests -- --whole"'
