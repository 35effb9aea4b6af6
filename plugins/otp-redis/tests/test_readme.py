"""The README says what is so."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

from otp_redis import RedisStore
from otp_redis.address import Address

from otpcore.service.assembly import make_store
from otpcore.settings.tree import Settings

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_one_line_of_the_settings_chooses_it():
    (block,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert isinstance(make_store(Settings.from_mapping(tomllib.loads(block)), None), RedisStore)


def test_every_scheme_is_shown_and_registered():
    registered = {one.name for one in entry_points(group="otpcore.stores") if one.value == "otp_redis:create_store"}
    shown = set(re.findall(r"`([a-z+]+)://", README))
    assert shown == registered
    for scheme in registered:
        rest = "/run/redis.sock" if scheme == "unix" else "host/service" if scheme.endswith("sentinel") else "host"
        assert Address.parse(f"{scheme}://{rest}").place


def test_every_option_is_shown():
    shown = re.findall(r"^\| `([a-z_]+)` \| `\w+` \|", README, re.MULTILINE)
    address = Address.parse("redis://host")
    assert [str(getattr(address, name)) for name in shown] == ["otp", "0"]
