"""Verify a phone from a trio program: ``python verify_phone.py +359871234567``."""

from __future__ import annotations

import sys

import trio

from otpcore import AsyncOTPService, OTPError


async def main(phone: str) -> str | None:
    """What went wrong; None when the phone is verified."""
    async with AsyncOTPService.from_settings() as otp:
        try:
            challenge = await otp.send_sms(phone)
            prompt = f"Code sent to {challenge.phone.masked}: "
            while True:
                code = await trio.to_thread.run_sync(input, prompt, abandon_on_cancel=True)
                verification = await otp.verify(challenge_id=challenge.id, code=code)
                if verification:
                    return None
                if not verification.attempts_left:
                    return "This code can no longer be used."
                prompt = f"Wrong; {verification.attempts_left} more to try: "
        except OTPError as error:
            return str(error)


if __name__ == "__main__":
    sys.exit(trio.run(main, sys.argv[1]))
