"""Who counts as one client: the address, in whatever form a server or a proxy tells it."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpcore import InvalidArgument, RateLimited
from otpcore.rate_limits.clients import client_address, is_list, names_nobody, same_client
from otpcore.testing import Outbox, wrong_code

ADDRESS = "203.0.113.9"
OTHERS = [f"+35988123{number:04d}" for number in range(100, 10_000, 101)]

v4 = st.ip_addresses(v=4)
v6 = st.ip_addresses(v=6, network="2000::/3").filter(lambda one: one.sixtofour is None and one.teredo is None)
ports = st.integers(1, 65_535)
V4_FORMS: list[Callable[[ipaddress.IPv4Address, int], str]] = [
    lambda one, port: f"{one}",
    lambda one, port: f" {one}\u200e\t",
    lambda one, port: f"{one}:{port}",
    lambda one, port: f"[{one}]:{port}",
    lambda one, port: f"ipv4:{one}:{port}",
    lambda one, port: f'for="{one}:{port}";proto=https;by=192.0.2.1',
    lambda one, port: f"For={one}",
    lambda one, port: f"198.51.100.{port % 256}, {one}",
    lambda one, port: f"for=198.51.100.{port % 256}, for={one}",
    lambda one, port: ".".join(f"{int(part):03d}" for part in str(one).split(".")),
    lambda one, port: f"{one}/32",
    lambda one, port: f"{one}.",
    lambda one, port: f"{one}, ",
    lambda one, port: f"('{one}', {port})",  # str() of a socket's peer
    lambda one, port: f"Address(host='{one}', port={port})",  # str() of Starlette's request.client
    lambda one, port: f"http://{one}:{port}",
    lambda one, port: f"tcp://{one}:{port}",
    lambda one, port: f"/{one}:{port}",
    lambda one, port: f"{one} {port}",
    lambda one, port: f"{one} : {port}",
    lambda one, port: f"{one}|{port}",
    lambda one, port: f"::ffff:{one}",
    lambda one, port: f"[::FFFF:{one}]:{port}",
    lambda one, port: f"::ffff:{one}%eth{port}",
    lambda one, port: f"::ffff:0:{one}",
    lambda one, port: f"64:ff9b::{one}",
    lambda one, port: f"64:ff9b:1::{one}",
    lambda one, port: f"64:ff9b:1:{port:x}::{one}",
    lambda one, port: str(ipaddress.IPv6Address((0x2002 << 112) | int(one) << 80 | port)),
    lambda one, port: str(ipaddress.IPv6Address((0x20010000 << 96) | port << 32 | (int(one) ^ 0xFFFFFFFF))),
]
V6_FORMS: list[Callable[[ipaddress.IPv6Address, int], str]] = [
    lambda one, port: f"{one}",
    lambda one, port: f"[{one}]",
    lambda one, port: f"[{one}]:{port}",
    lambda one, port: f"{one.exploded.upper()}:{port}",
    lambda one, port: f"{ipaddress.IPv6Address(int(one) >> 64 << 64)}:{10_000 + port % 50_000}",
    lambda one, port: f"{one}%eth{port}",
    lambda one, port: f"('{one}', {port}, 0, 0)",
    lambda one, port: f"Address(host='{one}', port={port})",
    lambda one, port: f"{one} {port}",
    lambda one, port: f"{one}/128",
    lambda one, port: f'for="[{one}]:{port}"',
    lambda one, port: f"ipv6:%5B{one}%5D:{port}",
    lambda one, port: str(ipaddress.IPv6Address(int(one) >> 64 << 64 | port)),
]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [getattr(record, "otp_event", "") for record in caplog.records if record.levelno >= logging.ERROR]


@given(v4.filter(lambda one: int(one) > 1), ports, st.sampled_from(V4_FORMS))
def test_an_ipv4_client_is_one_in_every_form(
    address: ipaddress.IPv4Address, port: int, form: Callable[[ipaddress.IPv4Address, int], str]
) -> None:
    assert same_client(form(address, port)) == str(address)


@given(v6, ports, st.sampled_from(V6_FORMS))
def test_an_ipv6_client_counts_by_its_network_in_every_form(
    address: ipaddress.IPv6Address, port: int, form: Callable[[ipaddress.IPv6Address, int], str]
) -> None:
    assert same_client(form(address, port)) == str(ipaddress.IPv6Network((int(address), 64), strict=False))


@given(v4.filter(lambda one: int(one) > 1), v4.filter(lambda one: int(one) > 1))
def test_ipv4_clients_are_told_apart(one: ipaddress.IPv4Address, other: ipaddress.IPv4Address) -> None:
    for form in V4_FORMS:
        assert (same_client(form(one, 80)) == same_client(str(other))) == (one == other)


@given(v6, v6)
def test_different_networks_are_different_clients(one: ipaddress.IPv6Address, other: ipaddress.IPv6Address) -> None:
    assert (same_client(str(one)) == same_client(str(other))) == (int(one) >> 64 == int(other) >> 64)


@given(st.text())
def test_any_text_is_a_client_and_always_the_same(client: str) -> None:
    assert same_client(same_client(client)) == same_client(client)


@pytest.mark.parametrize("client", ["session-4711", "Acme, Inc.", "user:42", "1.2.3", "203.0.113.300", "a1b2c3"])
def test_what_is_no_address_is_a_client_as_it_is(client: str) -> None:
    assert same_client(client) == client
    assert not is_list(client)


def test_a_header_of_any_length_ends_with_the_client() -> None:
    assert same_client("198.51.100.1, " * 100_000 + ADDRESS) == ADDRESS
    assert same_client("x" * 1_000_000) == "x" * 1_000_000


def test_loopback_is_a_client_and_a_socket_is_none() -> None:
    assert same_client("::1") == "::/64"
    assert same_client("127.0.0.1:8080") == "127.0.0.1"
    nobody = ["", " ", "\ufeff", "unix:", "unix:/run/web", "unknown", '"unknown"', "-"]
    nobody += ["for=unknown;proto=https", f"{ADDRESS}, unknown", f"for={ADDRESS}, for=unknown", "('', 0)", ","]
    assert [one for one in nobody if not names_nobody(one)] == []
    assert not any(names_nobody(one) for one in ("127.0.0.1", "::1", "unixer", "None", f"unknown, {ADDRESS}"))


@pytest.mark.parametrize("form", V4_FORMS)
async def test_no_form_of_a_client_gets_more_than_the_limit(
    otp_outbox: Outbox, form: Callable[[ipaddress.IPv4Address, int], str]
) -> None:
    limits = {"client": ["3/1h"], "phone": [], "neighbours": []}
    async with otp_outbox.service({"limits": limits}) as otp:
        await otp.send_sms(OTHERS[0], client=ADDRESS)
        for phone, port in zip(OTHERS[1:3], (50_101, 50_102), strict=True):
            await otp.send_sms(phone, client=form(ipaddress.IPv4Address(ADDRESS), port))
        with pytest.raises(RateLimited, match="client"):
            await otp.send_sms(OTHERS[3], client=form(ipaddress.IPv4Address(ADDRESS), 50_103))


async def test_wrong_codes_lock_the_address_and_not_each_of_its_ports(otp_outbox: Outbox) -> None:
    phone = OTHERS[0]
    async with otp_outbox.service({"limits": {"phone": [], "lock_after": 3}, "otp": {"attempts": 5}}) as otp:
        await otp.send_sms(phone)
        wrong = wrong_code(otp_outbox.code)
        for port in range(3):
            assert not await otp.verify(phone, wrong, client=f"{ADDRESS}:{50_101 + port}")
        with pytest.raises(RateLimited, match="locked"):
            await otp.verify(phone, wrong, client=f"{ADDRESS}:50104")


@pytest.mark.parametrize("client", ["", "  ", "unix:", "\u200b", "unknown"])
async def test_a_client_that_names_nobody_is_said_once_and_stops_nobody(
    otp_outbox: Outbox, caplog: pytest.LogCaptureFixture, client: str
) -> None:
    async with otp_outbox.service({"limits": {"client": ["1/1h"], "phone": [], "neighbours": []}}) as otp:
        for phone in OTHERS[:3]:
            await otp.send_sms(phone, client=client)
            await otp.verify(phone, "", client=client)
    assert said(caplog) == ["client_missing"]


async def test_a_list_of_addresses_is_said_once(otp_outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    async with otp_outbox.service({"limits": {"phone": [], "neighbours": []}}) as otp:
        for phone in OTHERS[:2]:
            await otp.send_sms(phone, client=f"198.51.100.1, {ADDRESS}")
    assert said(caplog) == ["client_list"]
    assert ADDRESS not in caplog.text


@pytest.mark.parametrize("client", [4711, b"203.0.113.9", ("203.0.113.9", 50_101), ipaddress.ip_address(ADDRESS)])
async def test_a_client_that_is_no_text_is_refused_at_the_edge(otp_outbox: Outbox, client: object) -> None:
    async with otp_outbox.service() as otp:
        with pytest.raises(InvalidArgument, match=f"client must be text, not {type(client).__name__}"):
            await otp.send_sms(OTHERS[0], client=client)  # type: ignore[arg-type] # what hosts do
        assert otp_outbox.messages == []


@pytest.mark.parametrize(
    ("client", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:443", "203.0.113.7"),
        ("198.51.100.9, 203.0.113.7", "203.0.113.7"),
        ('for="[2001:db8::1]:80";proto=https', "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("session-7", ""),
        ("unix:", ""),
        ("", ""),
    ],
)
def test_the_address_that_a_client_names_is_told_whole(client: str, address: str) -> None:
    assert client_address(client) == address


@pytest.mark.parametrize(
    "written", ["203.0.113.9.50101", "203.0.113.9/50101", "203.0.113.9:", "::ffff:203.0.113.9.50101"]
)
def test_a_port_as_other_tools_write_it_does_not_make_another_client(written):
    assert same_client(written) == "203.0.113.9"


@pytest.mark.parametrize("written", ["2001:db8::1.50101", "[2001:db8::1].50101", "[2001:db8::1]:", "2001:db8::1/50101"])
def test_nor_does_it_behind_an_ipv6_address(written):
    assert same_client(written) == "2001:db8::/64"


def test_a_network_is_no_address_with_a_port():
    assert same_client("203.0.113.0/24") == "203.0.113.0/24"
