"""The contract suite of retry runners: subclass ``RetryRunnerContract``, give a runner, inherit the tests."""

from __future__ import annotations

import pytest

# Before they are imported: pytest shows the values in a failed assertion only of modules that it was told about.
pytest.register_assert_rewrite(
    "otpcore.testing.runners.bench",
    "otpcore.testing.runners.host",
    "otpcore.testing.runners.retries",
    "otpcore.testing.stores.world",
)

from otpcore.testing.runners.bench import RunnerBench  # noqa: E402 - after the registration
from otpcore.testing.runners.host import HostTests, TroubleTests  # noqa: E402 - the same
from otpcore.testing.runners.retries import AbandonedTests, RunningTests  # noqa: E402 - the same

__all__ = ["RetryRunnerContract", "RunnerBench"]


class RetryRunnerContract(RunningTests, AbandonedTests, HostTests, TroubleTests):
    """What every retry runner must do, shown with a real service over a real store and a provider that obeys.

    ::

        import pytest

        from otpcore.testing import RetryRunnerContract
        from otp_acme.runner import AcmeRunner


        class TestAcme(RetryRunnerContract):
            event_loops = ("asyncio",)

            @pytest.fixture
            def new_runner(self, broker):
                return AcmeRunner(broker.url)

    Fixtures to supply:

    - ``new_runner``: a fresh runner, not started.
    - ``store``: where the rows are; a fresh, empty store, not started. By default in memory.
    - ``broker_trouble``, where the runner stands on a broker: a function that gives a context; while it is open, the
      broker is away. What is submitted meanwhile must be run all the same. Without it that test is skipped.

    Attributes to set where the default does not fit:

    - ``background``: default True. False where ``submit`` itself waits until the send is over, as the inline runner does;
      then no one looks for what others left behind.
    - ``sweeps``: the runner calls ``RetryHost.upkeep`` every few seconds, and ``leave`` when it ends; default True.
    - ``event_loops``: what the runner runs on; default ``("asyncio", "trio")``.
    - ``latest``: seconds after which a retry that is due must have begun; default 0.5.
    - ``patience``: seconds after which a test gives up on what should have happened long ago; default 20.
    """
