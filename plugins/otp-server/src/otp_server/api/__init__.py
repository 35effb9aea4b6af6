"""``/v1``: what applications ask the service for, with a key."""
