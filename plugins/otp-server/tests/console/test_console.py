"""The frame of the console: who is let in, what is refused, and how it is told."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from console_client import text_of


def test_a_page_has_the_frame(console: Any) -> None:
    answer = console.browser("vera").get("/")
    assert answer.status_code == 200
    assert "vera, viewer" in text_of(answer)


def test_a_stranger_is_led_to_the_sign_in_page(console: Any) -> None:
    answer = console.browser("").get("/audit", by="ada")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in?next=%2Faudit%3Fby%3Dada")


def test_the_log_tells_where_a_mounted_console_lies(console: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="otpcore.server"):
        console.browser("vera").get("/audit")
    assert any(one.getMessage().startswith("GET /console/audit 200 ") for one in caplog.records)


@pytest.mark.parametrize("path", ["/nothing", "/static/000000000000/console/console.css"])
def test_what_is_not_there_is_told_as_a_page(console: Any, path: str) -> None:
    answer = console.browser().get(path)
    assert answer.status_code == 404
    assert "There is no such page." in text_of(answer)
