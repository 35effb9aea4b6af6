"""Which addresses of a vendor are good, and which certificates."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from otpcore.errors import ErrorKind, SettingsError
from otpcore.http import transport as _http_transport
from otpcore.http.client import check_base_url

from .clients import client_of, failure_of


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@pytest.fixture
def tls_port(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            try:
                with context.wrap_socket(listener.accept()[0], server_side=True) as accepted:
                    while (read := accepted.recv(65536)) and not read.endswith(b"x"):
                        pass  # the body comes after the head; closing before it has been read would reset the connection
                    accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
            except OSError:
                pass  # the client does not trust us

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


async def test_an_untrusted_certificate_is_unavailable_and_nothing_is_sent(tls_port):
    async with client_of(f"https://localhost:{tls_port}") as client:
        assert (await failure_of(client.request("POST", "/", content=b"x"))).kind is ErrorKind.UNAVAILABLE


async def test_the_shared_ssl_context_is_the_one_that_decides(tls_port, certificate, monkeypatch):
    trusting = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr(_http_transport, "_shared_ssl_context", lambda: trusting)
    async with client_of(f"https://localhost:{tls_port}") as client:
        assert (await client.request("POST", "/", content=b"x")).body == b"hi"


@pytest.mark.parametrize(
    ("url", "result"),
    [
        ("https://api.acme.example/", "https://api.acme.example"),
        ("https://api.acme.example:8443/a/b//", "https://api.acme.example:8443/a/b"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://[::1]:80", "http://[::1]:80"),
        ("https://api.acme.example:65535", "https://api.acme.example:65535"),
        ("http://LOCALHOST/x", "http://LOCALHOST/x"),
    ],
)
def test_https_and_loopback_are_good_base_urls(url, result):
    assert check_base_url(url, key="providers.acme.base_url") == result


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("http://api.acme.example", "https"),
        ("http://localhost.evil.example", "https"),
        ("http://10.0.0.1", "https"),
        ("ftp://api.acme.example", "https://host"),
        ("api.acme.example", "https://host"),
        ("https://", "https://host"),
        ("https://api.acme.example:port", "https://host"),
        ("https://api.acme.example:0", "port of an address must be 1 to 65535"),
        ("https://api.acme.example:65536/a", "port of an address must be 1 to 65535"),
        ("http://[::1]:0", "port of an address must be 1 to 65535"),
        ("https://api acme.example", "https://host"),
        ("https://пример.example", "https://host"),
        ("https://user:correct-horse@api.acme.example", "user name"),
        ("https://api.acme.example/?a=1", "query"),
        ("https://api.acme.example/#a", "query"),
    ],
)
def test_a_bad_base_url_is_refused_by_key_with_the_fix_and_unquoted(url, hint):
    with pytest.raises(SettingsError, match=rf"^providers\.acme\.base_url: .*{hint}") as caught:
        check_base_url(url, key="providers.acme.base_url")
    assert "correct-horse" not in str(caught.value)


def test_plain_http_is_allowed_by_name_only():
    assert check_base_url("http://10.0.0.1/sos", key="k", allow_plain_http=True) == "http://10.0.0.1/sos"


def test_the_setting_that_allows_plain_http_is_named_only_where_the_plugin_has_it():
    with pytest.raises(SettingsError, match="set allow_plain_http = true"):
        check_base_url("http://10.0.0.1/sos", key="k", allow_plain_http=False)
    with pytest.raises(SettingsError, match=r"use https$"):
        check_base_url("http://10.0.0.1/sos", key="k")
