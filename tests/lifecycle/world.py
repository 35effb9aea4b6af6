"""A store and its model side by side, the tasks of two processes that use them step by step, vendors, and a person.

Each task is a generator that goes the way of the service (otpcore/_sending.py, _delivery.py, _retries.py,
_verifying.py) and stops before each transaction and each network call, so that anything may happen in between.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
from model import FOREVER, Model, Reserved, Rules, Said, Walk
from vendor import Vendor

from otpcore._verifying import _checks
