"""SMS gateways as tables: one provider plugin for every gateway whose requests and answers a table can describe."""

from __future__ import annotations

from otp_http.provider import HttpProvider, create_provider

__all__ = ["HttpProvider", "create_provider"]
