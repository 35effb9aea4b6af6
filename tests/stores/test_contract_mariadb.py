"""The SQL store on MariaDB keeps the contract of stores."""

from __future__ import annotations

import pytest

from .servers import ServerContract


class TestMariaDB(ServerContract):
    @pytest.fixture
    def url(self, mariadb_url):
        return mariadb_url
