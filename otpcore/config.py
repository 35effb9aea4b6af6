"""The settings: one frozen, typed tree, read once and checked as a whole."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, ClassVar, Literal, Self, get_args, get_origin

import attrs

from otpcore._settings_fields import (
    a_section,
    between,
    compliant,
    full_key,
    matching,
    not_a_setting,
    one_of,
    setting,
)
from otpcore._settings_file import SettingsTree, read_settings
from otpcore.errors import RoutingSyntaxError, SettingsError
from otpcore.keys import KeySettings
from otpcore.structuring import structure

__all__ = [
    "CallSettings",
    "Limit",
    "LimitSettings",
    "OtpSettings",
    "PluginSettings",
    "RetrySettings",
    "RoutingSettings",
    "SettingDescription",
    "Settings",
    "SmsSettings",
    "StorageSettings",
    "documented_keys",
    "load_settings",
    "parse_limit",
]
