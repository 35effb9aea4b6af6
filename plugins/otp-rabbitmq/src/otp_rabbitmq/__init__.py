"""Retries of otpcore over RabbitMQ: ``retry.runner = "rabbitmq"``."""

from __future__ import annotations

from otp_rabbitmq.runner import RabbitMQRunner, create_runner
from otp_rabbitmq.settings import RabbitMQSettings

__all__ = ["RabbitMQRunner", "RabbitMQSettings", "create_runner"]
