"""The SQL store on MariaDB keeps the contract of stores."""

from __future__ import annotations

import pytest

from .servers import ServerContract


class TestMariaDB(ServerContract):
    passes_over = True  # it locks before it sorts and limits: whoever is first holds all that is over

    @pytest.fixture
    def url(self, mariadb_url):
        return mariadb_url
