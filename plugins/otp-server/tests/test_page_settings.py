"""What an app may say of its page."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from otp_server.page_settings import contrast, readable_on
from otp_server.settings import read_settings
from page_client import page_of

from otpcore.runners import SettingsError


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ({"return_urls": ["http://shop.example/done"]}, "server.page.return_urls: each must be an https address"),
        ({"return_urls": ["https://shop.example/#done"]}, "without a fragment"),
        ({"return_urls": ["https://user@shop.example/"]}, "server.page.return_urls"),
        ({"return_urls": ["javascript:alert(1)"]}, "server.page.return_urls"),
        ({"return_urls": ["data:text/html,x"]}, "server.page.return_urls"),
        ({"return_urls": ["/done"]}, "server.page.return_urls"),
        ({"help_url": "tel:112"}, "server.page.help_url: must be an https address"),
        ({"change_url": "javascript:x"}, "server.page.change_url"),
        ({"accent": "blue"}, "server.page.accent: must be a colour such as #2450c8"),
        ({"accent": "#ffcc00"}, "server.page.accent: nobody could read it: its contrast with #ffffff is 1.5"),
        ({"accent_dark": "#2450c8"}, "Fix: take a lighter one"),
    ],
)
def test_what_would_not_work_is_refused(page: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({"page": page})
    assert problem in str(caught.value)


@pytest.mark.parametrize("port", ["abc", "99999", "0"])
@pytest.mark.parametrize(
    "section",
    [
        {"public_url": "{}"},
        {"console": {"public_url": "{}"}},
        {"apps": {"shop": {"webhook": {"url": "{}", "secrets": ["whsec_" + "A" * 32]}}}},
        {"page": {"return_urls": ["{}"]}},
        {"page": {"origins": ["{}"]}},
        {"page": {"help_url": "{}"}},
    ],
)
def test_an_address_whose_port_cannot_be_one_leads_nowhere_and_is_refused(section: dict[str, Any], port: str) -> None:
    def with_port(asked: str) -> Any:
        return json.loads(json.dumps(section).replace("{}", f"https://shop.example:{asked}"))

    read_settings(with_port("8443"))
    with pytest.raises(SettingsError, match="the port of an address must be 1 to 65535"):
        read_settings(with_port(port))


def test_an_app_has_a_page_of_its_own() -> None:
    urls = ["https://shop.example/done", "com.example.shop:/done", "http://127.0.0.1:3000/done"]
    read = read_settings({"apps": {"shop": {"page": {"return_urls": urls}}}, "page": {"help_url": "https://a.example"}})
    app = read.app("shop")
    assert app is not None
    assert list(app.page.return_urls) == urls
    assert read.app("") is None
    nameless = read_settings({"page": {"help_url": "https://a.example"}}).app("")
    assert nameless is not None
    assert nameless.page.help_url == "https://a.example"


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the known grey that is just not enough
    assert readable_on("#2450c8") == "#ffffff"
    assert readable_on("#92b0ff") == "#0e1526"


def test_colours_are_served_and_links_are_shown(tmp_path: Any, run_server: Any, phone: str) -> None:
    page = {
        "accent": "#7a1f5c",
        "accent_dark": "#ffb3dd",
        "help_url": "https://a.example/h",
        "change_url": "https://a.example/c",
    }
    with run_server(f"sqlite:///{tmp_path}/o.db", server={"page": page}) as server, server.client() as client:
        shown = httpx.get(page_of(client, phone)).text
        address = re.search(r'href="(/page/[0-9a-f]{12}\.css)"', shown)
        assert address is not None
        answer = httpx.get(server.url + address[1])
        assert answer.headers["content-type"].startswith("text/css")
        assert "--accent:#7a1f5c;--on-accent:#ffffff" in answer.text
        assert "--accent:#ffb3dd;--on-accent:#0e1526" in answer.text
        assert httpx.get(server.url + "/page/000000000000.css").status_code == 404
        assert 'href="https://a.example/c">Use another number' in shown
        assert 'href="https://a.example/h">I cannot use this phone' in shown
