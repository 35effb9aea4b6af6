"""Measures otpcore beside floors and peers in one run: ``nox -s bench`` or ``python -m benchmarks``."""

from __future__ import annotations
