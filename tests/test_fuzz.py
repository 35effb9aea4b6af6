"""The fuzz targets in the default run: everything that ever broke one, and what Hypothesis makes of their seeds."""

from __future__ import annotations

import time

import pytest
from fuzz_targets import TARGETS, seeds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KEPT = [(name, seed) for name in TARGETS for seed in seeds(name)]
SLOW = {"settings_toml", "settings_yaml", "settings_env"}  # they read files


@pytest.mark.parametrize(("name", "seed"), KEPT, ids=[f"{name}-{seed.name}" for name, seed in KEPT])
def test_what_once_broke_a_promise_keeps_it_and_quickly(name, seed):
    began = time.thread_time()
    TARGETS[name](seed.read_bytes())
    assert time.thread_time() - began < 5


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_a_promise(name):
    target = TARGETS[name]

    @settings(
        max_examples=25 if name in SLOW else 100,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(inputs(name))
    def holds(data):
        target(data)

    holds()


def test_every_target_has_seeds_and_every_seed_a_target():
    assert all(seeds(name) for name in TARGETS)
    folder = seeds(next(iter(TARGETS)))[0].parent.parent
    assert {each.name for each in folder.iterdir()} == set(TARGETS)


def inputs(name):
    """Noise, and seeds with noise in the middle, cut short or doubled."""
    kept = st.sampled_from([seed.read_bytes() for seed in seeds(name)])
    noise = st.binary(max_size=40) | st.text(max_size=20).map(lambda text: text.encode(errors="surrogatepass"))
    places = st.integers(0, 400)
    return st.binary(max_size=200) | st.tuples(kept, places, places, noise).map(
        lambda made: made[0][: made[1]] + made[3] + made[0][made[2] :]
    )
