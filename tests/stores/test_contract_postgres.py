"""The SQL store on PostgreSQL keeps the contract of stores."""

from __future__ import annotations

import pytest

from .servers import ServerContract


class TestPostgres(ServerContract):
    @pytest.fixture
    def url(self, postgres_url):
        return postgres_url
