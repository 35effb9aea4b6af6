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
_MAIN_ON_TRIO = r"^\w+\.(Send|Code)Tests\."

_SERVICE = (  # files of tests/service; those of sends, failovers and races stay on trio
    *("apps", "asking_vendors", "channels", "end_to_end", "extras", "fixed_numbers", "lacking_keys", "late_answers"),
    *("late_receipts", "many_receipts", "outcomes", "own_codes", "payments", "prices", "protections", "reasons"),
    *("receipts", "relaying", "rotation", "run_retry", "status", "telemetry", "upkeep", "vendors_codes", "worlds"),
)

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
    *(
        Rule(
            place=place,
            tests="trio",
            but=_MAIN_ON_TRIO,
            instead="messages and codes on trio, and all of it on asyncio",
        )
        for place in (
            *(f"plugins/otp-{name}/tests/test_contract.py" for name in ("aws", "http", "mada", "sinch", "twilio")),
            "tests/testing/test_provider_contract.py",
        )
    ),
    Rule(
        place="plugins/otp-twilio/tests/test_contract.py",
        tests="^Test(MessagingThatCannotCall|MessagingWithFeedback|VerifyOverWhatsApp|VerifyWithOurCodes)[.]",
        but=r"[.](Send|Outcome|Settings)Tests[.]",
        instead="the whole contract of the two that they differ little from",
    ),
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
        for place in (
            *("tests/messages", "tests/operator", "tests/rate_limits", "tests/providers/test_sandbox.py"),
            *("tests/runners", "tests/stores/test_servers.py", "tests/stores/test_erasing.py"),
            *(f"tests/service/test_{name}.py" for name in _SERVICE),
        )
    ),
    # Tools: what is written or told in several forms.
    Rule(
        place="tests/cli/test_new_provider.py",
        tests=r"passes_as_it_is_written\[(get|json|none)\]|its_wheel_passes",
        instead="the suite of a form, and of a table; `nox -s scaffold` makes the wheel",
    ),
    Rule(
        place="tests/testing/test_contract_supervision.py",
        tests=r"\[(SendsNot|ReportsNot|DeclaresMore)\]|\[ReadsNot\]|\[trio\]|without_the_first|process_of_xdist",
        instead="the other gates that fail",
    ),
    Rule(
        place="tests/cli/test_output.py",
        tests=r"of_its_own.*\[(latin-1|ascii)\]|\[60\]|demo_writes_plain",
        instead="the locale C, and eighty columns",
    ),
    Rule(place="tests/readable/test_processes.py", tests=r"\[abort\]", instead="a process that ends by an exception"),
    Rule(place="tests/readable/test_commands.py", tests=r"\[json\]", instead="the same commands for people"),
    Rule(
        place="tests/docs/test_gateways.py",
        tests="tables_pass_the_contract",
        instead="the suite of a table as `otp new-provider` writes it",
    ),
    Rule(place="tests/docs/test_operating.py", tests="night_in_python", instead="the night in commands"),
    # Stores: one of two servers that take the same statements, or the same scripts.
    Rule(place="tests/stores/test_contract_mariadb.py", but=_MAIN, instead=f"{_SOME}PostgreSQL"),
    Rule(place="tests/stores/test_contract_ahead.py", but=_MAIN, instead=f"{_SOME}PostgreSQL, whose rows it tries"),
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
    Rule(
        place="tests/stores/test_upgrading.py",
        tests=r"write_on_while.*\[sqlite|\[postgres-\d",
        instead="workers on PostgreSQL, versions in a file",
    ),
    Rule(
        place="tests/stores/test_striping.py",
        tests=r"\[mariadb",
        but=r"limit_do_not_wait|\[mariadb-64\]",
        instead="a limit there, and all of it on PostgreSQL",
    ),
    Rule(
        place="tests/service/test_housekeeping.py",
        tests=r"\[(mariadb|redis)\]",
        instead="the same on two stores, and the contract of stores",
    ),
    Rule(place="tests/faults/test_deadlines.py", tests=r"\[mariadb", instead="the same on PostgreSQL"),
    Rule(
        place="tests/service/test_one_url.py",
        tests=r"\[(mariadb-background|redis-rabbitmq)\]",
        instead="four other pairs",
    ),
    Rule(
        place="plugins/otp-redis/tests/test_end_to_end.py",
        tests=r"behind_sentinels|\[trio-sqlite\]",
        instead="the command on one server, and sentinels whose primary fails",
    ),
    Rule(place="tests/lifecycle", tests=r"\[mariadb", instead="the same histories on four stores"),
    Rule(
        place="tests/lifecycle/test_state_machine.py",
        tests=r"\[sql\]",
        instead="the histories on three stores, and those that a file answers as memory does",
    ),
    Rule(place="tests/chaos/test_engines.py", tests=r"\[mariadb", but="-killed", instead="MariaDB killed"),
    Rule(
        place="tests/chaos/test_engines.py",
        tests=r"\[(postgres|sqlite).*cut off|(killed_in_the_middle|fight_over|wakes_after).*\[postgres|wakes_after.*\[sqlite",
        instead="a killed server of each engine, and the rest on Redis or with RabbitMQ; `nox -s chaos`",
    ),
    Rule(
        place="tests/chaos/test_failovers.py",
        tests=r"\[(postgres|mariadb)",
        instead="sends while each of them fails over, and a long run of Redis; `nox -s chaos`",
    ),
    Rule(
        place="tests/chaos/test_retries.py", tests=r"\[mada\]", instead="killed at every step of another vendor's retry"
    ),
    *(
        Rule(
            place="tests/chaos",
            tests=tests,
            instead="killed at every step of other sends, receipts and verifications",
        )
        for tests in (
            r"_a_send\w*\[(a slot|nobody takes)",
            "-without retries",
            r"whose start was not|recorded.*\[sinch",
        )
    ),
    Rule(
        place="tests/chaos/test_stalls.py",
        tests=r"\[store\.(claim|begin_retry)",
        instead="a worker that stalls while it calls, and before it records",
    ),
    Rule(place=_PLUGIN, tests=r"\[postgres", instead="the same on SQLite"),
    Rule(
        place=f"{_PLUGIN}/test_erasing.py",
        tests=r"\[(redis-test|redis-live|sqlite-test)",
        instead="a person of a file, and the contract of stores",
    ),
    Rule(
        place=f"{_PLUGIN}/test_workers.py",
        tests="measurements_are|inbox_shows|told_to_end|watches_the_others|keeps_one_from",
        instead="one that is killed, and one process that is told to end",
    ),
    Rule(
        place=f"{_PLUGIN}/test_conformance.py",
        tests="schemathesis",
        instead="what may be wrong with each field and address; `nox -s conformance` asks for it by name",
    ),
    Rule(place="plugins/otp-django/tests/test_mariadb.py", tests="^test_", instead="the project on SQLite"),
    # Races: the same calls by others, or another number of them.
    Rule(place="tests/races", tests=r"\[trio tasks", instead="tasks of asyncio, threads and processes"),
    Rule(place="tests/races", tests=r"-[46]\]", instead="as many codes as the limit, and two hundred"),
    # Hosts: a recipe in another form.
    Rule(
        place="tests/docs/test_examples.py", tests=r"\[(flask|django)-(mada|sinch)", instead="the vendors with FastAPI"
    ),
    Rule(place="tests/docs/test_examples.py", tests=r"\[\w+-unix", instead="the example behind another socket"),
    Rule(
        place="tests/docs/test_deployment.py", tests=r"\[(preload1|spawn|forkserver)\]", instead="the recipe as it is"
    ),
    Rule(
        place="tests/docs/test_deployment.py",
        tests="executor_ends|test_multiprocessing|uvicorn_opens|privileges_home",
        instead="gunicorn, gevent, the container and the worker",
    ),
    Rule(place="tests/docs/test_hosts.py", tests="test_on_gevent", instead="the recipe of gevent"),
    Rule(
        place=f"{_PLUGIN}/console/test_people_commands.py",
        tests="console_can_be_left|a_reset_changes|has_a_picture",
        instead="somebody who is added, and removed",
    ),
    Rule(
        place=f"{_PLUGIN}/test_fastapi_page.py",
        tests=r"pay_once|below_its_path|\[trio\]",
        instead="the page's first and last snippet, and its proxy",
    ),
    Rule(
        place=f"{_PLUGIN}/test_relay_answers.py", tests=r"\[put_record\]", instead="a store that hangs when it is begun"
    ),
    Rule(
        place=f"{_PLUGIN}/test_readme.py",
        tests=r"\[(php|go)-",
        instead="the same example in JavaScript and for a shell",
    ),
    Rule(place=f"{_PLUGIN}/console/test_console_webhooks.py", tests="page_by_page", instead="the pages of other lists"),
    Rule(
        place="plugins/otp-django/tests/test_project.py",
        tests=r"\[(preloaded|uvicorn|--parallel 2|)\]|runserver_opens_anew",
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
    *(
        Rule(
            place=f"{_PLUGIN}/console/test_{name}_browser.py",
            tests="^test_",
            instead="the console's frame in the browser, and its pages without one",
        )
        for name in ("operating", "person", "vendors")
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
