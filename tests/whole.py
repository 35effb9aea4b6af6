"""What ``nox -s tests`` leaves to ``nox -s tests -- --whole``: variations, each with what the default run has instead.

This is the one place that names them: the tests that a rule of ``RULES`` fits get the marker ``whole``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

__all__ = ["RULES", "Rule", "mark", "title"]

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, kw_only=True)  # the environment of nox, which reads the places, need not have attrs
class Rule:
    """Some tests of one file or folder.

    Args:
        place: The file or folder, from the root.
        tests: A regular expression that finds their titles; by default each.
        but: One that finds those which stay in the default run; by default none.
        instead: What the default run has of the same.
    """

    place: str
    tests: str = ""
    but: str = "(?!)"
    instead: str

    def fits(self, path: str, title: str) -> bool:
        """Whether it leaves out the test with this title in the file at this path from the root."""
        is_there = path == self.place or path.startswith(f"{self.place}/")
        return is_there and bool(re.search(self.tests, title)) and not re.search(self.but, title)


_ENGINE = r"\.(Fault|Account|Manner)Tests\."
_MAIN = r"^Test\w+\.(Sending|Verifying|Race|Crash)Tests\."
_FAULTS = "the faults of the network, met by another instance over the same code"
_LOOP = "the same suite on trio over another instance: what differs has no event loop in it"
_SOME = "sends, checks, races and killed processes there, and the whole contract on "
_BROWSER = "its main path in the browser, and what it says without one"
_PLUGIN = "plugins/otp-server/tests"

RULES = (
    # What providers do besides their contract, on the second event loop.
    *(
        Rule(place=f"plugins/otp-{name}/tests", tests="trio", but=r"^Test\w+\.", instead="the contract on trio")
        for name in ("aws", "http", "mada", "sinch", "twilio")
    ),
    # The contract of providers: parts over one instance of a plugin, or on one event loop.
    Rule(
        place="plugins/otp-http/tests/test_contract.py",
        tests=_ENGINE,
        but="^Test_(vonage_sms|telegram)[.]",
        instead=_FAULTS,
    ),
    Rule(place="plugins/otp-http/tests/test_contract.py", tests=r"^Test_telegram\..*trio", instead=_LOOP),
    Rule(
        place="plugins/otp-twilio/tests/test_contract.py",
        tests=_ENGINE,
        but="^Test(Verify|Messaging)[.]",
        instead=_FAULTS,
    ),
    Rule(
        place="plugins/otp-twilio/tests/test_contract.py",
        tests="trio",
        but="^Test(Verify|Messaging)[.]",
        instead=_LOOP,
    ),
    Rule(place="plugins/otp-aws/tests/test_contract.py", tests=_ENGINE, but="^TestAws[.]", instead=_FAULTS),
    Rule(place="plugins/otp-aws/tests/test_contract.py", tests="trio", but="^TestAws[.]", instead=_LOOP),
    Rule(place="tests/testing/test_provider_contract.py", tests="trio", but="^Test(Text|Codes)[.]", instead=_LOOP),
    Rule(place="tests/testing/test_receipt_contract.py", tests="trio", but="^TestBell[.]", instead=_LOOP),
    Rule(
        place="plugins/otp-http/tests/test_contract.py",
        tests="^Test_(africastalking|clickatell|infobip|kavenegar_text|link_mobility|messagebird|messente|mobica|msg91|plivo)",
        instead="the contract of the other tables over the same engine, and of each table its requests",
    ),
    Rule(
        place="plugins/otp-http/tests/test_contract.py",
        tests="^Test_(sinch_sms|smsapi|telesign|telnyx|vonage_sms_unsigned|whatsapp)",
        instead="the same",
    ),
    # Faults and places that are searched: the second event loop.
    *(
        Rule(place=place, tests="trio", instead="the same on asyncio, and the contracts on trio")
        for place in ("tests/faults", "tests/readable")
    ),
    *(
        Rule(
            place=place,
            tests="trio",
            instead="the same on asyncio; on trio the service of the core's own tests, and the contracts",
        )
        for place in ("tests/messages", "tests/operator", "tests/rate_limits", "tests/providers/test_sandbox.py")
    ),
    # Tools: what is written or told in several forms.
    Rule(
        place="tests/cli/test_new_provider.py",
        tests=r"passes_as_it_is_written\[(get|json|none)\]|its_wheel_passes",
        instead="the suite of a form, and of a table; `nox -s scaffold` makes the wheel",
    ),
    Rule(
        place="tests/testing/test_contract_supervision.py",
        tests=r"\[(SendsNot|ReportsNot)\]|in_another_order.*\[ReadsNot\]",
        instead="the other gates that fail",
    ),
    # Stores: one of two servers that take the same statements, or the same scripts.
    Rule(place="tests/stores/test_contract_mariadb.py", but=_MAIN, instead=f"{_SOME}PostgreSQL"),
    Rule(place="tests/stores/test_contract_example.py", but=_MAIN, instead=f"{_SOME}four stores"),
    Rule(
        place="plugins/otp-redis/tests/test_contract.py", tests="^TestCluster", but=_MAIN, instead=f"{_SOME}one server"
    ),
    Rule(
        place="tests/stores/test_contract_memory.py",
        tests="asyncio",
        instead="the same on trio, and on asyncio four stores",
    ),
    Rule(place="tests/stores/test_upgrading.py", tests=r"\[mariadb", instead="PostgreSQL, and a file"),
    Rule(place="tests/lifecycle", tests=r"\[mariadb", instead="the same histories on four stores"),
    Rule(place="tests/chaos/test_engines.py", tests=r"\[mariadb", but="-killed", instead="MariaDB killed"),
    Rule(
        place="tests/chaos/test_retries.py", tests=r"\[mada\]", instead="killed at every step of another vendor's retry"
    ),
    Rule(place=_PLUGIN, tests=r"\[postgres", but="erased_person.*live", instead="the same on SQLite"),
    Rule(place=f"{_PLUGIN}/test_erasing.py", tests=r"\[redis-test", instead="a person of the other world"),
    Rule(
        place=f"{_PLUGIN}/test_workers.py",
        tests="measurements_are|inbox_shows|sqlite-2",
        instead="one that is killed, and all that are told to end",
    ),
    Rule(
        place=f"{_PLUGIN}/test_conformance.py",
        tests="schemathesis",
        instead="what may be wrong with each field and address; `nox -s conformance` asks for it by name",
    ),
    Rule(place="plugins/otp-django/tests/test_mariadb.py", but="names_the_command", instead="the project on SQLite"),
    # Races: the same calls by others, or another number of them.
    Rule(place="tests/races", tests=r"\[trio tasks", instead="tasks of asyncio, threads and processes"),
    Rule(place="tests/races", tests=r"-[46]\]", instead="as many codes as the limit, and two hundred"),
    # Hosts: a recipe in another form.
    Rule(place="tests/docs/test_examples.py", tests=r"\[\w+-unix", instead="the example behind another socket"),
    Rule(
        place="tests/docs/test_deployment.py", tests=r"\[(preload1|spawn|forkserver)\]", instead="the recipe as it is"
    ),
    Rule(
        place="plugins/otp-django/tests/test_project.py",
        tests=r"\[(preloaded|uvicorn|--parallel 2)\]|runserver_opens_anew",
        instead="the project under gunicorn and under its own server",
    ),
    Rule(place=f"{_PLUGIN}/console/test_inbox.py", tests="a_long_inbox", instead="the pages of other lists"),
    Rule(
        place=f"{_PLUGIN}/console/test_everywhere.py",
        tests="store_that_is_away",
        instead="a store that hangs, as the API tells of it",
    ),
    Rule(
        place="plugins/otp-flask/tests/test_project.py",
        tests="with_two_workers",
        instead="the readme's app under the same server",
    ),
    # Chromium: every page in every state, width and scheme.
    Rule(place=f"{_PLUGIN}/console/test_frame_browser.py", but=r"page_is_fine\[/-light|by_keyboard", instead=_BROWSER),
    Rule(place=f"{_PLUGIN}/console/test_operating_browser.py", but="by_keyboard", instead=_BROWSER),
    *(
        Rule(
            place=f"{_PLUGIN}/console/test_{name}_browser.py",
            tests="^test_",
            instead="the console's frame in the browser, and its pages without one",
        )
        for name in ("person", "vendors")
    ),
    Rule(
        place=f"{_PLUGIN}/test_page_browser.py",
        but=r"in_every_width\[en-light|typed_and_right|end_is_announced|filled_in",
        instead=_BROWSER,
    ),
    Rule(
        place=f"{_PLUGIN}/test_widget.py",
        but=r"in_a_frame_\w+\[127|look_alike_origin|press_that_nobody",
        instead=_BROWSER,
    ),
)


def mark(items: Iterable[pytest.Item]) -> None:
    """Give the marker ``whole`` to what a rule fits."""
    for item in items:
        path = item.path.relative_to(ROOT).as_posix() if item.path.is_relative_to(ROOT) else ""
        if any(path.startswith(rule.place) and rule.fits(path, title(item)) for rule in RULES):
            item.add_marker("whole")


def title(item: pytest.Item) -> str:
    """``TestMariaDB.SendingTests.test_name[asyncio]``: its class, the class that has it, and its name with what it is given."""
    if not isinstance(cls := getattr(item, "cls", None), type):
        return item.name
    owner = next(base for base in cls.__mro__ if getattr(item, "originalname", "") in vars(base))
    return f"{cls.__name__}.{owner.__name__}.{item.name}"
