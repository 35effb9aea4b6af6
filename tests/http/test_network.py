"""The way to the vendors: through a forward proxy, and to servers whose certificates a network's own authority has signed."""

from __future__ import annotations

import base64
import logging
import traceback
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import anyio
import pytest
from certificates import make_certificates
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from otp_mada.simulator import MadaSimulator
from otp_sinch.simulator import SinchSimulator
from otp_twilio.simulator import TwilioSimulator

from otpcore import AsyncOTPService
from otpcore.clock import utc_now
from otpcore.errors import ErrorKind, ProviderError, SettingsError
from otpcore.http.client import open_client
from otpcore.providers.hooks import ProviderContext
from otpcore.providers.loading import load_instance
from otpcore.settings.network import Network, parse_proxy
from otpcore.settings.tree import Settings, generate_keys, load_settings
from otpcore.simulators.exchange import SimulatedAnswer
from otpcore.simulators.simulator import Simulator

from ..forward_proxy import forward_proxy, private_vendor  # noqa: TID252 - tests are no package that could be imported by name

PASSWORD = "correct-horse"
NUMBER = "359871234567"
WITHOUT_FIXTURE_CHECK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def proxy():
    with forward_proxy() as running:
        yield running


@pytest.fixture
def vendor(certificates):
    with private_vendor(certificates) as running:
        yield running


class Plain(Simulator):
    """In plain HTTP."""

    def handle(self, request):
        return SimulatedAnswer.json(200, {})


@pytest.fixture
def plain():
    with Plain() as running:
        yield running


@asynccontextmanager
async def client_of(url, *, timeout=5.0, **network):
    async with AsyncExitStack() as stack:
        context = ProviderContext(instance="acme", timeout=timeout, network=Network(**network))
        yield await open_client(stack, context, base_url=url)


async def failure_of(awaitable) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await awaitable
    return caught.value


# Through a proxy.


async def test_a_tunnel_leads_to_the_vendor_who_hears_nothing_of_the_proxy(proxy, vendor, certificates):
    proxy.login = f"otp:{PASSWORD}/@"
    named = f"http://otp:{PASSWORD}%2F%40@127.0.0.1:{proxy.port}"
    async with client_of(vendor.url, proxy=named, ca_file=str(certificates.authority)) as client:
        for method in ("POST", "PUT"):
            assert (await client.request(method, f"/number/+{NUMBER}?q=%41", content=b"x")).body == b"hi"
    assert proxy.seen == [("CONNECT", f"localhost:{vendor.port}")]  # once: the tunnel is kept
    assert [line for line, _ in vendor.seen] == [
        f"{method} /number/+{NUMBER}?q=%41 HTTP/1.1" for method in ("POST", "PUT")
    ]
    assert not any(name.startswith("proxy-") for _, headers in vendor.seen for name in headers)


async def test_a_vendor_in_plain_http_is_reached_through_the_proxy_too(proxy, plain):
    proxy.login = f"otp:{PASSWORD}"
    named = f"http://otp:{PASSWORD}@127.0.0.1:{proxy.port}"
    async with client_of(plain.base_url, proxy=named) as client:
        assert (await client.request("PUT", f"/number/+{NUMBER}?q=%41", content=b"x")).status == 200
    assert proxy.seen == [("PUT", f"{plain.base_url}/number/+{NUMBER}?q=%41")]
    (request,) = plain.requests
    assert (request.path, request.query, request.body) == (f"/number/+{NUMBER}", "q=%41", b"x")


async def test_a_proxy_may_speak_tls_itself(certificates, vendor):
    with forward_proxy(certificates) as proxy:
        named = proxy.url.replace("http://127.0.0.1", "https://localhost")
        async with client_of(vendor.url, proxy=named, ca_file=str(certificates.authority)) as client:
            assert (await client.request("POST", "/", content=b"x")).body == b"hi"
        assert proxy.seen == [("CONNECT", f"localhost:{vendor.port}")]


@pytest.mark.parametrize("breaks", ["close", "garbage", "stall", "403", "502", "down"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_what_fails_before_the_tunnel_stands_was_certainly_not_sent(proxy, vendor, certificates, breaks, method):
    if breaks.isdecimal():
        proxy.refuses = int(breaks)
    else:
        proxy.breaks = breaks
    named = "http://127.0.0.1:9" if breaks == "down" else proxy.url
    timeout = 0.5 if breaks == "stall" else 5.0
    async with client_of(vendor.url, proxy=named, ca_file=str(certificates.authority), timeout=timeout) as client:
        with anyio.fail_after(20):
            error = await failure_of(client.request(method, "/", content=b"x"))
    assert (error.kind, vendor.seen) == (ErrorKind.UNAVAILABLE, [])
    assert f"the proxy {named.removeprefix('http://')} (http.proxy)" in str(error)
    assert "localhost" in str(error)
    if breaks.isdecimal():
        assert f"HTTP {breaks}" in str(error)


@pytest.mark.parametrize(
    ("breaks", "method", "reused"),
    [
        ("close", "POST", False),
        ("close", "POST", True),
        ("close", "PUT", False),
        ("close", "PUT", True),
        ("stall", "PUT", True),  # the tunnel is there: only the answer can be late
    ],
)
async def test_what_fails_behind_the_tunnel_is_ambiguous_and_went_out_once(
    proxy, vendor, certificates, breaks, method, reused
):
    timeout = 2.0 if breaks == "stall" else 5.0
    async with client_of(vendor.url, proxy=proxy.url, ca_file=str(certificates.authority), timeout=timeout) as client:
        if reused:
            await client.request("GET", "/")
        vendor.seen.clear()
        vendor.breaks = breaks
        error = await failure_of(client.request(method, "/", content=b"x"))
        while proxy.active:  # asyncio says goodbye over TLS first, and warns where its loop ends before that is done
            await anyio.sleep(0.01)
    assert (error.kind, len(vendor.seen)) == (ErrorKind.AMBIGUOUS, 1)


@pytest.mark.parametrize("is_secure", [True, False], ids=["https", "http"])
async def test_a_proxy_that_wants_another_login_is_the_operators_affair(proxy, vendor, plain, certificates, is_secure):
    proxy.login = "otp:another"
    named = f"http://otp:{PASSWORD}@127.0.0.1:{proxy.port}"
    url = vendor.url if is_secure else plain.base_url
    async with client_of(url, proxy=named, ca_file=str(certificates.authority)) as client:
        error = await failure_of(client.request("POST", "/", content=b"x"))
    assert error.kind is ErrorKind.MISCONFIGURED
    assert "(http.proxy) wants another user and password (HTTP 407)" in str(error)
    assert (vendor.seen, plain.requests) == ([], [])


@pytest.mark.parametrize("breaks", ["", "close", "garbage", "403", "login"])
async def test_the_login_of_a_proxy_is_shown_nowhere(proxy, vendor, certificates, breaks, caplog):
    caplog.set_level(logging.DEBUG)
    named = f"http://otp:{PASSWORD}@127.0.0.1:{proxy.port}"
    if breaks == "login":
        proxy.login = "otp:another"
    elif breaks.isdecimal():
        proxy.refuses = int(breaks)
    else:
        proxy.breaks = breaks
    said = repr(Settings.from_mapping({"http": {"proxy": named}, "providers": {"acme": {"proxy": named}}}))
    said += repr(ProviderContext(instance="acme", network=Network(proxy=named)))
    async with client_of(vendor.url, proxy=named, ca_file=str(certificates.authority)) as client:
        if breaks:
            error = await failure_of(client.request("PUT", f"/number/+{NUMBER}", content=b"x"))
            assert (error.__cause__, error.__context__) == (None, None)
            said += f"{error!r} {error.args}" + "".join(traceback.format_exception(error))
        else:
            await client.request("PUT", f"/number/+{NUMBER}", content=b"x")
    said += caplog.text
    for secret in (PASSWORD, base64.b64encode(f"otp:{PASSWORD}".encode()).decode(), NUMBER):
        assert secret not in said


# Authorities.


async def test_a_networks_own_authority_is_trusted_where_it_is_named(vendor, certificates):
    async with client_of(vendor.url, ca_file=str(certificates.authority)) as client:
        assert (await client.request("POST", "/", content=b"x")).body == b"hi"
    vendor.seen.clear()
    async with client_of(vendor.url) as client:
        error = await failure_of(client.request("POST", "/", content=b"x"))
    assert (error.kind, vendor.seen) == (ErrorKind.UNAVAILABLE, [])
    assert f"the certificate of localhost:{vendor.port} is not trusted (" in str(error)
    assert "in [http]: ca_file = " in error.fix


async def test_behind_a_proxy_certificates_are_looked_at_all_the_same(proxy, vendor):
    async with client_of(vendor.url, proxy=proxy.url) as client:
        error = await failure_of(client.request("POST", "/", content=b"x"))
    assert (error.kind, vendor.seen) == (ErrorKind.UNAVAILABLE, [])
    through = f"through the proxy 127.0.0.1:{proxy.port} (http.proxy)"
    assert f"the certificate of localhost:{vendor.port} {through} is not trusted" in str(error)


# The environment.


async def test_the_environment_counts_only_where_it_is_asked(proxy, vendor, certificates, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{proxy.port}")  # without a scheme, as curl takes it
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    async with client_of(vendor.url) as client:
        assert (await failure_of(client.request("GET", "/"))).kind is ErrorKind.UNAVAILABLE
    assert proxy.seen == []
    async with client_of(vendor.url, trust_env=True) as client:
        assert (await client.request("GET", "/")).body == b"hi"
    assert proxy.seen == [("CONNECT", f"localhost:{vendor.port}")]
    for more, variables in (
        ({"proxy": "direct"}, {}),
        ({}, {"NO_PROXY": "example.com,localhost"}),
    ):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        async with client_of(vendor.url, trust_env=True, **more) as client:
            assert (await client.request("GET", "/")).body == b"hi"
    assert len(proxy.seen) == 1


async def test_what_the_environment_names_and_cannot_be_used_is_told_by_its_variable(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", f"socks5://otp:{PASSWORD}@127.0.0.1:1080")
    with pytest.raises(SettingsError, match="environment variable ALL_PROXY: SOCKS is not spoken") as refused:
        async with client_of("https://api.acme.example", trust_env=True):
            pass
    assert PASSWORD not in str(refused.value)


# The settings, as the loader reads them.


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (f"socks5://otp:{PASSWORD}@proxy:1080", "SOCKS is not spoken"),
        (f"proxy:{PASSWORD}", "not the URL of a proxy; write it as http://host:3128, or direct"),
        (f"http://otp:{PASSWORD}@", "not the URL of a proxy"),
        (f"http://otp:{PASSWORD}@proxy:port", "not the URL of a proxy"),
        (f"http://otp:{PASSWORD}@proxy:0", "the port of an address must be 1 to 65535"),
        (f"http://otp:{PASSWORD}@proxy:99999", "the port of an address must be 1 to 65535"),
        (f"http://otp:{PASSWORD}@proxy:3128/path", "a proxy has no path"),
    ],
)
def test_a_proxy_that_cannot_be_one_is_refused_by_its_key_and_unquoted(url, problem):
    with pytest.raises(SettingsError, match=f"^http.proxy: .*{problem}") as common:
        Settings.from_mapping({"http": {"proxy": url}})
    with pytest.raises(SettingsError, match=f"^providers.mada.proxy: .*{problem}") as own:
        load(Settings.from_mapping({"providers": {"mada": {"proxy": url}}}))
    assert PASSWORD not in f"{common.value!r} {own.value!r}"


@WITHOUT_FIXTURE_CHECK
@given(st.text() | st.from_regex(r"(https?|socks5|ftp)://[^ ]*", fullmatch=True))
@example("http://[::1")
@example("http://a:b@[::1]:99999")
def test_any_text_is_a_proxy_or_refused(text):
    try:
        proxy = parse_proxy(text, key="http.proxy")
    except SettingsError:
        return
    assert "@" not in proxy.url
    assert proxy.url.startswith(("http://", "https://"))


@WITHOUT_FIXTURE_CHECK
@given(user=st.text(min_size=1), password=st.text(min_size=8))
def test_any_login_goes_to_the_proxy_as_it_is_and_is_not_shown(user, password):
    login = f"{quote(user, safe='', errors='replace')}:{quote(password, safe='', errors='replace')}"
    proxy = parse_proxy(f"http://{login}@proxy.example.com:3128", key="http.proxy")
    sent = base64.b64decode(proxy.authorization.removeprefix("Basic ")).decode()
    assert sent == f"{user}:{password}".encode(errors="replace").decode()
    assert proxy.shown == "the proxy proxy.example.com:3128 (http.proxy)"
    assert proxy.authorization not in repr(proxy)


def load(settings, name="mada"):
    return load_instance(name, settings, utc_now, sandbox=None)


@pytest.mark.parametrize("key", ["http.ca_file", "providers.mada.ca_file"])
def test_a_file_of_certificates_that_cannot_be_used_is_told_by_its_key(tmp_path, key):
    (tmp_path / "der.pem").write_bytes(b"\x30\x82\x01\x0a")
    for name, problem in {
        "missing.pem": "cannot be read: No such file or directory",
        ".": "cannot be read: Is a directory",
        "der.pem": r"holds no certificate in PEM .*openssl x509 -inform der",
    }.items():
        section = f"[{key.rpartition('.')[0]}]\nca_file = '{name}'\n"
        (tmp_path / "otpcore.toml").write_text(section, encoding="utf-8")
        with pytest.raises(SettingsError, match=rf"^{key}: {tmp_path}/?{name.strip('.')}.* {problem}"):
            load(load_settings(tmp_path / "otpcore.toml"))


@pytest.fixture(params=[TwilioSimulator, SinchSimulator, MadaSimulator], ids=["twilio", "sinch", "mada"])
def simulator(request):
    with request.param() as running:
        yield running


def settings_of(simulator: Simulator, tmp_path: Path, *, own: dict[str, str], **more):
    name = type(simulator).__name__.removesuffix("Simulator").lower()
    keys = generate_keys(utc_now())
    return {
        "otp_sms_provider": name,
        "providers": {name: {**simulator.provider_settings(), **own}},
        "keys": {"index": keys.index, "code": dict(keys.code), "current": keys.current},
        "storage": {"url": f"sqlite:///{tmp_path / 'otp.sqlite3'}"},
        **more,
    }


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_every_provider_of_ours_goes_the_way_of_the_settings(simulator, proxy, tmp_path):
    ways = [
        ({}, {"http": {"proxy": proxy.url}}, 1),
        ({"proxy": proxy.url}, {}, 1),
        ({"proxy": "direct"}, {"http": {"proxy": "http://127.0.0.1:9"}}, 0),
    ]
    for number, (own, more, times) in enumerate(ways):
        proxy.seen.clear()
        async with AsyncOTPService(settings_of(simulator, tmp_path, own=own, **more)) as otp:
            phone = f"+35987123456{number}"
            await otp.send_sms(phone)
            assert len(proxy.seen) == times
            assert await otp.verify(phone, simulator.inbox[-1].code)
    assert len(simulator.inbox) == 3
