"""The contract suite of provider plugins: subclass ``ProviderContract``, say how your vendor is reached, inherit the tests."""

from __future__ import annotations

import pytest

# Before they are imported: pytest shows the values in a failed assertion only of modules that it was told about.
pytest.register_assert_rewrite(
    "otpcore.testing._provider_bench",
    "otpcore.testing._provider_codes",
    "otpcore.testing._provider_faults",
    "otpcore.testing._provider_receipts",
    "otpcore.testing._provider_sends",
    "otpcore.testing._provider_settings",
)

from otpcore.testing._provider_bench import Bench, Refusal  # noqa: E402 - after the registration
from otpcore.testing._provider_codes import CodeTests  # noqa: E402 - the same
from otpcore.testing._provider_faults import FaultTests  # noqa: E402 - the same
from otpcore.testing._provider_receipts import ReceiptTests  # noqa: E402 - the same
from otpcore.testing._provider_sends import SendTests  # noqa: E402 - the same
from otpcore.testing._provider_settings import SettingsTests  # noqa: E402 - the same

__all__ = ["Bench", "ProviderContract", "Refusal"]


class ProviderContract(SendTests, FaultTests, SettingsTests, CodeTests, ReceiptTests):
    """What every provider must do, on asyncio and on trio, shown against its vendor's simulator.

    ::

        import pytest

        from otpcore.errors import ErrorKind
        from otpcore.models import Channel
        from otpcore.testing.provider import ProviderContract, Refusal
        from otp_acme.simulator import AcmeSimulator


        class TestAcme(ProviderContract):
            channels = (Channel.SMS,)
            required_settings = ("username", "password")
            secret_settings = ("password",)
            refusals = (
                Refusal("+359880000013", ErrorKind.REJECTED_NUMBER, "13"),
                Refusal(lambda simulator: setattr(simulator, "credit", 0), ErrorKind.MISCONFIGURED, "99"),
            )

            @pytest.fixture
            def simulator(self):
                with AcmeSimulator() as simulator:
                    yield simulator

            @pytest.fixture
            def plugin(self):
                return "otp_acme:create_provider"

    Fixtures to supply:

    - ``simulator``: a started ``otpcore.simulators.Simulator``, new for each test. The ``reference`` of its messages is the
      vendor's id that a receipt carries.
    - ``plugin``: ``"module:factory"``, an entry-point name, or the factory itself, a function of a module.
    - ``provider_settings``: settings of an instance that talks to the simulator; by default
      ``simulator.provider_settings()``.

    Attributes to set where the default does not fit:

    - ``channels``: what the provider delivers; default SMS and calls.
    - ``code_owner``: default ``CodeOwner.CORE``. With ``CodeOwner.PROVIDER`` checks and cancelling are tested too.
    - ``required_settings``: keys that must not be left out or blank.
    - ``secret_settings``: keys whose values nobody may ever read.
    - ``base_url_setting``: the key of the vendor's URL; default ``"base_url"``.
    - ``refusals``: each a ``Refusal``; the vendor's own errors.
    - ``kind_of_http_401``, ``…_429``, ``…_500``, ``…_503``, ``kind_of_redirect``: what a bare answer with that status means.
    - ``recipient``: a number (E.164) that the simulator delivers to.
    - ``sms_text``, ``call_text``: what is sent where otpcore owns the code, with ``{code}`` and ``{digits}`` in it.
    - ``messages_after_repeat``: how many messages a person has after a send whose answer was lost and its repeat: 2, or 1
      where the vendor can be asked first or knows the idempotency key.
    - ``short_timeout``: ``context.timeout`` where the vendor hangs, seconds; long enough to connect on a busy machine.

    Methods to override where the vendor is different: ``assert_delivered`` (the message of a request), ``make_gone`` (let a
    verification end at the vendor), ``wrong_code`` (of the same length). Where the provider implements ``parse_receipt``,
    also ``callback`` (what the vendor would send about a delivery).
    """
