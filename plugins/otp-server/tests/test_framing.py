"""Pages in frames and the widget's module, as a client without a browser meets them."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from otp_server.html import static_url
from otp_server.keys import Kind
from otp_server.settings import read_settings
from otp_server.widget import integrity, tag, versioned
from page_client import decoy_of, page_of

from otpcore.runners import SettingsError

ORIGIN = "https://shop.example"
get, post = (functools.partial(one, verify=False) for one in (httpx.get, httpx.post))  # there is no TLS


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, run_server: Any) -> Iterator[Any]:
    apps = {"shop": {"page": {"origins": [ORIGIN, "http://127.0.0.1:3000"]}}, "closed": {}}
    with run_server(f"sqlite:///{tmp_path_factory.mktemp('framing')}/otp.sqlite3", server={"apps": apps}) as server:
        yield server


@pytest.fixture(scope="module")
def api(pages: Any) -> Iterator[httpx.Client]:
    with pages.client(app="shop") as made:
        yield made


def test_only_an_apps_own_origins_may_frame_its_pages(pages: Any, api: httpx.Client, phone: str) -> None:
    seen = get(f"{page_of(api, phone)}?embed=1").headers["content-security-policy"]
    assert f"frame-ancestors {ORIGIN} http://127.0.0.1:3000;" in seen
    assert "frame-ancestors 'none'" in get(page_of(api, phone)).headers["content-security-policy"]
    with pages.client(app="closed") as closed:
        url = page_of(closed, phone)
        answer = get(f"{url}?embed=1")
        assert (answer.status_code, 'id="code"' in answer.text) == (404, False)
        assert get(url).status_code == 200  # and is still there for a window


def test_a_frame_belongs_to_one_browser_where_that_keeps_cookies(
    pages: Any, api: httpx.Client, phone: str, run_server: Any, tmp_path: Any
) -> None:
    origins = {"page": {"origins": ["https://shop.example"]}, "public_url": "https://otp.example"}
    with run_server(f"sqlite:///{tmp_path}/otp.sqlite3", server=origins) as server, server.client() as client:
        token = page_of(client, phone).rpartition("/")[2]
        url = f"{server.url}/v/{token}?embed=1"
        first = get(url)
        cookie = first.headers["set-cookie"]
        assert re.fullmatch(
            r"__Host-otp-frame=[\w-]{22}; Path=/; Secure; HttpOnly; SameSite=None; Partitioned", cookie
        ), cookie
        kept = {"Cookie": cookie.partition(";")[0]}
        assert get(url).status_code == 200  # nothing was kept: the page is whose frame has its address
        assert get(url, headers=kept).status_code == 200
        assert get(url).status_code == 403
        assert get(url, headers={"Cookie": "__Host-otp-frame=other"}).status_code == 403
        assert get(url.partition("?")[0]).status_code == 403


def test_a_page_that_a_window_has_is_no_frames(pages: Any, api: httpx.Client, phone: str) -> None:
    url = page_of(api, phone)
    assert get(url).status_code == 200
    assert get(f"{url}?embed=1").status_code == 403
    other = page_of(api, phone)
    form = re.search(r'name="form_token" value="([0-9a-f]{64})"', get(f"{other}?embed=1").text)
    assert form is not None
    assert post(f"{url}?embed=1", data={"form_token": form[1], "code": "123456"}).status_code == 403
    assert post(f"{other}?embed=1", data={"code": "123456"}).status_code == 403
    assert post(f"{other}?embed=1", data={"form_token": "0" * 64, "code": "123456"}).status_code == 403
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert post(f"{other}?embed=1", data={"form_token": form[1], "code": "1"}, headers=foreign).status_code == 403


def test_a_decoy_in_a_frame_looks_the_same(pages: Any, api: httpx.Client, phone: str) -> None:
    own = re.compile(r"[0-9a-f]{64}|/v/[\w-]{22}|\d+")
    with pages.client(Kind.LIVE, app="shop") as live:
        seen = [own.sub("*", get(f"{opener(live, phone)}?embed=1").text) for opener in (page_of, decoy_of)]
    assert seen[0] == seen[1]
    assert 'data-verification=""' in seen[0]


def test_the_module_is_small_and_served_for_every_origin(pages: Any) -> None:
    for path in ("otp.js", versioned()):
        answer = get(f"{pages.url}/widget/{path}")
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
        assert answer.headers["content-type"].startswith("text/javascript")
        assert len(gzip.compress(answer.content)) <= 3 * 1024
        assert f"sha384-{base64.b64encode(hashlib.sha384(answer.content).digest()).decode()}" == integrity()
    scripts = [get(pages.url + static_url(f"pages/{name}.js")).content for name in ("page", "frame")]
    assert sum(len(gzip.compress(one)) for one in scripts) <= 3 * 1024
    assert "immutable" in answer.headers["cache-control"]
    assert get(f"{pages.url}/widget/otp.000000000000.js").status_code == 404
    assert "export function open" in get(f"{pages.url}/widget/otp.d.ts").text
    script = get(f"{pages.url}/widget/otp.js").text
    assert '"*"' not in script
    assert "innerHTML" not in script


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "https://shop.example/",
        "http://shop.example",
        "https://SHOP.example",
        "https://shop.example:443",
        "null",
        "https://*.shop.example",
        "https://a@shop.example",
        "https://shop.example; script-src *",
        "https://",
        "shop.example",
    ],
)
def test_what_is_no_origin_stops_the_start(origin: str) -> None:
    with pytest.raises(SettingsError, match="origin as browsers write it"):
        read_settings({"page": {"origins": [origin]}})


def test_the_command_prints_the_element_for_the_address_of_the_server(
    otp: Callable[..., tuple[int, Any]], tmp_path: Any
) -> None:
    (tmp_path / "otpcore.toml").write_text('[server]\npublic_url = "https://otp.example/"\n', encoding="utf-8")
    code, told = otp("widget")
    assert (code, told["tag"]) == (0, tag("https://otp.example"))
    assert f'src="https://otp.example/widget/{versioned()}" integrity="{integrity()}"' in told["tag"]
