"""``OTPCORE_TEST_SERVERS=none``: what needs a server is skipped, also where there is one."""

from __future__ import annotations

import pytest

from .own_servers import own_mariadb, own_postgres, own_redis
from .servers import mariadb_database, rabbitmq_url


def used(server):
    if server is rabbitmq_url:
        server()
    else:
        with server():
            pass


@pytest.mark.parametrize("server", [mariadb_database, own_mariadb, own_postgres, own_redis, rabbitmq_url])
def test_no_server_is_started_or_asked(server, monkeypatch):
    monkeypatch.setenv("OTPCORE_TEST_SERVERS", "none")
    with pytest.raises(pytest.skip.Exception, match="leaves out what needs a server"):
        used(server)
