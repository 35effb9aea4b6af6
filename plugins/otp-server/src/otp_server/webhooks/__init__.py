"""Webhooks: what changed is told to the apps, signed as Standard Webhooks say, until they have heard it."""
