"""What is forked from a process that has imported everything is stopped, killed and handed descriptors as any other."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager

import psutil
import pytest

PATIENCE = 60.0  # seconds, for a machine with much else to do

SLEEPS = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
STOPS = f"import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); {SLEEPS}"


@contextmanager
def started(forked, program):
    """What stands in for it, and the process itself."""
    with subprocess.Popen([forked.python, "-c", program], stdout=subprocess.PIPE, text=True) as stand_in:
        try:
            yield stand_in, psutil.Process(int(stand_in.stdout.readline()))
        finally:
            stand_in.kill()


@pytest.mark.parametrize(("program", "code"), [(SLEEPS, -signal.SIGTERM), (STOPS, 7)], ids=["dies", "stops"])
def test_a_signal_reaches_it_and_its_end_is_told(forked, program, code):
    with started(forked, program) as (stand_in, process):
        stand_in.terminate()
        assert stand_in.wait(PATIENCE) == code
        process.wait(PATIENCE)


def test_it_is_killed_with_what_stands_in_for_it(forked):
    with started(forked, SLEEPS) as (stand_in, process):
        stand_in.kill()
        assert stand_in.wait(PATIENCE) == -signal.SIGKILL
        process.wait(PATIENCE)


def test_a_descriptor_that_is_passed_has_the_same_number(forked):
    reading, writing = os.pipe()
    program = f"import os; os.write({writing}, b'here'); os.fstat({writing})"
    subprocess.run([forked.python, "-c", program], pass_fds=[writing], check=True, timeout=PATIENCE)
    os.close(writing)
    with open(reading, "rb") as told:  # noqa: PTH123 - a descriptor
        assert told.read() == b"here"


def test_it_logs_what_its_program_sets_up_and_nothing_else(forked):
    program = "import logging; print(logging.getLogger('otpcore').handlers, logging.getLogger('otpcore').level)"
    ran = subprocess.run([forked.python, "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert ran.stdout == "[] 0\n"
