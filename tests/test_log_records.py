"""Every record of the log has fields under one prefix: an event's own, and those of what is no event."""

from __future__ import annotations

import ast
import json
import logging
import re
from pathlib import Path

import attrs
import pytest

import otpcore
from otpcore import DeliveryError, ErrorKind, Event, EventType
from otpcore.cli.options import Options
from otpcore.events import fields, fields_of
from otpcore.testing import EventRecorder, Outbox


async def test_every_event_is_a_record_with_the_same_fields(
    otp_outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = EventRecorder()
    caplog.set_level(logging.INFO, "otpcore")
    otp_outbox.fail(ErrorKind.BLOCKED)
    async with otp_outbox.service(observers=[recorder]) as otp:
        with pytest.raises(DeliveryError):
            await otp.send_sms("+359871234567")
    logged = [fields_of(record) for record in caplog.records if record.name == "otpcore.events"]
    assert logged == [
        {"event": event.type, **{name: value for name, value in _said(event).items() if value}}
        for event in recorder.events
    ]
    failed = next(one for one in logged if one["event"] == "delivery_failed")
    assert failed["reason"] == "blocked"
    assert failed["instance"] == "outbox"
    assert failed["phone"] == "+3598******67"


def _said(event: Event) -> dict[str, str]:
    return attrs.asdict(event, filter=lambda field, _: field.name not in {"type", "at"})


SOURCES = sorted(Path(otpcore.__file__).parent.rglob("*.py"))


def _log_calls() -> list[tuple[str, ast.Call]]:
    """Every call of a logger in the package."""
    found = []
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if re.fullmatch(r"(self\.)?_logger\.(debug|info|warning|error|critical|exception|log)|log", called):
                    found.append((f"{file.name}:{node.lineno}", node))
    return found


def test_every_record_of_the_package_has_fields() -> None:
    calls = _log_calls()
    assert len(calls) >= 15
    assert not [where for where, call in calls if "extra" not in {keyword.arg for keyword in call.keywords}]


def test_what_is_logged_without_being_an_event_is_in_the_reference() -> None:
    named = {
        node.args[0].value
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("fields", "log_fields")
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    logs = (Path(__file__).parent.parent / "docs" / "reference" / "logs.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(\w+)` \|", logs, re.MULTILINE))
    assert told - {"otp_event"} == named - set(EventType)


def test_fields_say_only_what_is_known_under_one_prefix() -> None:
    assert fields("done", instance="mada", reason=None, detail="") == {"otp_event": "done", "otp_instance": "mada"}
    record = logging.makeLogRecord(fields("done", challenge_id="1"))
    assert fields_of(record) == {"event": "done", "challenge_id": "1"}


def test_with_json_the_command_line_logs_one_document_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("otpcore")
    handlers, level = list(logger.handlers), logger.level
    try:
        Options(json=True).configure_logging()
        logging.getLogger("otpcore.test").warning("two\nlines of %s", "text", extra=fields("tried", instance="mada"))
        Options(json=True).note("no result")
        Options().configure_logging()
        logging.getLogger("otpcore.test").warning("for people", extra=fields("tried"))
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)
    first, noted, second = capsys.readouterr().err.splitlines()
    document = json.loads(first)
    assert document.pop("time").endswith("+00:00")
    assert document == {
        "event": "tried",
        "instance": "mada",
        "level": "WARNING",
        "logger": "otpcore.test",
        "message": "two\nlines of text",
    }
    assert (json.loads(noted)["event"], json.loads(noted)["message"]) == ("note", "no result")
    assert second.endswith("WARNING otpcore.test: for people")
