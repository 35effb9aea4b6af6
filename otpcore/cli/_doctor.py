"""``otp doctor``: everything that can be checked without sending anything."""

from __future__ import annotations

import enum
import stat
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import attrs

from otpcore._rules import RULE_SETTINGS
from otpcore._service import Setup
from otpcore.cli._database import database_url
from otpcore.cli._exits import CommandError, ExitCode
from otpcore.cli._host import load_host, run
from otpcore.cli._options import Options, table, text
from otpcore.cli._routes import RoutingView, open_view
from otpcore.errors import OTPConfigurationError, OTPError
from otpcore.models import Channel
from otpcore.plugins import PROVIDERS, installed
from otpcore.routing import format_rules
