"""Who asks."""

from __future__ import annotations

import pytest
from otp_flask import current_otp
from werkzeug.middleware.proxy_fix import ProxyFix

PROXIES = ["10.0.0.0/8", "2001:db8::/32"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "client"),
    [
        ("203.0.113.7", "192.0.2.1", [], "203.0.113.7"),
        ("10.0.0.1", "192.0.2.1, 203.0.113.7", PROXIES, "203.0.113.7"),
        ("10.0.0.1", "", PROXIES, "10.0.0.1"),
        ("", "203.0.113.7", [*PROXIES, "unix"], "203.0.113.7"),
    ],
)
def test_the_client_is_the_nearest_address_that_is_no_proxy_of_ours(make, peer, forwarded, proxies, client):
    app, _ = make(trusted_proxies=proxies)
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    with app.test_request_context(headers=headers, environ_base={"REMOTE_ADDR": peer}):
        assert current_otp.client() == client


def test_what_proxyfix_says_counts(make):
    app, _ = make()
    app.wsgi_app = ProxyFix(app.wsgi_app)

    @app.get("/")
    def view():
        return current_otp.client()

    headers = {"X-Forwarded-For": "192.0.2.1, 203.0.113.7"}
    assert app.test_client().get("/", headers=headers).text == "203.0.113.7"


def test_limits_count_by_it(make):
    app, otp = make(limits={"phone": [], "client": ["1/1h"]})

    @app.get("/<number>")
    def view(number):
        return {"id": otp.ask(number).id}

    def status(peer, number):
        return app.test_client().get(f"/{number}", environ_base={"REMOTE_ADDR": peer}).status_code

    assert [status("203.0.113.7", "+359871234567"), status("203.0.113.7", "+359871234568")] == [200, 429]
    assert status("203.0.113.8", "+359871234568") == 200
