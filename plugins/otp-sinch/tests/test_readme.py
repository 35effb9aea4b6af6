"""The README says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
from otp_sinch import SinchSettings
from otp_sinch.magic import MAGIC_NUMBERS, Ending

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_example_runs():
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names = {}
    exec(example, names)
    assert names["settings"]["providers"]["sinch"]["base_url"].startswith("http://127.0.0.1:")


def test_every_setting_is_in_the_table_with_its_default():
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (\S+) \|", README, re.MULTILINE))
    assert list(rows) == [field.name for field in attrs.fields(SinchSettings)]
    for field in attrs.fields(SinchSettings):
        default = {attrs.NOTHING: "required", False: "`false`"}.get(field.default, f'`"{field.default}"`')
        assert rows[field.name] == default


def test_every_magic_answer_is_named():
    table = README[README.index("| number |") :]
    for answer in MAGIC_NUMBERS.values():
        assert (answer.reason if isinstance(answer, Ending) else str(answer)) in table
