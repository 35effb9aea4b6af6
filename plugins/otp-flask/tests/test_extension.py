"""The extension: apps and factories, settings, the service of a process, and what TESTING makes of it."""

from __future__ import annotations

import asyncio
import os
import pprint
import threading

import pytest
from flask import Flask
from otp_flask import OTP, current_otp
from otp_flask.running import running_of
from otp_flask.testing import sending_to_outbox
from otp_flask_settings import SECRET, settings

from otpcore import SettingsError

PHONE = "+359871234567"


def is_open(service) -> bool:
    return service._open is not None and not service._open.is_closed


def test_nothing_is_read_before_it_is_used_and_open_opens(make):
    app, otp = make(otp={"length": 99})
    with pytest.raises(SettingsError, match=r"otp\.length"):
        otp.open()
    app.config["OTPCORE"] = {**app.config["OTPCORE"], "otp": {"length": 7}}
    otp.open()
    assert is_open(otp.service)
    assert otp.service is otp.service
    assert otp.service.settings.otp.length == 7


def test_a_factory_s_extension_serves_each_app_by_itself(make, tmp_path):
    one, _ = make("one")
    otp = OTP()
    with pytest.raises(RuntimeError, match="this OTP has 0"):
        _ = otp.service
    apps = []
    for name in ("two", "three"):
        app = Flask(name)
        app.config["OTPCORE"] = settings(tmp_path, otp={"app": name})
        otp.init_app(app)
        apps.append(app)
    with pytest.raises(RuntimeError, match=r"this OTP has 2: work within `with app\.app_context"):
        _ = otp.service
    names = []
    for app in apps:
        with app.app_context():
            assert current_otp.service is otp.service
            names.append(otp.service.settings.otp.app)
    assert names == ["two", "three"]
    with one.app_context():
        assert current_otp.service.settings.otp.app == "Shop"


def test_an_app_has_one_extension(make):
    app, _ = make()
    with pytest.raises(RuntimeError, match=r"'shop' has an otp_flask\.OTP already"):
        OTP(app)
    bare = Flask("bare")
    with bare.app_context(), pytest.raises(RuntimeError, match=r"'bare' has no otp_flask\.OTP: call otp\.init_app"):
        current_otp.open()


def test_all_threads_have_one_service(make):
    app, otp = make()
    seen, start = [], threading.Barrier(8)

    def use() -> None:
        start.wait()
        with app.app_context():
            seen.append(current_otp.service)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert {id(one) for one in seen} == {id(otp.service)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_of_a_fork_opens_anew(make):
    _, otp = make()
    otp.open()
    child = os.fork()
    if not child:
        was_open = is_open(otp.service)
        sent = otp.send_sms(PHONE).phone.e164 == PHONE
        otp.service.close()
        os._exit(0 if sent and not was_open else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert is_open(otp.service)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, r"OTPCORE: is not set. Fix: app\.config"),
        (["sms"], "must be a dictionary"),
        ({"trusted_proxys": []}, "trusted_proxys: unknown; trusted_proxies is meant"),
        ({"trusted_proxies": "10.0.0.0/8"}, "must be a list of texts"),
        ({"trusted_proxies": ["10.0.0.0/99"]}, "an address or a network is needed"),
        ({"settings_file": "otpcore.toml", "sms": {}}, "settings_file names a file, and sms stand here"),
        ({"otp": {"lenght": 8}}, r"otp\.lenght"),
    ],
)
def test_what_is_wrong_is_said_with_the_fix(make, given, said):
    app, otp = make()
    app.config["OTPCORE"] = given
    with pytest.raises(SettingsError, match=said):
        otp.open()


def test_settings_come_from_the_environment_and_from_a_file(make, tmp_path, monkeypatch):
    app, otp = make()
    monkeypatch.setenv("FLASK_OTPCORE__otp__length", "8")
    app.config.from_prefixed_env()
    assert otp.service.settings.otp.length == 8
    (tmp_path / "mine.toml").write_text("[otp]\nlength = 9\n")
    app, otp = make("other")
    app.config["OTPCORE"] = {"settings_file": str(tmp_path / "mine.toml")}
    monkeypatch.setenv("OTPCORE_OTP__APP", "of the environment")
    assert (otp.service.settings.otp.length, otp.service.settings.otp.app) == (9, "of the environment")


def test_the_data_is_in_the_instance_folder_where_nothing_else_is_said(make, tmp_path):
    app, otp = make()
    app.config["OTPCORE"] = {name: value for name, value in app.config["OTPCORE"].items() if name != "storage"}
    otp.open()
    assert (tmp_path / "instance of shop" / "otp.sqlite3").exists()


def test_a_configuration_that_is_shown_shows_no_secret(make):
    app, _ = make(providers={"twilio": {"auth_token": SECRET}})
    for shown in (repr(app.config), pprint.pformat(dict(app.config)), str(app.config["OTPCORE"])):
        assert SECRET not in shown
        assert "OTPCORE: hidden" in shown
    assert app.config["OTPCORE"]["providers"]["twilio"]["auth_token"] == SECRET


def test_with_testing_nothing_is_sent_to_people(make):
    _, otp = make(config={"TESTING": True}, sms={})
    assert otp.service.settings.sms.sandbox
    otp.send_sms(PHONE)
    assert otp.service.sandbox_inbox(PHONE)
    _, otp = make("live", sms={})
    assert not otp.service.settings.sms.sandbox
    _, otp = make("wrong", config={"TESTING": True}, sms={}, environment="production")
    with pytest.raises(SettingsError, match='is "production" while TESTING is on'):
        otp.open()


def test_the_outbox_takes_the_place_of_every_app_s_service(make, otp_outbox):
    one, otp = make("one", otp={"app": "One", "length": 8, "receipts_url": "https://shop.example/receipts"})
    other, _ = make("other", otp={"app": "Other"})
    with one.app_context():
        challenge = current_otp.send_sms(PHONE)
        assert "One" in otp_outbox.messages[-1].text
        assert len(otp_outbox.code) == 8
        assert otp.verify(challenge_id=challenge.id, code=otp_outbox.code)
    with other.app_context():
        current_otp.send_sms(PHONE)
        assert "Other" in otp_outbox.messages[-1].text
    assert len(otp_outbox.messages) == 2
    assert not running_of(one)._made, "the app's own was not opened"


def test_the_app_s_service_is_back_after_the_outbox(make):
    _, otp = make()
    before = otp.service
    with sending_to_outbox(limits={"phone": ["1/1h"]}):
        stands_in = otp.service
        stands_in.open()
        assert stands_in is otp.service
        assert stands_in.settings.limits.phone
    assert otp.service is before
    assert not is_open(stands_in)


def test_an_async_view_is_told_to_use_a_thread_and_can(make, otp_outbox):
    app, otp = make()

    @app.get("/in-the-loop")
    async def in_the_loop():
        with pytest.raises(RuntimeError, match=r"await asyncio\.to_thread\(otp\.send_sms, phone\)"):
            otp.send_sms(PHONE)
        return {}

    @app.get("/in-a-thread")
    async def in_a_thread():
        await asyncio.to_thread(otp.ask, PHONE)
        return {"code_valid": bool(await asyncio.to_thread(otp.confirm, otp_outbox.code))}

    client = app.test_client()
    assert client.get("/in-the-loop").status_code == 200
    assert client.get("/in-a-thread").json == {"code_valid": True}


def test_operators_see_through_it(make):
    app, otp = make()
    with app.app_context():
        otp.send_sms(PHONE)
        assert otp.operator.inbox(PHONE)
        assert otp.status() is not None
