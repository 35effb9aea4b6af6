"""``otp demo``."""
