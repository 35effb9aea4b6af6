"""The tools behind ``nox -s reproducible`` and ``nox -s licences``: a difference is named."""

from __future__ import annotations

import pytest

from . import distributions, licences


def test_an_archive_that_differs_or_is_missing_is_named(tmp_path):
    for folder, files in {"one": {"a": b"1", "b": b"2"}, "other": {"a": b"1", "b": b"3", "c": b""}}.items():
        (tmp_path / folder).mkdir()
        for name, content in files.items():
            (tmp_path / folder / name).write_bytes(content)
    one, other = distributions.digests(tmp_path / "one"), distributions.digests(tmp_path / "other")
    assert distributions.different(one, other) == ["b", "c"]
    assert distributions.different(one, one) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({}, "should have this table"),
        ({"new-one": "MIT"}, "| `new-one` | MIT |"),
        ({"new-one": "GPL-3.0-only"}, "new-one: GPL-3.0-only is a kind of licence"),
    ],
)
def test_a_package_that_is_not_listed_or_of_another_kind_is_named(monkeypatch, capsys, found, said):
    monkeypatch.setattr(licences, "installed", lambda _: found)
    assert licences.main("python") == 1
    assert said in capsys.readouterr().out


def test_a_page_that_is_right_says_nothing(monkeypatch, capsys):
    monkeypatch.setattr(licences, "installed", lambda _: licences.listed())
    assert licences.main("python") == 0
    assert capsys.readouterr().out == ""


def test_requirements_are_known_by_their_normalised_names_and_ours_left_out():
    wanted = ["otpcore[http]>=0.1", "otp-mada", "Prometheus_Client>=1; python_version < '3.12'", "psycopg[binary]>=3"]
    assert licences.required(wanted) == {"prometheus-client", "psycopg"}
