"""Consoles for tests: people are let in by the word of a proxy, which is the test."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from console_client import Console, serving


@pytest.fixture(scope="session")
def serve_console(run_server: Any) -> Callable[..., contextlib.AbstractContextManager[Console]]:
    """A console of a test's own: its URL of the database, providers, and sections of settings."""

    def run(url: str, providers: Any = None, **sections: Any) -> Any:
        return serving(run_server, url, providers, **sections)

    return run


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory, serve_console: Any) -> Iterator[Console]:
    """A console on SQLite that the tests of a file share; what is sent goes into ``console.server.outbox``."""
    with serve_console(f"sqlite:///{tmp_path_factory.mktemp('console')}/otp.sqlite3") as started:
        yield started
