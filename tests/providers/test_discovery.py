"""Which plugins are found and loaded: real distributions on the path, real entry points."""

from __future__ import annotations

import importlib.metadata
import os
import sys
import textwrap

import pytest

from otpcore.errors import PluginLoadError, UnknownProviderError
from otpcore.models import Channel
from otpcore.providers import discovery as _discovery
from otpcore.providers.hooks import ProviderContext
from otpcore.providers.provider import (
    PROVIDERS,
    RETRY_RUNNERS,
    SIMULATORS,
    STORES,
    installed,
    load_provider,
    load_target,
)

from .plugins import GOOD, install, load


def test_what_is_installed_is_read_from_metadata_and_nothing_is_imported(site):
    install(site, "otp-acme", "raise RuntimeError('imported')", name="Acme")
    (found,) = [plugin for plugin in installed(PROVIDERS) if plugin.distribution == "otp-acme"]
    assert (found.name, found.target, found.version) == ("acme", "otp_acme:create_provider", "1.2.3")
    assert not found.problem
    assert "otp_acme" not in sys.modules


@pytest.fixture
def reads(monkeypatch):
    """How often the metadata of all distributions was read since the test began."""
    times = []
    real = importlib.metadata.entry_points

    def counted(**query):
        times.append(query)
        return real(**query)

    monkeypatch.setattr(importlib.metadata, "entry_points", counted)
    return times


def test_what_is_installed_or_removed_meanwhile_is_noticed_and_metadata_is_read_no_more_often(site, reads):
    def names():
        return {plugin.name for plugin in installed(PROVIDERS)}

    install(site, "otp-other")
    os.utime(site, (1, 1))  # long ago, as a folder's last change is
    before = names()
    assert "acme" not in before
    assert names() == before
    assert len(reads) == 1
    install(site, "otp-acme")
    assert names() == before | {"acme"}
    (site / "otp_acme-1.2.3.dist-info" / "entry_points.txt").unlink()
    (site / "otp_acme-1.2.3.dist-info" / "METADATA").unlink()
    (site / "otp_acme-1.2.3.dist-info").rmdir()
    assert names() == before


def test_metadata_is_read_once_for_all_groups_and_not_again_for_a_folder_that_holds_none(
    site, reads, tmp_path_factory, monkeypatch
):
    install(site, "otp-acme")
    for group in (SIMULATORS, PROVIDERS, STORES, RETRY_RUNNERS):  # the core alone brings no simulator
        installed(group)
    assert len(reads) == 1
    beside = tmp_path_factory.mktemp("database")
    monkeypatch.syspath_prepend(beside)
    for name in ("otpcore.sqlite3", "otpcore.sqlite3-journal"):
        (beside / name).touch()
        assert "acme" in {plugin.name for plugin in installed(PROVIDERS)}
    assert len(reads) == 1
    install(beside, "otp-beside")
    assert "beside" in {plugin.name for plugin in installed(PROVIDERS)}


def test_a_provider_is_loaded_by_its_entry_point_and_knows_its_distribution(site):
    install(site, "otp-acme")
    provider = load("acme_eu", "Acme", title="Acme SMS")
    assert (provider.instance, provider.distribution, provider.version) == ("acme_eu", "otp-acme", "1.2.3")
    assert provider.info.display_name == "Acme SMS"
    assert provider.channels == {Channel.SMS}
    assert not provider.can_cancel


def test_without_a_plugin_name_the_instance_name_is_the_plugin_name(site):
    install(site, "otp-acme")
    assert load("acme").distribution == "otp-acme"


def test_an_in_house_gateway_needs_no_packaging(site):
    (site / "house_gateway.py").write_text(textwrap.dedent(GOOD))
    provider = load("house", "house_gateway:create_provider")
    assert (provider.distribution, provider.version) == ("", "")


@pytest.mark.parametrize("target", ["house_gateway:absent", "no_such_module:create", "not a module:create"])
def test_a_wrong_in_house_target_is_named_with_the_fix(site, target):
    (site / "house_gateway.py").write_text("")
    with pytest.raises(PluginLoadError, match=r"provider 'house'.*module:attribute") as caught:
        load("house", target)
    assert target in str(caught.value)


def test_a_broken_plugin_is_named_with_distribution_version_and_cause(site):
    install(site, "otp-broken", "import no_such_sdk")
    with pytest.raises(PluginLoadError) as caught:
        load("broken")
    assert "otp-broken 1.2.3" in str(caught.value)
    assert "ModuleNotFoundError: No module named 'no_such_sdk'" in str(caught.value)


def test_a_script_named_by_mistake_does_not_end_the_host(site):
    install(site, "otp-script", "import sys\nsys.exit(3)")
    with pytest.raises(PluginLoadError, match="SystemExit"):
        load("script")


def test_a_broken_plugin_that_nobody_uses_hurts_nobody(site):
    install(site, "otp-acme")
    install(site, "otp-broken", "raise RuntimeError")
    assert load("acme").distribution == "otp-acme"


def test_an_unknown_provider_is_answered_with_what_is_installed_and_what_to_install(site):
    install(site, "otp-acme")
    with pytest.raises(UnknownProviderError) as caught:
        load("acmee")
    message = str(caught.value)
    assert "did you mean 'acme'?" in message
    assert 'Fix: write acme there and in the rules, or in [providers.acmee]: plugin = "acme"' in message


def test_the_installation_of_a_name_that_nobody_vouches_for_is_never_advised(site):
    with pytest.raises(UnknownProviderError, match=r"Fix: install the package that brings it, or in") as caught:
        load("acme")
    assert "pip install" not in str(caught.value)


def test_a_gateway_taken_for_a_plugin_is_told_where_it_is_named(site):
    install(site, "otp-tables", group="otpcore.http_gateways", name="acme")
    with pytest.raises(UnknownProviderError) as caught:
        load("Acme")
    assert 'Fix: in [providers.Acme]: gateway = "acme", without plugin' in str(caught.value)


@pytest.mark.parametrize("name", ["aws", "mada", "Sinch", "twilio"])
def test_a_package_of_ours_that_is_missing_is_named(monkeypatch, name):
    monkeypatch.setattr(_discovery, "installed", lambda group: ())
    with pytest.raises(UnknownProviderError, match=f"Fix: pip install otp-{name.casefold()}, or in"):
        _discovery.find(_discovery.PROVIDERS, name, subject="providers.x")


def test_an_unknown_store_is_answered_with_what_is_installed(site):
    install(site, "otp-stores", group=STORES, name="ledger")
    with pytest.raises(PluginLoadError, match=r"nope.*installed: .*ledger"):
        load_target(STORES, "nope")
    assert callable(load_target(STORES, "Ledger"))


def test_a_name_claimed_twice_hurts_only_who_uses_it(site):
    install(site, "otp-acme")
    install(site, "other-acme", name="ACME")
    install(site, "otp-good")
    claims = [plugin for plugin in installed(PROVIDERS) if plugin.name == "acme"]
    assert all("otp-acme 1.2.3" in claim.problem and "other-acme 1.2.3" in claim.problem for claim in claims)
    assert len(claims) == 2
    with pytest.raises(PluginLoadError, match="is claimed by"):
        load("acme")
    assert load("good").distribution == "otp-good"


def test_one_target_in_two_distributions_is_one_plugin(site):
    install(site, "otp-acme")
    install(site, "otp-acme-renamed", name="acme", module="otp_acme")
    assert load("acme").distribution in ("otp-acme", "otp-acme-renamed")


def test_damaged_metadata_of_a_stranger_does_not_stop_us(site, caplog):
    install(site, "otp-acme")
    install(site, "stranger", points="[console_scripts]\nthis line is damaged\n")
    assert load("acme").distribution == "otp-acme"
    assert "stranger" in caplog.text


def forget():
    _discovery._read.cache_clear()
    _discovery._entry_points.cache_clear()


@pytest.mark.parametrize("group", [STORES, RETRY_RUNNERS])
def test_an_app_that_left_the_metadata_behind_is_told_so(monkeypatch: pytest.MonkeyPatch, group: str) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", importlib.metadata.EntryPoints)
    forget()
    try:
        with pytest.raises(PluginLoadError, match="--copy-metadata otpcore"):
            installed(group)
        with pytest.raises(PluginLoadError, match="--copy-metadata otpcore"):
            load_provider("mada", None, ProviderContext(instance="mada", settings={}))
    finally:
        forget()
