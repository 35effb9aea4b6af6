"""Accounts, signing in and sessions, through the real console and the real store."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pyotp
import pytest
from argon2 import PasswordHasher
from console_client import Browser, text_of
from otp_server.console import secret_words, throttle
from otp_server.console.people import NewAccount, People
from otp_server.console_settings import Role
from otp_server.networks import is_among

WRONG = "You are not signed in."


@attrs.define(eq=False)
class Somebody:
    """A person with an account, and the digits of their app: each time those of a later step."""

    account: NewAccount
    begun: int = attrs.field(factory=lambda: int(time.time()))
    given: int = 0

    @property
    def name(self) -> str:
        return self.account.account.name

    def digits(self) -> str:
        """Now, and then those that come next; a third time it would be too early."""
        self.given += 1
        return pyotp.TOTP(self.account.seed).at(self.begun + 30 * min(self.given - 1, 1))

    def fresh(self) -> str:
        return pyotp.TOTP(self.account.seed).now()

    def signs_in(self, browser: Browser, **otherwise: str) -> httpx.Response:
        browser.get("/sign-in")
        given = {"name": self.name, "password": self.account.password, "digits": self.digits(), **otherwise}
        return browser.post("/sign-in", **given)


@pytest.fixture
def people(console: Any) -> People:
    return People(console.server.server.records)


@pytest.fixture
def somebody(console: Any, people: People) -> Iterator[Somebody]:
    """An operator; what the test counted from its address is forgotten afterwards."""
    name = f"p{secrets.token_hex(4)}"  # another one for a second try too
    yield Somebody(console.server.do(people.add(name, Role.OPERATOR, by="the test")))
    store = console.server.server.records.store
    for one in console.server.do(console.server.server.records.every("console-tries")):
        console.server.do(store.delete_record("otp-server.console-tries", one.key, expect=None, now=None))


@pytest.fixture
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Passwords are hashed as always, at a small part of the cost: what is tried here is how often one may guess."""
    quick = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(secret_words, "_hasher", lambda: quick)
    secret_words._no_ones.cache_clear()
    yield
    secret_words._no_ones.cache_clear()


def test_somebody_signs_in_and_out(console: Any, somebody: Somebody) -> None:
    browser = console.browser("")
    answer = somebody.signs_in(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Max-Age=43200" in cookie
    assert f"{somebody.name}, operator" in text_of(browser.get("/"))
    word = browser.client.cookies["otp-console"]
    assert browser.post("/sign-out").headers["location"] == "/console/sign-in"
    again = httpx.get(f"{console.url}/", cookies={"otp-console": word})
    assert again.status_code == 303


@pytest.mark.parametrize("wrong", ["name", "password", "digits"])
def test_whatever_is_wrong_is_told_alike(console: Any, somebody: Somebody, wrong: str) -> None:
    answer = somebody.signs_in(console.browser(""), **{wrong: "000000"})
    assert answer.status_code == 422
    assert WRONG in text_of(answer)
    assert somebody.account.password not in answer.text
    assert "set-cookie" not in answer.headers
    blank = somebody.signs_in(console.browser(""), **{wrong: ""})
    assert (blank.status_code, WRONG in text_of(blank)) == (422, True)


def test_an_unknown_name_takes_as_long(console: Any, somebody: Somebody) -> None:
    browser = console.browser("")

    def taken(name: str) -> float:
        begun = time.perf_counter()
        assert somebody.signs_in(browser, name=name, password="wrong").status_code == 422
        return time.perf_counter() - begun

    taken("warms-up")
    known, unknown = (min(taken(name) for _ in range(5)) for name in (somebody.name, "stranger"))
    assert 0.5 < known / unknown < 2, "the least of each: what a busy machine adds says nothing"


def test_digits_are_taken_once(console: Any, somebody: Somebody) -> None:
    digits = somebody.digits()
    assert somebody.signs_in(console.browser(""), digits=digits).status_code == 303
    assert somebody.signs_in(console.browser(""), digits=digits).status_code == 422


@pytest.mark.usefixtures("quick_hashes")
def test_trying_is_throttled_for_all_processes_together(serve_console: Any, run_server: Any, tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/otp.sqlite3"
    with serve_console(url) as first, run_server(url, server={"console": {"path": "/console"}}) as second:
        people = People(first.server.server.records)
        somebody = Somebody(first.server.do(people.add("ann", Role.VIEWER, by="the test")))
        browsers = [first.browser(""), Browser(f"{second.url}/console", "")]
        first.browsers.append(browsers[1])
        statuses = [somebody.signs_in(browsers[number % 2], password="wrong").status_code for number in range(10)]
        assert statuses == [422] * 10
        for browser in browsers:
            answer = somebody.signs_in(browser, digits=somebody.fresh())
            assert answer.status_code == 429
            assert "This was tried too often." in text_of(answer)
        others = [somebody.signs_in(browsers[0], name=f"n{number}").status_code for number in range(21)]
        assert (others[0], others[-1]) == (422, 429)  # thirty from one address, whatever the name


@pytest.mark.usefixtures("quick_hashes")
def test_a_stranger_keeps_nobody_out(serve_console: Any, tmp_path: Any) -> None:
    own = {"trusted_proxies": ["127.0.0.1"]}
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", server=own) as console:
        ann = Somebody(console.server.do(People(console.server.server.records).add("ann", Role.VIEWER, by="the test")))
        at_home, stranger = console.browser(""), console.browser("")
        at_home.client.headers["X-Forwarded-For"] = "192.0.2.1"
        stranger.client.headers["X-Forwarded-For"] = "198.51.100.1"
        statuses = [ann.signs_in(stranger, password="wrong").status_code for _ in range(11)]
        assert statuses == [422] * 10 + [429]
        assert ann.signs_in(at_home, digits=ann.fresh()).status_code == 303


@pytest.mark.usefixtures("quick_hashes")
def test_many_strangers_together_guess_no_better_and_keep_out_no_one_who_is_known(
    serve_console: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"trusted_proxies": ["127.0.0.1"]}
    monkeypatch.setitem(throttle._MOST, "name", 12)
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", server=own) as console:
        ann = Somebody(console.server.do(People(console.server.server.records).add("ann", Role.VIEWER, by="the test")))
        browser = console.browser("")

        def tries(address: str, **otherwise: str) -> int:
            browser.client.headers["X-Forwarded-For"] = address
            return ann.signs_in(browser, **otherwise).status_code

        assert tries("192.0.2.1") == 303
        statuses = [tries(f"198.51.100.{number}", password="wrong") for number in range(14)]
        assert statuses == [422] * 11 + [429] * 3  # ann's own try was the first of twelve
        assert tries("192.0.2.2", password="wrong") == 429
        assert [tries("192.0.2.1", password="wrong") for _ in range(11)] == [422] * 10 + [429]
        monkeypatch.setitem(throttle._MOST, "name", 13)
        assert tries("192.0.2.3", password="wrong") == 422, (
            "what was refused, and what came from a known one, counts not"
        )


@pytest.mark.usefixtures("quick_hashes")
def test_one_customer_of_an_ipv6_network_is_one_address(serve_console: Any, tmp_path: Any) -> None:
    own = {"trusted_proxies": ["127.0.0.1"]}
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", server=own) as console:
        browser = console.browser("")
        browser.get("/sign-in")
        statuses = []
        for number in range(32):
            browser.client.headers["X-Forwarded-For"] = f"2001:db8:0:1::{number:x}"
            statuses.append(browser.post("/sign-in", name=f"n{number}").status_code)
        assert statuses == [422] * 30 + [429] * 2
        browser.client.headers["X-Forwarded-For"] = "2001:db8:0:2::1"
        assert browser.post("/sign-in", name="elsewhere").status_code == 422


@pytest.mark.usefixtures("quick_hashes")
def test_ipv4_addresses_within_ipv6_are_apart(serve_console: Any, tmp_path: Any) -> None:
    """A socket for both protocols tells IPv4 as ::ffff:0:0/96, and NAT64 as 64:ff9b::/96: each a single /64."""
    own = {"trusted_proxies": ["127.0.0.1"]}
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", server=own) as console:
        browser = console.browser("")
        browser.get("/sign-in")
        statuses = []
        for number in range(31):
            stranger = ("::ffff:198.51.100.1", "64:ff9b::198.51.100.1", "198.51.100.1")[number % 3]
            browser.client.headers["X-Forwarded-For"] = stranger
            statuses.append(browser.post("/sign-in", name=f"n{number}").status_code)
        assert statuses == [422] * 30 + [429]
        for owner in ("::ffff:192.0.2.1", "64:ff9b::192.0.2.2"):
            browser.client.headers["X-Forwarded-For"] = owner
            assert browser.post("/sign-in", name="elsewhere").status_code == 422


@pytest.mark.usefixtures("quick_hashes")
def test_a_right_one_is_forgiven_the_wrong_ones_before(console: Any, somebody: Somebody) -> None:
    for _ in range(9):
        somebody.signs_in(console.browser(""), password="wrong")
    assert somebody.signs_in(console.browser(""), digits=somebody.fresh()).status_code == 303
    assert somebody.signs_in(console.browser(""), password="wrong").status_code == 422


@pytest.mark.parametrize("how", ["remove", "reset"])
def test_removing_and_resetting_end_sessions_at_once(
    console: Any, people: People, somebody: Somebody, how: str
) -> None:
    browser = console.browser("")
    somebody.signs_in(browser)
    assert browser.get("/").status_code == 200
    console.server.do(getattr(people, how)(somebody.name, by="the test", reason="left"))
    assert browser.get("/").headers["location"] == "/console/sign-in"
    assert somebody.signs_in(browser, digits=somebody.digits()).status_code == 422
    (change, *_) = console.server.do(console.server.server.service.operator.audit(1))
    assert (change.action, change.target, change.reason) == (f"console.user.{how}", somebody.name, "left")


def test_an_account_that_was_removed_can_be_made_anew(console: Any, people: People, somebody: Somebody) -> None:
    console.server.do(people.remove(somebody.name, by="the test"))
    assert console.server.do(people.find(somebody.name)) is None
    again = Somebody(console.server.do(people.add(somebody.name, Role.VIEWER, by="the test")))
    assert again.signs_in(console.browser("")).status_code == 303


def test_a_form_from_elsewhere_signs_nobody_in(console: Any, somebody: Somebody) -> None:
    browser = console.browser("")
    browser.client.headers["Origin"] = "https://evil.example"
    assert somebody.signs_in(browser).status_code == 403
    browser = console.browser("")
    browser.client.headers["Sec-Fetch-Site"] = "cross-site"
    assert somebody.signs_in(browser).status_code == 403
    browser = console.browser("")
    answer = browser.post("/sign-in", name=somebody.name, form_token="0" * 64)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("asked", "leads_to"),
    [
        ("/audit?by=ada", "/audit?by=ada"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
    ],
)
def test_signing_in_leads_to_a_page_of_the_console_only(
    console: Any, somebody: Somebody, asked: str, leads_to: str
) -> None:
    browser = console.browser("")
    browser.get("/sign-in")
    form = {"name": somebody.name, "password": somebody.account.password, "digits": somebody.digits()}
    answer = browser.client.post("/sign-in", params={"next": asked}, data={"form_token": browser.token, **form})
    assert answer.headers["location"] == f"/console{leads_to}"


def test_behind_tls_the_cookie_is_of_this_host_alone(serve_console: Any, tmp_path: Any) -> None:
    own = {"console": {"public_url": "https://console.example"}}
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", server=own) as console:
        people = People(console.server.server.records)
        somebody = Somebody(console.server.do(people.add("ann", Role.VIEWER, by="the test")))
        browser = console.browser("")
        browser.client.headers["Origin"] = "https://console.example"
        cookie = somebody.signs_in(browser).headers["set-cookie"]
        assert cookie.startswith("__Host-otp-console=")
        assert "Secure" in cookie
        assert "Path=/;" in cookie


def test_a_header_is_believed_from_the_proxy_alone(serve_console: Any, tmp_path: Any) -> None:
    own = {"console": {"trusted_from": ["10.0.0.0/8"]}}
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", server=own) as console:
        assert console.browser("ada").get("/").status_code == 303


@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1", "::ffff:a00:1"])
def test_a_proxy_is_known_however_the_socket_tells_its_address(peer: str) -> None:
    assert is_among(peer, ["10.0.0.0/8"])
    assert not is_among(peer, ["10.0.1.0/24", "2001:db8::/64"])


@pytest.mark.usefixtures("quick_hashes")
def test_a_proxy_that_another_one_tells_within_ipv6_is_a_proxy(serve_console: Any, tmp_path: Any) -> None:
    own = {"trusted_proxies": ["127.0.0.1", "10.0.0.0/8"]}
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", server=own) as console:
        browser = console.browser("")
        browser.get("/sign-in")
        statuses = []
        for number in range(31):
            browser.client.headers["X-Forwarded-For"] = f"198.51.100.{number % 2}, ::ffff:10.0.0.2"
            statuses.append(browser.post("/sign-in", name=f"n{number}").status_code)
        assert statuses == [422] * 31, "two people, and not one proxy"


def test_who_is_named_twice_or_has_no_role_is_not_let_in(console: Any) -> None:
    stranger = console.browser("stranger").get("/")
    assert (stranger.status_code, "You may not do this." in text_of(stranger)) == (403, True)
    twice = httpx.get(f"{console.url}/", headers=[("X-Console-User", "ada"), ("X-Console-User", "vera")])
    assert twice.status_code == 303


def test_what_a_proxy_says_of_its_caller_does_not_hide_the_proxy(serve_console: Any, tmp_path: Any) -> None:
    own = {"trusted_proxies": ["127.0.0.1"]}
    with serve_console(f"sqlite:///{tmp_path}/otp.sqlite3", server=own) as console:
        browser = console.browser("ada")
        browser.client.headers["X-Forwarded-For"] = "192.0.2.7"
        assert browser.get("/").status_code == 200
        browser = console.browser("")
        browser.client.headers["X-Forwarded-For"] = "127.0.0.1"
        assert browser.get("/").status_code == 303


def test_nothing_of_an_account_is_readable_in_the_store(console: Any, somebody: Somebody) -> None:
    browser = console.browser("")
    somebody.signs_in(browser)
    directory = console.server.server.otp_settings.storage.url.removeprefix("sqlite:///").rpartition("/")[0]
    kept = b"".join(one.read_bytes() for one in Path(directory).iterdir())
    for secret in (somebody.account.password, somebody.account.seed, browser.client.cookies["otp-console"], "$argon2"):
        assert secret.encode() not in kept
