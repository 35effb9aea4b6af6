"""A number that was written where a prefix or a region belongs is not quoted in the error."""

from __future__ import annotations

import pytest

from otpcore import SettingsError
from otpcore.settings.limits import LimitSettings


@pytest.mark.parametrize("written", ["tel:+359871234567", "+359 87 123 4567", "+359871234567.0"])
@pytest.mark.parametrize("key", ["allow", "deny", "prefix", "countries"])
def test_a_whole_number_among_limits_is_not_quoted(key, written):
    given = {written: ("2/1h",)} if key in {"prefix", "countries"} else (written,)
    with pytest.raises(SettingsError) as caught:
        LimitSettings(**{key: given})
    assert "4567" not in str(caught.value)
    assert "whole number" in str(caught.value)
