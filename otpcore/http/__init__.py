"""The HTTP client of provider plugins: one request, never repeated, each failure mapped to an ``ErrorKind``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otpcore.lazily import from_modules

if TYPE_CHECKING:
    from otpcore.http.client import HttpAnswer, HttpClient, check_base_url, open_client, parse_date, readings

__all__ = ["HttpAnswer", "HttpClient", "check_base_url", "open_client", "parse_date", "readings"]

_MODULES = {
    "otpcore.http.client": ("HttpAnswer", "HttpClient", "check_base_url", "open_client", "parse_date", "readings"),
}

if not TYPE_CHECKING:
    __getattr__ = from_modules(__name__, _MODULES)
