"""What the project of the tests says to otpcore."""

from __future__ import annotations

from typing import Any

KEY = "b3RwY29yZS50ZXN0aW5nIGtleSwgbmV2ZXIgZm9yIHVzZXJzISE"
SECRET = "a-password-that-is-shown-nowhere"


def otpcore_settings(**sections: Any) -> dict[str, Any]:
    return {
        "keys": {"index": KEY, "code": {"test": KEY}, "current": "test"},
        "sms": {"sandbox": True},
        "otp_sms_provider": "any",
        "limits": {"phone": [], "client": []},
        "otp": {"app": "Shop"},
        "providers": {"any": {"plugin": "twilio", "auth_token": SECRET}},
        **sections,
    }
