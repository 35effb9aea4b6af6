"""Verify a phone from a trio program: ``python verify_phone.py +359871234567``."""

from __future__ import annotations

import argparse
import logging
import sys

import trio

from otpcore import AsyncOTPService, OTPConfigurationError, OTPError, known_as

TEXTS = {  # what the person reads, by class and reason; str(error) is for the log
    ("InvalidPhoneNumber", ""): "This is not a phone number.",
    ("NoRouteError", "no_route"): "No code can be sent to this number.",
    ("DeliveryError", "permanent"): "This number cannot be reached.",
}


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
            logging.getLogger("verify_phone").warning("%s", error)
            return TEXTS.get(known_as(error), "No code could be sent. Please try again later.")
        except EOFError:
            return "No code was typed."


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("phone", help="with a leading +")
    phone = arguments.parse_args().phone
    try:
        sys.exit(trio.run(main, phone))
    except (OTPError, OTPConfigurationError) as error:  # it cannot even be opened
        sys.exit(str(error))
