"""The services: one for the process, one for an event loop; and the outbox of tests."""

from __future__ import annotations

import asyncio
import unittest
from typing import ClassVar

import pytest
from asgiref.testing import ApplicationCommunicator
from django.test import AsyncClient, Client, SimpleTestCase, override_settings
from otp_django import aotp, conf, otp, running, testing
from otp_django.asgi import get_asgi_application
from otp_django.wsgi import get_wsgi_application
from otp_django_settings import otpcore_settings

from otpcore import AsyncOTPService, DeliveryError, OTPService, SettingsError

pytestmark = pytest.mark.usefixtures("tables")
PHONE = "+359871234567"


def is_open(service: OTPService) -> bool:
    return service._open is not None and not service._open.is_closed


def test_nothing_is_open_before_it_is_used_and_wsgi_opens():
    running.forget()
    made = running.service()
    assert not is_open(made)
    application = get_wsgi_application()
    assert running.service() is made
    assert is_open(made)
    assert callable(application)


def test_wrong_settings_stop_the_start():
    with override_settings(OTPCORE=otpcore_settings(otp={"length": 99})):
        with pytest.raises(Exception, match=r"otp\.length"):
            get_wsgi_application()
        assert asyncio.run(lifespan()) == ["lifespan.startup.failed"]


async def lifespan(within=None) -> list[str]:
    application = get_asgi_application()
    server = ApplicationCommunicator(application, {"type": "lifespan"})
    await server.send_input({"type": "lifespan.startup"})
    first = await server.receive_output(10)
    if first["type"] != "lifespan.startup.complete":
        assert "otp.length" in first["message"]
        return [first["type"]]
    if within is not None:
        await within()
    await server.send_input({"type": "lifespan.shutdown"})
    last = await server.receive_output(10)
    await server.wait(10)
    return [first["type"], last["type"]]


def test_under_asgi_the_loop_has_a_service_of_its_own_until_the_end(monkeypatch):
    running.forget()
    used = []
    send = AsyncOTPService.send_sms

    async def noted(self, *args, **kwargs):
        used.append(asyncio.get_running_loop())
        return await send(self, *args, **kwargs)

    monkeypatch.setattr(AsyncOTPService, "send_sms", noted)

    async def within():
        challenge = await aotp.send_sms(PHONE)
        assert challenge.phone.e164 == PHONE
        assert used == [asyncio.get_running_loop()]
        assert running._held.made is None, "nothing else was opened"

    assert asyncio.run(lifespan(within)) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert running._held.of_loop is None


def test_without_a_lifespan_the_process_s_service_does_it_in_a_thread(otp_outbox):
    async def view() -> bool:
        challenge = await aotp.send_sms(PHONE)
        return bool(await aotp.verify(challenge_id=challenge.id, code=otp_outbox.code))

    assert asyncio.run(view())
    assert not asyncio.run(aotp.verify(PHONE, otp_outbox.code))


def test_an_async_view_sends_under_asgi_and_under_wsgi(otp_outbox):
    assert Client().get(f"/send-async/?phone=%2B{PHONE[1:]}").status_code == 200
    assert asyncio.run(AsyncClient().get(f"/send-async/?phone=%2B{PHONE[1:]}")).status_code == 200
    assert {one.phone.e164 for one in otp_outbox.messages} == {PHONE}


def test_errors_come_without_the_frames_that_hold_codes_and_numbers(otp_outbox):
    for call in (lambda: otp.send_sms(PHONE), lambda: asyncio.run(aotp.send_sms(PHONE))):
        otp_outbox.fail("rejected_number")
        with pytest.raises(DeliveryError) as refused:
            call()
        trace, shown = refused.value.__traceback__, ""
        while trace is not None:
            if "site-packages" not in trace.tb_frame.f_code.co_filename and trace.tb_frame.f_globals is not globals():
                shown += repr(trace.tb_frame.f_locals)
            trace = trace.tb_next
        assert PHONE not in shown
        assert refused.value.__cause__ is None


def test_the_faces_show_nothing_and_have_what_the_services_have():
    assert (repr(otp), repr(aotp)) == ("<otp_django.otp>", "<otp_django.aotp>")
    coroutines = {
        name
        for name, value in vars(AsyncOTPService).items()
        if asyncio.iscoroutinefunction(value) and not name.startswith("_")
    }
    assert coroutines - {"run_retry"} == {name for name in vars(running.AsyncFace) if not name.startswith("_")}


class TheMixin(testing.OTPTestMixin, SimpleTestCase):
    otp_settings: ClassVar = {"limits": {"phone": ["1/1h"]}}

    def test_codes_go_to_the_outbox_of_the_test(self) -> None:
        challenge = otp.send_sms(PHONE)
        assert testing.outbox is self.otp_outbox
        assert testing.outbox.code in testing.outbox.messages[-1].text
        assert otp.verify(challenge_id=challenge.id, code=self.otp_outbox.code)

    def test_each_test_has_an_empty_one(self) -> None:
        assert self.otp_outbox.messages == []
        assert "Shop" in self.sent(), "the texts are the project's"

    def sent(self) -> str:
        otp.send_sms(PHONE)
        return self.otp_outbox.messages[-1].text


def test_outside_of_a_test_there_is_no_outbox():
    with pytest.raises(AttributeError, match="inherit OTPTestMixin"):
        _ = testing.outbox
    assert isinstance(TheMixin, type)
    assert issubclass(TheMixin, unittest.TestCase)


def test_the_project_s_service_is_back_after_the_outbox():
    before = running.service()
    with testing.sending_to_outbox():
        assert running.service() is not before
    assert running.service() is before


def test_a_test_without_an_outbox_sends_nothing_to_people(tables):
    with override_settings(OTPCORE=otpcore_settings(sms={})):
        assert not conf.load().sms.sandbox, "the checks see what the project says"
        assert otp.settings.sms.sandbox
    with (
        override_settings(OTPCORE=otpcore_settings(sms={}, environment="production")),
        pytest.raises(SettingsError, match="Fix: OTPTestMixin"),
    ):
        otp.send_sms("+359871234567")


def test_outside_of_tests_the_provider_is_the_projects_own(tables, monkeypatch):
    monkeypatch.delattr("django.core.mail.outbox")
    with override_settings(OTPCORE=otpcore_settings(sms={})):
        assert not conf.load_to_send().sms.sandbox
