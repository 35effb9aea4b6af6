"""``otp doctor``."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from otpcore.cli.exits import ExitCode
from otpcore.operator.findings import checks as _findings
from otpcore.operator.findings.checks import Level
from otpcore.settings.tree import LimitSettings, Settings
from otpcore.stores.records import WorkerRecord
from otpcore.stores.sql.store import SqlStore

from .. import gateways  # noqa: TID252 - tests are no package that could be imported by name
from ..own_servers import pgbouncer_before  # noqa: TID252 - the same
from .desk import PHONE, Desk, Ended, Otp, send_at


def found(ended: Ended, about: str, level: str) -> list[str]:
    return [one["detail"] for one in ended.document["checks"] if (one["about"], one["level"]) == (about, level)]


def test_a_good_setup_is_well_and_looking_at_it_makes_no_database(otp: Otp, desk: Desk) -> None:
    (desk.directory / "otpcore.sqlite3").unlink()
    before = sorted(file.name for file in desk.directory.iterdir())
    ended = otp("doctor", "--json")
    assert ended.code == ExitCode.OK
    assert ended.document["ok"] is True
    assert found(ended, "rules", "ok") == ["sms: mada (from: file)"]
    assert "no instance of the rules can do it" in found(ended, "rules", "note")[0]
    assert found(ended, "providers", "ok") == ["mada: otp-mada 0.1.0; sms"]
    assert "yet; the first start makes it" in found(ended, "store", "note")[0]
    assert sorted(file.name for file in desk.directory.iterdir()) == before


def test_a_store_in_use_is_shown_with_its_revision(otp: Otp, desk: Desk) -> None:
    otp("send", PHONE)
    [store] = found(otp("doctor", "--json"), "store", "ok")
    assert str(desk.directory / "otpcore.sqlite3") in store
    assert "tables at" in store


def test_a_server_is_named_with_the_pooler_before_it(otp: Otp, desk: Desk, empty_postgres_url: str) -> None:
    desk.write(storage={"url": empty_postgres_url})
    [direct] = found(otp("doctor", "--json"), "store", "ok")
    assert "(postgresql 18." in direct
    assert "pooler" not in direct
    with pgbouncer_before(empty_postgres_url) as url:
        desk.write(storage={"url": url})
        [pooled] = found(otp("doctor", "--json"), "store", "ok")
    assert "a pooler stands before it" in pooled


def test_a_server_that_takes_no_writes_is_a_problem(otp: Otp, desk: Desk, empty_postgres_url: str) -> None:
    desk.write(storage={"url": f"{empty_postgres_url}&options=-cdefault_transaction_read_only%3Don"})
    ended = otp("doctor", "--json")
    assert ended.code == ExitCode.REFUSED
    [problem] = found(ended, "store", "problem")
    assert "takes no writes" in problem


def test_a_server_that_refuses_is_told_in_its_own_words(otp: Otp, desk: Desk, empty_postgres_url: str) -> None:
    desk.write(
        storage={"url": empty_postgres_url.replace("/postgres?", "/nowhere?").replace("postgresql+psycopg", "postgres")}
    )
    [problem] = found(otp("doctor", "--json"), "store", "problem")
    assert 'database "nowhere" does not exist' in problem
    assert otp("db", "upgrade").code != ExitCode.OK


def test_a_first_settings_file_lacks_only_its_rules(otp: Otp, directory: Path) -> None:
    otp("init")
    ended = otp("doctor", "--json")
    assert ended.code == ExitCode.REFUSED
    assert [one["about"] for one in ended.document["checks"] if one["level"] == "problem"] == ["rules"]
    assert otp("doctor").code == ExitCode.REFUSED


def test_without_anything_it_points_at_init(otp: Otp) -> None:
    ended = otp("doctor", "--json")
    assert ended.code == ExitCode.REFUSED
    assert any("otp init" in one["fix"] + one["detail"] for one in ended.document["checks"])


def test_the_way_to_the_vendors_is_shown_and_what_is_not_taken_from_the_environment(
    otp: Otp, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert found(otp("doctor", "--json"), "network", "ok") == ["straight to the vendors, with the usual certificates"]
    monkeypatch.setenv("HTTPS_PROXY", "http://otp:correct-horse@proxy.example.com:3128")
    ended = otp("doctor", "--json")
    assert found(ended, "network", "note") == [
        "HTTPS_PROXY of the environment is not used: nothing is taken from there unless asked"
    ]
    desk.write(http={"trust_env": True})
    ended = otp("doctor", "--json")
    assert found(ended, "network", "ok") == ["where nothing is set, by HTTPS_PROXY of the environment"]
    assert "correct-horse" not in ended.out
    desk.write(http={"proxy": "http://otp:correct-horse@proxy.example.com"})
    ended = otp("doctor", "--json")
    assert found(ended, "network", "ok") == ["set by http.proxy"]
    assert "correct-horse" not in ended.out
    desk.write(http={"ca_file": "no-such-file.pem"})
    [problem] = found(otp("doctor", "--json"), "providers", "problem") or found(
        otp("doctor", "--json"), "store", "problem"
    )
    assert "http.ca_file" in problem


def test_a_wrong_setting_is_the_only_finding(otp: Otp, desk: Desk) -> None:
    desk.write(otp={"length": 99})
    ended = otp("doctor", "--json")
    assert ended.code == ExitCode.REFUSED
    [only] = ended.document["checks"]
    assert (only["about"], only["level"]) == ("settings", "problem")
    assert "otp.length" in only["detail"]


def test_a_broken_provider_is_a_problem_only_where_rules_need_it(otp: Otp, desk: Desk) -> None:
    desk.write(providers={"sinch": {}})
    spare = otp("doctor", "--json")
    assert spare.code == ExitCode.OK
    assert "providers.sinch.application_key" in found(spare, "providers", "note")[0]
    desk.write(otp_sms_provider="Mada;Sinch", providers={"sinch": {}})
    needed = otp("doctor", "--json")
    assert needed.code == ExitCode.REFUSED
    assert "providers.sinch.application_key" in found(needed, "providers", "problem")[0]


def test_a_prefix_of_the_rules_that_no_number_can_match_is_noted(otp: Otp, desk: Desk) -> None:
    desk.write(otp_sms_provider="Mada;Mada:+35987,+999,+3")
    noted = [one for one in otp("doctor", "--json").document["checks"] if one["about"] == "rules"]
    assert [(one["level"], one["detail"]) for one in noted if "begin with" in one["detail"]][:1] == [
        ("note", "sms: no country's numbers begin with +999")
    ]


def test_whether_retries_are_on_and_how_they_run_is_said(otp: Otp, desk: Desk) -> None:
    off = found(otp("doctor", "--json"), "retries", "note")
    assert "sms: not retried when no provider takes it" in off
    desk.write(sms={"retry": True, "max_retries": 7})
    assert found(otp("doctor", "--json"), "retries", "ok") == [
        "sms: up to 7 retries, run by `otp worker`, which must run"
    ]
    desk.write(retry={"runner": "inline"})
    assert found(otp("doctor", "--json"), "workers", "note") == ["nobody sweeps and purges"]
    desk.write(sms={"max_retries": 0})
    assert "sms: not retried when no provider takes it" in found(otp("doctor", "--json"), "retries", "note")


def test_retries_that_nobody_runs_are_a_problem(otp: Otp, desk: Desk) -> None:
    desk.write(sms={"retry": True})
    desk.mada.down()
    send_at(datetime.now(UTC) - timedelta(minutes=3), PHONE)
    ended = otp("doctor", "--json")
    assert ended.code == ExitCode.REFUSED
    assert "nobody runs retries" in found(ended, "sending", "problem")[0]


def test_secrets_that_others_can_read_and_a_store_that_forgets_are_noted(otp: Otp, desk: Desk) -> None:
    desk.write(storage={"store": "memory"}, retry={"runner": "inline"})
    (desk.directory / ".otpcore.secrets.toml").chmod(0o644)
    ended = otp("doctor", "--json")
    assert ended.code == ExitCode.OK
    assert "other users can read" in found(ended, "settings", "note")[0]
    assert "forgets everything" in found(ended, "store", "note")[0]


@pytest.mark.parametrize("content", [b"no database at all" * 100])
def test_a_database_that_cannot_be_read_is_a_problem(otp: Otp, desk: Desk, content: bytes) -> None:
    (desk.directory / "otpcore.sqlite3").write_bytes(content)
    ended = otp("doctor", "--json")
    assert ended.code == ExitCode.REFUSED
    assert found(ended, "store", "problem")


# Whether anybody runs the worker.


def beat(desk: Desk, seen_at: datetime, name: str = "worker-1") -> None:
    """A sign of life in the store, as a worker whose clock says so would leave it."""

    async def leave_one() -> None:
        store = SqlStore(f"sqlite:///{desk.directory / 'otpcore.sqlite3'}")
        async with AsyncExitStack() as stack:
            await store.start(stack)
            worker = WorkerRecord(name=name, kind="worker", started_at=seen_at, seen_at=seen_at, running=2)
            await store.beat(worker, timedelta(days=1), seen_at)

    anyio.run(leave_one)


def test_sends_that_wait_without_a_worker_are_a_problem_and_with_one_they_are_not(otp: Otp, desk: Desk) -> None:
    desk.write(sms={"retry": True}, retry={"first_delay": 30, "max_delay": 30})
    note = found(otp("doctor", "--json"), "workers", "note")
    assert note == ["retries are on, and nobody runs the worker now"]
    desk.mada.down()
    otp("send", PHONE)
    ended = otp("doctor", "--json")
    assert ended.code == ExitCode.REFUSED
    assert "nobody runs retries, and 1 send waits for a next try" in found(ended, "sending", "problem")[0]
    beat(desk, datetime.now(UTC))
    ended = otp("doctor", "--json")
    assert ended.code == ExitCode.OK
    assert "2 running" in found(ended, "workers", "ok")[0]
    assert not found(ended, "workers", "problem")


def test_a_worker_that_was_not_seen_lately_does_not_count(otp: Otp, desk: Desk) -> None:
    desk.write(sms={"retry": True})
    beat(desk, datetime.now(UTC) - timedelta(seconds=40))
    assert found(otp("doctor", "--json"), "workers", "note")


def test_overdue_retries_that_the_workers_cannot_run_are_told_apart(otp: Otp, desk: Desk) -> None:
    desk.write(sms={"retry": True})
    desk.mada.down()
    send_at(datetime.now(UTC) - timedelta(minutes=3), PHONE)
    beat(desk, datetime.now(UTC))
    assert "nobody of those who run them has their key" in found(otp("doctor", "--json"), "sending", "problem")[0]


def test_a_store_that_only_its_process_sees_has_no_workers_to_look_for(otp: Otp, desk: Desk) -> None:
    desk.write(storage={"store": "memory"}, sms={"retry": True}, retry={"runner": "background"})
    assert not [one for one in otp("doctor", "--json").document["checks"] if one["about"] == "workers"]


# The clock.


def test_a_worker_from_the_future_and_a_file_from_the_future_say_that_a_clock_is_wrong(otp: Otp, desk: Desk) -> None:
    assert len(found(otp("doctor", "--json"), "clock", "ok")) == 1
    beat(desk, datetime.now(UTC) + timedelta(seconds=60), "worker-ahead")
    ended = otp("doctor", "--json")
    assert ended.code == ExitCode.REFUSED
    assert "worker-ahead" in found(ended, "clock", "problem")[0]
    later = (datetime.now(UTC) + timedelta(hours=1)).timestamp()
    os.utime(desk.directory / "otpcore.json", (later, later))
    assert "otpcore.json was written" in found(otp("doctor", "--json"), "clock", "note")[0]


def test_a_clock_that_was_never_set_is_a_problem() -> None:
    (only,) = _findings.clock(datetime(1970, 1, 2, tzinfo=UTC), {})
    assert only.level is Level.PROBLEM
    assert "1970-01-02" in only.detail


# Credentials.


@pytest.mark.parametrize(
    "value",
    ["", " AC1", "AC1\n", "'AC1'", '"AC1"', "${TWILIO_TOKEN}", "$TOKEN", "{{ token }}", "%TOKEN%", "<token>", "xxxxxxxx",
     "****", "...", "changeme", "CHANGE-ME", "replace_me", "TODO", "your-token", "Your token here", "password",
     "of the portal", "of-the-access-key", "the secret of the API key", "of bell", "AKIAIOSFODNN7EXAMPLE"],
)  # fmt: skip
def test_a_credential_that_no_vendor_gives_out_is_noted_and_not_shown(value: str) -> None:
    settings = Settings.from_mapping({"providers": {"acme": {"token": value, "deeper": {"name": "fine"}}}})
    (only,) = _findings.credentials(settings)
    assert only.level is Level.NOTE
    assert only.detail.startswith("providers.acme.token ")
    assert len(value) < 3 or value not in only.detail


@pytest.mark.parametrize(
    "value",
    [
        "AC" + "0" * 32,
        "my-shop",
        "https://example.com/api",
        "p$word",
        "a b",
        "Todorov",
        "+35987",
        "x",
        "secret!9",
        "AKIAIOSFODNN7",
        "of",
    ],
)
def test_a_credential_that_may_be_meant_is_left_alone(value: str) -> None:
    (only,) = _findings.credentials(Settings.from_mapping({"providers": {"acme": {"token": value}}}))
    assert only.level is Level.OK


def test_the_checks_of_credentials_and_limits_are_part_of_it(otp: Otp, desk: Desk) -> None:
    desk.write(providers={"mada": {**desk.mada.provider_settings(), "password": "changeme"}})
    ended = otp("doctor", "--json")
    assert found(ended, "credentials", "note") == ["providers.mada.password is a placeholder"]
    assert "one phone may be sent to without limit" in found(ended, "limits", "note")
    assert "changeme" not in ended.out


# Number data and limits.


@pytest.mark.parametrize(
    ("version", "installed", "now", "level"),
    [
        ("9.0.0", datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC), Level.OK),
        ("9.0.0", datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 10, tzinfo=UTC), Level.NOTE),
        ("9.0.43", datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC), Level.OK),
        ("9.0.43", datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 11, 25, tzinfo=UTC), Level.NOTE),
        ("12.3.1", datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 10, 1, tzinfo=UTC), Level.OK),
        ("12.3.1", datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 11, 25, tzinfo=UTC), Level.NOTE),
    ],
)
def test_number_data_older_than_a_year_is_noted(version, installed, now, level) -> None:
    (only,) = _findings.number_data(version, installed, now)
    assert only.level is level
    assert version in only.detail


def test_limits_that_are_off_are_noted_each_with_what_turns_it_on() -> None:
    off = list(_findings.limits(LimitSettings(phone=())))
    on = list(_findings.limits(LimitSettings()))
    assert len(off) == len([one for one in on if one.level is Level.NOTE]) + 1
    assert off[0].fix.startswith("in [limits]: phone = ")


@pytest.mark.parametrize(
    ("asked", "keys"),
    [
        ({}, []),
        ({"locale": "bg"}, ["otp.locale"]),
        ({"locale": "de"}, []),
        ({"app": "Банка"}, ["otp.locale"]),
        ({"templates": {"login": {"bg": "Код {code}", "en": "Code {code}"}}}, ["otp.templates.login.bg"]),
        ({"templates": {"login": {"en": "Code {code} \u2013 bye"}}}, ["otp.templates.login.en"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("policy", ["refuse", "ucs2"])
def test_texts_that_an_instance_refuses_for_their_letters_are_named(
    otp: Otp, desk: Desk, asked: dict[str, Any], keys: list[str], policy: str
) -> None:
    desk.write(otp=asked, providers={"mada": {**desk.mada.provider_settings(), "unicode": policy}})
    ended = otp("doctor", "--json")
    named = [one for level in ("problem", "note") for one in found(ended, "alphabets", level)]
    assert [one.split(" of ")[1].split(" = ")[0] for one in named] == (keys if policy == "refuse" else [])
    assert all("U+" in one and "mada" in one for one in named)
    unusable = policy == "refuse" and "otp.locale" in keys
    assert ended.code == (ExitCode.REFUSED if unusable else ExitCode.OK)
    if not keys and policy == "refuse":
        assert "GSM alphabet only" in found(ended, "alphabets", "ok")[0]


def test_a_vendor_that_signs_nothing_and_is_told_no_address_is_noted_with_the_fix(otp: Otp, desk: Desk) -> None:
    assert found(otp("doctor", "--json"), "receipts", "ok") == [], "the vendor of this one signs, or reports nothing"
    bell = {"plugin": f"{gateways.__name__}:Bell", "token": gateways.TOKEN, "base_url": "http://127.0.0.1:1"}
    rules, providers = "mada;bell", {"mada": desk.mada.provider_settings(), "bell": bell}
    desk.write(otp_sms_provider=rules, providers=providers)
    (told,) = (one for one in otp("doctor", "--json").document["checks"] if one["about"] == "receipts")
    assert told["level"] == "note"
    assert told["detail"].startswith("bell: ")
    assert told["fix"].startswith("in [otp]: receipts_url = ")
    desk.write(otp_sms_provider=rules, providers=providers, otp={"receipts_url": "https://example.com/receipts"})
    assert found(otp("doctor", "--json"), "receipts", "ok") == [
        "bell: the vendor reports below https://example.com/receipts"
    ]


def test_what_doctor_says_of_letters_leads_out(otp: Otp, desk: Desk) -> None:
    desk.write(otp={"locale": "bg"})
    assert otp("send", PHONE).code != ExitCode.OK
    assert otp("doctor").code == ExitCode.REFUSED
    desk.write(otp={"locale": "bg"}, providers={"mada": {**desk.mada.provider_settings(), "unicode": "ucs2"}})
    assert otp("send", PHONE).code == ExitCode.OK
    assert "код" in desk.mada.inbox[-1].text.lower()
