"""Verify a phone from a trio program: ``python verify_phone.py +359871234567``."""

from __future__ import annotations

import sys

import trio

from otpcore import AsyncOTPService, ChallengeState, OTPError


async def main(phone: str) -> str | None:
    """None: the phone is verified; else what went wrong."""
    async with AsyncOTPService.from_settings() as otp:
        try:
            challenge = await otp.send_sms(phone)
            if challenge.state is ChallengeState.QUEUED:
                print("No provider took it yet; it is tried again in the background.")
            while True:
                code = await trio.to_thread.run_sync(input, f"Code sent to {challenge.phone.masked}: ")
                request_valid, code_valid = await otp.verify(challenge_id=challenge.id, code=code)
                if code_valid:
                    print("Verified.")
                    return None
                if not request_valid:
                    return "This code can no longer be used; ask for a new one."
                print("That is not the code.")
        except OTPError as error:
            return str(error)


if __name__ == "__main__":
    sys.exit(trio.run(main, sys.argv[1]))
