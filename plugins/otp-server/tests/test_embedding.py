"""Within a host's own application: mounted below a path, or included as a router, under a real server."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import attrs
import httpx
import otp_server
import pytest
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException
from otp_server.keys import Kind, Scope
from page_client import Person

from otpcore import AsyncOTPService
from otpcore.testing import Outbox

START = "/otp/v1/verifications"
MINE = "+359871234567"
THEIRS = "+359887654321"


@attrs.define(eq=False)
class Host:
    """A host's application that answers."""

    url: str
    otp: AsyncOTPService
    outbox: Outbox
    client: httpx.Client
    do: Callable[[Any], Any]
    server: Any

    def confirm(self, phone: str, purpose: str = "pay", **more: Any) -> str:
        """A verification that was approved."""
        begun = self.client.post(START, json={"to": phone, "purpose": purpose, **more}).json()
        code = {"code": self.outbox.messages[-1].code}
        assert self.client.post(f"{START}/{begun['id']}/check", json=code).json()["valid"] is True
        return str(begun["id"])

    def pay(self, verification: str | None, account: str = MINE) -> httpx.Response:
        named = {} if verification is None else {"OTP-Verification": verification}
        return httpx.post(f"{self.url}/pay", headers={"Account": account, **named}, timeout=60)


@contextlib.contextmanager
def serving(app: FastAPI) -> Iterator[tuple[str, asyncio.AbstractEventLoop]]:
    """Serve an application: its address, and where it runs."""
    runs = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve(listening: socket.socket) -> None:
        loops.append(asyncio.get_running_loop())
        await runs.serve(sockets=[listening])

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=lambda: asyncio.run(serve(listening)), daemon=True)
        thread.start()
        end = time.monotonic() + 60
        while not runs.started and thread.is_alive() and time.monotonic() < end:
            time.sleep(0.01)
        assert runs.started
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", loops[0]
        runs.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


@contextlib.contextmanager
def hosted(make: Callable[[AsyncOTPService], FastAPI], path: Path, **server: Any) -> Iterator[Host]:
    """Serve what ``make`` makes, with a live key for it."""
    outbox = Outbox()
    settings = {
        **outbox.settings,
        "storage": {"url": f"sqlite:///{path}/otp.sqlite3"},
        "limits": {"phone": [], "client": []},
        "server": server,
    }
    otp = AsyncOTPService(settings, providers=outbox.providers)
    app = make(otp)
    with serving(app) as (url, loop):

        def do(work: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(work, loop).result(60)

        open_server = app.state.otp_server
        token = do(open_server.keys.new(Kind.LIVE, scopes=[*Scope], by="the test")).token
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
            yield Host(url, otp, outbox, client, do, open_server)


def mounting(otp: AsyncOTPService) -> FastAPI:
    """As the README says."""
    service = otp_server.create_app(otp)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.router.lifespan_context(service):
            app.state.otp_server = service.state.otp_server
            yield

    app = FastAPI(lifespan=lifespan)
    app.mount("/otp", service)
    return app


def number_of_the_account(account: Annotated[str, Header()]) -> str:
    return account


PAID = otp_server.verified("pay", phone=number_of_the_account)


def including(otp: AsyncOTPService) -> FastAPI:
    """A host that opens its service by itself, and lets addresses of its own through for who confirmed a number."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with otp:
            yield

    def not_on_sundays(sunday: Annotated[str, Header()] = "") -> None:
        if sunday:
            raise HTTPException(418, "closed")

    app = FastAPI(lifespan=lifespan)
    app.include_router(otp_server.router(otp, prefix="/otp"), dependencies=[Depends(not_on_sundays)])

    @app.post("/pay")
    async def pay(proof: Annotated[otp_server.Verified, Depends(PAID)]) -> dict[str, str]:
        return {"by": proof.phone, "proof": proof.id}

    @app.post("/sign-up")
    async def sign_up(proof: Annotated[otp_server.Verified, Depends(otp_server.verified("sign-up"))]) -> str:
        return proof.phone

    return app


@pytest.mark.parametrize("make", [mounting, including])
@pytest.mark.parametrize("public", ["", "https://shop.example/codes"])
def test_everything_lies_below_the_path(make: Callable[..., FastAPI], public: str, tmp_path: Path) -> None:
    with hosted(make, tmp_path, public_url=public) as host:
        answer = host.client.post(START, json={"to": MINE, "page": {}, "channels": ["sms", "call"]})
        assert answer.status_code == 202, answer.text
        base = "/codes" if public else "/otp"
        assert answer.headers["location"] == f"{base}/v1/verifications/{answer.json()['id']}"
        if make is mounting:
            assert host.client.get("/otp/openapi.json").json()["servers"] == [{"url": base}]
        page_url = answer.json()["page_url"]
        assert page_url.startswith(f"{public or host.url + '/otp'}/v/")
        inside = f"{host.url}/otp/v/{page_url.rpartition('/')[2]}"
        secure = {"cookie": "__Host-otp-page=abc"} if public else {}
        person = Person(inside, **secure)
        seen = person.look()
        assert seen.heading == "Enter your code"
        links = [part.split('"')[0] for part in seen.text.replace("src=", "href=").split('href="')[1:]]
        forms = [part.split('"')[0] for part in seen.text.split('action="')[1:]]
        ours = [one for one in links + forms if one.startswith("/")]
        assert len(ours) >= 5
        assert all(one.startswith(f"{base}/") for one in ours), ours
        for one in links:
            if one.startswith("/"):
                assert httpx.get(f"{host.url}/otp{one.removeprefix(base)}").status_code == 200, one
        sent = person.post(code=host.outbox.messages[-1].code)
        assert (sent.status_code, sent.headers["location"]) == (303, f"{base}/v/{page_url.rpartition('/')[2]}")
        assert person.look().heading == "Your number is confirmed"
        person.client.close()


@pytest.mark.parametrize("make", [mounting, including])
def test_what_is_refused_is_a_problem_below_the_path_too(make: Callable[..., FastAPI], tmp_path: Path) -> None:
    with hosted(make, tmp_path) as host:
        assert httpx.post(host.url + START, json={"to": MINE}).json()["reason"] == "unauthorized"
        wrong = host.client.post(START, json={"to": MINE, "surplus": "x"})
        assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/surplus")
        assert host.client.post(START, content="x" * 17_000).json()["reason"] == "too_large"
        typed = host.client.post(START, content="to=1", headers={"Content-Type": "text/plain"})
        assert (typed.status_code, typed.json()["reason"]) == (415, "media_type")
        assert "x-request-id" in typed.headers
        assert host.client.post("/otp/v1/receipts/nobody", content="a=b").status_code == 404
        assert host.client.get("/otp/healthz").json() == {"status": "alive"}
        assert "otp_ready" in host.client.get("/otp/metrics").text


def test_a_hosts_own_dependencies_description_and_service_are_its_own(tmp_path: Path) -> None:
    with hosted(including, tmp_path) as host:
        closed = host.client.post(START, json={"to": MINE}, headers={"Sunday": "yes"})
        assert (closed.status_code, closed.json()) == (418, {"detail": "closed"})
        assert f"{START}/{{verification_id}}/check" in host.client.get("/openapi.json").json()["paths"]
        assert host.do(host.otp.send_sms(THEIRS)).id
        assert host.client.get("/nowhere").json() == {"detail": "Not Found"}
    with pytest.raises(RuntimeError, match="not open"):
        _ = host.otp.store


def test_a_proof_lets_its_own_account_through_once(tmp_path: Path) -> None:
    with hosted(including, tmp_path) as host:
        proof = host.confirm(MINE)
        assert host.pay(proof, THEIRS).status_code == 403
        paid = host.pay(proof, "+359 87 123 4567")
        assert (paid.status_code, paid.json()) == (200, {"by": MINE, "proof": proof})
        again = host.pay(proof)
        assert (again.status_code, again.json()) == (403, host.pay(None).json())
        answers: list[int] = []
        second = host.confirm(MINE)
        threads = [threading.Thread(target=lambda: answers.append(host.pay(second).status_code)) for _ in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join(60)
        assert sorted(answers) == [200] + [403] * 7
        anybodys = host.confirm(THEIRS, "sign-up")
        assert httpx.post(f"{host.url}/sign-up", headers={"OTP-Verification": anybodys}).json() == THEIRS


def test_what_proves_nothing_is_refused_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hosted(including, tmp_path) as host:
        pending = host.client.post(START, json={"to": THEIRS, "purpose": "pay"}).json()["id"]
        other = host.confirm(MINE, "sign-in")
        test_key = host.do(host.server.keys.new(Kind.TEST, by="the test")).token
        named = {"Authorization": f"Bearer {test_key}"}
        tried = httpx.post(host.url + START, json={"to": MINE, "purpose": "pay"}, headers=named).json()["id"]
        code = {"code": host.server.sandbox.sandbox_inbox()[-1].code}
        assert httpx.post(f"{host.url}{START}/{tried}/check", json=code, headers=named).json()["valid"] is True
        late = host.confirm(MINE)
        refused = [host.pay(one) for one in (None, "", "unknown", "x" * 64, pending, other, tried)]
        refused.append(host.pay(late, "no number"))
        proofs = pytest.importorskip("otp_server.proofs")

        class Later(proofs.datetime):  # type: ignore[misc,name-defined]
            @classmethod
            def now(cls, zone: Any = None) -> Any:
                return super().now(zone) + timedelta(seconds=301)

        monkeypatch.setattr(proofs, "datetime", Later)
        refused.append(host.pay(late))
        assert {(one.status_code, one.text) for one in refused} == {(403, refused[0].text)}


async def test_without_a_router_it_says_what_is_missing() -> None:
    dependency = otp_server.verified("pay")
    request = type("Request", (), {"app": FastAPI()})()
    with pytest.raises(RuntimeError, match=r"include otp_server\.router"):
        await dependency(request, "x", None)


def test_the_example_of_the_page_is_such_an_application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).parents[3] / "docs" / "service.md"
    if not page.exists():
        pytest.skip("the page is in the repository")
    (example,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for name, value in {"SMS__SANDBOX": "true", "OTP_SMS_PROVIDER": "anyone", "STORAGE__STORE": "memory"}.items():
        monkeypatch.setenv(f"OTPCORE_{name}", value)
    made: dict[str, Any] = {}
    exec(example, made)  # the page's own text
    made["app"].dependency_overrides[made["number_of"]] = lambda: MINE
    with serving(made["app"]) as (url, _):
        assert httpx.get(f"{url}/otp/healthz").json() == {"status": "alive"}
        assert httpx.post(f"{url}/pay").status_code == 403
