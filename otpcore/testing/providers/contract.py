"""The contract suite of provider plugins: subclass ``ProviderContract``, say how your vendor is reached, inherit the tests."""

from __future__ import annotations

import pytest

# Before they are imported: pytest shows the values in a failed assertion only of modules that it was told about.
pytest.register_assert_rewrite(
    "otpcore.testing.providers.accounts",
    "otpcore.testing.providers.base",
    "otpcore.testing.providers.bench",
    "otpcore.testing.providers.codes",
    "otpcore.testing.providers.faults",
    "otpcore.testing.providers.gates",
    "otpcore.testing.providers.loading",
    "otpcore.testing.providers.manners",
    "otpcore.testing.providers.offline",
    "otpcore.testing.providers.outcomes",
    "otpcore.testing.providers.prices",
    "otpcore.testing.providers.receipts",
    "otpcore.testing.providers.reporting",
    "otpcore.testing.providers.reports",
    "otpcore.testing.providers.sends",
    "otpcore.testing.providers.settings",
    "otpcore.testing.providers.wire",
)

from otpcore.testing.providers.accounts import AccountTests  # noqa: E402 - after the registration
from otpcore.testing.providers.base import Refusal  # noqa: E402 - the same
from otpcore.testing.providers.bench import Bench  # noqa: E402 - the same
from otpcore.testing.providers.codes import CodeTests  # noqa: E402 - the same
from otpcore.testing.providers.faults import FaultTests  # noqa: E402 - the same
from otpcore.testing.providers.gates import GateTests  # noqa: E402 - the same
from otpcore.testing.providers.loading import LoadingTests  # noqa: E402 - the same
from otpcore.testing.providers.manners import MannerTests  # noqa: E402 - the same
from otpcore.testing.providers.outcomes import OutcomeTests  # noqa: E402 - the same
from otpcore.testing.providers.prices import PriceTests  # noqa: E402 - the same
from otpcore.testing.providers.receipts import ReceiptTests  # noqa: E402 - the same
from otpcore.testing.providers.reporting import Report  # noqa: E402 - the same
from otpcore.testing.providers.reports import ReportTests  # noqa: E402 - the same
from otpcore.testing.providers.sends import SendTests  # noqa: E402 - the same
from otpcore.testing.providers.settings import SettingsTests  # noqa: E402 - the same

__all__ = ["Bench", "ProviderContract", "Refusal", "Report"]


class ProviderContract(
    AccountTests,
    ReportTests,
    ReceiptTests,
    PriceTests,
    OutcomeTests,
    CodeTests,
    SettingsTests,
    MannerTests,
    FaultTests,
    SendTests,
    LoadingTests,
    GateTests,
):
    """What every provider must do, on asyncio and on trio, shown against its vendor's simulator.

    ::

        import pytest

        from otpcore import Channel, ErrorKind
        from otpcore.testing import ProviderContract, Refusal
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

    - ``simulator``: a started ``otpcore.simulators.Simulator``, new for each test. The ``reference`` of its messages is
      the vendor's id that a receipt carries.
    - ``plugin``: ``"module:factory"``, an entry-point name, or the factory itself, a function of a module.
    - ``provider_settings``: settings of an instance that talks to the simulator; by default
      ``simulator.provider_settings()``.

    Attributes to set where the default does not fit:

    - ``channels``: what an instance with these settings delivers; default SMS and calls. Where settings take a channel
      away (a sender that cannot call), subclass the suite with them.
    - ``code_owner``: default ``CodeOwner.CORE``. With ``CodeOwner.PROVIDER`` checks and cancelling are tested too.
    - ``required_settings``: keys that must not be left out or blank. This, ``secret_settings`` and ``refusals`` have to
      be said; where there are none, as ``()``.
    - ``secret_settings``: keys whose values no one may ever read.
    - ``base_url_setting``: the key of the vendor's URL; default ``"base_url"``.
    - ``refusals``: each a ``Refusal``; the vendor's own errors.
    - ``kind_of_http_401``, ``…_429``, ``…_500``, ``…_503``, ``kind_of_redirect``: what a bare answer with that status
      means; by default ``MISCONFIGURED``, ``THROTTLED``, ``AMBIGUOUS``, ``UNAVAILABLE``, ``MISCONFIGURED``.
    - ``recipient``: a number (E.164) that the simulator delivers to.
    - ``sms_text``, ``call_text``, ``message_text``: what is sent where otpcore owns the code, by SMS, by a call and
      over any other channel, with ``{code}`` and ``{digits}`` in it.
    - ``messages_after_repeat``: how many messages a person has after a send whose answer was lost and its repeat: 2, or
      1 where the vendor can be asked first or knows the idempotency key.
    - ``sender``, ``caller``: whom a host may name as the sender of messages and of calls, where the instance carries
      one; default ``"Company"`` and a number.
    - ``short_timeout``: ``context.timeout`` where the vendor hangs, seconds; long enough to connect on a busy machine.
    - ``overtime``: seconds that a plain ``def`` hook may go on after ``context.timeout``, as its SDK's timeouts are
      whole seconds, or count each read; default 1. An ``async def`` hook has ``short_timeout``.
    - ``watchdog``: seconds after which a test is ended that waits for ever, or whose event loop a hook blocks; default
      10, 0: never.
    - ``signed``: what of a receipt the vendor's signature covers, by default ``{"body", "headers", "url"}``: each of
      them is forged. Headers are those of ``callback``. ``{"secret"}`` where it signs nothing but sends one of
      ``secret_settings`` along; ``set()`` where it sends no proof, as ``ProviderInfo.signs_receipts`` says.
    - ``unsigned_fields``: names of the fields of a form, of a query or of JSON (``message.status``) that the signature
      leaves out; default none.
    - ``receipt_lifetime``: seconds after which a signed receipt is refused as stale; default None: the vendor signs no
      time.
    - ``receipt_text``: what the vendor waits for as the body of the answer to a receipt, such as ``OK``; default none.
    - ``prices``: where the vendor says what it charges: ``"answer"`` to a send, ``"repeat"`` (what it is asked after an
      answer that was lost), ``"receipt"``; default none. The simulator's messages have the ``price``.
    - ``told_by_number``: False where an outcome can be told of a message whose reference is known alone; default True.
    - ``told_of_approvals``: False where the vendor is told only of codes that were not typed; default True.
    - ``told_of_failures``: False where the vendor is told only of codes that were typed; default True.

    Methods to override where the vendor is different:

    - ``assert_delivered(message, request)``: the person got what was to be sent.
    - ``make_gone(simulator)``: let every verification at the vendor come to its end; by default an hour passes.
    - ``wrong_code(code)``: another one of the same length.
    - ``callback(simulator, request, receipt, status)``: the ``ReceiptRequest`` in which the vendor reports this
      delivery, signed just now, or where it signs nothing, at the address that it was told; needed where the provider
      implements ``parse_receipt``.
    - ``progress(simulator, request, receipt)``: the same of a delivery that is still under way, where the vendor
      reports that.
    - ``batch(simulator, reports)``: the same of several deliveries in one request, where the vendor does that; each
      report is ``(request, receipt, status)``.
    - ``challenge(simulator)``: where the vendor has an address proven by a GET, that ``ReceiptRequest`` and the text
      that it waits for.
    """
