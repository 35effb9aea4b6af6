"""The contract suite of stores for a database on a server."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, make_url, text

from otpcore.stores.sql.store import SqlStore, metadata
from otpcore.testing.stores.contract import CrashFactory, StoreContract

from ..servers import empty  # noqa: TID252 - tests are no package that could be imported by name
from .rows import KeptInRows


class ServerContract(KeptInRows, StoreContract):
    """A subclass gives ``url``: of a migrated database. Every unit runs in a worker thread: one event loop is enough."""

    event_loops = ("asyncio",)
    examples = 4

    @pytest.fixture
    def new_store(self, new_stores):
        return new_stores()

    @pytest.fixture
    def new_stores(self, url):
        def make():
            empty(url)
            return SqlStore(url)

        return make

    @pytest.fixture
    def reopen(self, url):
        return lambda: SqlStore(url)

    @pytest.fixture
    def crash_factory(self, url):
        return CrashFactory("otpcore.stores.sql.store:SqlStore", (url,))

    @pytest.fixture
    def unreachable(self, url):
        away = make_url(url).set(username="otp", password="pa55word-of-otp", host="127.0.0.1", port=9)
        return SqlStore(away.set(query={}).render_as_string(hide_password=False)), "pa55word-of-otp"

    @pytest.fixture
    def raw_contents(self, url):
        def read():
            engine = create_engine(url)
            try:
                with engine.connect() as connection:
                    rows = [
                        row for name in metadata.tables for row in connection.execute(text(f"SELECT * FROM {name}"))
                    ]
            finally:
                engine.dispose()
            values = [value for row in rows for value in row]
            return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in values)

        return read
