"""The bench runs, two scenarios at their smallest (CI runs all); what it measures is another matter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MEASURED = ("routing", "tls")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What a tiny run found."""
    path = tmp_path_factory.mktemp("bench") / "results.json"
    options = ["--tiny", "--no-peers", "--no-servers", "--only", ",".join(MEASURED), "--results", str(path)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_case_is_measured_without_an_error(results):
    assert {one["scenario"] for one in results["cases"]} == set(MEASURED)
    assert [one["name"] for one in results["cases"] if one["median"] is None or one["median"]["errors"]] == []
    assert {one["why"] for one in results["missing"]} <= {"no servers in this run"}


def test_the_table_of_goals_has_all_of_them_measured_or_not(results):
    for_each_store = {"G9", "late"}  # a line for each that was measured: outage and lateness are left out here
    expected = {*(f"G{number}" for number in range(1, 15)), "growth", "send", "series"} - for_each_store
    assert {goal["id"] for goal in results["goals"]} == expected


def test_the_report_can_be_written(results, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.plan import Missing, Results  # noqa: PLC0415 - no package: it is found in the root only
    from benchmarks.report import write_report  # noqa: PLC0415 - the same

    found = Results(
        rounds={(one["scenario"], one["setting"], one["name"]): one["rounds"] for one in results["cases"]},
        missing=[Missing(**one) for one in results["missing"]],
    )
    page = write_report(found, results["about"], tmp_path / "performance.md").read_text(encoding="utf-8")
    assert "## Goals" in page
    for line in page.splitlines():
        if line.startswith("!["):
            assert (tmp_path / line.rpartition("(")[2].rstrip(")")).is_file()
