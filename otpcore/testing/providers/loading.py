"""Contract tests of what is declared: the suite says of the instance what it says of itself."""

from __future__ import annotations

import pytest

from otpcore.testing.providers.base import ContractBase
from otpcore.testing.providers.bench import Bench
from otpcore.testing.providers.forgeries import SIGNABLE

__all__ = ["LoadingTests"]

_DECLARED = {
    "refusals": "the errors of the vendor that you know, each as `Refusal(number_or_arm, kind, provider_code)`",
    "required_settings": "the keys that must not be left out or blank",
    "secret_settings": "the keys whose values may never be read; the suite looks for them in logs and errors",
}


class LoadingTests(ContractBase):
    """What is said of the provider, by itself and by its author."""

    def test_the_declaration_is_what_the_author_says(self, bench: Bench) -> None:
        provider = bench.provider()
        assert provider.info.code_owner is self.code_owner, "set `code_owner` of the suite"
        assert provider.info.display_name, "describe() has to give a `display_name`: people read it"

    @pytest.mark.parametrize("attribute", _DECLARED)
    def test_what_the_suite_must_know_is_said(self, attribute: str) -> None:
        assert getattr(self, attribute) is not None, (
            f"say `{attribute}`: {_DECLARED[attribute]}. Where there are none, write `{attribute} = ()`, so that it "
            "was not forgotten"
        )

    def test_what_the_vendor_signs_is_what_the_declaration_says(self, bench: Bench) -> None:
        provider = bench.provider()
        if not provider.reads_receipts:
            pytest.skip("the provider reads no receipts")
        unknown = set(self.signed) - SIGNABLE
        assert not unknown, f"`signed` names {sorted(unknown)}; it can name {sorted(SIGNABLE)}"
        assert provider.info.signs_receipts == bool(self.signed), (
            "a vendor that signs nothing is told an address of each message: ProviderInfo(signs_receipts=False) in "
            "describe(), and signed = set() in the suite; one that signs something has neither"
        )

    def test_loading_asks_the_vendor_nothing(self, bench: Bench) -> None:
        bench.provider()
        assert not bench.simulator.requests, (
            "no I/O at import, in the factory and in describe(): open clients in `start`"
        )
