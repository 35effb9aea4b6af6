"""What the pages in docs/ say is so: tables against the code that they describe, snippets executed, links followed."""

from __future__ import annotations

import ast
import inspect
import itertools
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from otpcore import (
    AsyncOTPService,
    ChallengeState,
    DeliveryError,
    ErrorKind,
    OTPError,
    RateLimited,
    RouteStatus,
    Verification,
    VerificationStatus,
    __version__,
    errors,
    hookspecs,
)
from otpcore._opentelemetry import _COUNTERS, _DURATIONS
from otpcore._spans import Work
from otpcore.cli._commands import COMMANDS, GROUPS
from otpcore.cli._exits import MEANINGS
from otpcore.config import Settings, documented_keys, load_settings
from otpcore.events import EventType
from otpcore.lifecycle import NOT_SENT
from otpcore.models import Outcome, ReceiptOutcome
from otpcore.plugins import PROVIDERS, SIMULATORS, provider_from_object
from otpcore.retrying import RetryPolicy
from otpcore.sandbox import MAGIC, RANGES, magic_of

ROOT = Path(__file__).parent.parent
FILES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("plugins/*/*.md")),
]
PAGES = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in FILES}
REFERENCE, RELIABILITY, SECURITY, GUIDE = (
    PAGES[f"docs/{name}.md"] for name in ("reference", "reliability", "security", "writing-a-provider")
)

FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def section(title: str) -> str:
    return re.split(r"^## ", REFERENCE.partition(f"\n## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def tables(text: str) -> list[list[list[str]]]:
    """The rows of each table, without its head."""
    found = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    return [[[cell.strip() for cell in row[1:-1].split("|")] for row in rows.splitlines()[2:]] for rows in found]


def names(table: list[list[str]]) -> list[str]:
    return [row[0].strip("`") for row in table]


def words(text: str) -> set[str]:
    """What stands in code marks in a docstring."""
    return set(re.findall(r"``(\w+)``", text))


def signatures(source: str) -> dict[str, str]:
    """Of each documented function in Python source: its kind, name, arguments and result."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, FUNCTIONS)]
    return {
        node.name: f"{type(node).__name__} {node.name}({ast.unparse(node.args)}) -> {ast.unparse(node.returns)}"
        for node in functions
        if node.returns is not None
    }


def source_signatures(cls: type) -> dict[str, str]:
    return signatures(inspect.getsource(cls))


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


# The reference.


def test_the_settings_table_is_that_of_the_settings():
    expected = [
        [f"`{one.key}`", one.kind, f"`{one.default}`" if one.default else "", one.meaning] for one in documented_keys()
    ]
    (table,) = tables(section("Settings"))
    assert table == expected, "\n".join(f"| {' | '.join(row)} |" for row in expected)


def test_settings_are_read_as_the_reference_says(tmp_path, monkeypatch):
    (tmp_path / "otpcore.toml").write_text("[sms]\nmax_retries = 3\n", encoding="utf-8")
    monkeypatch.setenv("OTPCORE_SETTINGS_FILE", str(tmp_path / "otpcore.toml"))
    monkeypatch.setenv("OTPCORE_SMS", "{ retry = true }")
    monkeypatch.setenv("OTPCORE_SMS__MAX_RETRIES", "4")
    for written in ("1/1m, 2/1h", '["1/1m", "2/1h"]'):
        monkeypatch.setenv("OTPCORE_LIMITS__PHONE", written)
        settings = load_settings()
        assert (settings.sms.retry, settings.sms.max_retries) == (True, 4)
        assert settings.limits.phone == ("1/1m", "2/1h")
    (mapping,) = re.findall(r"`AsyncOTPService\((\{.*?\}\})\)`", REFERENCE)
    assert AsyncOTPService(ast.literal_eval(mapping)).settings.sms.retry is True


def test_the_methods_have_the_signatures_of_the_reference():
    documented = signatures(blocks(section("Methods"), "python")[0])
    public = {
        name: signature
        for name, signature in source_signatures(AsyncOTPService).items()
        if name == "__init__" or not (name.startswith("_") or isinstance(vars(AsyncOTPService)[name], property))
    }
    assert documented == public


def test_the_hooks_have_the_signatures_of_the_reference():
    of_providers, of_observers = (signatures(block) for block in blocks(section("Hooks"), "python"))
    assert of_providers == source_signatures(hookspecs.ProviderHooks)
    assert of_observers == source_signatures(hookspecs.ObserverHooks)


def test_states_and_statuses_are_all_told():
    states, statuses, receipts = tables(section("Results"))
    assert names(receipts) == list(ReceiptOutcome)
    assert names(states) == list(ChallengeState)
    told = {
        name: tuple(cell == "true" for cell in row[1:3]) for name, row in zip(names(statuses), statuses, strict=True)
    }
    assert told == {status: tuple(Verification(status=status)) for status in VerificationStatus}


def test_the_tree_of_errors_is_that_of_the_module():
    (tree,) = blocks(section("Errors"), "text")
    assert "\n".join(f"    {line}" if line else "" for line in tree.splitlines()) in errors.__doc__


def test_every_error_has_the_status_with_which_the_examples_answer():
    told = {}
    for row in tables(section("Errors"))[0]:
        name, *reason = re.findall(r"`(\w+)`", row[0])
        told[(reason or [name])[0]] = int(row[2][:3])
    every = {cls.__name__ for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, OTPError)}
    of_receipts = {"malformed", "signature", "UnknownProviderError"}  # the examples have no route for them
    outside = {"OTPConfigurationError", *of_receipts}
    assert set(told) == every - {"OTPError", "ReceiptRefused"} | {"permanent", *outside}
    told = {name: status for name, status in told.items() if name not in outside}
    for file in sorted(ROOT.glob("examples/*/app.py")):
        (written,) = re.findall(
            r"^STATUSES = (\{.*\})  # all else: 503$", file.read_text(encoding="utf-8"), re.MULTILINE
        )
        table = ast.parse(written, mode="eval").body
        answers = {
            getattr(key, "id", None) or key.value: value.value
            for key, value in zip(table.keys, table.values, strict=True)
        }
        assert {name: answers.get(name, 503) for name in told} == told, file


@pytest.mark.parametrize(("error", "table"), [(RateLimited, 1), (DeliveryError, 2)])
def test_every_reason_is_told(error, table):
    documented = tables(section("Errors"))[table]
    reason = re.search(r"reason: (.*?)(?:;|\.\n)", error.__doc__, re.DOTALL)[1]
    assert set(names(documented)) == words(reason)


def test_every_kind_of_failure_is_told():
    (kinds,) = tables(section("Hooks"))
    assert names(kinds) == list(ErrorKind)
    assert {kind for kind, row in zip(ErrorKind, kinds, strict=True) if row[1] == "certainly not"} == {
        ErrorKind(outcome) for outcome in NOT_SENT
    }
    assert Outcome.AMBIGUOUS not in NOT_SENT


def test_every_event_is_told():
    (events,) = tables(section("Events"))
    assert names(events) == list(EventType)


def test_the_sandboxs_numbers_are_told():
    ranges, outcomes = tables(section("Sandbox"))
    assert {name.removesuffix(".."): row[1] for name, row in zip(names(ranges), ranges, strict=True)} == RANGES
    assert outcomes == [[f"`{digits}`", one.name, one.meaning] for digits, one in MAGIC.items()]
    (example,) = re.findall(r"`(\+\d{9,})` is a (\w+)", section("Sandbox"))
    assert magic_of(example[0]).name == example[1]


def test_every_metric_and_span_is_told():
    metrics, spans = tables(section("OpenTelemetry"))
    counted = {name: f"counter, `{unit}`" for name, (unit, _) in _COUNTERS.items()}
    measured = {name: "histogram, `s`" for name, _ in _DURATIONS.values()}
    assert {row[0].strip("`"): row[1] for row in metrics} == {**counted, **measured}
    assert [row[0] for row in spans[:3]] == [f"`{work}`" for work in (Work.SEND, Work.VERIFY, Work.RETRY)]


def test_every_field_of_a_route_is_told():
    (routes,) = tables(section("Status"))
    assert names(routes) == [field.name for field in attrs.fields(RouteStatus)]


def test_commands_and_exit_codes_are_those_of_the_command_line():
    (commands,), (codes,) = tables(section("Commands")), tables(section("Exit codes"))
    every = {f"otp {name}": command for name, command in COMMANDS.items()} | {
        f"otp {group} {name}": command for group, (_, own) in GROUPS.items() for name, command in own.items()
    }
    assert commands == [[f"`{name}`", inspect.getdoc(command).splitlines()[0]] for name, command in every.items()]
    assert codes == [[str(int(code)), meaning] for code, meaning in MEANINGS.items()]


# Reliability and security.


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
    assert f"about {len(fitting)} attempts fit" in RELIABILITY
    assert f"about {len(fitting)} attempts fit" in PAGES["README.md"]
    assert 600 - moments[-1] >= retry.min_useful_life, "ten minutes have room for all"
    assert settings.call.max_retries == 2


def test_the_recommended_setting_is_one(tmp_path):
    (block,) = blocks(SECURITY, "toml")
    (tmp_path / "otpcore.toml").write_text(block, encoding="utf-8")
    assert load_settings(tmp_path / "otpcore.toml").otp.verify_by == "id"


async def test_a_payments_code_is_for_that_payment(otp_outbox):
    names_there: dict[str, Any] = {}
    exec(blocks(SECURITY, "python")[0], names_there)
    transfers = [SimpleNamespace(id=number, amount=f"{number}0 EUR", payee="ACME") for number in (1, 2)]
    async with otp_outbox.service() as otp:
        first, second = [await names_there["confirm"](otp, "+359871234567", transfer) for transfer in transfers]
        message, _ = otp_outbox.messages
        assert "10 EUR to ACME" in message.text
        assert message.code in message.text
        assert not await otp.verify(challenge_id=second.id, code=message.code, purpose="transfer-2")
        assert await otp.verify(challenge_id=first.id, code=message.code, purpose="transfer-1")


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
        for name in re.findall(r"`((?:tests|plugins|otpcore/testing)/[^`\s]+\.py[^`\s]*)`", PAGES[page])
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


# The guide.


def test_a_provider_that_owns_its_codes_loads_as_the_guide_shows_it():
    names_there: dict[str, type] = {}
    exec(blocks(GUIDE, "python")[0], names_there)
    provider = provider_from_object("acme", names_there["AcmeVerify"]())
    assert (provider.info.code_scope, provider.can_cancel) == ("acme:A1", True)


def test_the_readmes_provider_passes_the_contract_as_the_guide_shows_it(tmp_path):
    (provider,) = (block for block in blocks(PAGES["README.md"], "python") if "def create_provider" in block)
    _, simulator, contract = blocks(GUIDE, "python")
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
    assert passed >= 50, "the guide says some fifty"


def test_the_guides_package_registers_where_otpcore_looks():
    (project,) = (tomllib.loads(block)["project"] for block in blocks(GUIDE, "toml"))
    assert set(project["entry-points"]) == {PROVIDERS, SIMULATORS}
    ours = tomllib.loads((ROOT / "plugins/otp-mada/pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["dependencies"] == ours["dependencies"]


# All pages.


def test_every_block_in_docs_is_one_that_a_test_here_looks_at():
    found = {
        name: Counter(re.findall(r"^```(\w+)", page, re.MULTILINE)) for name, page in PAGES.items() if "docs/" in name
    }
    assert found == {
        "docs/reference.md": {"python": 3, "text": 1},
        "docs/faults.md": {},
        "docs/performance.md": {},
        "docs/reliability.md": {},
        "docs/security.md": {"toml": 1, "python": 1},
        "docs/writing-a-provider.md": {"python": 3, "toml": 1},
        "docs/writing-a-runner.md": {"python": 2, "toml": 1},  # executed in tests/runners
        "docs/writing-a-store.md": {"python": 2, "toml": 1},  # executed in tests/stores
    }


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.resolve().exists(), f"{page} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), f"{page} links to {target}"


def test_the_changelog_knows_this_version():
    assert re.search(rf"^## {re.escape(__version__)}\b", PAGES["CHANGELOG.md"], re.MULTILINE)
