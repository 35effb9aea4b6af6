"""What happened to people, in Chromium: every page and state in three widths, light and dark, and without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from console_scenes import Scene, gateways

from otpcore.testing import wrong_code

PHONE = "+359881234567"
LONG = "a_gateway_of_thirty_letters_xx"
IN_DARK = {"deliveries", "deliveries-wrong", "person", "verification-living", "refused", "limits-phone"}
LIMITS = {"phone": ["3/1d"], "unverified": ["2/1h"], "lock_after": 3}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, serve_console: Any) -> Iterator[Scene]:
    """Everything that the pages have a state for."""
    mada, twilio = gateways()
    url = f"sqlite:///{tmp_path_factory.mktemp('people')}/otp.sqlite3"
    with serve_console(url, {"mada": mada, LONG: twilio}, limits=LIMITS) as console:
        made = Scene(console, mada, twilio)
        begun = made.send(PHONE, ("misconfigured", "HTTP 401"), purpose="sign-in")
        made.report(begun.id)
        made.verify(PHONE, wrong_code(made.code), purpose="sign-in")
        made.verify(PHONE, made.code, purpose="sign-in")
        lost = made.send(
            PHONE, purpose="a purpose with a name that is as long as somebody might think of, and a bit more"
        )
        made.report(lost.id, "undelivered")
        for number in range(5):
            made.send(PHONE, purpose=f"purpose {number}")
        made.send("+4915112345678", ("unavailable", "503"), ("ambiguous", "timeout"), purpose="sign-in")
        made.send("+447400123456", ("throttled", "20429"), ("blocked", "30004"), purpose="pay", app="shop")
        made.do(made.service.operator.sending.deny("+9665", by="the test", reason="somebody pumps"))
        for number in range(12):
            made.send(f"+9665012345{number:02d}", purpose="sign-in")
        yield made


def addresses(scene: Scene) -> dict[str, str]:
    """Each page in each state, by a name for its picture."""
    someone = scene.console.browser("ada")
    someone.get("/person")

    def found(path: str, **form: str) -> str:
        return str(someone.post(path, **form).headers["location"]).removeprefix("/console")

    (latest, *_, first) = scene.do(scene.service.operator.challenges.show(PHONE))
    return {
        "deliveries": "/deliveries",
        "deliveries-none": "/deliveries?outcome=limit_reached",
        "deliveries-wrong": "/deliveries?from=yesterday&prefix=359",
        "verifications": "/deliveries/verifications",
        "search": "/person",
        "person": found("/person", q=PHONE),
        "person-none": found("/person", q="+359880000000"),
        "verification": f"/verification/{first.id}",
        "verification-living": f"/verification/{latest.id}",
        "refused": "/refused",
        "refused-none": "/refused?prefix=%2B1",
        "limits": "/limits",
        "limits-phone": found("/limits", phone=PHONE),
        "limits-none": found("/limits", prefix="JM"),
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_page_is_fine_in_every_width(scene: Scene, browse: Any, fine: Any, fits: Any, scheme: str) -> None:
    page = browse(scene.console, "/person", scheme=scheme)
    for name, path in addresses(scene).items():
        page.goto(f"{scene.console.url}{path}")
        for one in page.locator("main details").all():
            one.evaluate("one => { one.open = true }")
        (fine if scheme == "light" or name in IN_DARK else fits)(page, f"{name}-{scheme}")
        assert PHONE not in page.content()


def test_a_person_is_found_and_given_back_without_scripts(scene: Scene, browse: Any, fits: Any) -> None:
    page = browse(scene.console, "/person", js=False)
    page.get_by_label("Find a person or a verification").fill(PHONE)
    page.get_by_role("button", name="Find").click()
    assert page.inner_text("h1").startswith("+3598******67 ")
    assert PHONE[1:] not in page.url
    fits(page, "person-bare")
    page.get_by_text("Give the limits back").click()
    page.evaluate("document.querySelector('#reset-reason').removeAttribute('required')")
    page.get_by_role("button", name="Give back").click()
    assert page.evaluate("document.activeElement.className") == "alert"
    assert page.inner_text(".alert a") == "Say why. It is kept in the audit."
    fits(page, "person-bare-wrong")
    page.locator(".alert a").click()
    assert page.evaluate("document.querySelector(':target').id") == "reset-reason"
    page.locator("#reset-reason").fill("ticket 4711")
    page.get_by_role("button", name="Give back").click()
    assert page.inner_text(".said").startswith("Given back: ")


def test_a_row_opens_its_story_in_a_new_tab_by_keyboard(scene: Scene, browse: Any) -> None:
    page = browse(scene.console, "/deliveries")
    page.locator("tbody a").first.focus()
    with page.context.expect_page() as opened:
        page.keyboard.press("Enter")
    opened.value.wait_for_load_state()
    assert "/verification/" in opened.value.url
    assert page.url.endswith("/deliveries")


def test_a_whole_number_is_shown_once(scene: Scene, browse: Any, fine: Any) -> None:
    page = browse(scene.console, addresses(scene)["person"])
    page.get_by_text("Show the whole number").click()
    page.locator("#reveal-reason").fill("ticket 4711")
    page.get_by_role("button", name="Show the number").click()
    assert PHONE in page.inner_text(".whole")
    assert PHONE not in page.url + page.title()
    fine(page, "person-whole")
    page.goto(page.url.removesuffix("/reveal"))
    assert PHONE not in page.content()


def test_what_is_typed_and_open_stays_while_the_page_is_kept_fresh(scene: Scene, browse: Any) -> None:
    page = browse(scene.console, addresses(scene)["person"])
    page.clock.install()
    page.reload()
    page.get_by_text("Give the limits back").click()
    page.locator("#reset-reason").fill("half a reas")
    page.clock.run_for(11_000)
    assert page.input_value("#reset-reason") == "half a reas"
    assert page.locator("details:has(#reset-reason)").get_attribute("open") is not None


def test_a_filter_is_a_link_that_can_be_passed_on(scene: Scene, browse: Any) -> None:
    page = browse(scene.console, "/deliveries", js=False)
    page.get_by_label("Outcome").select_option("Throttled")
    page.get_by_role("button", name="Filter").click()
    assert "outcome=throttled" in page.url
    assert page.locator("tbody tr").count() == 1
    page.get_by_role("link", name="Clear").click()
    assert page.locator("tbody tr").count() > 5
