"""A vendor on a raw socket that reads one request and then does what a test tells it; and certificates for it."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["Certificates", "RawVendor", "reset"]

Script = Callable[[socket.socket, threading.Event], None]

_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class RawVendor:
    """Listens on loopback; every connection runs the script, in a thread, until the vendor is closed.

    Args:
        script: Gets the connection and an event that ends it.
        reads: Read the whole request before the script runs.
        tls: The server's side of TLS.
    """

    def __init__(self, script: Script, *, reads: bool = True, tls: ssl.SSLContext | None = None) -> None:
        self._script, self._reads, self._tls = script, reads, tls
        self.requests = 0
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                accepted, _ = self._listener.accept()
                thread = threading.Thread(target=self._converse, args=(accepted,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _converse(self, accepted: socket.socket) -> None:
        accepted.settimeout(5)
        with contextlib.suppress(OSError), accepted:  # the client has gone, or does not trust us
            connection = self._tls.wrap_socket(accepted, server_side=True) if self._tls else accepted
            with connection:
                if self._reads:
                    self._read(connection)
                self._script(connection, self._over)

    def _read(self, connection: socket.socket) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536) or self._ended()
        head, _, body = received.partition(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        while lengths and len(body) < int(lengths[0]):
            body += connection.recv(65536) or self._ended()
        self.requests += 1

    @staticmethod
    def _ended() -> bytes:
        raise ConnectionError


def reset(connection: socket.socket, _: object = None) -> None:
    """RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@attrs.frozen
class Certificates:
    """An authority and servers' certificates under it, in a directory."""

    directory: Path

    @property
    def authority(self) -> Path:
        """Its certificate, for whoever trusts it."""
        return self.directory / "authority.pem"

    def server(self, name: str, *, signed: bool = True, days: tuple[int, int] = (-1, 1)) -> ssl.SSLContext:
        """A server's context for a host name; ``signed``: by the authority, else by itself; valid on these days from now."""
        key, today = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
        signer, issuer = self._authority() if signed else (key, _named(name))
        made = (
            x509.CertificateBuilder(issuer, _named(name), key.public_key(), x509.random_serial_number())
            .not_valid_before(today + dt.timedelta(days=days[0]))
            .not_valid_after(today + dt.timedelta(days=days[1]))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
            .sign(signer, hashes.SHA256())
        )
        path = self.directory / f"{name}-{made.serial_number}.pem"
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + _written(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _authority(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Name]:
        name, path = _named("authority"), self.directory / "authority.key"
        if path.exists():
            key = serialization.load_pem_private_key(path.read_bytes(), None)
            assert isinstance(key, ec.EllipticCurvePrivateKey)
            return key, name
        key, today = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
        made = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(today - dt.timedelta(days=30))
            .not_valid_after(today + dt.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(_SIGNS_CERTIFICATES, critical=True)  # as RFC 5280 asks, and Python 3.13 checks
            .sign(key, hashes.SHA256())
        )
        path.write_bytes(_written(key))
        self.authority.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return key, name


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _written(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
