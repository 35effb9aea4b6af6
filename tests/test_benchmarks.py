"""The bench runs, two scenarios at their smallest (CI runs all); what it measures is another matter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, func, select

ROOT = Path(__file__).parent.parent
MEASURED = ("routing", "growth", "series")


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


def test_there_are_thirteen_goals_and_the_measured_ones_are_judged(results):
    assert [goal["number"] for goal in results["goals"]] == list(range(1, 14))
    judged = {goal["number"] for goal in results["goals"] if any(part["value"] is not None for part in goal["parts"])}
    assert judged == {9}  # with a million rows; the others are of scenarios that are left out here


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
    assert "| SQLite | 2,000 |" in page


@pytest.mark.parametrize(("broken", "code"), [("", 0), ("routing", 1)])
def test_a_case_of_ours_that_cannot_run_fails_the_bench(broken, code, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.plan import Case, Missing, Results  # noqa: PLC0415 - no package: it is found in the root only

    results = Results(missing=[Missing(scenario="send", setting="alone", name="otpcore, Redis", why="no server here")])
    results.add(Case(scenario="series", setting="", name="a day", measure="series.day"), {"errors": 0})
    if broken:
        results.miss(Case(scenario=broken, setting="", name="otpcore", measure="routing.look_up"), "it raised")
    results.miss(Case(scenario="send", setting="", name="a peer", measure="sends", lane="django_sqlite"), "it raised")
    assert len(results.failures) == code


def test_a_goal_is_not_met_where_one_of_its_parts_is_not(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.goals import Goal, Part, Verdict  # noqa: PLC0415 - as above

    def verdict(*values):
        return Goal(number=1, text="", parts=tuple(Part(name="", value=value, limit=1.0) for value in values)).verdict

    assert verdict(0.9, 1.0) is Verdict.MET
    assert verdict(0.9, 1.1) is Verdict.NOT_MET
    assert verdict(0.9, None) is Verdict.MET
    assert verdict(None, 1.1) is Verdict.NOT_MET
    assert verdict(None, None) is Verdict.OPEN


def test_rows_are_laid_in_every_column_that_must_have_a_value(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.growth import fill, tables  # noqa: PLC0415 - as above

    url = f"sqlite:///{tmp_path / 'many.sqlite3'}"
    fill(url, 50)
    engine = create_engine(url)
    with engine.connect() as connection:
        counts = {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar() for table in tables(0)
        }
    engine.dispose()
    assert set(counts.values()) == {50}
    assert len(counts) == 8
