"""The blocking service: parity with the asynchronous one, threads, loops and forks."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from otpcore import AsyncOTPService, OTPService
from otpcore.testing import Outbox

PHONE = "+359871234567"


def _public(cls: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(member)
        for name, member in inspect.getmembers(cls)
        if not name.startswith("_") and callable(member)
    }


def test_both_services_have_the_same_methods() -> None:
    blocking = _public(OTPService)
    for name in ("open", "close"):  # the other one's are __aenter__ and __aexit__
        blocking.pop(name)
    asynchronous = _public(AsyncOTPService)
    assert blocking.keys() == asynchronous.keys()
    for name, signature in asynchronous.items():
        assert list(blocking[name].parameters.values()) == list(signature.parameters.values()), name
    assert inspect.signature(OTPService.__init__) == inspect.signature(AsyncOTPService.__init__)


def test_many_threads_share_one_service_and_one_wins(otp_outbox: Outbox) -> None:
    settings = {"otp": {"attempts": 20, "allow_noncompliant": True}}
    with otp_outbox.blocking_service(settings) as otp, ThreadPoolExecutor(20) as threads:
        otp.send_sms(PHONE)
        answers = list(threads.map(lambda _: otp.verify(PHONE, otp_outbox.code), range(20)))
    assert sum(map(bool, answers)) == 1


def test_it_opens_on_first_use_and_again_after_closing(otp_outbox: Outbox) -> None:
    otp = otp_outbox.blocking_service()
    otp.send_sms(PHONE)
    otp.close()
    otp.close()
    assert otp.send_sms(PHONE).confirmed
    otp.close()


async def test_inside_a_running_loop_it_names_the_other_service(otp_outbox: Outbox) -> None:
    with pytest.raises(RuntimeError, match="AsyncOTPService"):
        otp_outbox.blocking_service().send_sms(PHONE)


def _run(program: str, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=directory,
    )


def test_a_program_that_never_closes_it_still_ends(tmp_path: Path) -> None:
    ran = _run(
        """
        from otpcore.testing import Outbox
        outbox = Outbox()
        otp = outbox.blocking_service()
        otp.send_sms("+359871234567")
        print(bool(otp.verify("+359871234567", outbox.code)))
        """,
        tmp_path,
    )
    assert (ran.stdout.strip(), ran.stderr, ran.returncode) == ("True", "", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_children_forked_under_load_send_and_verify_on_one_file(tmp_path: Path) -> None:
    ran = _run(
        """
        import os, sys, threading
        from otpcore.testing import Outbox
        outbox = Outbox()
        settings = {"storage": {"store": "sql", "url": "sqlite:///forked.sqlite3"}}
        from otpcore.clock import utc_now
        otp = outbox.blocking_service(settings, clock=utc_now)
        otp.send_sms("+359871234500")
        stop = threading.Event()

        def load(number):
            while not stop.is_set():
                otp.verify(f"+35987123450{number}", "123456")

        threads = [threading.Thread(target=load, args=(number,)) for number in range(1, 4)]
        for thread in threads:
            thread.start()
        children = []
        for number in range(8):
            child = os.fork()
            if child == 0:
                phone = f"+35987123460{number}"
                otp.send_sms(phone)
                right = bool(otp.verify(phone, outbox.code))
                otp.close()
                os._exit(0 if right else 1)
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        stop.set()
        for thread in threads:
            thread.join()
        print(codes, bool(otp.verify("+359871234500", outbox.messages[0].code)))
        """,
        tmp_path,
    )
    assert ran.stdout.strip() == f"{[0] * 8} True", ran.stderr
    assert ran.returncode == 0, ran.stderr


def test_ctrl_c_ends_a_program_that_is_waiting_for_retries(tmp_path: Path) -> None:
    program = """
        import signal
        from otpcore import EventType, hookimpl
        from otpcore.testing import Outbox

        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit it ignored

        class Teller:
            @hookimpl
            def otp_event(self, event):
                if event.type is EventType.RETRY_SCHEDULED:
                    print("waiting", flush=True)

        outbox = Outbox()
        outbox.fail("unavailable", times=10_000)
        settings = {"sms": {"retry": True}, "retry": {"runner": "inline"}}
        outbox.blocking_service(settings, observers=[Teller()]).send_sms("+359871234567")
        """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode != 0
