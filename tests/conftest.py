"""Fixtures that several test files share: those of the testing package, and migrated databases."""

from __future__ import annotations

import gc
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from otpcore.stores.sql.store import upgrade

from .own_servers import postgres_server
from .preloaded import Preloaded, preloaded
from .servers import empty, mariadb_database
from .whole import mark

pytest_plugins = ["otpcore.testing.fixtures"]

# How long an example takes is the machine's affair; whoever sets a deadline says so at the test. What is there stands for
# the rest: in CI hypothesis chooses a profile of its own, whose examples are the same in each run.
settings.register_profile("otpcore", parent=settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("otpcore")

# What takes longest begins first, so that no worker of ``--dist loadfile --no-loadscope-reorder`` idles at the end while another
# still works through it. What waits, for seconds each time, for real servers to fail over, to come back or to fall silent is
# spread among the rest, and leaves the processor to it meanwhile; no other file does.
LONGEST = (
    "tests/chaos/test_engines.py",  # waits
    "tests/chaos/test_failovers.py",  # waits
    "plugins/otp-http/tests/test_contract.py",
    "plugins/otp-server/tests/test_workers.py",
    "plugins/otp-server/tests/console/test_signing_in.py",
    "tests/stores/test_failover.py",  # waits
    "plugins/otp-server/tests/console/test_everywhere.py",
    "plugins/otp-server/tests/test_erasing.py",
    "plugins/otp-rabbitmq/tests/test_trouble.py",  # waits
    "plugins/otp-server/tests/test_every_address.py",
    "plugins/otp-flask/tests/test_project.py",
    "plugins/otp-rabbitmq/tests/test_restart.py",  # waits
    "plugins/otp-django/tests/test_mariadb.py",
    "tests/testing/test_contract_supervision.py",
    "plugins/otp-redis/tests/test_failover.py",  # waits
    "tests/readable/test_nothing_readable.py",
    "tests/cli/test_new_provider.py",
    "tests/stores/test_pooler.py",  # waits
    "tests/cli/test_output.py",
    "tests/chaos/test_verifies.py",
    "tests/stores/test_servers.py",  # waits
    "tests/chaos/test_retries.py",
    "tests/chaos/test_sends.py",
    "plugins/otp-server/tests/test_killed.py",  # waits
    "plugins/otp-django/tests/test_project.py",
    "tests/docs/test_examples.py",
    "tests/docs/test_deployment.py",
    "tests/mutants/test_short.py",
    "tests/faults/test_vendors.py",
    "tests/service/test_rotation.py",
    "tests/lifecycle/test_state_machine.py",
    "tests/lifecycle/test_histories.py",
    "tests/stores/test_contract_postgres.py",
    "tests/stores/test_contract_mariadb.py",
    "tests/stores/test_contract_sqlite.py",
    "tests/stores/test_contract_ahead.py",
    "tests/stores/test_contract_memory.py",
    "plugins/otp-redis/tests/test_contract.py",
    "plugins/otp-rabbitmq/tests/test_contract.py",
    "plugins/otp-twilio/tests/test_contract.py",
    "plugins/otp-aws/tests/test_contract.py",
    "tests/testing/test_store_contract.py",
    "tests/testing/test_provider_contract.py",
    "tests/races/test_verifying.py",
    "tests/races/test_sending.py",
    "tests/stores/test_upgrading.py",
    "tests/test_benchmarks.py",
)


@pytest.hookimpl(trylast=True)  # after pytest-rerunfailures
def pytest_configure(config: pytest.Config) -> None:
    """A worker of pytest-xdist tells pytest-rerunfailures of each test, and asks: without this the question waits 40 ms.

    The server acknowledges what was told only then, and Nagle's algorithm holds the question back for as long.
    """
    server = getattr(getattr(config, "failures_db", None), "sock", None)
    if isinstance(server, socket.socket):
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files of ``LONGEST`` before all others, and mark what only the whole runs."""
    mark(items)
    root = Path(__file__).parent.parent
    ranks = {root / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Thousands of tests are made, of which none is garbage: looking for it takes a sixth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
        gc.set_threshold(
            20_000, 20, 20
        )  # most of what a test makes is gone without it; it takes a tenth of the time else


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on Python's path; what is imported from it is forgotten afterwards, or the next test would find it."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file to copy: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("migrated") / "migrated.sqlite3"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A migrated database on a PostgreSQL server of this test run; a test empties it before use."""
    with postgres_server() as url:
        upgrade(url)
        yield url


@pytest.fixture
def empty_postgres_url(postgres_url: str) -> str:
    """As above, emptied: another test may have paused all sending there."""
    empty(postgres_url)
    return postgres_url


@pytest.fixture(scope="session")
def mariadb_url() -> Iterator[str]:
    """A migrated database on the MariaDB server that is given, or answers on its usual port; as above."""
    with mariadb_database() as url:
        upgrade(url)
        yield url


@pytest.fixture(scope="session")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preloaded]:
    """``otp`` and ``python`` that start at once: importing takes longer than most commands."""
    with preloaded(tmp_path_factory.mktemp("forked")) as programs:
        yield programs
