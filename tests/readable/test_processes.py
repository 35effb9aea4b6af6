"""Processes of a host and of the command line, forked, spawned and crashing: what they print, write, and how they are listed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from otpcore.simulators.exchange import Fault

from .forms import search
from .scene import MESSAGE, Scene, playing

PROGRAM = """
    import faulthandler, json, logging, multiprocessing, os, sys

    logging.basicConfig(level=1)
    faulthandler.enable()

    def child(settings, phone):
        from otpcore import OTPService
        with OTPService(settings) as otp:
            print(otp.send_sms(phone), flush=True)

    if __name__ == "__main__":
        from otpcore import OTPService
        told = json.loads(sys.stdin.read())
        otp, phones = OTPService(told["settings"]), iter(told["phones"])
        print(otp.send_sms(next(phones), message=told["message"]), flush=True)
        pid = os.fork()
        if not pid:
            print(otp.send_sms(next(phones)), flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
        next(phones)
        spawned = multiprocessing.get_context("spawn").Process(target=child, args=(told["settings"], next(phones)))
        spawned.start()
        spawned.join()
        if told["how"] == "raise":
            otp.send_sms(told["refused"])
        otp.send_sms(next(phones))
        os.abort()
    """


@pytest.mark.parametrize("how", ["raise", "abort"])
def test_processes_that_fork_spawn_and_crash_show_nothing(tmp_path: Path, how: str) -> None:
    with playing(tmp_path) as scene:
        phones = [scene.phone() for _ in range(4)]
        refused = "+359888000011"  # Mada's simulator refuses it for good
        scene.phones["backup"] = [refused]
        program, temporary = tmp_path / "program.py", tmp_path / "tmp"
        program.write_text(textwrap.dedent(PROGRAM), encoding="utf-8")
        temporary.mkdir()
        settings = scene.settings(otp_sms_provider="Mada")
        told = {"settings": settings, "phones": phones, "message": MESSAGE, "refused": refused, "how": how}
        ended = subprocess.run(
            [sys.executable, str(program)],
            input=json.dumps(told).encode(),
            capture_output=True,
            env={"TMPDIR": str(temporary), "PYTHONFAULTHANDLER": "1", "PATH": ""},
            cwd=tmp_path,
            timeout=120,
            check=False,
        )
        scene.show("standard output", ended.stdout)
        scene.show("standard error", ended.stderr)
        assert ended.returncode not in (0, 2)
        assert (b"DeliveryError" if how == "raise" else b"Fatal Python error: Aborted") in ended.stderr
        assert {message.recipient for message in scene.mada.inbox} >= {phones[0], phones[1], phones[2]}
        assert search(scene.places(), scene.secrets()) == []


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="this system has no /proc")
def test_a_command_that_is_told_on_standard_input_shows_nothing_in_the_process_list(tmp_path: Path) -> None:
    with playing(tmp_path) as scene:
        phone = scene.phone()
        settings = scene.settings(sms={"retry": False}, otp={**scene.settings()["otp"], "provider_timeout": 4})
        (tmp_path / "otpcore.json").write_text(json.dumps(settings), encoding="utf-8")
        _watched(scene, tmp_path, phone, "send", "-")
        _watched(scene, tmp_path, f"{phone}\n{scene.code(phone)}", "verify", "-", "-")
        assert search(scene.places(), scene.secrets()) == []


def _watched(scene: Scene, directory: Path, said: str, *arguments: str) -> None:
    """Run a command and look at it from outside as long as it runs."""
    if arguments[0] == "send":
        scene.mada.fail(Fault.HANG_AFTER_WORK)
    command = [sys.executable, "-m", "otpcore", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=directory) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(said.encode() + b"\n")
        process.stdin.close()
        looks = 0
        while process.poll() is None:
            for name in ("cmdline", "environ", "comm"):
                with contextlib.suppress(OSError):  # it has just ended
                    seen = Path(f"/proc/{process.pid}/{name}").read_bytes()
                    looks += bool(seen)
                    scene.show(f"process list, {arguments[0]}", seen)
            time.sleep(0.1)
        scene.show(f"output of {arguments[0]}", process.stdout.read())
        assert looks > 2
    assert process.returncode == 0
