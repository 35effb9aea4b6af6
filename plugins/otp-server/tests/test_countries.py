"""Countries of an app: numbers elsewhere are refused before anything is counted, and on a page nobody can tell."""

from __future__ import annotations

import time
from typing import Any

import attrs
import pytest
from otp_server.settings import read_settings
from page_client import Person, decoy_of, page_of

from otpcore.runners import SettingsError

BULGARIAN, AMERICAN = "+359888123450", "+12025550110"
LIMITS = {"phone": ["1/1d"], "client": []}


def _running(run_server: Any, tmp_path: Any, **sections: Any) -> Any:
    apps = {"shop": {"countries": ["BG", "DE"]}}
    return run_server(f"sqlite:///{tmp_path}/otp.sqlite3", server={"apps": apps}, **sections)


def test_a_number_elsewhere_is_refused_before_it_is_counted(run_server: Any, tmp_path: Any) -> None:
    with _running(run_server, tmp_path, limits=LIMITS) as server, server.client(app="shop") as shop:
        for path, more in (("verifications", {}), ("verifications", {"page": {}}), ("messages", {"code": "123456"})):
            answer = shop.post(f"/v1/{path}", json={"to": AMERICAN, **more})
            assert (answer.status_code, answer.json()["reason"]) == (422, "not_this_country")
            assert AMERICAN not in answer.text
        told = shop.post("/v1/explain", json={"to": AMERICAN}).json()
        assert told["refused"] == "not_this_country"
        assert told["limits"] == []
        assert shop.post("/v1/explain", json={"to": BULGARIAN}).json()["refused"] is None
        assert shop.post("/v1/verifications", json={"to": BULGARIAN}).status_code == 202
        assert shop.post("/v1/explain", json={"to": BULGARIAN}).json()["limits"]
        assert shop.post("/v1/verifications", json={"to": "nothing"}).json()["reason"] == "invalid_phone_number"
        assert len(server.server.sandbox.sandbox_inbox()) == 1


def test_a_decoy_is_opened_for_any_number_and_looks_the_same(run_server: Any, tmp_path: Any) -> None:
    with _running(run_server, tmp_path) as server, server.client(app="shop") as shop:
        person, decoy = Person(page_of(shop, BULGARIAN)), Person(decoy_of(shop, AMERICAN))
        with person.client, decoy.client:
            seen = [(one.look().status, one.types("12").alert) for one in (person, decoy)]
        assert seen == [(200, "The code is not complete")] * 2


def test_a_country_that_is_taken_away_is_sent_nothing_and_the_page_looks_the_same(
    run_server: Any, tmp_path: Any
) -> None:
    with _running(run_server, tmp_path, otp={"cooldown": 0}) as server, server.client(app="shop") as shop:
        begun = shop.post("/v1/verifications", json={"to": BULGARIAN, "page": {}}).json()
        person = Person(begun["page_url"])
        before = len(server.server.sandbox.sandbox_inbox())
        with person.client:
            person.look()
            server.server.settings = attrs.evolve(
                server.server.settings,
                apps={"shop": attrs.evolve(server.server.settings.apps["shop"], countries=("DE",))},
            )
            assert person.asks().says("We have passed on your request.")
            time.sleep(0.5)  # what would be sent is sent after the answer
        assert len(server.server.sandbox.sandbox_inbox()) == before
        answer = shop.post(f"/v1/verifications/{begun['id']}/resend", json={})
        assert answer.json()["reason"] == "not_this_country"


@pytest.mark.parametrize(
    ("country", "fix"),
    [("bg", "did you mean BG"), ("UK", "is GB"), ("+359", "did you mean BG"), ("XX", "region in capitals like BG")],
)
def test_what_is_no_country_stops_the_start(country: str, fix: str) -> None:
    with pytest.raises(SettingsError, match=fix) as caught:
        read_settings({"apps": {"shop": {"countries": [country]}}})
    assert "server.apps.shop.countries" in str(caught.value)
