"""What is told to the project's receivers."""

from __future__ import annotations

from django.dispatch import Signal

__all__ = ["phone_verified"]

phone_verified = Signal()
"""A view has verified a phone: ``request``, ``phone`` (E.164) and ``purpose``; the sender is the class of the view."""
