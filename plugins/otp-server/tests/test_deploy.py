"""The files for running it: what of them can be proven without a registry, a proxy and Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

DEPLOY = Path(__file__).parents[1] / "deploy"
START = "/v1/verifications"
SECRET = re.compile(r"(?i)(secret|token|password|api_?key|keys__)")


def instructions() -> list[tuple[str, str]]:
    """Of the Containerfile: each with its arguments."""
    text = re.sub(r"(?m)^#.*\n", "", (DEPLOY / "Containerfile").read_text()).replace("\\\n", " ")
    return [(line.split()[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


def of(name: str) -> str:
    (found,) = [" ".join(arguments.split()) for one, arguments in instructions() if one == name]
    return found


def test_the_container_runs_as_nobody_special_and_holds_no_secret() -> None:
    assert int(of("USER")) >= 1000
    for name, arguments in instructions():
        if name in ("ENV", "ARG", "COPY", "ADD"):
            assert not SECRET.search(arguments), arguments
    order = [name for name, _ in instructions()]
    assert order.index("USER") > max(place for place, name in enumerate(order) if name == "RUN")
    assert of("VOLUME") in of("ENV")
    assert "STOPSIGNAL" in order


def test_the_containers_command_and_check_are_no_shells_and_work(serve: Callable[..., Any], tmp_path: Path) -> None:
    command, check = json.loads(of("CMD")), json.loads(of("HEALTHCHECK").partition("CMD ")[2])
    running = serve(tmp_path)
    asked = [sys.executable, *check[1:-1], check[-1].replace("http://127.0.0.1:8025", running.url)]
    assert subprocess.run(asked, check=False, timeout=60).returncode == 0
    running.process.kill()
    running.process.wait()
    assert subprocess.run(asked, check=False, timeout=60, stderr=subprocess.DEVNULL).returncode != 0
    assert command[0] == "otp"
    shown = subprocess.run(
        [sys.executable, "-m", "otpcore", *command[1:], "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert all(option in shown.stdout for option in command if option.startswith("--") and option != "--json")
    assert f":{of('EXPOSE')}/" in check[-1]
    assert of("EXPOSE") in command


def test_systemd_takes_the_unit_and_finds_it_closed(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not there")
    text = (DEPLOY / "systemd" / "otp-server.service").read_text()
    unit = tmp_path / "otp-server.service"
    unit.write_text(text.replace("/opt/otp/bin/otp", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    closed = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert closed.returncode == 0, closed.stdout[-200:]
    assert "KillMode=mixed" in text, "the workers are told by the process that watches them"


def test_every_measurement_that_an_alert_names_is_there(shared: Any, client: httpx.Client, phone: str) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    (group,) = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    assert len({rule["alert"] for rule in group["rules"]}) == len(group["rules"]) > 5
    begun = client.post(START, json={"to": phone}).json()
    client.post(f"{START}/{begun['id']}/check", json={"code": "000000"})
    text = client.get("/metrics").text
    known = set(re.findall(r"(?m)^# TYPE (\S+)", text)) | set(re.findall(r"(?m)^(\w+)[ {]", text))
    for rule in group["rules"]:
        assert rule["for"]
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        named = set(re.findall(r"\botp_\w+", rule["expr"]))
        assert named <= known, rule["alert"]
        assert rule["expr"].count("(") == rule["expr"].count(")")
        for route in re.findall(r'route="([^"]+)"', rule["expr"]):
            assert f'route="{route}"' in text
    (scraped,) = yaml.safe_load((DEPLOY / "prometheus" / "scrape.yml").read_text())["scrape_configs"]
    assert f'job="{scraped["job_name"]}"' in group["rules"][0]["expr"]
    assert client.get(scraped["metrics_path"]).status_code == 200


@pytest.mark.parametrize(("name", "needed"), [("nginx.conf", "X-Forwarded-For"), ("Caddyfile", "reverse_proxy")])
def test_a_proxy_passes_on_who_asks_and_repeats_nothing(name: str, needed: str) -> None:
    text = (DEPLOY / "proxy" / name).read_text()
    assert needed in text
    assert text.count("{") == text.count("}")
    assert "127.0.0.1:8025" in text
    assert "Strict-Transport-Security" in text
    assert "proxy_next_upstream off" in text or "lb_retries 0" in text
