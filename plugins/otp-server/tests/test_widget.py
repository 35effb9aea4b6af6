"""The widget in Chromium: on a page of another origin, with and without cookies for frames, and below pages that attack it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs
import httpx
import pytest
from otp_server.widget import tag, versioned
from page_client import page_of
from test_page_browser import axe, chromium, pytestmark  # noqa: F401 - fixture and mark of the same browser

from otpcore.testing import wrong_code

IN_PLACE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Shop</title><h1>Shop</h1>{tag}
<otp-verification url="{url}" label="Confirm your number"><a href="{url}">Enter the code</a></otp-verification>
<script type="module">
  window.told = [];
  const element = document.querySelector("otp-verification");
  for (const type of ["ready", "done", "cancel"]) element.addEventListener(type, (one) => told.push([type, one.detail]));
</script>"""
DIALOG = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Shop</title><h1>Shop</h1><button id="go">Go</button>{tag}
<script type="module">
  import {{ open }} from "{module}";
  document.getElementById("go").onclick = async () => {{ window.result = await open({{ url: "{url}", close: "Done" }}); }};
</script>"""
HOSTILE = """<!doctype html><meta charset="utf-8"><title>Evil</title>
<style>iframe {{ width: 400px; height: 600px; }}</style>
<iframe name="{name}" src="{url}?embed=1" allow="otp-credentials"></iframe>
<script>
  window.heard = [];
  const frame = document.querySelector("iframe");
  window.connect = (message) => {{
    const channel = new MessageChannel();
    channel.port1.onmessage = (one) => heard.push(one.data);
    frame.contentWindow.postMessage(message, "*", [channel.port2]);
  }};
</script>"""
NAME = "n" * 24


@attrs.define(eq=False)
class Shop:
    """Pages of an application, on a port of their own."""

    port: int
    pages: dict[str, str] = attrs.field(factory=dict)

    def at(self, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}"

    def show(self, text: str, host: str = "127.0.0.1") -> str:
        """The address of a new page of this text."""
        path = f"/{len(self.pages)}"
        self.pages[path] = text
        return self.at(host) + path


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = made.pages.get(self.path, "")
            self.send_response(200 if text else 204)  # browsers ask for an icon
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Shop(server.server_address[1])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, run_server: Any, shop: Shop) -> Iterator[Any]:
    page = {
        "origins": [shop.at(), shop.at("localhost")],
        "return_urls": ["https://shop.example/done"],
        "change_url": "https://shop.example/number",
        "help_url": "https://shop.example/help",
    }
    apps = {"shop": {"page": page}, "closed": {}}
    with run_server(f"sqlite:///{tmp_path_factory.mktemp('widget')}/otp.sqlite3", server={"apps": apps}) as server:
        yield server


@pytest.fixture(scope="module")
def api(pages: Any) -> Iterator[httpx.Client]:
    with pages.client(app="shop") as made:
        yield made


@pytest.fixture
def browse(chromium: Any) -> Iterator[Callable[..., Any]]:  # noqa: F811 - the fixture that is imported
    """Open a page in a browser of its own; what it complains of is a failure, unless it must."""
    contexts, complaints = [], []

    def opened(url: str, *, js: bool = True, may_complain: bool = False, width: int = 700) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": 900}, java_script_enabled=js, locale="en-GB")
        contexts.append(context)
        page = context.new_page()
        if not may_complain:
            page.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def _with(pages: Any, text: str, url: str) -> str:
    return text.format(tag=tag(pages.url), module=f"{pages.url}/widget/{versioned()}", url=url)


def _frame(page: Any) -> Any:
    """The frame of the verification page, once one may press in it."""
    page.wait_for_selector("iframe")
    frame = page.frame_locator("iframe")
    frame.locator("h1").wait_for()
    page.wait_for_timeout(900)
    return frame


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])  # same site, and another site: there no cookie comes along
def test_a_code_is_typed_in_a_frame_and_the_page_around_it_hears_that_it_is_over(
    pages: Any, api: httpx.Client, shop: Shop, browse: Any, phone: str, host: str
) -> None:
    asked = {"return_url": "https://shop.example/done"}
    begun = api.post("/v1/verifications", json={"to": phone, "page": asked}).json()
    page = browse(shop.show(_with(pages, IN_PLACE, begun["page_url"]), host))
    frame = _frame(page)
    assert [one[0] for one in page.evaluate("told")] == ["ready"]
    found = axe.Axe().run(page)["violations"]
    assert [one["id"] for one in found if one["id"] not in ("landmark-one-main", "region")] == []
    frame.locator("#code").fill(wrong_code(pages.code()))
    frame.locator("#entry .button").click()
    assert frame.locator(".notice h2").inner_text() == "That code did not work"
    page.wait_for_timeout(900)
    frame.locator("#code").fill(pages.code())
    frame.locator("#code").press("Enter")
    frame.locator("h1:has-text('Your number is confirmed')").wait_for()
    page.wait_for_function("told.length === 4")
    assert page.evaluate("told") == [["ready", None]] * 3 + [["done", {"verification": begun["id"]}]]
    assert api.get(f"/v1/verifications/{begun['id']}").json()["status"] == "approved"
    page.wait_for_function("document.querySelector('iframe').offsetHeight < 400")  # it grew for what was wrong
    page.reload()
    assert _frame(page).locator("h1").inner_text() == "Your number is confirmed"
    page.goto(shop.show("<h1>Else</h1>", host))
    page.go_back()
    assert _frame(page).locator("h1").inner_text() == "Your number is confirmed"


def test_a_dialog_ends_with_the_verification_or_with_nothing(
    pages: Any, api: httpx.Client, shop: Shop, browse: Any, phone: str
) -> None:
    begun = api.post("/v1/verifications", json={"to": phone, "page": {}}).json()
    page = browse(shop.show(_with(pages, DIALOG, begun["page_url"])))
    for way in ("the button", "Escape outside", "Escape inside", "another number"):
        page.evaluate("window.result = 'open'")
        page.click("#go")
        frame = _frame(page)
        assert page.evaluate("document.activeElement.tagName") == "IFRAME"
        assert frame.locator("#code").evaluate("one => one === document.activeElement")
        page.mouse.click(5, 5)  # beside it
        assert page.is_visible("dialog")
        if way == "the button":
            page.click("dialog > button")
        elif way == "Escape outside":
            page.focus("dialog > button")
            page.keyboard.press("Escape")
        elif way == "Escape inside":
            frame.locator("#code").press("Escape")
        else:
            frame.locator("[data-cancel]").click()
        page.wait_for_function("window.result !== 'open'")
        assert page.evaluate("window.result") is None, way
        assert page.evaluate("[document.querySelector('dialog'), document.activeElement.id]") == [None, "go"]
    page.click("#go")
    frame = _frame(page)
    frame.locator("#code").fill(pages.code())
    frame.locator("#entry .button").click()
    page.wait_for_function("window.result?.verification")
    assert page.evaluate("window.result") == {"verification": begun["id"]}


def test_without_javascript_there_is_a_link(pages: Any, api: httpx.Client, shop: Shop, browse: Any, phone: str) -> None:
    page = browse(shop.show(_with(pages, IN_PLACE, page_of(api, phone))), js=False)
    page.click("text=Enter the code")
    assert page.inner_text("h1") == "Enter your code"


def test_it_is_written_from_the_right(pages: Any, api: httpx.Client, shop: Shop, browse: Any, phone: str) -> None:
    page = browse(shop.show(_with(pages, IN_PLACE, page_of(api, phone, locale="ar"))), width=340)
    frame = _frame(page)
    assert frame.locator("html").get_attribute("dir") == "rtl"
    assert frame.locator("html").evaluate("one => one.scrollWidth - one.clientWidth") == 0
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


@pytest.mark.parametrize("locale", ["en", "ar"])
def test_a_checker_finds_nothing_in_the_framed_page(
    pages: Any, api: httpx.Client, browse: Any, phone: str, locale: str
) -> None:
    page = browse(f"{page_of(api, phone, locale=locale, channels=['sms', 'call'])}?embed=1", width=340)
    page.evaluate("document.getElementById('covered').hidden = false")
    assert [(one["id"], one["nodes"]) for one in axe.Axe().run(page)["violations"]] == []


def test_a_page_of_a_look_alike_origin_cannot_frame_it(
    pages: Any, api: httpx.Client, shop: Shop, browse: Any, phone: str
) -> None:
    look_alike = shop.show(HOSTILE.format(name=NAME, url=page_of(api, phone)), "shop.localhost")
    page = browse(look_alike, may_complain=True)
    page.wait_for_timeout(500)
    assert "chrome-error" in page.frames[1].evaluate("location.href")


def test_who_frames_it_cannot_talk_to_it_but_by_the_one_port(
    pages: Any, api: httpx.Client, shop: Shop, browse: Any, phone: str
) -> None:
    page = browse(shop.show(HOSTILE.format(name=NAME, url=page_of(api, phone))))
    page.frame_locator("iframe").locator("h1").wait_for()
    good = {"v": 1, "type": "connect", "nonce": NAME}
    for bad in ({**good, "nonce": "x" * 24}, {**good, "v": 2}, {**good, "type": "done"}, {"nonce": NAME}, "x", None, 7):
        page.evaluate("message => connect(message)", bad)
    page.wait_for_timeout(200)
    assert page.evaluate("heard") == []
    page.evaluate("for (let n = 0; n < 20000; n++) frame.contentWindow.postMessage({ v: 1, n }, '*')")  # a flood
    page.evaluate("message => connect(message)", good)
    page.wait_for_function("heard.length >= 2")
    assert {one["type"] for one in page.evaluate("heard")} == {"ready", "resize"}
    assert {one["nonce"] for one in page.evaluate("heard")} == {NAME}
    page.evaluate("heard.length = 0")
    page.evaluate("message => connect(message)", good)  # the same again: there was one port, and there is no other
    page.wait_for_timeout(300)
    assert page.evaluate("heard") == []


def test_a_frame_beside_it_cannot_connect_though_it_knows_the_nonce(
    pages: Any, api: httpx.Client, shop: Shop, browse: Any, phone: str
) -> None:
    inner = shop.show(
        "<script>onmessage = () => { const channel = new MessageChannel(); channel.port1.onmessage = () => parent.heard.push(1);"
        f"parent.frames[0].postMessage({{ v: 1, type: 'connect', nonce: '{NAME}' }}, '*', [channel.port2]); }};</script>"
    )
    text = HOSTILE.format(name=NAME, url=page_of(api, phone)) + f'<iframe id="beside" src="{inner}"></iframe>'
    page = browse(shop.show(text))
    page.frame_locator("iframe >> nth=0").locator("h1").wait_for()
    page.evaluate("document.getElementById('beside').contentWindow.postMessage(1, '*')")
    page.wait_for_timeout(300)
    assert page.evaluate("heard") == []  # it has the origin, and is not the page around


def test_a_press_that_nobody_could_see_is_not_taken(
    pages: Any, api: httpx.Client, shop: Shop, browse: Any, phone: str
) -> None:
    page = browse(shop.show(HOSTILE.format(name=NAME, url=page_of(api, phone, channels=["sms", "call"]))))
    frame = page.frame_locator("iframe")
    frame.locator("#code").fill(wrong_code(pages.code()))
    page.wait_for_timeout(900)
    posts: list[str] = []
    page.on("request", lambda one: posts.append(one.url) if one.method == "POST" else None)
    page.evaluate("frame.style.opacity = '0.01'")
    page.wait_for_timeout(900)
    box = frame.locator("#entry .button").bounding_box()
    page.mouse.click(box["x"] + 20, box["y"] + 10)
    frame.locator("#covered").wait_for()
    box = frame.locator("button[value=call]").bounding_box()
    page.mouse.click(box["x"] + 20, box["y"] + 10)
    page.wait_for_timeout(300)
    assert posts == []
    page.evaluate("frame.style.opacity = '1'")
    page.wait_for_timeout(900)
    frame.locator("#entry .button").click()
    frame.locator(".notice").wait_for()
    assert len(posts) == 1


def test_it_must_have_been_in_sight_for_half_a_second(
    pages: Any, api: httpx.Client, shop: Shop, browse: Any, phone: str
) -> None:
    page = browse("about:blank")
    page.add_init_script("let at = 0; performance.now = () => at; window.pass = (time) => { at += time; };")
    page.goto(shop.show(HOSTILE.format(name=NAME, url=page_of(api, phone))))
    frame = page.frame_locator("iframe")
    frame.locator("#code").fill(wrong_code(pages.code()))
    page.wait_for_timeout(500)  # the browser tells what is visible a tenth of a second later
    for passed in (0, 499):
        frame.locator("html").evaluate(f"() => pass({passed})")
        frame.locator("#covered").evaluate("one => { one.hidden = true; }")
        frame.locator("#entry .button").click()
        frame.locator("#covered").wait_for()
    frame.locator("html").evaluate("() => pass(1)")
    frame.locator("#entry .button").click()
    frame.locator(".notice").wait_for()
