"""What an author says of a plugin in its contract suite: attributes, fixtures and methods that fit it to a vendor."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

import attrs
import pytest

from otpcore.errors import ErrorKind
from otpcore.models import Channel, CodeOwner
from otpcore.providers.hooks import ProviderContext
from otpcore.providers.requests import DeliveryRequest
from otpcore.simulators.exchange import SimulatedMessage
from otpcore.simulators.simulator import Simulator
from otpcore.testing.codes import wrong_code
from otpcore.testing.providers.bench import Bench
from otpcore.testing.providers.supervision import Supervisor

__all__ = ["ContractBase", "Refusal"]


@attrs.frozen
class Refusal:
    """One error of the vendor, and what the provider makes of it.

    Args:
        number_or_arm: A number (E.164) that the simulator refuses in this way, or a function that prepares the
            simulator.
        kind: What the provider raises.
        provider_code: With this code; None: whichever.
        channel: Over which; None: each of the provider's.
    """

    number_or_arm: str | Callable[[Any], None]
    kind: ErrorKind
    provider_code: str | None = None
    channel: Channel | None = None

    @property
    def title(self) -> str:
        """Its name in the test's id."""
        return f"{self.kind}-{self.provider_code or self.number_or_arm}"


class ContractBase:
    """What the author says of the plugin; ``ProviderContract`` documents each attribute."""

    is_provider_contract: ClassVar[bool] = True  # by which the supervisor knows it
    channels: ClassVar[Sequence[Channel]] = (Channel.SMS, Channel.CALL)
    code_owner: ClassVar[CodeOwner] = CodeOwner.CORE
    required_settings: ClassVar[Sequence[str] | None] = None
    secret_settings: ClassVar[Sequence[str] | None] = None
    base_url_setting: ClassVar[str] = "base_url"
    refusals: ClassVar[Sequence[Refusal] | None] = None
    recipient: ClassVar[str] = "+359871234567"
    sms_text: ClassVar[str] = '{code}: <Söhne & "Co"> 100% +1 it\'s\n@app.example.com #{code}'
    call_text: ClassVar[str] = "Your code for Smith & Sons is {digits}. Once more: {digits}."
    message_text: ClassVar[str] = '{code}: <Söhne & "Co"> 100% +1 it\'s'
    messages_after_repeat: ClassVar[int] = 2
    sender: ClassVar[str] = "Company"
    caller: ClassVar[str] = "+35929876543"
    short_timeout: ClassVar[float] = 1.0
    overtime: ClassVar[float] = 1.0
    watchdog: ClassVar[float] = 10.0
    signed: ClassVar[Collection[str]] = frozenset({"body", "headers", "url"})
    unsigned_fields: ClassVar[Collection[str]] = ()
    receipt_text: ClassVar[str] = ""
    prices: ClassVar[Collection[str]] = ()
    told_by_number: ClassVar[bool] = True
    told_of_approvals: ClassVar[bool] = True
    told_of_failures: ClassVar[bool] = True

    @pytest.fixture
    def simulator(self) -> Simulator:
        """The author's: the vendor, started."""
        pytest.fail("give the fixture `simulator`: a started Simulator of your vendor", pytrace=False)

    @pytest.fixture
    def plugin(self) -> str | Callable[[ProviderContext], object]:
        """The author's: the factory, or how it is named."""
        pytest.fail("give the fixture `plugin`: your factory, or its name as module:factory", pytrace=False)

    @pytest.fixture
    def provider_settings(self, simulator: Simulator) -> Mapping[str, Any]:
        """Settings of an instance that talks to the simulator."""
        return simulator.provider_settings()

    @pytest.fixture
    def bench(
        self,
        request: pytest.FixtureRequest,
        simulator: Simulator,
        plugin: str | Callable[[ProviderContext], object],
        provider_settings: Mapping[str, Any],
    ) -> Bench:
        """Where each test works: the instance loads and starts."""
        target = plugin if isinstance(plugin, str) else f"{plugin.__module__}:{plugin.__qualname__}"
        Supervisor.of(request.config).reached(request.node)
        return Bench(
            suite=self,
            simulator=simulator,
            plugin=target,
            settings=dict(provider_settings),
        )

    @pytest.fixture
    def accepting(self, bench: Bench) -> Bench:
        """The bench, where a plain message is accepted: for tests that need one."""
        return bench

    def assert_delivered(self, message: SimulatedMessage, request: DeliveryRequest) -> None:
        """The person got what was to be sent."""
        assert message.recipient == request.recipient.e164
        assert message.channel == request.channel
        if request.text is not None:
            assert message.text == request.text, (
                "the text that arrived is another: send request.text as it is, as one value of the request"
            )

    def make_gone(self, simulator: Any) -> None:
        """Let every verification at the vendor come to its end: an hour passes."""
        later = simulator.clock() + timedelta(hours=1)
        simulator.clock = lambda: later

    def wrong_code(self, code: str) -> str:
        """Another code of the same length."""
        return wrong_code(code)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run tests once for each channel, refusal and required setting that is named, and under supervision."""
        Supervisor.of(metafunc.config)
        names = metafunc.fixturenames
        if "refusal" in names:
            cases = [
                pytest.param(refusal, channel, id=f"{channel}-{refusal.title}")
                for refusal in self.refusals or ()
                for channel in self.channels
                if refusal.channel in (None, channel)
            ]
            metafunc.parametrize(("refusal", "channel"), cases)
        elif "channel" in names:
            metafunc.parametrize("channel", self.channels, ids=str)
        if "required_setting" in names:
            metafunc.parametrize("required_setting", self.required_settings or ())
