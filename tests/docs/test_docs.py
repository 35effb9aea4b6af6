"""What the pages in docs/ say is so: tables against the code that they describe, snippets executed, links followed."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import tomllib
from collections import Counter

import attrs
import pytest

from otpcore import (
    AsyncOTPService,
    ChallengeState,
    DeliveryError,
    ErrorKind,
    NoRouteError,
    RateLimited,
    RouteStatus,
    Verification,
    VerificationStatus,
    __version__,
    errors,
)
from otpcore.cli.exits import MEANINGS
from otpcore.cli.tree import COMMANDS, GROUPS
from otpcore.embedding import Spelling
from otpcore.events import EventType, Work
from otpcore.models import Outcome, ReceiptOutcome, UnsendableReason
from otpcore.providers import hooks as hookspecs
from otpcore.providers.sandbox import MAGIC, RANGES, magic_of
from otpcore.service.status import ObstacleKind
from otpcore.service.telemetry import _COUNTERS, _DURATIONS
from otpcore.settings.by_use import text_for
from otpcore.settings.network import DIRECT
from otpcore.settings.tree import Settings, documented_keys, load_settings
from otpcore.stores.lifecycle import BEGUN, NOT_SENT, OVER, TRANSITIONS

from .pages import FUNCTIONS, PAGES, REFERENCE, ROOT, blocks, tables


def section(title: str) -> str:
    return re.split(r"^## ", REFERENCE.partition(f"\n## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


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


def test_the_tables_of_settings_are_those_of_the_settings():
    expected: dict[str, list[list[str]]] = {}
    for one in documented_keys():
        of_routing = re.fullmatch(r"otp_.+_provider", one.key)
        title = "Who sends" if of_routing else f"`{one.key.partition('.')[0]}`"
        row = [f"`{one.key}`", one.kind, f"`{one.default}`" if one.default else "", one.meaning]
        expected.setdefault(title, []).append(row)
    _, *parts = re.split(r"^### (.+)$", section("Settings"), flags=re.MULTILINE)
    told = {title: tables(text) for title, text in zip(parts[::2], parts[1::2], strict=True)}
    assert list(told.items()) == [(title, [rows]) for title, rows in expected.items()], "\n\n".join(
        "\n".join([f"## {title}", *(f"| {' | '.join(row)} |" for row in rows)]) for title, rows in expected.items()
    )


def test_the_public_names_are_those_of_the_reference():
    (table,) = tables(section("Public names"))
    said = {package.strip("`"): re.findall(r"`(\w+)`", names) for package, _, names in table}
    assert said == {package: sorted(importlib.import_module(package).__all__) for package in said}
    faces = [
        path.parent for path in (ROOT / "otpcore").rglob("__init__.py") if "from_modules" in path.read_text("utf-8")
    ]
    assert {".".join(face.relative_to(ROOT).parts) for face in faces} == set(said)


def test_the_page_about_embedding_runs_and_its_table_of_words_is_true():
    page = PAGES["docs/reference/embedding.md"]
    (program,) = blocks(page, "python")
    exec(compile(program, "embedding.md", "exec"), {})
    (words,) = (table for table in tables(page.partition("## The host's words")[2].partition("\n## ")[0]) if table)
    for text, told in words:
        assert Spelling(command="manage.py otp", settings="OTPCORE").told(text) == told


def test_what_examples_and_pages_import_is_public():
    sources = {file.name: file.read_text(encoding="utf-8") for file in sorted(ROOT.glob("examples/**/*.py"))}
    for page, text in PAGES.items():
        sources |= {f"{page} {number}": source for number, source in enumerate(blocks(text, "python"))}
    faces = set(re.findall(r"^\| `([\w.]+)` \|", section("Public names"), re.MULTILINE))
    for place, source in sources.items():
        tree = ast.parse(source if "-> None: ...\n" not in source else "")  # signatures alone have no imports
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "otpcore":
                assert node.module in faces, f"{place} imports from {node.module}"
                assert {one.name for one in node.names} <= set(importlib.import_module(node.module).__all__), place


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


def test_a_sender_and_a_template_are_chosen_as_the_reference_says():
    block, *_ = blocks(REFERENCE, "toml")
    otp = Settings.from_mapping(tomllib.loads(block)).otp
    use = {"purpose": "login", "locale": "en"}
    senders = [text_for(otp.sender, instance=name, **use) for name in ("twilio", "texts", "mada")]
    assert senders == ["Acme", None, "AcmeLogin"]
    assert text_for(otp.sender, instance="mada", purpose="pay", locale="en") == "Acme"
    templates = [
        text_for(otp.template_id, instance="mada", purpose="login", locale=tag) for tag in ("hi-IN", "en", "bg")
    ]
    assert templates == ["1107160000000012346", "1107160000000012345", None]


def test_the_way_to_the_vendors_is_set_as_the_reference_shows():
    _, block, _ = blocks(REFERENCE, "toml")
    settings = Settings.from_mapping(tomllib.loads(block))
    assert (settings.http.proxy, settings.http.ca_file) == (
        "http://proxy.example.com:3128",
        "/etc/ssl/company-ca.pem",
    )
    assert settings.providers["mada"] == {"proxy": DIRECT}


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


def test_every_error_and_reason_is_told_with_its_answer():
    of_classes, *of_reasons, ends = tables(section("Errors"))
    told = {(names([row])[0], ""): (row[2], row[3]) for row in of_classes}
    classes = re.findall(r"^`(\w+)`, by ", section("Errors"), re.MULTILINE)
    for name, table in zip(classes, of_reasons, strict=True):
        told |= {(name, reason): tuple(row[1:]) for reason, row in zip(names(table), table, strict=True)}
    assert told == {
        key: (*((one.meaning,) if key[1] else ()), str(one.http_status), "yes" if one.waiting_helps else "no")
        for key, one in errors.ANSWERS.items()
    }
    assert names(ends) == list(UnsendableReason)


@pytest.mark.parametrize("name", ["django", "fastapi", "flask"])
def test_the_examples_answer_what_the_errors_say(name):
    source = "\n".join(file.read_text(encoding="utf-8") for file in sorted(ROOT.glob(f"examples/{name}/**/*.py")))
    extension = ROOT / f"plugins/otp-{name}/src/otp_{name}/errors.py"  # where there is one, it answers
    answers = extension.read_text(encoding="utf-8") if extension.exists() else source
    assert "answer_to(error)" in answers
    assert not re.search(r"\b4[0-9][0-9]\b|\b50[0-9]\b", source), "a status of its own"


@pytest.mark.parametrize("error", [RateLimited, DeliveryError, NoRouteError])
def test_every_reason_is_named_where_the_class_is_described(error):
    reason = re.search(r"reason: (.*?)(?:;|\.(?: |\n))", error.__doc__, re.DOTALL)[1]
    assert words(reason) == {reason for name, reason in errors.ANSWERS if name == error.__name__}


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


def test_every_obstacle_and_every_field_of_a_route_is_told():
    kinds, routes = tables(section("Status"))
    assert names(kinds) == [*map(str, ObstacleKind)]
    assert names(routes) == [field.name for field in attrs.fields(RouteStatus)]


def test_commands_and_exit_codes_are_those_of_the_command_line():
    (commands,), (codes,) = tables(section("Commands")), tables(section("Exit codes"))
    every = {f"otp {name}": command for name, command in COMMANDS.items()} | {
        f"otp {group} {name}": command for group, (_, own) in GROUPS.items() for name, command in own.items()
    }
    assert commands == [[f"`{name}`", inspect.getdoc(command).splitlines()[0]] for name, command in every.items()]
    assert [row[:2] for row in codes] == [[str(int(code)), meaning] for code, meaning in MEANINGS.items()]


# All pages.


BLOCKS: dict[str, dict[str, int]] = {
    "docs/index.md": {"python": 1},  # test_tutorials.py
    "docs/tutorial/first-code.md": {"python": 3, "sh": 6, "toml": 2},  # the same
    "docs/tutorial/four-machines.md": {"sh": 5, "toml": 2},  # the same
    "docs/how-to/database-failover.md": {"sh": 2, "toml": 1},  # test_how_to.py
    "docs/how-to/from-better-auth.md": {"js": 2, "sh": 1},  # plugins/otp-server/tests/test_better_auth_page.py
    "docs/how-to/from-django-otp.md": {"python": 1, "toml": 1},  # test_how_to.py, as the rest of these
    "docs/how-to/from-django-phone-verify.md": {"python": 1, "toml": 1},
    "docs/how-to/from-twilio-verify.md": {"python": 1, "toml": 2},
    "docs/how-to/keys.md": {"sh": 4},
    "docs/how-to/limits.md": {"sh": 2, "toml": 3},
    "docs/how-to/receipts.md": {"python": 1, "sh": 1, "toml": 1},
    "docs/architecture.md": {"mermaid": 3},  # test_architecture.py
    "docs/deployment.md": {
        "python": 6,
        "sh": 5,
        "ini": 2,
        "dockerfile": 1,
        "toml": 1,
        "nginx": 1,
    },  # test_deployment.py
    "docs/django.md": {"python": 5, "sh": 1},  # executed in plugins/otp-django
    "docs/reference/channels.md": {},
    "docs/reference/commands.md": {"python": 1, "toml": 1},
    "docs/reference/databases.md": {},
    "docs/reference/delivery-receipts.md": {},
    "docs/reference/embedding.md": {"python": 1},
    "docs/reference/errors.md": {"text": 1},
    "docs/reference/events.md": {},
    "docs/reference/exit-codes.md": {},
    "docs/reference/fields-and-arguments.md": {},
    "docs/reference/hooks.md": {"python": 2},
    "docs/reference/index.md": {},
    "docs/reference/logs.md": {},
    "docs/reference/methods.md": {"python": 1},
    "docs/reference/numbers.md": {},
    "docs/reference/opentelemetry.md": {},
    "docs/reference/operators.md": {"python": 1},
    "docs/reference/public-names.md": {},
    "docs/reference/results.md": {"mermaid": 1},
    "docs/reference/sandbox.md": {},
    "docs/reference/settings.md": {"toml": 2},
    "docs/reference/status.md": {},
    "docs/reference/what-an-instance-carries.md": {},
    "docs/fastapi.md": {"python": 6},  # executed in plugins/otp-server
    "docs/faults.md": {},
    "docs/flask.md": {"python": 8, "sh": 1},  # executed in plugins/otp-flask
    "docs/licences.md": {},
    "docs/operating.md": {"python": 1, "sh": 4},  # test_operating.py
    "docs/performance.md": {},
    "docs/reliability.md": {},
    "docs/security.md": {"toml": 1, "python": 1},
    "docs/service.md": {"python": 1},  # executed in plugins/otp-server
    "docs/relay/auth0.md": {},  # plugins/otp-server/tests/test_relay_pages.py
    "docs/relay/authentik.md": {},
    "docs/relay/kratos.md": {},
    "docs/relay/logto.md": {},
    "docs/relay/supabase.md": {},
    "docs/relay/zitadel.md": {},
    "docs/gateways.md": {},  # test_gateways.py
    "docs/writing-a-gateway.md": {"toml": 3, "python": 2},
    "docs/guide.md": {"python": 5, "sh": 3, "toml": 3, "yaml": 1},  # test_readme.py
    "docs/writing-a-provider.md": {"sh": 1, "python": 5, "toml": 2},
    "docs/writing-a-runner.md": {"python": 2, "toml": 1},  # executed in tests/runners
    "docs/writing-a-store.md": {"python": 2, "toml": 1},  # executed in tests/stores
}
"""What a test looks at, of each page by language."""


def test_every_block_in_docs_is_one_that_a_test_here_looks_at():
    found = {
        name: Counter(re.findall(r"^```(\w+)", page, re.MULTILINE)) for name, page in PAGES.items() if "docs/" in name
    }
    assert found == BLOCKS


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


def test_the_drawing_of_the_states_shows_what_transactions_may_write() -> None:
    (drawing,) = blocks(section("Results"), "mermaid")
    drawn = {(old, new) for old, new in re.findall(r"^ *(\S+) --> (\w+)", drawing, re.MULTILINE)}
    within = {(str(old), str(new)) for old, following in TRANSITIONS.items() for new in following}
    assert drawn == {*within, *(("[*]", str(one)) for one in BEGUN), *(("living", str(one)) for one in OVER)}
    resent = re.search(r"sent again: (\w+) or (\w+), from every state here", drawing)
    assert resent is not None
    assert set(resent.groups()) == {str(one) for one in BEGUN}
