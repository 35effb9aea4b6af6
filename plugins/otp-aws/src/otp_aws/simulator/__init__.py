"""An AWS End User Messaging on loopback: SMS and calls, with state, limits, failures, and events over a topic of SNS.

::

    with AwsSimulator() as aws:
        settings = {"otp_sms_provider": "Aws", "providers": {"aws": aws.provider_settings()}}
        ...
        aws.inbox[-1].code

It verifies each signature, and every field as the service model describes it. The numbers of
``otp_aws.simulator.magic`` fail, when they are sent to or later; every other number is a person whose messages arrive
in ``inbox``.
"""

from __future__ import annotations

from otp_aws.simulator.magic import ENDS, REFUSALS
from otp_aws.simulator.service import AwsSimulator
from otp_aws.simulator.topic import SimulatedTopic

__all__ = ["ENDS", "REFUSALS", "AwsSimulator", "SimulatedTopic"]
