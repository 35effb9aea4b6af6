"""Sends one-time passcodes by SMS or voice call through pluggable providers, retries, and verifies them."""
