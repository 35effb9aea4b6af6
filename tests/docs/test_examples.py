"""The examples, each run as a real server or program against vendors on loopback, on TCP and on a Unix socket behind a proxy."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

import attrs
import httpx
import pytest
from sqlalchemy import make_url

from otpcore.providers.provider import SIMULATORS
from otpcore.simulators.callbacks import call
from otpcore.simulators.simulator import Simulator, running
from otpcore.testing import wrong_code

from .. import gateways  # noqa: TID252 - tests are no package that could be imported by name
from ..forwarding import PEER  # noqa: TID252 - the same
from ..own_servers import postgres_server  # noqa: TID252 - the same
from ..preloaded import Preloaded  # noqa: TID252 - the same
from .sites import ADDRESSES, EXAMPLES, PATIENCE, PHONES, SITES, Host, Site, prepare_django

OTHER = "+359881234567"
UNREACHABLE = "+15005550603"
PROMPT = "Code sent to +3598******67: "


@pytest.fixture(scope="module")
def vendors() -> Iterator[dict[str, Simulator]]:
    simulators = {point.name: point.load()() for point in entry_points(group=SIMULATORS) if point.name in PHONES}
    simulators["bell"] = gateways.BellSimulator()
    with running(*simulators.values()):
        yield simulators


@pytest.fixture(scope="module", params=SITES)
def site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    vendors: Mapping[str, Simulator],
    forked: Preloaded,
) -> Iterator[Site]:
    host = Host.set_up(tmp_path_factory.mktemp(request.param), vendors, forked.python)
    with contextlib.ExitStack() as stack:
        if request.param == "django-unix":
            url = make_url(stack.enter_context(postgres_server()))
            host.environment.update(PGDATABASE=url.database, PGUSER=url.username, PGHOST=url.query["host"])
        if request.param.startswith("django"):
            prepare_django(host)
        proxied, address = stack.enter_context(host.served(SITES[request.param]))
        client = stack.enter_context(httpx.Client(base_url=proxied, timeout=PATIENCE, trust_env=False))
        first = client.get("/")  # it waits until the server listens
        if request.param.startswith("django"):
            client.headers["X-CSRFToken"] = first.json()["csrf_token"]
        vendors["sinch"].callback_url = f"{proxied}/receipts/sinch"
        yield Site(host, client, vendors, address, keeps_session=not request.param.startswith("fastapi"))
        vendors["sinch"].callback_url = ""
    log = host.log.read_text(encoding="utf-8")
    assert "Traceback" not in log
    assert not re.search(r"\b[0-9]{6}\b|35987|35988|1202555", log), "a code or a number in the server's log"


def test_there_is_an_example_for_each_kind_of_host():
    assert sorted(folder.name for folder in EXAMPLES.iterdir()) == ["admin", "django", "fastapi", "flask", "trio"]


@pytest.mark.parametrize(("vendor", "phone"), PHONES.items())
def test_a_site_sends_a_code_and_accepts_it_once(site, vendor, phone):
    sent = site.post("/codes", phone=phone)
    assert sent.is_success, sent.text
    message = site.vendors[vendor].inbox[-1]
    assert message.recipient == phone
    guess = {"phone": phone, **sent.json()}
    answers = [
        site.post("/codes/verify", code=code, **guess).json()
        for code in (wrong_code(message.code), message.code, message.code)
    ]
    assert answers == [{"code_valid": False}, {"code_valid": True}, {"code_valid": False}]


def test_a_site_says_with_status_and_reason_what_cannot_be_done(site):
    for phone, error, reason, channel, status in (
        ("+35987", "InvalidPhoneNumber", "", None, 422),
        ("+447400123456", "NoRouteError", "no_route", None, 422),
        ("+359888000011", "DeliveryError", "permanent", None, 422),  # the gateway knows no such recipient
        ("+15005550009", "DeliveryError", "permanent", "call", 422),  # a landline
        (
            "+15005550203",
            "DeliveryError",
            "limit_reached",
            None,
            429,
        ),  # five sends within one verification of the vendor
        ("+15005550401", "DeliveryError", "misconfigured", None, 503),  # wrong credentials: nobody's number is bad
    ):
        refused = site.post("/codes", phone=phone)
        assert (refused.status_code, refused.json()) == (
            status,
            {"error": error, "reason": reason, "try_channel": channel},
        )
    assert [site.post("/codes", phone=OTHER).status_code // 100 for _ in range(4)] == [2, 2, 2, 4]
    refused = site.post("/codes", phone=OTHER)
    assert (refused.status_code, refused.json()["reason"]) == (429, "phone")
    assert 0 < int(refused.headers["Retry-After"]) <= 601


@pytest.mark.parametrize("path", ["/codes", "/codes/verify"])
def test_a_site_refuses_with_a_reason_what_it_cannot_read(site, path):
    right = {"phone": PHONES["mada"], "code": "163406", "challenge_id": "none"}
    read = ["phone"] if path == "/codes" else ["code"] if site.keeps_session else ["phone", "code", "challenge_id"]
    values = [163406, None, ["163406"], {"secret": "163406"}, float("nan")]
    with_wrong_field = [right | {field: value} for field in read for value in values]
    without_one = [{name: value for name, value in right.items() if name != field} for field in read]
    bodies: list[Any] = [*with_wrong_field, *without_one, [], ["163406"], None, 163406, "163406", {}]
    texts = [json.dumps(body) for body in bodies]
    texts += ["", '{"phone": ', "phone=163406", "\0", "[" * 60_000, "1" * 5000]
    for text in texts:
        refused = site.client.post(path, content=text, headers={"Content-Type": "application/json"})
        assert refused.status_code in (400, 413, 422), (text[:100], refused.text)
        assert refused.json()["reason"]
        assert refused.json()["error"]
        assert "163406" not in refused.text
        assert "secret" not in refused.text


@pytest.mark.parametrize(
    ("path", "field"), [("/codes", "phone"), ("/codes/verify", "code"), ("/codes/verify", "challenge_id")]
)
def test_a_site_lives_with_any_text(site, path, field):
    if field == "challenge_id" and site.keeps_session:
        pytest.skip("this site asks for none")
    right = {"phone": PHONES["mada"], "code": "163406", "challenge_id": "none"}
    for text in ("", "\0", "\ud800", "\u202e163406", "\u0661" * 6, "x" * 50_000, "9" * 150):
        answer = site.client.post(
            path,
            content=json.dumps(right | {field: text}),
            headers={"Content-Type": "application/json", PEER: next(ADDRESSES)},
        )
        assert answer.status_code < 500, (text[:10], answer.text)
        assert "x" * 100 not in answer.text


def test_a_client_is_the_address_that_the_proxy_saw_whatever_it_writes_itself(site):
    def status(number: int, address: str, forged: str) -> tuple[int, str]:
        answer = site.post(
            "/codes", phone=f"+35987123{number:04}", address=address, headers={"X-Forwarded-For": forged}
        )
        return answer.status_code, answer.json().get("reason", "")

    forgeries = ["192.0.2.7", "127.0.0.1", "192.0.2.8, 127.0.0.1", "", "unknown", "192.0.2.9:80"]
    seen = [status(number, "203.0.113.50", forged) for number, forged in enumerate(forgeries, 5000)]
    assert seen == [*[(202, "")] * 4, (429, "client"), (429, "client")]
    assert status(5010, "203.0.113.51", "203.0.113.50") == (202, "")
    for proxy in ("127.0.0.1:4711", "[127.0.0.1]:4711"):  # one more of ours, which is written with its port
        assert status(5011, proxy, "203.0.113.50") == (429, "client")


@pytest.mark.skipif(sys.platform != "linux", reason="only here has loopback a second address")
def test_whoever_is_no_proxy_of_ours_is_not_believed_and_nobody_is_no_error(site):
    forged = [{"X-Forwarded-For": f"192.0.2.{last}"} for last in range(4)]
    for own, headers in (("127.0.0.2", [{}, *forged]), ("127.0.0.1", [{}] * 5)):  # the second is that of our proxy
        with site.past_the_proxy(own) as direct:
            seen = [
                direct.post("/codes", json={"phone": f"+35987123{own[-1]}{number}"}, headers=header).status_code
                for number, header in enumerate(headers, 600)
            ]
        if isinstance(
            site.address, str
        ):  # whoever may connect to the socket is a proxy; that it says nothing is its host's error
            assert seen == [202] * 5
            assert site.said().count("client names nobody") in (1, 2)  # once a worker
        else:
            assert seen == [*[202] * 4, 429]


def test_receipts_go_on_with_a_send_and_what_is_not_signed_is_refused(site):
    before = len(site.vendors["twilio"].callbacks)
    assert site.post("/codes", phone=UNREACHABLE).status_code in (202, 503)  # the receipt may be faster than the answer
    site.vendors["twilio"].wait_for_callbacks()
    *_, told = site.vendors["twilio"].callbacks[before:]
    assert call(told)[0] == 204
    assert call(attrs.evolve(told, body=told.body + b"&x=1"))[0] == 403
    assert call(attrs.evolve(told, url=told.url.replace("/texts", "/nobody")))[0] == 404
    assert call(attrs.evolve(told, url=told.url.replace("/texts", "/mada")))[0] == 404
    assert "receipt_refused" in site.said()


def test_a_vendor_that_asks_before_it_sends_is_answered(site):
    sinch = site.vendors["sinch"]
    before = len(sinch.callbacks)
    assert site.post("/codes", phone=f"{PHONES['sinch'][:-2]}88").status_code == 202
    sinch.wait_for_callbacks()
    asked = sinch.callbacks[before:]
    assert asked, "Sinch asked, and sent after it was answered"
    assert call(asked[-1])[0] == 204


def test_receipts_of_a_vendor_that_signs_nothing_come_to_an_address_of_their_message(site):
    bell = site.vendors["bell"]
    before = len(bell.callbacks)
    assert site.post("/codes", phone="+33612345678").status_code == 202
    bell.wait_for_callbacks()
    *_, told = bell.callbacks[before:]
    assert (told.method, call(told)) == ("GET", (200, b"OK"))
    address, _, query = told.url.partition("?")
    base, delivery, proof = address.rsplit("/", 2)
    for other in (base, f"{base}/{delivery}/{proof[::-1]}", f"{base}/0{delivery}/{proof}"):
        assert call(attrs.evolve(told, url=f"{other}?{query}"))[0] == 403


def test_an_outage_is_told_once_in_the_log(site):
    site.vendors["mada"].down()
    try:
        refused = [site.post("/codes", phone=f"+35988123{number:04}") for number in range(7000, 7006)]
    finally:
        site.vendors["mada"].up()
    assert {one.status_code for one in refused} == {503}
    assert refused[0].json() == {"error": "DeliveryError", "reason": "failed", "try_channel": None}
    (line,) = [line for line in site.said().splitlines() if "otpcore.events" in line and "instance=mada" in line]
    assert "WARNING otpcore.events: breaker_opened" in line


def test_the_trio_program_verifies_a_phone(tmp_path, vendors, forked: Preloaded):
    host = Host.set_up(tmp_path, vendors, forked.python)
    with verifying(host, PHONES["mada"]) as first, verifying(host, PHONES["mada"]) as second:
        assert {first.stdout.read(len(PROMPT)), second.stdout.read(len(PROMPT))} == {PROMPT}
        code = vendors["mada"].inbox[-1].code
        said, _ = first.communicate(f"{wrong_code(code)}\n{code}\n", PATIENCE)
        assert (said, first.returncode) == ("Wrong; 4 more to try: ", 0)
        said, _ = second.communicate(f"{code}\n", PATIENCE)
        assert (said, second.returncode) == ("This code can no longer be used.\n", 1)


def test_the_trio_program_says_in_one_line_what_is_wrong(tmp_path, vendors, forked: Preloaded):
    host = Host.set_up(tmp_path, vendors, forked.python)
    for words, environment, said, status in (
        (["+35987"], {}, "This is not a phone number.", 1),
        (["+359888000011"], {}, "This number cannot be reached.", 1),  # the gateway knows no such recipient
        ([PHONES["mada"]], {}, "No code was typed.", 1),
        ([PHONES["mada"]], {"OTPCORE_PROVIDERS__MADA__URL": "nonsense"}, "providers.mada.url", 1),
    ):
        ran = subprocess.run(
            [host.python, str(EXAMPLES / "trio" / "verify_phone.py"), *words],
            cwd=host.directory,
            env=host.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == status
        assert said in ran.stderr.splitlines()[-1], "in the last line, which is for the person"
        assert "Traceback" not in ran.stderr


@contextlib.contextmanager
def verifying(host: Host, phone: str) -> Iterator[subprocess.Popen[str]]:
    """The trio program."""
    with subprocess.Popen(
        [host.python, str(EXAMPLES / "trio" / "verify_phone.py"), phone],
        cwd=host.directory,
        env=host.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as program:
        try:
            yield program
        finally:
            program.kill()
