"""Contract tests of a provider's settings: what is wrong is refused by name before anything is sent."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest

from otpcore.errors import SettingsError
from otpcore.testing.providers.base import ContractBase
from otpcore.testing.providers.bench import Bench

__all__ = ["SettingsTests"]


class SettingsTests(ContractBase):
    """Each refusal is a ``SettingsError`` that names ``providers.<instance>.<key>``."""

    def test_an_unknown_setting_is_refused(self, bench: Bench) -> None:
        _refused(bench, "no_such_setting", no_such_setting="x")

    def test_a_required_setting_must_be_there(self, bench: Bench, required_setting: str) -> None:
        _refused(bench, required_setting, without=required_setting)

    def test_a_required_setting_must_not_be_blank(self, bench: Bench, required_setting: str) -> None:
        _refused(bench, required_setting, **{required_setting: ""})

    @pytest.mark.parametrize("stray", ["{}\n", " {}", "{}\u200b"])
    def test_a_credential_with_what_nobody_sees_is_refused(self, bench: Bench, stray: str) -> None:
        for key in sorted(self.secret_settings or ()):
            if isinstance(right := bench.settings[key], str) and "\n" not in right:
                _refused(bench, key, **{key: stray.format(right)})

    @pytest.mark.anyio
    async def test_plain_http_beyond_loopback_is_refused(self, bench: Bench) -> None:
        key = self.base_url_setting
        refusal: SettingsError | None = None
        try:
            async with AsyncExitStack() as stack:
                await bench.provider(**{key: "http://vendor.example.com"}).start(stack)
        except SettingsError as error:
            refusal = error
        if refusal is None:
            pytest.fail(
                f"`{key}` was taken with plain http: pass it through check_base_url (`base_url_setting` names the key)"
            )
        _assert_named(bench, refusal, key)

    def test_the_secret_settings_are_settings(self, bench: Bench) -> None:
        assert set(self.secret_settings or ()) <= set(bench.settings), (
            "`secret_settings` names what the simulator does not set"
        )


def _refused(bench: Bench, key: str, **changed: Any) -> None:
    refusal: SettingsError | None = None
    try:
        bench.provider(**changed)
    except SettingsError as error:
        refusal = error
    if refusal is None:
        pytest.fail(
            f"`{key}` was taken as it is: check the settings in the factory, with context.structure(...) and validators"
        )
    _assert_named(bench, refusal, key)


def _assert_named(bench: Bench, error: SettingsError, key: str) -> None:
    name = f"providers.{bench.context().instance}.{key}"
    assert name in str(error), f"the refusal has to name the setting, {name}"
    bench.assert_unreadable(error)
