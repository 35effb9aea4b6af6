"""Every snippet of docs/flask.md, run; and its table."""

from __future__ import annotations

import asyncio
import re
import types
from pathlib import Path

import pytest
from flask import Flask, render_template_string, session
from otp_flask import conf, verified_phone
from otp_flask.testing import fixtures
from otp_flask_settings import KEY, settings
from werkzeug.datastructures import MultiDict

from otpcore.cli import ExitCode

PAGE_FILE = Path(__file__).parents[3] / "docs" / "flask.md"
PAGE = PAGE_FILE.read_text(encoding="utf-8") if PAGE_FILE.exists() else ""
PHONE = "+359871234567"

pytestmark = pytest.mark.skipif(not PAGE, reason="the page lies in the repository, not in the distribution")


def executed(name: str) -> types.SimpleNamespace:
    """What the block makes whose first line names this file."""
    (block,) = re.findall(rf"```python\n# {re.escape(name)}\n(.*?)```", PAGE, re.DOTALL)
    namespace: dict[str, object] = {"__name__": f"page_{name.partition('.')[0]}"}
    exec(compile(block, name, "exec"), namespace)
    return types.SimpleNamespace(**namespace)


def test_the_settings_are_ones_that_can_be_used(monkeypatch):
    pytest.importorskip("otp_twilio")
    for name in re.findall(r'os\.environ\["(\w+)"\]', PAGE):
        monkeypatch.setenv(name, KEY if name.endswith("_KEY") else f"AC{'0' * 32}")
    monkeypatch.setenv("TWILIO_SERVICE_SID", f"VA{'0' * 32}")
    monkeypatch.setenv("OTP_DATABASE_URL", "postgresql://otp@db.example/otp")
    app = Flask("page")
    app.config["OTPCORE"] = executed("settings.py").OTPCORE
    assert conf.load(app).otp.app == "Shop"


def test_the_keys_of_the_extension_are_those_of_the_table():
    section = PAGE.partition("\n## Settings\n")[2].partition("\n## ")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == conf.EMBEDDING.keys


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """The app of the page, with its views, and a template in the place of the person's."""
    page, views = executed("shop.py"), executed("views.py")
    monkeypatch.setitem(views.code.__globals__, "render_template", lambda _, said: render_template_string(said))
    app = page.create_app({"SECRET_KEY": "of the test", "OTPCORE": settings(tmp_path)})
    app.register_blueprint(views.pages)
    return app, page.otp


def test_the_factory_and_the_views(shop, otp_outbox):
    app, _ = shop
    client, browser = app.test_client(), {"Accept": "text/html"}
    assert client.get("/pay", headers=browser).location == "/code"
    client.post("/phone", data={"phone": PHONE})
    assert "You can try 4 more times." in client.post("/code", data={"code": "1234567"[: len(otp_outbox.code)]}).text
    assert client.post("/code", data={"code": otp_outbox.code}).location == "/pay"
    assert client.get("/pay").json == {"confirmed": PHONE}
    assert client.post("/receipts/outbox").status_code in (403, 404)


def test_the_tests_of_the_page(shop, otp_outbox):
    executed("test_shop.py").test_a_phone_is_verified(shop[0], otp_outbox)
    assert executed("conftest.py").pytest_plugins == [fixtures.__name__]
    assert "otp_outbox" in fixtures.__all__


def test_the_forms(shop):
    forms = executed("forms.py")
    with shop[0].test_request_context():
        given = MultiDict({"phone": "0871234567", "code": "123 456"})
        assert forms.PhoneForm(given).phone.data == PHONE
        assert forms.CodeForm(given).code.data == "123456"


def test_the_async_view(shop, otp_outbox):
    page = executed("async_views.py")
    with shop[0].test_request_context():
        assert asyncio.run(page.ask(PHONE)) == ({}, 202)
        assert "otp_flask" in session
        assert verified_phone() is None
    assert otp_outbox.messages[-1].phone.e164 == PHONE


def test_the_hook_of_gunicorn_opens(shop, monkeypatch):
    app, otp = shop
    monkeypatch.setitem(__import__("sys").modules, "shop", types.SimpleNamespace(otp=otp))
    executed("gunicorn.conf.py").post_worker_init(None)
    assert otp.service._open is not None
    app.extensions["otp"].forget()


def test_the_commands_are_there(shop):
    words = re.findall(r"^flask otp (.+)", PAGE, re.MULTILINE)
    assert words == ["status", "doctor --online", "db upgrade", "worker"]
    runner = shop[0].test_cli_runner()
    for one in words:
        asked = [word for word in one.split() if not word.startswith("--")]
        assert runner.invoke(args=["otp", *asked, "--help"]).exit_code == ExitCode.OK
